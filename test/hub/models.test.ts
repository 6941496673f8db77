/** Models in a hub: they come in parts, are looked into, compiled as jobs with pictures of the fleet, and go. */
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import type {
  Job,
  ModelRow,
  ModelVersion,
  ModelVersionDetail,
  Problem,
  Upload,
} from '@edgeloop/protocol'
import { InferenceSession } from 'onnxruntime-node'
import { openHubCompiler } from '../../cli/src/model/hub-compiler.ts'
import { needs } from '../require.ts'
import { addSnapshots, demoModel, demoModelFile, uploadTo } from './demo-model.ts'
import { openTestHub, type TestHub } from './fixture.ts'

const wide = { timeout: 120_000 }

async function json<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return JSON.parse(text) as T
}

async function refusal(hub: TestHub, method: string, path: string, body?: unknown) {
  const reply = await hub.api(method, path, body)
  const { code, detail } = (await reply.json()) as Problem
  return { status: reply.status, code, detail }
}

async function addDemoModel(hub: TestHub): Promise<ModelVersion> {
  const uploadId = await uploadTo(hub, await readFile(demoModelFile))
  const body = { name: 'parts', uploadId, ...demoModel, note: 'of the demo' }
  return await json<ModelVersion>(hub, 'POST', '/api/models', body)
}

async function ended(t: TestContext, hub: TestHub, { jobId }: Job): Promise<Job> {
  let job: Job | undefined
  const look = async () => {
    job = await json<Job>(hub, 'GET', `/api/jobs/${jobId}`)
    assert.ok(job.endedAt, `${job.state} ${job.step}`)
  }
  await t.waitFor(look, { interval: 100, timeout: 100_000 })
  return job ?? assert.fail()
}

test(
  'a model comes in parts, is looked into, and is the next version of its name',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const first = await addDemoModel(hub)
    assert.deepEqual(
      [first.name, first.version, first.by, first.labels.length],
      ['parts', 1, 'local', 6],
    )
    assert.equal(first.inspection.inputs.length, 1)
    assert.ok(first.inspection.parameters > 10_000)
    assert.ok(Object.keys(first.inspection.operators).includes('Conv'))
    const bytes = await readFile(demoModelFile)
    const back = await hub.api('GET', '/api/models/parts/1/file')
    assert.ok(Buffer.from(await back.arrayBuffer()).equals(bytes))
    assert.match(back.headers.get('content-disposition') ?? '', /filename="parts-1\.onnx"/)

    const same = {
      name: 'parts',
      uploadId: await uploadTo(hub, bytes),
      ...demoModel,
    }
    assert.match(
      (await refusal(hub, 'POST', '/api/models', same)).detail,
      /version 1 .* is the same file/,
    )
    const next = {
      ...same,
      uploadId: await uploadTo(hub, bytes),
      note: 'again',
      labels: ['a', 'b', 'c', 'd', 'e', 'f'],
    }
    assert.equal((await json<ModelVersion>(hub, 'POST', '/api/models', next)).version, 2)
    const [row, ...more] = await json<ModelRow[]>(hub, 'GET', '/api/models')
    assert.deepEqual([row?.newest.version, row?.versions, more.length], [2, 2, 0])
    await hub.close()
    await hub.reopen()
    const shown = await json<ModelVersionDetail>(hub, 'GET', '/api/models/parts/1')
    assert.deepEqual([shown.versions, shown.model.digest], [[2, 1], first.digest])
  },
)

test('what is no model is refused with what it is, and nothing of it stays', wide, async (t) => {
  const hub = await openTestHub(t)
  const add = async (bytes: Uint8Array, more: object = {}) =>
    await refusal(hub, 'POST', '/api/models', {
      name: 'parts',
      uploadId: await uploadTo(hub, bytes),
      ...demoModel,
      ...more,
    })
  const page = await add(Buffer.from('<!doctype html><title>Not found</title>'))
  assert.equal(page.code, 'badRequest')
  assert.match(page.detail, /web page/)
  const whole = await readFile(demoModelFile)
  assert.match((await add(whole.subarray(0, 100_000))).detail, /truncated/)
  assert.match((await add(whole, { layout: 'yolo' })).detail, /layout "yolo": did you mean "yolo/)
  const missing = { name: 'parts', uploadId: randomUUID(), ...demoModel }
  assert.equal((await refusal(hub, 'POST', '/api/models', missing)).code, 'notFound')
  const started = await json<Upload>(hub, 'POST', '/api/uploads', { sizeBytes: 10 })
  const early = { ...missing, uploadId: started.uploadId }
  assert.match((await refusal(hub, 'POST', '/api/models', early)).detail, /0 of 10 bytes/)
  assert.equal((await refusal(hub, 'POST', '/api/uploads', { sizeBytes: 2 ** 40 })).status, 400)
  assert.deepEqual(await json(hub, 'GET', '/api/models'), [])
})

test(
  'a model is compiled as a job with pictures of the fleet, through a restart of the hub; the result is a model, a manifest and a report',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    await addDemoModel(hub)
    const compile = (body: object) => json<Job>(hub, 'POST', '/api/models/parts/1/compile', body)

    const early = await ended(t, hub, await compile({}))
    assert.equal(early.state, 'failed')
    assert.match(early.error, /0 snapshots of the fleet are here, at least 16/)

    await addSnapshots(hub, await hub.enrol('gate'), 16)
    assert.match(
      (await refusal(hub, 'POST', '/api/models/parts/1/compile', { target: 'linux-x46' })).detail,
      /target "linux-x46": did you mean "linux-x64"/,
    )
    const begun = await compile({ precision: 'fp32' })
    await t.waitFor(
      async () =>
        assert.equal((await json<Job>(hub, 'GET', `/api/jobs/${begun.jobId}`)).state, 'running'),
      { interval: 20, timeout: 60_000 },
    )
    await hub.close()
    await hub.reopen()
    const job = await ended(t, hub, begun)
    assert.equal(job.error, '')
    assert.deepEqual([job.state, job.progress, job.attempts, job.by], ['done', 1, 1, 'local'])
    const { artifacts } = await json<ModelVersionDetail>(hub, 'GET', '/api/models/parts/1')
    const [artifact] = artifacts
    assert.ok(artifact)
    assert.equal(artifact.jobId, job.jobId)
    assert.ok(artifact.candidates.some(({ name }) => name === 'fp32'))
    assert.equal(artifact.chosen, 'fp32')
    const part = (name: string) => hub.api('GET', `/api/artifacts/${artifact.artifactId}/${name}`)
    const bytes = Buffer.from(await (await part('file')).arrayBuffer())
    assert.equal(createHash('sha256').update(bytes).digest('hex'), artifact.digest)
    const session = await InferenceSession.create(bytes)
    assert.equal(session.inputNames.length, 1)
    await session.release()
    const manifest = (await (await part('manifest')).json()) as { model: { digest: string } }
    assert.equal(manifest.model.digest, artifact.digest)
    const report = await part('report')
    assert.match(report.headers.get('content-type') ?? '', /^text\/html/)
    assert.match(
      report.headers.get('content-security-policy') ?? '',
      /^sandbox; default-src 'none'/,
    )
    assert.match(await report.text(), /<svg/)

    const gone = await hub.api('DELETE', '/api/models/parts/1')
    assert.equal(gone.status, 204)
    assert.equal((await part('file')).status, 404)
    assert.deepEqual(await json(hub, 'GET', '/api/models'), [])
  },
)

