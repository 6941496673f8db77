/** The local surface over real HTTP: what it gives, and everything that it refuses. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { encodeLiveFrame, type LiveRequest, type ReportedStream } from '@edgeloop/protocol'
import type { ModelSignature } from '@edgeloop/protocol/oip'
import { testRuntime } from '../../../test/contracts/runtime.ts'
import { BusyError } from '../media/media-fleet.ts'
import { oipRuntime } from '../runtimes/oip.ts'
import { ortRuntime } from '../runtimes/ort.ts'
import type { Runtime, RuntimeSession, Tensors } from '../runtimes/runtime.ts'
import { LiveViews } from './live-views.ts'
import type { ServedModels } from './oip-routes.ts'
import { type LocalSurface, type LocalSurfaceOptions, openLocalSurface } from './surface.ts'

const stream = (streamId: string, more: Partial<ReportedStream> = {}): ReportedStream => ({
  streamId,
  name: streamId,
  source: 'x',
  state: 'live',
  reason: '',
  since: '',
  ...more,
})

/** y = 2x over [1, n], and whatever a test does instead. */
const signature: ModelSignature = {
  inputs: [{ name: 'x', type: 'float32', shape: [1, 'n'] }],
  outputs: [
    { name: 'y', type: 'float32', shape: [1, 'n'] },
    { name: 'half', type: 'float16', shape: [1] },
  ],
}
const double = async ({ x }: Tensors): Promise<Tensors> => {
  assert(x)
  const data = Float32Array.from(x.data as Float32Array, (number) => number * 2)
  return {
    y: { type: 'float32', shape: x.shape, data },
    half: { type: 'float16', shape: [1], data: Uint16Array.of(0x3c00) },
  }
}
const oneModel = (infer: ServedModels['infer']): ServedModels => ({
  names: () => ['double', 'broken'],
  describe: async (name) => {
    if (name === 'broken') return { refusal: 'Cannot load model "b.onnx": the file is empty' }
    return name === 'double' ? { signature } : undefined
  },
  infer,
})

type Opened = {
  readonly surface: LocalSurface
  readonly token: string
  readonly asked: LiveRequest[]
  readonly live: LiveViews
  readonly call: (path: string, init?: RequestInit) => Promise<Response>
}

async function open(t: TestContext, more: Partial<LocalSurfaceOptions> = {}): Promise<Opened> {
  const dataDir = await mkdtemp(join(tmpdir(), 'edgeloop-surface-'))
  const asked: LiveRequest[] = []
  const live = new LiveViews({ ask: (r) => void asked.push(r), forward: () => {}, now: Date.now })
  const surface = await openLocalSurface({
    config: { host: '127.0.0.1', port: 0 },
    dataDir,
    version: '1.2.3',
    models: oneModel((_, inputs) => double(inputs)),
    streams: () => [stream('gate'), stream('yard', { state: 'offline', reason: 'it is away' })],
    figures: () => [],
    outbox: () => ({ entries: 3, bytes: 400 }),
    live,
    now: Date.now,
    signal: t.signal,
    ...more,
  })
  t.after(async () => {
    await surface[Symbol.asyncDispose]()
    live[Symbol.dispose]()
    await rm(dataDir, { recursive: true })
  })
  const token = (await readFile(surface.tokenFile, 'utf8')).trim()
  assert.equal((await stat(surface.tokenFile)).mode & 0o777, 0o600)
  const call = (path: string, init: RequestInit = {}) =>
    fetch(surface.url + path, {
      ...init,
      headers: { authorization: `Bearer ${token}`, ...(init.headers as Record<string, string>) },
    })
  return { surface, token, asked, live, call }
}

const asJson = async (answer: Response) => (await answer.json()) as Record<string, unknown>
const infer = '/v2/models/double/infer'
const inferBody = (more: object = {}, input: object = {}): string =>
  JSON.stringify({
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2.5], ...input }],
    outputs: [{ name: 'y' }],
    ...more,
  })

test('the whole contract of a runtime, through our own client and our own server', async (t) => {
  let session: RuntimeSession | undefined
  let refusal = ''
  /** Holds the one model that was put there last. */
  const models: ServedModels = {
    names: () => ['m'],
    describe: async () =>
      session ? { signature: { inputs: session.inputs, outputs: session.outputs } } : { refusal },
    infer: async (_, inputs) => (await session?.run(inputs)) ?? {},
  }
  const { surface, token } = await open(t, { models })
  const served = oipRuntime(`oip:${surface.url}/m`, { token })
  const runtime: Runtime = {
    name: served.name,
    async open(file, options) {
      await session?.[Symbol.asyncDispose]()
      session = undefined
      try {
        session = await ortRuntime.open(file, options)
      } catch (error) {
        refusal = (error as Error).message.replace(`Cannot load model "${file}": `, '')
      }
      return await served.open(file, options)
    },
  }
  const tests: [string, (t: TestContext) => Promise<void>][] = []
  testRuntime('local surface', runtime, (name, run) => tests.push([name, run]))
  assert.ok(tests.length > 10)
  for (const [name, run] of tests) await t.test(name, run)
  await session?.[Symbol.asyncDispose]()
})

