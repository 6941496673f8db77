/** Models of a hub at work for others: tensors by the Open Inference Protocol, and batches of pictures. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { InferenceEngine } from '@edgeloop/cloud-hub'
import {
  type ApiTokenMade,
  type InferenceBatch,
  type InferenceResult,
  type PackedPicture,
  type Problem,
  type Retention,
  writePack,
} from '@edgeloop/protocol'
import { jsonLengthHeader } from '@edgeloop/protocol/oip'
import { openHubEngine } from '../../cli/src/infer/hub-engine.ts'
import { oipRuntime } from '../../edge-agent/src/runtimes/oip.ts'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'
import type { Tensors } from '../../edge-agent/src/runtimes/runtime.ts'
import { needs } from '../require.ts'
import { assertAudited } from './audited.ts'
import { addDataset, sendPack } from './dataset-parts.ts'
import { demoModel, demoModelFile, demoPictures, uploadTo } from './demo-model.ts'
import { offer, offerOf, putAll, takePicture } from './field-box.ts'
import { openTestHub, type TestHub } from './fixture.ts'

const wide = { timeout: 240_000 }
const patient = { interval: 100, timeout: 200_000 }
/** A machine that is busy is no fault of the hub. */
const slow = { timeoutMs: 200_000 }

async function json<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return JSON.parse(text) as T
}

async function refused(hub: TestHub, method: string, path: string, body?: unknown) {
  const reply = await hub.api(method, path, body)
  const { detail } = (await reply.json()) as Problem
  return `${reply.status} ${detail}`
}

/** Adds the demo's detector as the next version of `parts`. */
async function addModel(hub: TestHub, labels?: readonly string[]): Promise<void> {
  const uploadId = await uploadTo(hub, await readFile(demoModelFile))
  await json(hub, 'POST', '/api/models', {
    name: 'parts',
    uploadId,
    ...demoModel,
    ...(labels && { labels }),
  })
}

async function tokenFor(hub: TestHub, name: string): Promise<Record<string, string>> {
  const made = await json<ApiTokenMade>(hub, 'POST', '/api/tokens', { name, role: 'viewer' })
  return { authorization: `Bearer ${made.token}` }
}

async function sendPictures(hub: TestHub, count: number): Promise<PackedPicture[]> {
  const pictures = (await demoPictures(count)).map((bytes): PackedPicture => {
    const digest = createHash('sha256').update(bytes).digest('hex')
    return { digest, bytes, width: 640, height: 360, form: 'image/jpeg' }
  })
  assert.equal((await sendPack(hub, writePack(pictures))).status, 200)
  return pictures
}

const batches = '/api/inference/batches'

async function over(t: TestContext, hub: TestHub, taskId: string): Promise<InferenceBatch> {
  let batch: InferenceBatch | undefined
  await t.waitFor(async () => {
    batch = await json<InferenceBatch>(hub, 'GET', `${batches}/${taskId}`)
    assert.ok(batch.endedAt, `${batch.state} ${batch.done}/${batch.pictures}`)
  }, patient)
  return batch ?? assert.fail()
}

async function resultsOf(hub: TestHub, taskId: string) {
  const reply = await hub.api('GET', `${batches}/${taskId}/results`)
  assert.match(reply.headers.get('content-type') ?? '', /^application\/x-ndjson/)
  const lines = (await reply.text()).split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as InferenceResult)
}

