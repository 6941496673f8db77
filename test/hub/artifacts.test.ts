/** Publishing: a model version becomes signed manifests and encodings, and devices fetch them in ranges. */
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { readModel, writeModel } from '@edgeloop/model-compiler'
import {
  checkModelFile,
  compareGolden,
  decode,
  goldenInputs,
  readManifest,
} from '@edgeloop/model-compiler/artifact'
import { openSession, type Value } from '@edgeloop/model-compiler/compile'
import {
  type Job,
  type ModelVersion,
  type Problem,
  type Published,
  topicFor,
  type Updates,
} from '@edgeloop/protocol'
import { openFolderBlobs } from '../../cloud-hub/src/blobs/folder-blobs.ts'
import { runCommand } from './command.ts'
import { demoDescriptionFile, demoModel, demoModelFile, uploadTo } from './demo-model.ts'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'

const wide = { timeout: 180_000 }

test(
  'a version is published, signed, and fetched in ranges by a device that then has the same file',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const bytes = await readFile(demoModelFile)
    await add(hub, bytes)
    const job = await publish(t, hub, 1)
    assert.equal(job.error, '')
    const [one, ...more] = await json<Published[]>(hub, 'GET', '/api/models/parts/1/published')
    assert.ok(one)
    assert.deepEqual([more.length, one.target, one.signed, one.scaleEpoch], [0, 'any', true, 0])
    assert.equal(one.manifest.path, 'manifests/parts/1/any.json')
    assert.deepEqual(one.file, { digest: digestOf(bytes), lengthBytes: bytes.length })

    const device = await hub.enrol('gate')
    const whole = await get(device, `/artifacts/${one.manifest.digest}`)
    assert.equal(whole.status, 200)
    assert.equal(digestOf(whole.bytes), one.manifest.digest)
    const manifest = readManifest(whole.bytes)
    assert.deepEqual([manifest.name, manifest.version, manifest.layout], ['parts', 1, 'yolox'])
    assert.ok(manifest.targets.includes('linux-x64'))

    // As a box fetches: in two parts, the second from where the first was cut.
    const [zstd] = manifest.encodings
    assert.equal(zstd?.codec, 'zstd')
    const path = `/artifacts/${zstd!.digest}`
    const cut = 70_000
    const first = await get(device, path, { range: `bytes=0-${cut - 1}` })
    const rest = await get(device, path, {
      range: `bytes=${cut}-`,
      'if-range': `"${zstd!.digest}"`,
    })
    assert.deepEqual([first.status, rest.status], [206, 206])
    assert.equal(
      rest.headers['content-range'],
      `bytes ${cut}-${zstd!.lengthBytes - 1}/${zstd!.lengthBytes}`,
    )
    const encoded = Buffer.concat([first.bytes, rest.bytes])
    assert.equal(digestOf(encoded), zstd!.digest)
    for (const [at, chunk] of zstd!.chunks.entries()) {
      assert.equal(digestOf(encoded.subarray(at * 65_536, (at + 1) * 65_536)), chunk)
    }
    const file = decode(zstd!, encoded, undefined, manifest.file)
    assert.ok(bytes.equals(file))

    // And it runs here as it ran where it was published.
    checkModelFile(file)
    await using session = await openSession(file)
    for (const vector of manifest.golden) {
      const feeds = Object.fromEntries(
        Object.entries(goldenInputs(vector)).map(([name, { type, shape, data }]) => [
          name,
          { type, dims: shape, data } as Value,
        ]),
      )
      const outputs = Object.entries(await session.run(feeds))
      const given = Object.fromEntries(
        outputs.map(([name, { dims, data }]) => [name, { shape: dims, data }]),
      )
      assert.deepEqual(compareGolden(vector, given).reason, '')
    }

    // A second time it is the same: nothing is made anew.
    assert.equal((await publish(t, hub, 1)).state, 'done')
    assert.deepEqual(await json(hub, 'GET', '/api/models/parts/1/published'), [one])
    const signed = (await json(hub, 'GET', '/api/trust')) as { targets: number }
    assert.equal(signed.targets, 1)
    const mistyped = { name: 'prats', version: 1, select: { all: true } }
    const { detail } = (await (await hub.api('POST', '/api/rollouts', mistyped)).json()) as Problem
    assert.match(detail, /nothing of "prats" is published; did you mean "parts"\?$/)
    const kept = await hub.api('DELETE', '/api/models/parts/1')
    assert.equal(kept.status, 409)
    assert.match(((await kept.json()) as Problem).detail, /is published for any/)

    // Devices fetch what is published and nothing else, and only devices do. The model's own file is not meant for boxes.
    assert.equal((await get(device, `/artifacts/${digestOf(bytes)}`)).status, 404)
    assert.equal((await get(device, `/artifacts/${'0'.repeat(64)}`)).status, 404)
    assert.equal((await get(device, '/artifacts/..%2f..%2fhub.db')).status, 400)
    const { lengthBytes, digest } = zstd!
    assert.equal((await get(device, path, { range: `bytes=${lengthBytes}-` })).status, 416)
    const other = await get(device, path, { range: 'bytes=5-', 'if-range': '"another"' })
    assert.deepEqual([other.status, other.bytes.length], [200, lengthBytes])
    const head = await get(device, path, {}, 'HEAD')
    assert.deepEqual([head.status, head.bytes.length], [200, 0])
    assert.equal(head.headers['content-length'], String(lengthBytes))
    assert.equal(head.headers.etag, `"${digest}"`)
    const nobody = { ...device, key: '', enrolment: { ...device.enrolment, certificate: '' } }
    assert.equal((await get(nobody, path)).status, 401)
    const metrics = await (await hub.api('GET', '/metrics')).text()
    assert.match(metrics, /edgeloop_artifact_bytes_total\{codec="zstd"\} [1-9]/)

    // The next version travels as the difference to this one.
    const next = changed(bytes)
    const file2 = join(hub.dataDir, 'next.onnx')
    await writeFile(file2, next)
    const words = ['--name', 'parts', '--layout', 'yolox', '--json'] as const
    const description = fileURLToPath(demoDescriptionFile)
    const told = await runCommand(
      hub,
      ...['model', 'publish', file2, '--description', description, ...words],
    )
    assert.equal(told.code, 0, told.stderr)
    assert.match(told.stderr, /any: /)
    const [newest, before] = await json<Published[]>(hub, 'GET', '/api/models/parts/published')
    assert.deepEqual([newest?.version, before?.version], [2, 1])
    assert.deepEqual(JSON.parse(told.stdout), newest)
    const table = await runCommand(hub, 'model', 'published', 'parts')
    assert.match(table.stdout, /parts\/2 +any .* version 1 +(delta|zstd-base) .* yes/)
    assert.match(table.stdout, /parts\/1 +any .* anything +zstd .* yes/)
    const [difference, full] = newest!.encodings
    assert.notEqual(difference?.codec, 'zstd')
    assert.deepEqual([difference?.baseDigest, difference?.baseVersion], [digestOf(bytes), 1])
    assert.deepEqual([full?.codec, full?.baseVersion], ['zstd', null])
    assert.ok(difference!.lengthBytes * 20 < full!.lengthBytes, `${difference!.lengthBytes} bytes`)
    const patch = await get(device, `/artifacts/${difference!.digest}`)
    assert.ok(next.equals(decode(difference!, patch.bytes, bytes, newest!.file)))
  },
)