test('nothing is told to whoever has not the token, wherever they put it', async (t) => {
  const { surface, token } = await open(t)
  const paths = [
    ...['/health', '/metrics', '/streams', '/streams/gate/snapshot.jpg', '/nowhere'],
    ...['/streams/gate/live.mjpeg', '/v2', '/v2/health/live', '/v2/models/double'],
  ]
  const wrong: Record<string, string>[] = [
    {},
    { authorization: 'Bearer ' },
    { authorization: `Bearer ${token}x` },
    { authorization: `Bearer ${token.slice(1)}` },
    { authorization: `Token ${token}` },
    { authorization: `Basic ${Buffer.from(`${token}:`).toString('base64')}` },
    { cookie: `token=${token}` },
  ]
  for (const path of paths) {
    for (const headers of wrong) {
      const answer = await fetch(surface.url + path, { headers })
      assert.equal(answer.status, 401, `${path} ${JSON.stringify(headers)}`)
      assert.match(String((await asJson(answer)).error), /^This needs the token of the box/)
    }
    assert.equal((await fetch(`${surface.url}${path}?token=${token}`)).status, 401)
  }
  const posted = await fetch(surface.url + infer, { method: 'POST', body: inferBody() })
  assert.equal(posted.status, 401)
})

test('a browser gives the token as password, but not for other pages', async (t) => {
  const { surface, token } = await open(t)
  const authorization = `Basic ${Buffer.from(`me:${token}`).toString('base64')}`
  const get = (site: string) =>
    fetch(`${surface.url}/health`, { headers: { authorization, 'sec-fetch-site': site } })
  assert.equal((await get('none')).status, 200)
  assert.equal((await get('same-origin')).status, 200)
  for (const site of ['cross-site', 'same-site']) assert.equal((await get(site)).status, 403)
})

test('models are described as the protocol says', async (t) => {
  const { call } = await open(t)
  assert.deepEqual(await asJson(await call('/v2')), {
    name: 'edgeloop',
    version: '1.2.3',
    extensions: ['binary_tensor_data'],
  })
  assert.deepEqual(await asJson(await call('/v2/health/live')), { live: true })
  assert.deepEqual(await asJson(await call('/v2/health/ready')), { ready: true })
  for (const path of ['/v2/models/double', '/v2/models/double/versions/1']) {
    assert.deepEqual(await asJson(await call(path)), {
      name: 'double',
      versions: ['1'],
      platform: 'edgeloop',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, -1] }],
      outputs: [
        { name: 'y', datatype: 'FP32', shape: [1, -1] },
        { name: 'half', datatype: 'FP16', shape: [1] },
      ],
    })
    assert.equal((await call(`${path}/ready`)).status, 200)
  }
})

test('infer answers in JSON or in bytes, as it is asked', async (t) => {
  const { call } = await open(t)
  const post = (body: string) => call(infer, { method: 'POST', body })
  const plain = await post(inferBody({ id: 'seven' }))
  assert.equal(plain.headers.get('content-type'), 'application/json')
  assert.deepEqual(await asJson(plain), {
    model_name: 'double',
    model_version: '1',
    id: 'seven',
    outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: [2, 5] }],
  })
  const mixed = await post(
    inferBody({
      parameters: { binary_data_output: true },
      outputs: [{ name: 'half' }, { name: 'y', parameters: { binary_data: false } }],
    }),
  )
  const length = Number(mixed.headers.get('inference-header-content-length'))
  const bytes = Buffer.from(await mixed.arrayBuffer())
  assert.deepEqual(JSON.parse(bytes.subarray(0, length).toString()).outputs, [
    { name: 'half', datatype: 'FP16', shape: [1], parameters: { binary_data_size: 2 } },
    { name: 'y', datatype: 'FP32', shape: [1, 2], data: [2, 5] },
  ])
  assert.deepEqual([...bytes.subarray(length)], [0x00, 0x3c])
})

type Bad = {
  readonly status: number
  readonly says: RegExp
  readonly init: RequestInit
  path?: string
}