/** The hub's own engine, which counts what it is asked and does it when it may. */
function watchedEngine() {
  const inner = openHubEngine()
  const seen = { opens: 0, looks: 0, infers: 0 }
  let gate = Promise.resolve()
  let freeLooks = Number.POSITIVE_INFINITY
  const engine: InferenceEngine = {
    open: async (model, timeoutMs) => {
      seen.opens++
      const process = await inner.open(model, timeoutMs)
      return {
        signature: process.signature,
        ended: process.ended,
        infer: async (inputs, limitMs) => {
          seen.infers++
          await gate
          return await process.infer(inputs, limitMs)
        },
        look: async (picture, reading, limitMs) => {
          seen.looks++
          if (seen.looks > freeLooks) await gate
          return await process.look(picture, reading, limitMs)
        },
        [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
      }
    },
  }
  return {
    engine,
    seen,
    /** No inference is answered, and no look after so many, until the function is called that it gives. */
    hold: (looks = Number.POSITIVE_INFINITY) => {
      freeLooks = seen.looks + looks
      const held = Promise.withResolvers<void>()
      gate = held.promise
      return held.resolve
    },
  }
}

test(
  'a registered model answers a client of the Open Inference Protocol as the runtime itself',
  wide,
  async (t) => {
    const { engine, seen, hold } = watchedEngine()
    const hub = await openTestHub(
      t,
      { inference: { ...slow, requestsMax: 2, perMinuteMax: 40 } },
      Date.now,
      {
        engine,
      },
    )
    const url = hub.hub.urls.browser
    const viewer = await tokenFor(hub, 'program')
    const ask = async (path: string, init: RequestInit = {}) => {
      const reply = await fetch(`${url}/v2${path}`, {
        ...init,
        headers: { ...viewer, ...(init.headers as Record<string, string>) },
      })
      return { reply, body: (await reply.json()) as Record<string, unknown> }
    }
    assert.deepEqual((await ask('/health/live')).body, { live: true })
    assert.deepEqual((await ask('/health/ready')).body, { ready: true })
    assert.deepEqual((await ask('')).body.extensions, ['binary_tensor_data'])

    const none = await ask('/models/parts')
    assert.equal(none.reply.status, 404)
    assert.match(String(none.body.error), /Cannot find the model "parts"/)
    await addModel(hub)
    await addModel(hub, ['a', 'b', 'c', 'd', 'e', 'f'])
    // A machine that is busy may take longer than one request waits.
    await t.waitFor(async () => {
      const { reply, body } = await ask('/models/parts/ready')
      assert.equal(reply.status, 200, JSON.stringify(body))
    }, patient)
    const { body: metadata } = await ask('/models/parts')
    const { inputs, outputs, versions } = metadata as {
      inputs: { name: string; datatype: string; shape: number[] }[]
      outputs: { name: string }[]
      versions: string[]
    }
    assert.deepEqual(versions, ['1', '2'])
    const [input] = inputs
    assert.ok(input)

    await t.test('tensors in, tensors out, bit for bit', async () => {
      const file = fileURLToPath(demoModelFile)
      const token = viewer.authorization?.replace('Bearer ', '') ?? ''
      const limits = {
        metadataTimeoutMs: 200_000,
        inferTimeoutMs: 200_000,
        totalTimeoutMs: 200_000,
      }
      await using there = await oipRuntime(`oip:${url}/parts`, { token, limits }).open(file, {
        threads: 1,
      })
      await using here = await ortRuntime.open(file, { threads: 1 })
      const [info] = here.inputs
      assert.ok(info)
      const shape = info.shape.map(Number)
      const size = shape.reduce((product, one) => product * one, 1)
      const data =
        info.type === 'uint8'
          ? Uint8Array.from({ length: size }, (_, i) => (i * 7) % 256)
          : Float32Array.from({ length: size }, (_, i) => (i * 7) % 256)
      const given: Tensors = { [info.name]: { type: info.type, shape, data } }
      const [said, known] = [await there.run(given), await here.run(given)]
      for (const { name } of here.outputs) {
        assert.deepEqual(said[name]?.shape, known[name]?.shape)
        assert.deepEqual(said[name]?.data, known[name]?.data)
      }
      // The same as JSON, of a version by its number, with an id.
      const { reply, body } = await ask('/models/parts/versions/2/infer', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          id: 'seven',
          inputs: [{ name: input.name, datatype: input.datatype, shape, data: [...data] }],
          outputs: [{ name: outputs[0]?.name }],
        }),
      })
      assert.deepEqual([reply.status, body.id, body.model_version], [200, 'seven', '2'])
      const [answer] = body.outputs as { data: number[] }[]
      assert.deepEqual(Float32Array.from(answer?.data ?? []), known[outputs[0]!.name]?.data)
    })

    await t.test('each refusal is {error}, and says what is wrong', async () => {
      const infer = (init: RequestInit = {}) =>
        ask('/models/parts/infer', { method: 'POST', body: '{}', ...init })
      const stranger = await fetch(`${url}/v2/models/parts/infer`, { method: 'POST', body: '{}' })
      assert.equal(stranger.status, 401)
      assert.match(((await stranger.json()) as { error: string }).error, /sign in/)
      const cases: [string, Awaited<ReturnType<typeof infer>>, number, RegExp][] = [
        ['no such version', await ask('/models/parts/versions/9'), 404, /parts.*9|9.*parts/],
        ['no such path', await ask('/repository/index'), 404, /Cannot find/],
        ['no name', await ask('/models/..%2Fparts'), 400, /model/],
        ['nothing asked', await infer(), 400, /inputs/],
        ['no JSON', await infer({ body: 'tensors' }), 400, /not JSON/],
        [
          'another tensor',
          await infer({
            body: JSON.stringify({
              inputs: [{ name: input.name, datatype: 'FP32', shape: [1], data: [1] }],
            }),
          }),
          400,
          /expected/,
        ],
        [
          'cut off',
          await infer({ body: '{}', headers: { [jsonLengthHeader]: '99' } }),
          400,
          /says that "99" of its 2 bytes/,
        ],
        ['packed', await infer({ headers: { 'content-encoding': 'gzip' } }), 415, /as it is/],
        ['too large', await infer({ body: Buffer.alloc(32 * 1024 * 1024 + 1) }), 413, /large/],
      ]
      for (const [what, { reply, body }, status, why] of cases) {
        assert.equal(reply.status, status, `${what}: ${JSON.stringify(body)}`)
        assert.match(String(body.error), why, what)
        assert.match(reply.headers.get('content-type') ?? '', /^application\/json/)
      }
    })

    await t.test('what comes while too many wait is told when to come again', async () => {
      const release = hold()
      const body = JSON.stringify({
        inputs: [
          {
            name: input.name,
            datatype: input.datatype,
            shape: input.shape,
            data: Array(input.shape.reduce((product, one) => product * one, 1)).fill(0),
          },
        ],
      })
      const before = seen.infers
      const post = () => ask('/models/parts/infer', { method: 'POST', body })
      const first = [post(), post()]
      await t.waitFor(() => assert.ok(seen.infers > before), patient)
      await t.waitFor(async () => {
        const { reply, body: said } = await post()
        assert.equal(reply.status, 503)
        assert.equal(reply.headers.get('retry-after'), '1')
        assert.match(String(said.error), /2 are under way/)
      }, patient)
      release()
      for (const { reply } of await Promise.all(first)) assert.equal(reply.status, 200)
    })

    await t.test('one token asks so often in a minute; another is not kept from it', async () => {
      const other = await tokenFor(hub, 'other')
      let limited: Awaited<ReturnType<typeof ask>> | undefined
      for (let i = 0; i < 400 && !limited; i++) {
        const answer = await ask('/models/parts/infer', { method: 'POST', body: '{}' })
        if (answer.reply.status === 429) limited = answer
      }
      assert.ok(limited)
      assert.ok(Number(limited.reply.headers.get('retry-after')) > 0)
      assert.match(String(limited.body.error), /wait/)
      const init = { method: 'POST', body: '{}', headers: other }
      assert.equal((await ask('/models/parts/infer', init)).reply.status, 400)
    })
    const metrics = await (await hub.api('GET', '/metrics')).text()
    assert.match(metrics, /edgeloop_inferences_total\{status="200"\} [3-9]/)
    assert.match(metrics, /edgeloop_models_open [12]/)
  },
)

