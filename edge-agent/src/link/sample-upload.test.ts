/** The uploader before a hub that says whatever the test wants; a real hub is in `test/stories/samples.test.ts`. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { SampleAnswers, SampleOffers } from '@edgeloop/protocol'
import { samplePartBytes } from '@edgeloop/protocol'
import pino from 'pino'
import { writeSample } from '../sampling/sample-disk.ts'
import { SampleFolder } from '../sampling/sample-folder.ts'
import type { PutResult } from './device-https.ts'
import { SampleUpload } from './sample-upload.ts'

const log = pino({ level: 'silent' })
const soon = { timeout: 10_000, interval: 5 }
type Answer = SampleAnswers['answers'][number]

/** A hub that keeps what it is sent, and answers offers as it is told. */
class Hub {
  readonly offers: SampleOffers[] = []
  readonly parts: { digest: string; from: number; bytes: number }[] = []
  readonly received = new Map<string, number>()
  sizes = new Map<string, number>()
  allowance = { frames: 1_000, bytes: 1e9, until: new Date(Date.now() + 60_000).toISOString() }
  answer = (digest: string): Answer => ({
    digest,
    act: 'send',
    from: this.received.get(digest) ?? 0,
  })
  refusePost: (offers: SampleOffers) => PutResult | undefined = () => undefined
  failPart: (digest: string, from: number) => PutResult | undefined = () => undefined

  post = async (_path: string, body: unknown): Promise<PutResult> => {
    const offers = body as SampleOffers
    const refused = this.refusePost(offers)
    this.offers.push(offers)
    if (refused) return refused
    for (const { digest, sizeBytes } of offers.offers) this.sizes.set(digest, sizeBytes)
    const answers = offers.offers.map(({ digest }) => this.answer(digest))
    return { kind: 'stored', answer: JSON.stringify({ answers, allowance: this.allowance }) }
  }

  put = async (path: string, _type: string, bytes: Uint8Array): Promise<PutResult> => {
    const [, digest = '', text = ''] = /\/samples\/([0-9a-f]{64})\?from=(\d+)$/.exec(path) ?? []
    const from = Number(text)
    const failed = this.failPart(digest, from)
    if (failed) return failed
    this.parts.push({ digest, from, bytes: bytes.length })
    const before = this.received.get(digest) ?? 0
    const next = from === before ? from + bytes.length : before
    this.received.set(digest, next)
    const complete = next === this.sizes.get(digest)
    return { kind: 'stored', answer: JSON.stringify({ next, complete }) }
  }
}

type Rig = {
  hub: Hub
  folder: SampleFolder
  add: (use: number, sizeBytes?: number) => Promise<string>
}

async function open(
  t: TestContext,
  hub = new Hub(),
  room = Number.POSITIVE_INFINITY,
  turn = async (): Promise<void> => {},
): Promise<Rig> {
  const path = await mkdtemp(join(tmpdir(), 'edgeloop-upload-'))
  const folder = await SampleFolder.open({ folder: path, bytesMax: 1e8, log })
  const abort = new AbortController()
  let left = room
  const upload = new SampleUpload({
    samples: folder,
    day: {
      hasRoom: (bytes) => bytes <= left,
      spend: async (bytes) => {
        left -= bytes
      },
      endsInMs: () => 3_600_000,
    },
    https: hub,
    budget: { take: async () => {} },
    turn,
    signed: ({ redaction }) => ({ ...redaction, signature: 'signed' }),
    log,
    now: Date.now,
    monotonicMs: () => performance.now(),
    random: () => 0,
    signal: abort.signal,
  })
  upload.wish('cam', 7)
  const running = upload.run()
  t.after(async () => {
    abort.abort()
    await running
    await rm(path, { recursive: true, force: true })
  })
  let seed = 0
  const add = async (use: number, sizeBytes = 1_000): Promise<string> => {
    seed++
    const jpeg = Uint8Array.from({ length: sizeBytes }, (_, i) => (i * seed) & 255)
    const digest = await writeSample(path, jpeg, {
      width: 64,
      height: 48,
      streamId: 'cam',
      reason: 'uncertain',
      why: '',
      use,
      capturedAt: new Date().toISOString(),
      probability: 1,
      looks: '0'.repeat(16),
      model: { name: 'parts', version: 0, digest: 'ab'.repeat(32) },
      detections: [],
      redaction: { masks: 0, method: 'none', labels: [], regions: [] },
    })
    await folder.add(digest)
    return digest
  }
  return { hub, folder, add }
}

test('samples are offered signed, with wishes, and go in parts, each byte once', async (t) => {
  const { hub, folder, add } = await open(t)
  const digest = await add(0.5, samplePartBytes * 2 + 10)
  await t.waitFor(() => assert.equal(folder.figures.samples, 0), soon)
  const [{ offers, wishes } = { offers: [], wishes: [] }] = hub.offers
  assert.equal(offers[0]?.redaction.signature, 'signed')
  assert.ok(!('use' in (offers[0] ?? {})))
  assert.deepEqual(wishes, [{ streamId: 'cam', frames: 7 }])
  assert.deepEqual(
    hub.parts.map(({ from, bytes }) => [from, bytes]),
    [
      [0, samplePartBytes],
      [samplePartBytes, samplePartBytes],
      [2 * samplePartBytes, 10],
    ],
  )
  await add(0.5)
  await t.waitFor(() => assert.equal(folder.figures.samples, 0), soon)
  assert.deepEqual(hub.offers.at(-1)?.wishes, [])
  assert.equal(hub.received.get(digest), samplePartBytes * 2 + 10)
})