test('the next version keeps the scales of what was compiled before it, unless new ones are asked for', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t)
  await addSnapshots(hub, await hub.enrol('gate'), 16)
  const compiled = async (version: number, more: object = {}) => {
    const body = { precision: 'int8', maxDrop: 1, ...more }
    const path = `/api/models/parts/${version}`
    const job = await ended(t, hub, await json<Job>(hub, 'POST', `${path}/compile`, body))
    assert.equal(job.error, '')
    const { artifacts } = await json<ModelVersionDetail>(hub, 'GET', path)
    const [artifact = assert.fail()] = artifacts
    return await json<{
      model: { digest: string; candidate: string }
      scales?: { championDigest: string; kept: boolean; epoch: number }
    }>(hub, 'GET', `/api/artifacts/${artifact.artifactId}/manifest`)
  }
  await addDemoModel(hub)
  const first = await compiled(1)
  assert.match(first.model.candidate, /^int8/)
  assert.equal(first.scales, undefined, 'there was nothing before it')
  for (const version of [2, 3]) {
    const uploadId = await uploadTo(hub, await readFile(demoModelFile))
    const labels = ['a', 'b', 'c', 'd', 'e', `f${version}`]
    const next = { name: 'parts', uploadId, ...demoModel, labels }
    assert.equal((await json<ModelVersion>(hub, 'POST', '/api/models', next)).version, version)
  }
  // The first may be equalized, and then has codes of weights that no later one has.
  const second = await compiled(2)
  assert.equal(second.scales?.championDigest, first.model.digest)
  const third = await compiled(3)
  assert.deepEqual(
    [third.scales?.championDigest, third.scales?.kept, third.scales?.epoch],
    [second.model.digest, true, second.scales?.epoch],
  )
  assert.equal((await compiled(2, { newScales: true })).scales, undefined)
})

test(
  'a compilation ends when somebody asks, and a model that is being compiled stays',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    await addDemoModel(hub)
    await addSnapshots(hub, await hub.enrol('gate'), 16)
    const job = await json<Job>(hub, 'POST', '/api/models/parts/1/compile', {})
    await t.waitFor(
      async () => assert.ok((await json<Job>(hub, 'GET', `/api/jobs/${job.jobId}`)).progress > 0),
      { interval: 50, timeout: 60_000 },
    )
    const kept = await refusal(hub, 'DELETE', '/api/models/parts/1')
    assert.equal(kept.code, 'conflict')
    await json(hub, 'POST', `/api/jobs/${job.jobId}/cancel`)
    assert.equal((await ended(t, hub, job)).state, 'cancelled')
    const again = await refusal(hub, 'POST', `/api/jobs/${job.jobId}/cancel`)
    assert.equal(again.code, 'conflict')
    const { artifacts } = await json<ModelVersionDetail>(hub, 'GET', '/api/models/parts/1')
    assert.deepEqual(artifacts, [])
  },
)

test(
  'a compilation that takes too long or too much is ended, and says so; the hub lives',
  wide,
  async (t) => {
    for (const [limits, why] of [
      [{ timeoutMs: 300 }, /it took longer than 0\.3 s/],
      [{ memoryBytesMax: 60 * 1024 ** 2 }, /it took more than 60 MiB of memory/],
    ] as const) {
      const hub = await openTestHub(t, {}, Date.now, { compiler: openHubCompiler({ limits }) })
      await addDemoModel(hub)
      await addSnapshots(hub, await hub.enrol('gate'), 16)
      const job = await json<Job>(hub, 'POST', '/api/models/parts/1/compile', {})
      const { state, error } = await ended(t, hub, job)
      assert.equal(state, 'failed')
      assert.match(error, why)
      assert.equal((await hub.api('GET', '/api/health')).status, 200)
    }
  },
)