/** Commands of the page, in order, as somebody pastes them into a shell. */
async function shownCommands(): Promise<string[]> {
  const page = await readFile(new URL('../../docs/integrations.md', import.meta.url), 'utf8')
  const blocks = [...page.matchAll(/```sh\n(.*?)```/gs)].map(([, text = '']) => text)
  return blocks
    .join('')
    .split('\n')
    .filter((line) => line.startsWith('curl '))
}

test('what docs/integrations.md shows with curl works as it stands there', {
  ...wide,
  ...needs('curl', 'time'),
}, async (t) => {
  const hub = await openTestHub(t, { inference: slow })
  await addModel(hub)
  await addDataset(hub, 'line', 2)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-curl-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const token = (await readFile(hub.hub.localTokenFile, 'utf8')).trim()
  const env = { ...process.env, TOKEN: token, HUB: hub.hub.urls.browser }
  const run = async (command: string): Promise<string> =>
    (await promisify(execFile)('sh', ['-c', `${command} --silent`], { env, cwd: folder })).stdout
  const [model, infer, begin, show, results, ...more] = await shownCommands()
  assert.ok(model && infer && begin && show && results && more.length === 0)
  let metadata = { inputs: [] as { name: string; datatype: string; shape: number[] }[] }
  await t.waitFor(async () => {
    metadata = JSON.parse(await run(model))
    assert.ok(metadata.inputs)
  }, patient)
  const inputs = metadata.inputs.map((input) => ({
    ...input,
    data: Array(input.shape.reduce((product, one) => product * one, 1)).fill(0),
  }))
  await writeFile(join(folder, 'request.json'), JSON.stringify({ inputs }))
  assert.equal(JSON.parse(await run(infer)).model_name, 'parts')
  assert.equal(JSON.parse(await run(begin)).taskId, 'night-7')
  await t.waitFor(async () => assert.equal(JSON.parse(await run(show)).state, 'done'), patient)
  assert.equal((await run(results)).trimEnd().split('\n').length, 2)
})