test('nothing is offered and no part is sent before it is its turn', async (t) => {
  const hub = new Hub()
  const turns: PromiseWithResolvers<void>[] = []
  const { folder, add } = await open(t, hub, undefined, () => {
    const turn = Promise.withResolvers<void>()
    turns.push(turn)
    return turn.promise
  })
  await add(0.5)
  await t.waitFor(() => assert.equal(turns.length, 1), soon)
  assert.equal(hub.offers.length, 0)
  turns[0]?.resolve()
  await t.waitFor(() => assert.equal(turns.length, 2), soon)
  assert.deepEqual([hub.offers.length, hub.parts.length], [1, 0])
  turns[1]?.resolve()
  await t.waitFor(() => assert.equal(folder.figures.samples, 0), soon)
})

test('after a cut it goes on where the hub says', async (t) => {
  const hub = new Hub()
  let cuts = 2
  hub.failPart = (_, from) =>
    from === samplePartBytes && cuts-- > 0 ? { kind: 'later', why: 'cut' } : undefined
  const { folder, add } = await open(t, hub)
  await add(0.5, samplePartBytes * 2)
  await t.waitFor(() => assert.equal(folder.figures.samples, 0), soon)
  assert.deepEqual(
    hub.parts.map(({ from }) => from),
    [0, samplePartBytes],
  )
  assert.equal(hub.offers.length, 3)
})

test('what the hub has or refuses is dropped; what it wants later waits', async (t) => {
  const hub = new Hub()
  const acts: Answer['act'][] = []
  hub.answer = (digest) => {
    const act = (['have', 'refuse', 'wait'] as const)[acts.length % 3]!
    acts.push(act)
    if (act === 'have') return { digest, act }
    if (act === 'refuse') return { digest, act, reason: 'no' }
    return { digest, act, after: new Date(Date.now() + 3_600_000).toISOString(), reason: 'later' }
  }
  const { folder, add } = await open(t, hub)
  for (let k = 0; k < 3; k++) {
    await add(0.5)
    await t.waitFor(() => assert.equal(acts.length, k + 1), soon)
  }
  await t.waitFor(() => assert.equal(folder.figures.samples, 1), soon)
  assert.deepEqual(acts, ['have', 'refuse', 'wait'])
  assert.deepEqual(hub.parts, [])
  // Another one that comes meanwhile is offered alone.
  hub.answer = (digest) => ({ digest, act: 'send', from: 0 })
  await add(0.9)
  await t.waitFor(() => assert.equal(hub.parts.length, 1), soon)
  assert.equal(hub.offers.at(-1)?.offers.length, 1)
})

test('an allowance and the day of the device bound what is offered; who was asked for is not held back', async (t) => {
  const hub = new Hub()
  hub.allowance = { ...hub.allowance, frames: 0 }
  const { folder, add } = await open(t, hub)
  await add(0.5)
  await t.waitFor(() => assert.equal(folder.figures.samples, 0), soon)
  await add(0.9)
  await add(0.8)
  assert.equal(hub.offers.length, 1)
  const full = new Hub()
  const device = await open(t, full, 1_500)
  await device.add(0.5)
  await t.waitFor(() => assert.equal(device.folder.figures.samples, 0), soon)
  await device.add(0.5)
  assert.equal(full.offers.length, 1)
})

test('an offer that makes no sense to the hub costs that sample alone', async (t) => {
  const hub = new Hub()
  let poisoned = ''
  hub.refusePost = ({ offers }) =>
    offers.some(({ digest }) => digest === poisoned)
      ? { kind: 'refused', why: 'unreadable' }
      : undefined
  let mayGo = false
  hub.answer = (digest) =>
    mayGo
      ? { digest, act: 'send', from: 0 }
      : { digest, act: 'wait', after: new Date().toISOString(), reason: '' }
  const { folder, add } = await open(t, hub)
  await add(0.5)
  poisoned = await add(0.6)
  await add(0.7)
  mayGo = true
  await t.waitFor(() => assert.equal(folder.figures.samples, 0), soon)
  assert.ok(!hub.received.has(poisoned))
  assert.equal(hub.received.size, 2)
})

test('a hub that answers nonsense or has no time is asked again, not before it says', async (t) => {
  const hub = new Hub()
  const times: number[] = []
  hub.refusePost = () => {
    times.push(performance.now())
    if (times.length === 1) return { kind: 'stored', answer: '{"answers":"many"}' }
    if (times.length === 2) return { kind: 'later', why: 'busy', afterMs: 400 }
    return undefined
  }
  const { folder, add } = await open(t, hub)
  await add(0.5)
  await t.waitFor(() => assert.equal(folder.figures.samples, 0), soon)
  assert.ok(times[2]! - times[1]! >= 390, `${times[2]! - times[1]!} ms`)
})
