/**
 * Streams as they really run: in a forked media process, on a real RTSP server that misbehaves, with a
 * real ONNX model in the inference worker.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import {
  decodeLiveFrame,
  type LiveHeader,
  type NewEvent,
  type StreamConfig,
  type StreamFigures,
  sketchBytesMax,
} from '@edgeloop/protocol'
import { checkEvent } from '@edgeloop/protocol/check'
import pino from 'pino'
import sharp from 'sharp'
import { channelMeans, constantDetector, put } from '../../../test/detection/tiny-models.ts'
import { needs } from '../../../test/require.ts'
import { readClip } from '../../../test/rtsp/access-units.ts'
import { makeClip } from '../../../test/rtsp/make-clip.ts'
import { type CameraFaults, RtspServer } from '../../../test/rtsp/rtsp-server.ts'
import { regionOf } from '../cameras/crop.ts'
import { demoModel } from '../demo/demo-model.ts'
import { MediaFleet } from '../media/media-fleet.ts'
import { readSample, readState } from '../sampling/sample-disk.ts'

/** YOLOX cells of a 64×64 canvas: 8² + 4² + 2². */
const cells = 84
/** Always sees one `square` in the middle of the picture. */
function squareDetector(): Uint8Array {
  const values = new Float32Array(cells * 6)
  // Cell (4, 4) of stride 8: centre at (4 + 0) · 8 = 32, size e^ln(2) · 8 = 16.
  values.set([0, 0, Math.log(2), Math.log(2), 1, 0.9], (4 * 8 + 4) * 6)
  return constantDetector(
    { type: 'float32', shape: [1, 3, 64, 64] },
    { output: { shape: [1, cells, 6], values } },
  )
}

/** One box with a real media process; everything it recorded, and its camera servers. */
class Box {
  readonly folder: string
  readonly events: NewEvent[] = []
  readonly snapshots: string[] = []
  readonly samples: string[] = []
  readonly live: Uint8Array[] = []
  readonly fleet: MediaFleet
  readonly #abort = new AbortController()
  readonly #servers: RtspServer[] = []
  #configs: StreamConfig[] = []

  static async open(): Promise<Box> {
    const folder = await mkdtemp(join(tmpdir(), 'edgeloop-streams-'))
    await mkdir(join(folder, 'snapshots'))
    await mkdir(join(folder, 'samples'))
    const model = await put(folder, 'square.onnx', squareDetector())
    const labels = await put(folder, 'labels.txt', 'square\n')
    const html = await put(folder, 'page.onnx', '<!doctype html><html></html>')
    await put(folder, 'colour.onnx', channelMeans(32))
    await put(folder, 'colours.txt', 'red\ngreen\nblue\n')
    return new Box(folder, { model, labels, html })
  }

  private constructor(folder: string, files: { model: string; labels: string; html: string }) {
    this.folder = folder
    const { model, labels, html } = files
    this.fleet = new MediaFleet({
      module: new URL('../media/media-process.ts', import.meta.url),
      start: {
        deviceId: 'box',
        snapshotFolder: join(folder, 'snapshots'),
        clipFolder: join(folder, 'clips'),
        sampleFolder: join(folder, 'samples'),
        cacheFolder: join(folder, 'cache'),
        models: [
          { name: 'square', file: model, layout: 'yolox', labels },
          { name: 'page', file: html, layout: 'yolox', labels },
          demoModel,
          {
            name: 'colour',
            file: join(folder, 'colour.onnx'),
            layout: 'classifier',
            labels: join(folder, 'colours.txt'),
          },
          { name: 'look', file: join(folder, 'colour.onnx'), layout: 'embedding' },
        ],
        heartbeatIntervalMs: 500,
        figuresIntervalMs: 1000,
      },
      processesMax: 1,
      streamsPerProcess: 16,
      heartbeatTimeoutMs: 5000,
      record: async (event) => this.events.push(event),
      onSnapshot: (digest) => this.snapshots.push(digest),
      onClip: () => {},
      onSample: (digest) => this.samples.push(digest),
      onLive: (_, bytes) => this.live.push(bytes),
      onChange: () => {},
      log: pino({ level: 'silent' }),
      now: Date.now,
      monotonicMs: () => performance.now(),
      random: Math.random,
      signal: this.#abort.signal,
    })
  }