test(
  'a batch is asked for under a task id: once, whoever asks again; what was found is not computed again',
  wide,
  async (t) => {
    const { engine, seen } = watchedEngine()
    const hub = await openTestHub(t, { inference: slow }, Date.now, { engine })
    assert.match(
      await refused(hub, 'POST', batches, {
        taskId: 'a',
        model: 'parts',
        inputs: { dataset: 'x' },
      }),
      /^404 Cannot find the model "parts"/,
    )
    await addModel(hub)
    const pictures = await sendPictures(hub, 6)
    const torn: PackedPicture = {
      ...pictures[0]!,
      bytes: pictures[0]!.bytes.subarray(0, 3000),
      digest: createHash('sha256').update(pictures[0]!.bytes.subarray(0, 3000)).digest('hex'),
    }
    assert.equal((await sendPack(hub, writePack([torn]))).status, 200)
    const digests = [...pictures, torn].map(({ digest }) => digest)
    const asked = { taskId: 'night-1', model: 'parts', inputs: { pictures: digests } }

    for (const [body, why] of [
      [{ ...asked, taskId: '../x' }, /^400 .*taskId/],
      [{ ...asked, inputs: {} }, /^400 /],
      [{ ...asked, scoreMin: 0.05 }, /^400 .*scoreMin/],
      [{ ...asked, version: 7 }, /^404 /],
      [{ ...asked, inputs: { pictures: ['0'.repeat(64)] } }, /^404 .*1 of 1 pictures are not here/],
      [{ ...asked, inputs: { dataset: 'nothing' } }, /^404 Cannot find.*nothing/],
      [{ ...asked, inputs: { fieldSamples: { device: 'gate' } } }, /^400 .*no such pictures/],
    ] as const) {
      assert.match(await refused(hub, 'POST', batches, body), why)
    }
    const begun = await json<InferenceBatch>(hub, 'POST', batches, asked)
    assert.deepEqual(
      [begun.taskId, begun.version, begun.pictures, begun.inputs],
      ['night-1', 1, 7, { pictures: 7 }],
    )
    const again = await json<InferenceBatch>(hub, 'POST', batches, {
      ...asked,
      inputs: { pictures: digests.toReversed() },
    })
    assert.equal(again.jobId, begun.jobId)
    assert.match(
      await refused(hub, 'POST', batches, { ...asked, scoreMin: 0.5 }),
      /^409 .*"night-1" stands for another batch, parts\/1 on 7 pictures/,
    )
    const done = await over(t, hub, 'night-1')
    assert.deepEqual(
      [done.state, done.done, done.failed, done.cached, done.error],
      ['done', 7, 1, 0, ''],
    )
    const lines = await resultsOf(hub, 'night-1')
    assert.deepEqual(
      lines.map(({ picture }) => picture),
      digests,
    )
    const last = lines.at(-1)
    assert.match(last && 'error' in last ? last.error : '', /Cannot read image/)
    const found = lines.flatMap((line) => ('error' in line ? [] : (line.detections ?? [])))
    assert.ok(found.length >= 6, `${found.length} parts in 6 pictures of the conveyor`)
    assert.ok(found.every(({ score, box }) => score >= 0.3 && box.length === 4))

    // Another task, the same pictures, another threshold: nothing is computed.
    const looks = seen.looks
    const more = { ...asked, taskId: 'night-2', scoreMin: 0.6 }
    const six = { ...more, inputs: { pictures: digests.slice(0, 6) } }
    await json(hub, 'POST', batches, six)
    const cheap = await over(t, hub, 'night-2')
    assert.deepEqual([cheap.state, cheap.done, cheap.cached], ['done', 6, 6])
    assert.equal(seen.looks, looks)
    const firm = (await resultsOf(hub, 'night-2')).flatMap((line) =>
      'error' in line ? [] : (line.detections ?? []),
    )
    assert.deepEqual(
      firm,
      found.filter(({ score }) => score >= 0.6),
    )

    assert.match(
      await refused(hub, 'POST', `${batches}/night-2/retry`),
      /^409 .*all of its 6 pictures/,
    )
    assert.match(await refused(hub, 'POST', `${batches}/night-2/cancel`), /^409 .*done already/)
    const next = await json<InferenceBatch>(hub, 'POST', `${batches}/night-1/retry`)
    assert.deepEqual([next.done, next.failed], [6, 0])
    assert.equal((await over(t, hub, 'night-1')).failed, 1)
    const listed = await json<InferenceBatch[]>(hub, 'GET', `${batches}?model=parts`)
    assert.deepEqual(listed.map(({ taskId }) => taskId).sort(), ['night-1', 'night-2'])
    assert.equal((await hub.api('DELETE', `${batches}/night-2`)).status, 204)
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/results'],
      ['POST', '/cancel'],
      ['POST', '/retry'],
      ['DELETE', ''],
    ] as const) {
      assert.match(await refused(hub, method, `${batches}/night-2${path}`), /^404 .*"night-2"/)
    }
    const viewer = await tokenFor(hub, 'program')
    const reply = await fetch(hub.hub.urls.browser + batches, {
      method: 'POST',
      headers: { ...viewer, 'content-type': 'application/json' },
      body: JSON.stringify(asked),
    })
    assert.equal(reply.status, 403)
    await assertAudited(hub, 'inferenceBatchAdd', 'inferenceBatchRetry', 'inferenceBatchRemove')
  },
)