test(
  'what cannot be published is refused: no such version, nothing compiled for a kind of box, other bytes, what no box would load',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const refusal = async (path: string, body: object = {}) => {
      const reply = await hub.api('POST', path, body)
      const { code, detail } = (await reply.json()) as Problem
      return { code, detail }
    }
    assert.equal((await refusal('/api/models/parts/1/publish')).code, 'notFound')
    await add(hub, await readFile(demoModelFile))
    const target = await refusal('/api/models/parts/1/publish', { target: 'linux-amr64' })
    assert.deepEqual(target.code, 'badRequest')
    assert.match(target.detail, /did you mean "linux-arm64"/)
    assert.equal((await refusal('/api/models/parts/1/publish', { tagret: 'x' })).code, 'badRequest')
    assert.equal((await hub.api('GET', '/api/models/parts/7/published')).status, 404)
    assert.equal((await hub.api('GET', '/api/models/none/published')).status, 404)
    // As if the version had been published before with another file.
    await hub.inStore(({ writer }) =>
      writer
        .insertInto('artifact_publication')
        .values({
          name: 'parts',
          version: 1,
          target: 'any',
          targets: '["any"]',
          artifact_id: null,
          manifest_digest: '0'.repeat(64),
          manifest_bytes: 1,
          file_digest: 'f'.repeat(64),
          file_bytes: 1,
          encodings: '[]',
          scale_epoch: 0,
          scales_digest: '',
          expires_at: 1,
          author: 'local',
          published_at: 1,
        })
        .execute(),
    )
    assert.match(
      (await refusal('/api/models/parts/1/publish')).detail,
      /published with other bytes/,
    )
    // A model that no box would load: ONNX Runtime takes functions, the gate does not.
    const model = readModel(await readFile(demoModelFile))
    await add(hub, Buffer.concat([writeModel(model), Buffer.from([0xca, 0x01, 0x00])]))
    const job = await publish(t, hub, 2)
    assert.equal(job.state, 'failed')
    assert.match(job.error, /functions are not taken/)
    assert.deepEqual(await json(hub, 'GET', '/api/models/parts/2/published'), [])
  },
)