  /** A camera of test pictures; its faults may be changed later. */
  async camera(faults: CameraFaults = {}): Promise<RtspServer> {
    const size = { fps: 15, seconds: 2 }
    const clip = await readClip(await makeClip({ ...size, width: 320, height: 180 }))
    const second = await readClip(await makeClip({ ...size, width: 256, height: 144 }))
    const server = await RtspServer.open({ clip, second, faults })
    this.#servers.push(server)
    return server
  }

  add(config: StreamConfig): void {
    this.#configs = [...this.#configs, config]
    this.fleet.setStreams(this.#configs)
  }

  remove(id: string): void {
    this.#configs = this.#configs.filter(({ streamId }) => streamId !== id)
    this.fleet.setStreams(this.#configs)
  }

  stream(id: string) {
    return this.fleet.streams.find(({ streamId }) => streamId === id)
  }

  /** The states a stream has told, in order. */
  states(id: string): string[] {
    return this.events.flatMap((e) => (e.kind === 'stream' && e.streamId === id ? [e.state] : []))
  }

  of<K extends NewEvent['kind']>(kind: K, id: string) {
    return this.events.filter(
      (e): e is Extract<NewEvent, { kind: K }> =>
        e.kind === kind && 'streamId' in e && e.streamId === id,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort()
    await this.fleet.done()
    for (const server of this.#servers) await server[Symbol.asyncDispose]()
    await rm(this.folder, { recursive: true })
  }
}

const able = needs('node-av')
let box: Box
before(async () => {
  if (able.skip !== undefined) return
  box = await Box.open()
  const { url } = await box.camera()
  box.add({ streamId: 'good', source: url, model: 'square', analysisFps: 5 })
})
after(() => box?.[Symbol.asyncDispose]())

const soon = { timeout: 15_000, interval: 50 }
const concurrently = { ...able, concurrency: true }

test('a stream, whatever happens to the others', concurrently, async (t) => {
  const cases: Promise<void>[] = []
  const story = (name: string, run: () => Promise<void>) => {
    cases.push(t.test(name, run))
  }

  story('goes live, follows what it sees, and keeps the picture before the event', async () => {
    await t.waitFor(() => assert.equal(box.of('appeared', 'good').length, 1), soon)
    const [live] = box.of('stream', 'good')
    assert.deepEqual([live?.state, live?.reason, live?.gapMs], ['live', '', undefined])
    const [appeared] = box.of('appeared', 'good')
    assert.ok(appeared)
    assert.equal(appeared.label, 'square')
    assert.equal(appeared.score, 0.9)
    assert.ok(appeared.snapshot !== undefined && box.snapshots.includes(appeared.snapshot))
    const { state, model, decoder, width, height } = box.stream('good') ?? {}
    assert.deepEqual([state, model, width, height], ['live', 'square', 320, 180])
    assert.ok(decoder)
  })

  story('that samples keeps pictures with all that is known of them', async () => {
    const { url } = await box.camera()
    const masks = [
      {
        name: 'door',
        polygon: [
          [0, 0],
          [0.1, 0],
          [0.1, 0.1],
        ],
      },
    ]
    const sampling = { intervalMinMs: 0, widthMax: 200 }
    box.add({ streamId: 'sampled', source: url, model: 'square', analysisFps: 5, masks, sampling })
    await t.waitFor(() => assert.ok(box.samples.length > 0), soon)
    const folder = join(box.folder, 'samples')
    const [digest = ''] = box.samples
    const sample = await readSample(folder, digest)
    const jpeg = await readFile(join(folder, `${digest}.jpg`))
    const { width, height } = await sharp(jpeg).metadata()
    assert.deepEqual(
      [sample?.sizeBytes, sample?.width, sample?.height],
      [jpeg.length, width, height],
    )
    assert.equal(width, 200)
    // Nothing was sent of this stream before.
    assert.deepEqual([sample?.streamId, sample?.reason], ['sampled', 'novel'])
    assert.deepEqual(
      [sample?.detections[0]?.label, sample?.model.name, sample?.redaction.masks],
      ['square', 'square', 1],
    )
    assert.equal(sample?.model.digest, box.fleet.models.find((m) => m.name === 'square')?.digest)
    // Another may be kept meanwhile.
    await t.waitFor(async () => {
      const spent = (await readState(folder, 'sampled'))?.spent.frames
      assert.equal(spent, box.samples.length)
    }, soon)
    box.fleet.ask('sampled', { reason: 'asked', frames: 1, why: 'anna', withinMs: 10_000 })
    await t.waitFor(async () => {
      const there = await Promise.all(box.samples.map((one) => readSample(folder, one)))
      assert.ok(there.some((one) => one?.reason === 'asked' && one.why === 'anna'))
    }, soon)
    box.remove('sampled')
  })

  story('that is refused is offline, and comes back when it is let in', async () => {
    const camera = await box.camera({ refuse: true })
    box.add({ streamId: 'refused', source: camera.url, model: 'square' })
    await t.waitFor(() => assert.deepEqual(box.states('refused'), ['offline']), soon)
    assert.match(box.stream('refused')?.reason ?? '', /^Cannot open camera /)
    camera.faults = {}
    await t.waitFor(() => assert.deepEqual(box.states('refused'), ['offline', 'live']), soon)
  })

  story('that stalls says so, and how long the gap was', async () => {
    const camera = await box.camera({ stallAfterFrames: 20 })
    const settings = { model: 'square', stallTimeoutMs: 1000 }
    box.add({ streamId: 'stalled', source: camera.url, ...settings })
    // Faults are those of a connection: the next one has none, however fast it follows.
    await t.waitFor(() => assert.equal(camera.connections, 1), soon)
    camera.faults = {}
    const whole = ['live', 'stalled', 'live']
    await t.waitFor(() => assert.deepEqual(box.states('stalled'), whole), soon)
    const back = box.of('stream', 'stalled').at(-1)
    assert.ok((back?.gapMs ?? 0) >= 1000, `gap of ${back?.gapMs} ms`)
    // What was followed before the gap was lost with it.
    assert.equal(box.of('left', 'stalled').length, 1)
  })

  story('whose camera hangs up has ended, and is connected again', async () => {
    const camera = await box.camera({ closeAfterFrames: 20 })
    box.add({ streamId: 'closed', source: camera.url, model: 'square' })
    await t.waitFor(
      () => assert.deepEqual(box.states('closed').slice(0, 2), ['live', 'ended']),
      soon,
    )
    camera.faults = {}
    await t.waitFor(() => assert.equal(box.stream('closed')?.state, 'live'), soon)
    assert.ok(camera.connections >= 2)
  })

  story('that gets garbage recovers when there are pictures again', async () => {
    const camera = await box.camera({ garbageAfterFrames: 20 })
    const settings = { model: 'square', stallTimeoutMs: 1500 }
    box.add({ streamId: 'garbage', source: camera.url, ...settings })
    await t.waitFor(() => assert.ok(box.states('garbage').length >= 2), soon)
    assert.notEqual(box.states('garbage')[1], 'live')
    camera.faults = {}
    await t.waitFor(() => assert.equal(box.stream('garbage')?.state, 'live'), soon)
  })

  story('whose camera changes its resolution stays live', async () => {
    const camera = await box.camera({ resolutionChangeAfterFrames: 20 })
    box.add({ streamId: 'resized', source: camera.url, model: 'square' })
    await t.waitFor(() => assert.equal(box.stream('resized')?.width, 256), soon)
    assert.deepEqual(box.states('resized'), ['live'])
    assert.equal(box.of('left', 'resized').length, 0, 'the object is followed across the change')
  })

  story('of a file that is no video fails with the reason, again and again', async () => {
    const file = join(box.folder, 'page.mp4')
    await writeFile(file, '<!doctype html><html><body>Not found</body></html>')
    box.add({ streamId: 'page', source: file, model: 'square' })
    await t.waitFor(() => assert.deepEqual(box.states('page'), ['failed']), soon)
    assert.match(box.stream('page')?.reason ?? '', /page\.mp4/)
  })

  story('whose model cannot be opened fails with its text and an alarm', async () => {
    const { url } = await box.camera()
    box.add({ streamId: 'no-model', source: url, model: 'page' })
    await t.waitFor(() => assert.deepEqual(box.states('no-model'), ['failed']), soon)
    const alarms = box.of('alarm', 'no-model')
    assert.deepEqual([alarms[0]?.code, alarms[0]?.active], ['modelFailed', true])
    assert.match(alarms[0]?.text ?? '', /HTML/)
    assert.equal(box.stream('no-model')?.reason, alarms[0]?.text)
  })

  story('that names a model the device does not have hears of the nearest', async () => {
    const { url } = await box.camera()
    box.add({ streamId: 'misspelt', source: url, model: 'sqare' })
    await t.waitFor(() => assert.deepEqual(box.states('misspelt'), ['failed']), soon)
    assert.equal(
      box.stream('misspelt')?.reason,
      'Cannot use model "sqare": the device has square, page, conveyor, colour, look; did you mean "square"?',
    )
  })

  story('loops over a clip as if it were live', async () => {
    const clip = await makeClip({ width: 320, height: 180, fps: 15, seconds: 2 })
    box.add({ streamId: 'clip', source: clip, model: 'square', analysisFps: 10 })
    await t.waitFor(() => assert.equal(box.of('appeared', 'clip').length, 1), soon)
    const startedMs = performance.now()
    await t.waitFor(() => assert.ok(performance.now() - startedMs > 3000), soon)
    assert.deepEqual(box.states('clip'), ['live'])
  })

  await Promise.all(cases)
  // None of it has touched the stream beside them.
  assert.deepEqual(box.states('good'), ['live'])
  assert.equal(box.of('appeared', 'good').length, 1)
  for (const event of box.events) {
    const checked = checkEvent({ ...event, sequence: 1 })
    assert.ok('event' in checked, JSON.stringify(checked))
  }
  // The tests below have cameras of their own, and need not share the machine with these.
  for (const id of [
    ...['refused', 'stalled', 'closed', 'garbage', 'resized', 'page', 'no-model', 'misspelt'],
  ]) {
    box.remove(id)
  }
})

test('a removed stream tells that its objects left, and the others run on', able, async (t) => {
  box.remove('good')
  await t.waitFor(() => assert.equal(box.of('left', 'good').length, 1), soon)
  const [left] = box.of('left', 'good')
  assert.ok((left?.frames ?? 0) >= 3)
  assert.equal(box.stream('good'), undefined)
  assert.equal(box.stream('clip')?.state, 'live')
})

test(
  'a still scene is decoded by key frames only, and watched whole when it moves',
  needs('node-av', 'time'),
  async (t) => {
    const clip = { width: 320, height: 180, fps: 15, seconds: 12, stillPictures: 120 }
    await using camera = await RtspServer.open({ clip: await readClip(await makeClip(clip)) })
    const motionGate = { holdMs: 500, idleIntervalMs: 0 }
    const idle = { idleLatencyMaxMs: 1100, model: 'square', source: camera.url, motionGate }
    box.add({ streamId: 'still', ...idle })
    box.add({ streamId: 'awake', ...idle, idleLatencyMaxMs: 900 })
    const seen = { still: [] as StreamFigures[], awake: [] as StreamFigures[] }
    const rested = (id: keyof typeof seen) => seen[id].map(({ gated }) => gated)
    await t.waitFor(
      () => {
        for (const id of ['still', 'awake'] as const) {
          const figures = box.fleet.figures.find(({ streamId }) => streamId === id)
          if (figures && seen[id].at(-1) !== figures) seen[id].push(figures)
        }
        // A camera that is not looked at much still counts as sending.
        const quiet = seen.still.filter(
          ({ inputFps, gated, analysedFps }) => inputFps > 5 && gated <= 2 && analysedFps === 0,
        )
        const says = JSON.stringify(seen)
        assert.ok(quiet.length >= 3, `one key frame a second is looked at: ${says}`)
        const busy = seen.still.some(({ analysedFps }) => analysedFps >= 2)
        assert.ok(busy, `and five when it moves: ${says}`)
        // A key frame a second is too seldom for this one.
        assert.ok(rested('awake').filter((gated) => gated >= 3).length >= 3, says)
      },
      { timeout: 60_000, interval: 100 },
    )
    const total = (id: keyof typeof seen) => rested(id).reduce((sum, gated) => sum + gated, 0)
    assert.ok(
      total('awake') > 1.25 * total('still'),
      `${rested('awake')} against ${rested('still')}`,
    )
    box.remove('still')
    box.remove('awake')
  },
)

test(
  'a stream detects on the small source and takes pictures from the large one',
  able,
  async (t) => {
    const small = await box.camera()
    const clip = await readClip(await makeClip({ width: 640, height: 360, fps: 15, seconds: 2 }))
    await using large = await RtspServer.open({ clip })
    const source = large.url
    box.add({ streamId: 'two', source, detectSource: small.url, model: 'square', analysisFps: 5 })
    await t.waitFor(() => assert.equal(box.of('appeared', 'two').length, 1), soon)
    assert.equal(box.stream('two')?.width, 320, 'detected on the small one')
    const { snapshot = '' } = box.of('appeared', 'two')[0] ?? {}
    const widthOf = async (digest: string) =>
      (await sharp(await readFile(join(box.folder, 'snapshots', `${digest}.jpg`))).metadata()).width
    assert.equal(await widthOf(snapshot), 320, 'the first picture does not wait')
    const until = new Date(Date.now() + 30_000).toISOString()
    box.live.length = 0
    box.fleet.setLive({ until, streams: [{ streamId: 'two', widthMax: 1280, fpsMax: 5 }] })
    await t.waitFor(() => {
      const shown = box.live.map((bytes) => decodeLiveFrame(bytes).header as LiveHeader)
      const own = shown.filter(({ streamId, width }) => streamId === 'two' && width === 640)
      assert.ok(own.some(({ detections }) => detections.length === 1))
    }, soon)
    box.fleet.setLive({ until, streams: [] })
    box.remove('two')
    await t.waitFor(() => assert.equal(box.of('left', 'two').length, 1), soon)
    const { best } = box.of('left', 'two')[0]!
    assert.equal(await widthOf(best.snapshot ?? ''), 640)
    const differsMs = Date.parse(best.snapshotAt ?? '') - Date.parse(best.at)
    assert.ok(Math.abs(differsMs) < 10_000, `${differsMs} ms from the moment it stands for`)
    assert.equal(large.connections, 1, 'opened once for both')
  },
)

test('where the large source is not to be had, the small one stands in', able, async (t) => {
  const small = await box.camera()
  const refusing = await box.camera({ refuse: true })
  const sources = { source: refusing.url, detectSource: small.url }
  box.add({ streamId: 'one', ...sources, model: 'square', analysisFps: 5 })
  await t.waitFor(() => assert.equal(box.of('appeared', 'one').length, 1), soon)
  const until = new Date(Date.now() + 30_000).toISOString()
  box.live.length = 0
  box.fleet.setLive({ until, streams: [{ streamId: 'one', widthMax: 1280, fpsMax: 5 }] })
  await t.waitFor(() => assert.ok(box.live.length > 2), soon)
  assert.equal((decodeLiveFrame(box.live.at(-1)!).header as LiveHeader).width, 320)
  box.fleet.setLive({ until, streams: [] })
  assert.deepEqual(box.states('one'), ['live'])
  box.remove('one')
  await t.waitFor(() => assert.equal(box.of('left', 'one').length, 1), soon)
  const { best } = box.of('left', 'one')[0]!
  assert.ok(best.snapshot)
  assert.equal(best.snapshotAt, undefined)
  assert.equal(refusing.connections, 1, 'it is left alone for a while')
})

test('figures tell what came in and what was analysed', able, async (t) => {
  await t.waitFor(() => {
    const clip = box.fleet.figures.find(({ streamId }) => streamId === 'clip')
    assert.ok(clip && clip.inputFps > 10 && clip.analysedFps > 5, JSON.stringify(clip))
    assert.equal(clip.objects, 1)
  }, soon)
})

test('parts on the conveyor cross a line, stay in a zone and are counted', able, async (t) => {
  const right = [
    [0.5, 0],
    [1, 0],
    [1, 1],
    [0.5, 1],
  ]
  box.add({
    streamId: 'belt',
    source: 'demo:7',
    model: 'conveyor',
    analysisFps: 10,
    zones: [{ name: 'right', polygon: right, dwellSeconds: 0.5 }],
    // Upwards: its right side is where the belt carries everything.
    lines: [
      {
        name: 'middle',
        points: [
          [0.5, 1],
          [0.5, 0],
        ],
      },
    ],
    countsIntervalMs: 3000,
    sketchIntervalMs: 2000,
  })
  // The scene is rendered first, on a busy machine for long.
  const patience = { timeout: 180_000, interval: 200 }
  const acts = () => box.of('zone', 'belt').map(({ act }) => act)
  await t.waitFor(() => {
    assert.ok(box.of('line', 'belt').length >= 3)
    for (const act of ['entered', 'dwelled', 'left'] as const) assert.ok(acts().includes(act))
    assert.ok(box.of('counts', 'belt').some(({ lines }) => lines.length > 0))
  }, patience)
  box.remove('belt')
  const last = () => box.of('counts', 'belt').at(-1)
  const before = last()
  await t.waitFor(() => {
    assert.equal(box.of('left', 'belt').length, box.of('appeared', 'belt').length)
    // What was counted until then comes last of all.
    assert.notEqual(last(), before)
  }, soon)

  const events = box.events.filter((e) => 'streamId' in e && e.streamId === 'belt')
  for (const event of events) {
    const checked = checkEvent({ ...event, sequence: 1 })
    assert.ok('event' in checked, JSON.stringify(checked))
  }
  const crossed = box.of('line', 'belt')
  assert.ok(crossed.every(({ line, direction }) => line === 'middle' && direction === 'toRight'))
  for (const { trackId, snapshot } of crossed) {
    const [first, ...rest] = events.filter((e) => 'trackId' in e && e.trackId === trackId)
    assert.equal(first?.kind, 'appeared', 'nothing is told of an object before it appeared')
    assert.equal(rest.at(-1)?.kind, 'left', 'or after it has left')
    assert.ok(snapshot === undefined || box.snapshots.includes(snapshot))
  }
  assert.ok(crossed.some(({ snapshot }) => snapshot !== undefined))
  // Every interval but the last is told in full, and together they tell what the events tell.
  const counted = box.of('counts', 'belt').flatMap(({ lines }) => lines)
  const sum = counted.reduce((total, { toRight }) => total + toRight, 0)
  assert.equal(sum, crossed.length)
  // Sketches say how it looked and what the model said, small enough to be sent always.
  const inAll = (bins: readonly number[]) => bins.reduce((all, count) => all + count, 0)
  const sketches = box.of('sketch', 'belt')
  assert.ok(sketches.length >= 2)
  const whole = sketches.find(({ pictures, labels }) => pictures > 3 && labels.length > 0)
  assert.ok(whole?.light && whole.colour?.sharpness && whole.background && whole.modelDigest)
  for (const sketch of sketches) {
    assert.ok(JSON.stringify({ ...sketch, sequence: 1 }).length <= sketchBytesMax)
    assert.equal(inAll(sketch.objects), sketch.analysed)
    assert.equal(inAll(sketch.sizes), inAll(sketch.places))
  }
  const entered = box.of('counts', 'belt').flatMap(({ zones }) => zones)
  assert.equal(
    entered.reduce((total, each) => total + each.entered, 0),
    acts().filter((act) => act === 'entered').length,
  )
})

test('what a mask covers is black in snapshots and live pictures', able, async (t) => {
  const { url } = await box.camera()
  const polygon = [
    [0.5, 0],
    [1, 0],
    [1, 1],
    [0.5, 1],
  ]
  const masks = [{ name: 'right half', polygon }]
  box.add({ streamId: 'masked', source: url, model: 'square', analysisFps: 5, masks })
  await t.waitFor(() => assert.equal(box.of('appeared', 'masked').length, 1), soon)
  const until = new Date(Date.now() + 20_000).toISOString()
  box.live.length = 0
  const want = { streamId: 'masked', widthMax: 160, fpsMax: 5 }
  box.fleet.setLive({ until, streams: [want] })
  await t.waitFor(() => assert.ok(box.live.length > 0), soon)
  box.fleet.setLive({ until, streams: [] })
  box.remove('masked')
  const snapshot = box.of('appeared', 'masked')[0]?.snapshot
  const pictures = [
    decodeLiveFrame(box.live[0]!).jpeg,
    await readFile(join(box.folder, 'snapshots', `${snapshot}.jpg`)),
  ]
  for (const jpeg of pictures) {
    const { data, info } = await sharp(jpeg).greyscale().raw().toBuffer({ resolveWithObject: true })
    const level = (from: number, to: number) => {
      const levels = [...data].filter((_, i) => {
        const x = (i % info.width) / info.width
        return x >= from && x < to
      })
      return Math.max(...levels)
    }
    assert.ok(level(0.5, 1) < 10, `${level(0.5, 1)} under the mask`)
    assert.ok(level(0, 0.4) > 200, `${level(0, 0.4)} beside it`)
  }
})

test(
  'further models are asked about the crop, and what they say is in the events',
  able,
  async (t) => {
    const { url } = await box.camera()
    const whole = [
      [0, 0],
      [1, 0],
      [1, 1],
      [0, 1],
    ]
    box.add({
      streamId: 'asked',
      source: url,
      model: 'square',
      analysisFps: 5,
      zones: [{ name: 'all', polygon: whole, dwellSeconds: 1.5 }],
      furtherModels: [{ model: 'colour', labels: ['square'], scoreMin: 0 }, { model: 'look' }],
    })
    const dwelled = () => box.of('zone', 'asked').find(({ act }) => act === 'dwelled')
    await t.waitFor(() => assert.ok(dwelled()), soon)
    box.remove('asked')
    await t.waitFor(() => assert.equal(box.of('left', 'asked').length, 1), soon)
    const [left] = box.of('left', 'asked')
    const [colour, look] = left?.attributes ?? []
    assert.deepEqual([colour?.model, look?.model], ['colour', 'look'])
    // The same crop of the same picture, worked out here.
    const jpeg = await readFile(join(box.folder, 'snapshots', `${left?.best.snapshot}.jpg`))
    const [x = 0, y = 0, w = 0, h = 0] = left?.best.box ?? []
    const region = regionOf([x, y, w, h], 320, 180)
    const pixels = await sharp(jpeg).extract(region).raw().toBuffer()
    const [r, g, b] = [0, 1, 2].map((channel) => {
      const levels = pixels.filter((_, i) => i % 3 === channel)
      return levels.reduce((sum, level) => sum + level, 0) / levels.length
    })
    const logits = [(r! - 123.675) / 58.395, (g! - 116.28) / 57.12, (b! - 103.53) / 57.375]
    const powers = logits.map(Math.exp)
    const total = powers.reduce((sum, power) => sum + power, 0)
    for (const [i, label] of ['red', 'green', 'blue'].entries()) {
      const found = colour?.classes?.find((each) => each.label === label)
      assert.ok(
        Math.abs(found!.score - powers[i]! / total) < 0.02,
        `${label}: ${found?.score}, ${powers[i]! / total} of ${logits}, ${region.width}×${region.height}`,
      )
    }
    const length = Math.hypot(b!, g!, r!)
    for (const [i, level] of [b!, g!, r!].entries()) {
      assert.ok(Math.abs(look!.embedding![i]! - level / length) < 0.02, `${look?.embedding}`)
    }
    // Told earlier too, but not the vector.
    assert.deepEqual(
      dwelled()?.attributes?.map(({ model }) => model),
      ['colour'],
    )
    assert.equal(dwelled()?.attributes?.[0]?.embedding, undefined)
    for (const event of [left, dwelled()]) {
      assert.ok('event' in checkEvent({ ...event, sequence: 1 }))
    }
  },
)

test('a model of the wrong kind is refused with the kind that was wanted', able, async (t) => {
  const { url } = await box.camera()
  box.add({ streamId: 'classified', source: url, model: 'colour' })
  const furtherModels = [{ model: 'square' }]
  box.add({ streamId: 'twice', source: url, model: 'square', furtherModels })
  const reason = (id: string) => box.stream(id)?.reason
  await t.waitFor(() => {
    assert.equal(
      reason('classified'),
      'Cannot follow objects with model "colour": layout classifier is for classification; name a detector, and this one under "furtherModels"',
    )
    assert.equal(
      reason('twice'),
      'Cannot ask model "square" about objects: layout yolox is for detection; name a classifier or an embedding under "furtherModels"',
    )
  }, soon)
  box.remove('classified')
  box.remove('twice')
})

test('live pictures come while they are wanted, and stop', able, async (t) => {
  const want = { streamId: 'clip', widthMax: 160, fpsMax: 5 }
  const until = new Date(Date.now() + 1500).toISOString()
  box.fleet.setLive({ until, streams: [want] })
  await t.waitFor(() => assert.ok(box.live.length >= 3), soon)
  await t.waitFor(() => assert.ok(Date.now() > Date.parse(until) + 500), soon)
  const count = box.live.length
  assert.ok(count <= 10, `${count} pictures in 1.5 s at 5 per second`)
  await t.waitFor(() => assert.ok(Date.now() > Date.parse(until) + 1000), soon)
  assert.equal(box.live.length, count)
})