test('a batch goes on after its hub ended without repeating what is kept, and after it was cancelled', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const { engine, seen, hold } = watchedEngine()
  const hub = await openTestHub(t, { inference: slow }, Date.now, { engine })
  await addModel(hub)
  const samples = await addDataset(hub, 'bolts', 24)
  const inputs = { dataset: 'bolts' }
  let release = hold(18)
  await json(hub, 'POST', batches, { taskId: 'all', model: 'parts', inputs })
  await t.waitFor(() => assert.equal(seen.looks, 19), patient)
  // What a hub leaves that is killed now; one that ends keeps the others too.
  assert.equal((await json<InferenceBatch>(hub, 'GET', `${batches}/all`)).done, 16)
  assert.match(await refused(hub, 'DELETE', '/api/models/parts/1'), /^409 .*being worked on/)
  assert.match(await refused(hub, 'DELETE', `${batches}/all`), /^409 .*running; cancel it first/)
  assert.match(await refused(hub, 'POST', `${batches}/all/retry`), /^409 .*running/)
  await hub.close()
  release()
  release = hold(2)
  await hub.reopen()
  await t.waitFor(() => assert.equal(seen.looks, 22), patient)
  await json(hub, 'POST', `${batches}/all/cancel`)
  const cancelled = await over(t, hub, 'all')
  assert.deepEqual([cancelled.state, cancelled.done], ['cancelled', 20])
  release()
  hold()()
  await json(hub, 'POST', `${batches}/all/retry`)
  const done = await over(t, hub, 'all')
  assert.deepEqual([done.state, done.done, done.failed, done.cached], ['done', 24, 0, 0])
  assert.equal(seen.looks, 22 + 4)
  const lines = await resultsOf(hub, 'all')
  assert.deepEqual(
    lines.map(({ name }) => name),
    samples.map(({ name }) => name),
  )
  await assertAudited(hub, 'inferenceBatchCancel')

  // Written down, queued, and the hub died between the two: asked again, it is queued.
  await hub.inStore(async ({ writer }) => {
    await writer.deleteFrom('job').execute()
    await writer.updateTable('inference_batch').set({ ended_at: null, state: 'queued' }).execute()
  })
  await json(hub, 'POST', batches, { taskId: 'all', model: 'parts', inputs })
  assert.equal((await over(t, hub, 'all')).state, 'done')
})