const badRequests: Readonly<Record<string, Bad>> = {
  'no body': { status: 400, says: /^Cannot read request: it is empty$/, init: {} },
  'no JSON': { status: 400, says: /it is not JSON$/, init: { body: '{"inputs":' } },
  'another object': {
    status: 400,
    says: /^Cannot read request: \/ must have required properties inputs$/,
    init: { body: '{}' },
  },
  'a length beyond the end': {
    status: 400,
    says: /it says that "99999" of its \d+ bytes are JSON$/,
    init: { body: inferBody(), headers: { 'inference-header-content-length': '99999' } },
  },
  'another shape': {
    status: 400,
    says: /it has "x" FP32 \[2, 1\], expected FP32 \[1, \?\]$/,
    init: { body: inferBody({}, { shape: [2, 1] }) },
  },
  'another type': {
    status: 400,
    says: /it has "x" INT32 \[1, 2\], expected FP32 \[1, \?\]$/,
    init: { body: inferBody({}, { datatype: 'INT32', data: [1, 2] }) },
  },
  'too few numbers': {
    status: 400,
    says: /it has 1 numbers for "x" FP32 \[1, 2\], expected 2$/,
    init: { body: inferBody({}, { data: [1] }) },
  },
  'too large a shape': {
    status: 400,
    says: /it has 2 numbers for "x" FP32 \[1, 9007199254740991\]/,
    init: { body: inferBody({}, { shape: [1, 9007199254740991] }) },
  },
  'another input': {
    status: 400,
    says: /it lacks input "x" FP32 \[1, \?\]$/,
    init: { body: inferBody({}, { name: 'z' }) },
  },
  'an output that is none': {
    status: 400,
    says: /^Cannot give "z": the model gives y, half$/,
    init: { body: inferBody({ outputs: [{ name: 'z' }] }) },
  },
  'half floats as JSON': {
    status: 400,
    says: /^Cannot give "half" as JSON: FP16 travels as binary data only; ask for binary_data$/,
    init: { body: inferBody({ outputs: [{ name: 'half' }] }) },
  },
  'a compressed body': {
    status: 415,
    says: /^Cannot read a body of encoding "gzip"/,
    init: { body: gzipSync(inferBody()), headers: { 'content-encoding': 'gzip' } },
  },
  'too large a body': {
    status: 413,
    says: /too large/,
    init: { body: Buffer.alloc(300_000, ' ') },
  },
  'a model that is not there': {
    status: 404,
    says: /^There is no model "single"; there are double, broken$/,
    init: { body: inferBody() },
    path: '/v2/models/single/infer',
  },
  'a model that cannot be opened': {
    status: 503,
    says: /the file is empty$/,
    init: { body: inferBody() },
    path: '/v2/models/broken/infer',
  },
  'a version that is not there': {
    status: 404,
    says: /^There is no POST /,
    init: { body: inferBody() },
    path: '/v2/models/double/versions/2/infer',
  },
  'a way out of the folder': {
    status: 404,
    says: /^There is no /,
    init: { body: inferBody() },
    path: '/v2/models/..%2f..%2fetc%2fpasswd/infer',
  },
}

test('every bad request is refused by its name, and the next good one is answered', async (t) => {
  const { call } = await open(t, { limits: { bodyBytesMax: 200_000 } })
  for (const [what, { status, says, init, path }] of Object.entries(badRequests)) {
    const answer = await call(path ?? infer, { method: 'POST', ...init })
    const { error } = await asJson(answer)
    assert.equal(answer.status, status, `${what}: ${error}`)
    assert.match(String(error), says, what)
  }
  const good = await call(infer, { method: 'POST', body: inferBody() })
  assert.equal(good.status, 200)
})

test('more requests than may wait are refused before they are read', async (t) => {
  const gate = Promise.withResolvers<void>()
  const models = oneModel(async (_, inputs) => {
    await gate.promise
    return await double(inputs)
  })
  const { call } = await open(t, { models, limits: { requestsMax: 2 } })
  const post = () => call(infer, { method: 'POST', body: inferBody() })
  const waiting = [post(), post()]
  await t.waitFor(async () => assert.equal((await post()).status, 503), { timeout: 10_000 })
  const refused = await post()
  assert.equal(refused.headers.get('retry-after'), '1')
  assert.match(String((await asJson(refused)).error), /^Cannot take the request: 2 are under way/)
  gate.resolve()
  for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 200)
  await t.waitFor(async () => assert.equal((await post()).status, 200), { timeout: 10_000 })
})