test(
  'what was compiled is published for its kind of box, against the file that boxes run',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const own = await readFile(demoModelFile)
    await add(hub, own)
    // A box runs this file by its own configuration; nobody has published it.
    const device = await hub.enrol('gate')
    const client = await device.connect()
    const said: Updates = {
      at: new Date().toISOString(),
      bootId: randomUUID(),
      sequence: 1,
      updates: [],
      running: [{ name: 'parts', version: 0, digest: digestOf(own) }],
    }
    const topic = topicFor('updates', device)
    await client.publishAsync(topic, JSON.stringify(said), { qos: 1, retain: true })
    // As a compilation leaves it: the model, and a manifest that says how it is fed and read.
    const compiled = changed(own)
    const labels = ['bolt', 'nut', 'gear', 'washer', 'bracket', 'defect']
    const input = { fit: 'letterbox-topleft', pad: 114, type: 'uint8', layout: 'nhwc' }
    const described = { layout: 'yolox', strides: [8], input }
    const stated = { description: { ...described, labels } }
    const manifest = Buffer.from(JSON.stringify(stated))
    const files = await openFolderBlobs(join(hub.dataDir, 'models'))
    for (const bytes of [compiled, manifest]) {
      await files.put(digestOf(bytes), pieces(bytes), { bytesMax: 10_000_000 })
    }
    await hub.inStore(({ writer }) =>
      writer
        .insertInto('artifact')
        .values({
          artifact_id: randomUUID(),
          name: 'parts',
          version: 1,
          target: 'linux-x64-vnni',
          chosen: 'fp32',
          digest: digestOf(compiled),
          size_bytes: compiled.length,
          manifest_digest: digestOf(manifest),
          report_digest: digestOf(manifest),
          candidates: '[]',
          job_id: randomUUID(),
          created_at: 1,
        })
        .execute(),
    )
    await t.waitFor(
      async () => {
        const { running } = await json<{ running: unknown[] }>(
          ...([hub, 'GET', '/api/devices/gate/updates'] as const),
        )
        assert.equal(running.length, 1)
      },
      { interval: 50, timeout: 30_000 },
    )
    assert.equal((await publish(t, hub, 1)).error, '')
    const [one, ...more] = await json<Published[]>(hub, 'GET', '/api/models/parts/1/published')
    assert.equal(more.length, 0)
    assert.deepEqual([one!.target, one!.targets], ['linux-x64-vnni', ['linux-x64-vnni']])
    assert.equal(one!.file.digest, digestOf(compiled))
    const [difference] = one!.encodings
    assert.deepEqual([difference!.baseDigest, difference!.baseVersion], [digestOf(own), 1])
    const read = readManifest((await get(device, `/artifacts/${one!.manifest.digest}`)).bytes)
    assert.deepEqual(JSON.parse(read.description), described)
    assert.deepEqual(read.labels, labels)
    assert.equal(read.layout, 'yolox')
  },
)

// Below: a model version, its publication, and a device that fetches.

async function json<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return JSON.parse(text) as T
}

async function add(hub: TestHub, bytes: Uint8Array): Promise<ModelVersion> {
  const body = { name: 'parts', uploadId: await uploadTo(hub, bytes), ...demoModel }
  return await json<ModelVersion>(hub, 'POST', '/api/models', body)
}

async function publish(t: TestContext, hub: TestHub, version: number): Promise<Job> {
  const { jobId } = await json<Job>(hub, 'POST', `/api/models/parts/${version}/publish`, {})
  let job: Job | undefined
  await t.waitFor(
    async () => {
      job = await json<Job>(hub, 'GET', `/api/jobs/${jobId}`)
      assert.ok(job.endedAt, `${job.state} ${job.step}`)
    },
    { interval: 100, timeout: 120_000 },
  )
  return job ?? assert.fail()
}

/** The same net after a small step of training. */
function changed(bytes: Uint8Array): Buffer {
  const model = readModel(bytes)
  const weights = model.graph!.initializer.find(({ rawData }) => rawData.length > 1000)!
  const { buffer, byteOffset, length } = weights.rawData
  const values = new Float32Array(buffer.slice(byteOffset, byteOffset + length))
  weights.rawData = new Uint8Array(
    values.map((value, at) => (at % 50 === 0 ? value * 1.01 : value)).buffer,
  )
  return Buffer.from(writeModel(model))
}

async function get(
  { enrolment, key }: Pick<TestDevice, 'enrolment' | 'key'>,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
) {
  const sent = request(enrolment.deviceUrl + path, {
    method,
    headers,
    key,
    cert: enrolment.certificate,
    ca: enrolment.ca,
    agent: false,
  })
  sent.end()
  const [reply] = (await once(sent, 'response')) as [IncomingMessage]
  const parts: Buffer[] = []
  for await (const part of reply) parts.push(part)
  return { status: reply.statusCode, headers: reply.headers, bytes: Buffer.concat(parts) }
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