test(
  'what boxes sent is looked at, goes when it is forgotten, and batches go with time',
  wide,
  async (t) => {
    let now = Date.now()
    const hub = await openTestHub(t, { inference: slow }, () => now)
    await addModel(hub)
    const gate = await hub.enrol('gate')
    for (const [seed, streamId] of [
      [1, 'north'],
      [2, 'south'],
    ] as const) {
      const picture = await takePicture(seed, 64, 48)
      const { answers } = await offer(gate, [offerOf(gate, picture, { streamId })])
      assert.equal(answers[0]?.act, 'send')
      assert.equal((await putAll(gate, picture)).status, 200)
    }
    const of = (taskId: string, stream?: string) => ({
      taskId,
      model: 'parts',
      inputs: { fieldSamples: { device: 'gate', ...(stream && { stream }) } },
    })
    await json(hub, 'POST', batches, of('both'))
    await json(hub, 'POST', batches, of('north', 'north'))
    assert.equal((await over(t, hub, 'both')).done, 2)
    const north = await over(t, hub, 'north')
    assert.deepEqual([north.pictures, north.cached], [1, 1])

    await json(hub, 'POST', '/api/forget', { deviceId: 'gate', streamId: 'north' })
    const [first, second] = await resultsOf(hub, 'both')
    assert.deepEqual(first && 'error' in first ? first.error : '', 'the picture was forgotten')
    assert.ok(second && !('error' in second))
    const results = () =>
      hub.inStore(async ({ reader }) => {
        const rows = await reader.selectFrom('inference_result').select('digest').execute()
        return rows.map(({ digest }) => digest)
      })
    assert.deepEqual(await results(), [second.picture])

    now += 31 * 86_400_000
    const due = async () =>
      (await json<Retention>(hub, 'GET', '/api/store/retention')).kinds.find(
        ({ kind }) => kind === 'inferences',
      )
    assert.deepEqual([(await due())?.keptDays, (await due())?.expired], [30, 2])
    await hub.api('POST', '/api/store/retention')
    await t.waitFor(async () => {
      assert.deepEqual(await json(hub, 'GET', batches), [])
      assert.deepEqual(await results(), [])
    }, patient)
  },
)