test('a model that hangs, fails or is busy is an answer with that status', async (t) => {
  let behave: ServedModels['infer'] = () => new Promise(() => {})
  const models = oneModel((name, inputs) => behave(name, inputs))
  const { call } = await open(t, { models, limits: { inferTimeoutMs: 200 } })
  const post = async () => {
    const answer = await call(infer, { method: 'POST', body: inferBody() })
    return `${answer.status} ${(await asJson(answer)).error}`
  }
  assert.equal(await post(), '504 Cannot answer within 200 ms')
  behave = () => Promise.reject(new Error('Cannot run the model: the driver is gone'))
  assert.equal(await post(), '500 Cannot run the model: the driver is gone')
  behave = () => Promise.reject(new BusyError('8 requests are under way'))
  assert.equal(await post(), '503 8 requests are under way')
  const metrics = await (await call('/metrics')).text()
  for (const status of ['500', '503', '504']) {
    assert.match(metrics, new RegExp(`edgeloop_oip_inferences_total\\{status="${status}"\\} 1`))
  }
})

const header = {
  deviceId: 'box',
  streamId: 'gate',
  frame: 1,
  at: '2026-01-01T00:00:00.000Z',
  width: 2,
  height: 2,
  detections: [],
}

test('a snapshot is the next picture of a stream, asked for only while somebody waits', async (t) => {
  const { call, asked, live } = await open(t, { limits: { snapshotTimeoutMs: 300 } })
  const waiting = call('/streams/gate/snapshot.jpg?width=640')
  await t.waitFor(() => assert.equal(asked.length, 1), { timeout: 10_000 })
  assert.deepEqual(asked[0]?.streams, [{ streamId: 'gate', widthMax: 640, fpsMax: 30 }])
  live.take('yard', encodeLiveFrame({ ...header, streamId: 'yard' }, Uint8Array.of(9)))
  live.take('gate', encodeLiveFrame(header, Uint8Array.of(1, 2, 3)))
  const answer = await waiting
  assert.equal(answer.headers.get('content-type'), 'image/jpeg')
  assert.deepEqual([...new Uint8Array(await answer.arrayBuffer())], [1, 2, 3])
  assert.deepEqual(asked.at(-1)?.streams, [])

  const none = await call('/streams/gate/snapshot.jpg')
  assert.equal(none.status, 503)
  assert.equal(
    (await asJson(none)).error,
    'Cannot take a picture of "gate": no frame came within 300 ms',
  )
  const away = await call('/streams/yard/snapshot.jpg')
  assert.equal((await asJson(away)).error, 'Cannot take a picture of "yard": it is away')
  const unknown = await call('/streams/door/snapshot.jpg')
  assert.equal(unknown.status, 404)
  assert.equal((await asJson(unknown)).error, 'There is no stream "door"; there are gate, yard')
  for (const query of ['width=9', 'width=x', 'width=99999', 'fps=0', 'fps=31']) {
    assert.equal((await call(`/streams/gate/live.mjpeg?${query}`)).status, 400, query)
  }
})

test('only so many may look at once, and who leaves makes room', async (t) => {
  const { call, asked, live } = await open(t, { limits: { viewersMax: 1 } })
  const abort = new AbortController()
  const looking = await call('/streams/gate/live.mjpeg', { signal: abort.signal }).catch(() => null)
  assert.equal(looking?.status, 200)
  const second = await call('/streams/gate/live.mjpeg')
  assert.equal(second.status, 503)
  assert.equal(second.headers.get('retry-after'), '5')
  live.take('gate', encodeLiveFrame(header, Uint8Array.of(1, 2)))
  abort.abort()
  await t.waitFor(() => assert.deepEqual(asked.at(-1)?.streams, []), { timeout: 10_000 })
  await t.waitFor(
    async () => {
      const stop = new AbortController()
      const answer = await call('/streams/gate/live.mjpeg', { signal: stop.signal })
      assert.equal(answer.status, 200)
      stop.abort()
    },
    { timeout: 10_000 },
  )
})

test('health says what is away, and what waits for the hub', async (t) => {
  const { call } = await open(t)
  assert.deepEqual(await asJson(await call('/health')), {
    health: 'degraded',
    version: '1.2.3',
    streams: [
      { streamId: 'gate', state: 'live', reason: '' },
      { streamId: 'yard', state: 'offline', reason: 'it is away' },
    ],
    outbox: { entries: 3, bytes: 400 },
  })
})

test('a surface that closes ends the pictures of whoever looks', async (t) => {
  const { surface, call } = await open(t)
  const looking = await call('/streams/gate/live.mjpeg')
  await surface[Symbol.asyncDispose]()
  await Promise.race([
    Array.fromAsync(looking.body ?? []).catch(() => {}),
    sleep(10_000).then(() => assert.fail('it still looks')),
  ])
})

test('a port that is taken, and a token that is none, are said', async (t) => {
  const { surface } = await open(t)
  const port = Number(new URL(surface.url).port)
  await assert.rejects(open(t, { config: { host: '127.0.0.1', port } }), {
    message: new RegExp(`^Cannot open the local surface at 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`),
  })
  assert.equal(basename(surface.tokenFile), 'token')
})
