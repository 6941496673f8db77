import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { mkdtemp, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Event, EventBatch, eventClasses, type Loss } from '@edgeloop/protocol'
import { checkEvent, parse } from '@edgeloop/protocol/check'
import fc from 'fast-check'
import { type Arrival, OutboxStore, type OutboxStoreOptions } from './outbox-store.ts'

const at = '2026-01-01T00:00:00.000Z'
const roomy = () => Number.MAX_SAFE_INTEGER
const full = () => 0
const [aggregate, event, alarm] = eventClasses.keys().toArray() as [number, number, number]

/** In memory where that is possible: these tests are about what is written, not how fast. */
const memoryOrTmp = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(memoryOrTmp, 'outbox-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A disk of 24 MB, or undefined where none may be mounted. */
async function smallDisk(t: TestContext): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'outbox-disk-'))
  const args = ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', folder]
  try {
    execFileSync('mount', args, { stdio: 'ignore' })
  } catch {
    await rmdir(folder)
    return undefined
  }
  t.after(async () => {
    execFileSync('umount', ['-l', folder])
    await rmdir(folder)
  })
  return folder
}

function open(file: string, options: Partial<OutboxStoreOptions> = {}): OutboxStore {
  const defaults = { bootId: randomUUID(), bytesMax: 1e6, reserveBytes: 0, at, freeBytes: roomy }
  return new OutboxStore({ ...defaults, file, ...options })
}

/** An event of a class whose JSON is as long as it says, and which says which one it is. */
function arrival(eventClass: number, mark = 0, bytes = 200): Arrival {
  const base = {
    kind: 'alarm',
    at,
    code: 'mediaHung',
    active: true,
    text: `${mark} `,
  }
  const text = base.text.padEnd(
    Math.max(base.text.length, bytes - JSON.stringify(base).length),
    '.',
  )
  return { class: eventClass, json: JSON.stringify({ ...base, text }) }
}

/** Everything that waits, batch by batch, acknowledged as it goes. */
function drain(store: OutboxStore, entriesMax = 500): Map<string, Event[]> {
  const boots = new Map<string, Event[]>()
  for (let batch = store.peekBatch(entriesMax); batch; batch = store.peekBatch(entriesMax)) {
    const { bootId, entries } = parse(EventBatch, JSON.parse(batch.payload), 'batch')
    const events = boots.get(bootId) ?? []
    boots.set(bootId, events)
    for (const entry of entries) {
      const checked = checkEvent(entry)
      assert.ok('event' in checked, JSON.stringify(checked))
      events.push(checked.event)
    }
    store.acknowledge(bootId, batch.through, at)
  }
  return boots
}

/** Asserts that the numbers run from 1 without a gap or a double; gives the last one. */
function assertUnbroken(events: readonly Event[]): number {
  let next = 1
  for (const entry of events) {
    assert.equal(entry.sequence, next)
    next = (entry.kind === 'loss' ? entry.through : entry.sequence) + 1
  }
  return next - 1
}

const lossesOf = (events: readonly Event[]): Loss[] => events.filter((e) => e.kind === 'loss')

test('append() numbers from 1 per boot, and earlier boots are sent first', async (t) => {
  const file = join(await folderFor(t), 'outbox.sqlite')
  const [bootA, bootB] = [randomUUID(), randomUUID()]
  const a = open(file, { bootId: bootA })
  assert.equal(a.append([arrival(event), arrival(event)], at).first, 1)
  assert.equal(a.append([arrival(event)], at).first, 3)
  a.close()
  const b = open(file, { bootId: bootB })
  assert.equal(b.append([arrival(event)], at).first, 1)
  const drained = drain(b, 2)
  assert.deepEqual([...drained.keys()], [bootA, bootB])
  assert.deepEqual([...drained.values()].map(assertUnbroken), [3, 1])
  assert.equal(b.figures.bytes, 0)
  b.close()
})

test('a second agent on the same file is refused with a clear error', async (t) => {
  const file = join(await folderFor(t), 'outbox.sqlite')
  const first = open(file)
  first.append([arrival(event)], at)
  assert.throws(() => open(file), /another agent uses it/)
  first.close()
})

test('append() lets aggregates go first, then events, then alarms, oldest first', async (t) => {
  const file = join(await folderFor(t), 'outbox.sqlite')
  const store = open(file, { bytesMax: 25_000 })
  const classes = Array.from({ length: 60 }, (_, i) => [aggregate, event, alarm][i % 3]!)
  for (const [i, eventClass] of classes.entries()) store.append([arrival(eventClass, i, 400)], at)
  assert.equal(store.figures.lost.aggregates > 0, true)
  assert.equal(store.figures.lost.events, 0)
  for (let i = 0; i < 20; i++) store.append([arrival(alarm, 100 + i, 400)], at)
  const { lost } = store.figures
  assert.deepEqual([lost.aggregates, lost.alarms], [20, 0])
  assert.ok(lost.events > 0)
  assert.ok(store.figures.bytes <= 25_000)
  for (let i = 0; i < 100; i++) store.append([arrival(alarm, 200 + i, 400)], at)
  assert.equal(store.figures.lost.events, 20)
  assert.ok(store.figures.lost.alarms > 0)
  const events = [...drain(store).values()].flat()
  assertUnbroken(events)
  const alarms = events.filter((e) => e.kind === 'alarm' && e.code === 'mediaHung')
  const marks = alarms.map((e) => Number.parseInt('text' in e ? e.text : '', 10))
  assert.equal(marks.at(-1), 299, 'the newest alarm is there')
  assert.ok(
    marks.every((mark) => mark > 100),
    'the oldest alarms went first',
  )
  store.close()
})

test('a full outbox says so once, and says when there is room again', async (t) => {
  const store = open(join(await folderFor(t), 'outbox.sqlite'), { bytesMax: 20_000 })
  for (let i = 0; i < 100; i++) store.append([arrival(event, i, 400)], at)
  const events = [...drain(store).values()].flat()
  const alarms = events.filter((e) => e.kind === 'alarm' && e.code === 'outboxFull')
  assert.deepEqual(
    alarms.map((e) => 'active' in e && e.active),
    [true, false],
  )
  assert.match(JSON.stringify(alarms[1]), new RegExp(`${store.figures.lost.events} events`))
  store.close()
})

test('what a hub may already have never gives way, after a restart either', async (t) => {
  const file = join(await folderFor(t), 'outbox.sqlite')
  const first = open(file, { bytesMax: 20_000 })
  for (let i = 0; i < 20; i++) first.append([arrival(event, i, 400)], at)
  const sent = first.peekBatch(10)
  for (let i = 0; i < 200; i++) first.append([arrival(event, i, 400)], at)
  assert.equal(first.peekBatch(10)?.payload, sent?.payload)
  first.close()
  const second = open(file, { bytesMax: 20_000 })
  for (let i = 0; i < 200; i++) second.append([arrival(event, i, 400)], at)
  assert.equal(second.peekBatch(10)?.payload, sent?.payload)
  second.close()
})

test('acknowledge() believes a hub only for what it was sent', async (t) => {
  const store = open(join(await folderFor(t), 'outbox.sqlite'))
  store.append(
    [1, 2, 3, 4].map(() => arrival(event)),
    at,
  )
  const batch = store.peekBatch(2)!
  store.acknowledge(batch.bootId, 1_000_000, at)
  store.acknowledge(randomUUID(), 4, at)
  assert.equal(store.figures.entries, 2)
  assert.match(store.peekBatch(2)!.payload, /"acknowledgedThrough":2,"entries":\[\{"sequence":3,/)
  store.close()
})

test('a batch fits a message, whatever the size of its events', async (t) => {
  const store = open(join(await folderFor(t), 'outbox.sqlite'), { bytesMax: 1e8 })
  store.append(
    Array.from({ length: 500 }, (_, i) => arrival(event, i, 3000)),
    at,
  )
  const batch = store.peekBatch(500)!
  assert.ok(batch.payload.length < 512 * 1024)
  assert.ok(batch.entries > 100 && batch.entries < 500)
  store.close()
})

test('a full disk: what is oldest gives way, and numbering goes on', async (t) => {
  const file = join(await folderFor(t), 'outbox.sqlite')
  const reserved = open(file, { bytesMax: 64e6, reserveBytes: 1_500_000 })
  reserved.close()
  // From here on nothing may grow: SQLite meets its page limit, as it would a full disk.
  const store = open(file, { bytesMax: 64e6, freeBytes: full })
  let recorded = 0
  for (let i = 0; i < 400; i++) {
    const group = Array.from({ length: 50 }, (_, j) => arrival(j % 10 === 0 ? aggregate : event, i))
    if (store.append(group, at).first !== undefined) recorded += 50
  }
  const { lost, unrecorded } = store.figures
  assert.equal(recorded, 20_000)
  assert.deepEqual(unrecorded, { aggregates: 0, events: 0, alarms: 0 })
  assert.ok(lost.aggregates > 0 && lost.events > 0, JSON.stringify(lost))
  const events = [...drain(store).values()].flat()
  const losses = lossesOf(events)
  assertUnbroken(events)
  assert.equal(
    losses.reduce((sum, loss) => sum + loss.events, 0),
    lost.events,
  )
  assert.ok(losses.every(({ reason }) => reason === 'diskFull'))
  const diskAlarms = events.filter((e) => e.kind === 'alarm' && e.code === 'diskFull')
  assert.deepEqual(
    diskAlarms.map((e) => 'active' in e && e.active),
    [true, false],
  )
  store.close()
})

test('a disk filled by others: recording goes on in the space set aside', async (t) => {
  const folder = await smallDisk(t)
  if (!folder) return t.skip('no small disk can be mounted here')
  const file = join(folder, 'outbox.sqlite')
  const fillUp = () => {
    for (let size = 1 << 20; size >= 1; size >>= 2) {
      try {
        for (;;) writeFileSync(join(folder, 'others'), new Uint8Array(size), { flag: 'a' })
      } catch {
        // Full for this size: fill the rest with smaller pieces.
      }
    }
  }
  const boots = [randomUUID(), randomUUID()] as const
  const options = { bytesMax: 64e6, reserveBytes: 2e6 }
  let store = new OutboxStore({ ...options, file, bootId: boots[0], at })
  fillUp()
  const run = (groups: number) => {
    for (let i = 0; i < groups; i++) {
      const group = Array.from({ length: 50 }, (_, j) => arrival(event, i * 50 + j, 400))
      assert.notEqual(store.append(group, at).first, undefined, `group ${i}`)
    }
  }
  run(200)
  assert.ok(store.figures.lost.events > 1000)
  assert.ok(store.figures.entries > 2000, `${store.figures.entries} entries in the reserve`)
  // A restart on the full disk: the WAL's space was kept by ballast. Others are quick to take it.
  store.close()
  store = new OutboxStore({ ...options, file, bootId: boots[1], at })
  fillUp()
  run(20)
  const { lost } = store.figures
  const drained = drain(store)
  for (const bootId of boots) assertUnbroken(drained.get(bootId) ?? [])
  const counted = lossesOf([...drained.values()].flat()).reduce((sum, l) => sum + l.events, 0)
  assert.equal(counted, lost.events)
  store.close()
})

test('a disk that takes nothing at all: the loss is recorded by the next write that succeeds', async (t) => {
  const folder = await smallDisk(t)
  if (!folder) return t.skip('no small disk can be mounted here')
  const file = join(folder, 'outbox.sqlite')
  open(file, { reserveBytes: 100_000 }).close()
  rmSync(`${file}.ballast`)
  const others = join(folder, 'others')
  try {
    for (;;) writeFileSync(others, new Uint8Array(4096), { flag: 'a' })
  } catch {
    // Full.
  }
  const store = new OutboxStore({
    file,
    bootId: randomUUID(),
    bytesMax: 1e6,
    reserveBytes: 1e6,
    at,
  })
  assert.equal(store.append([arrival(event), arrival(alarm)], at).first, undefined)
  assert.equal(store.append([arrival(aggregate)], at).first, undefined)
  assert.deepEqual(store.figures.unrecorded, { aggregates: 1, events: 1, alarms: 1 })
  rmSync(others)
  store.settle(at)
  assert.equal(store.append([arrival(event)], at).first, 4)
  const [events = []] = drain(store).values()
  assert.deepEqual(events[0], {
    sequence: 1,
    through: 3,
    kind: 'loss',
    at,
    reason: 'diskFull',
    aggregates: 1,
    events: 1,
    alarms: 1,
  })
  store.close()
})

test('a damaged file is moved aside; what can be read is kept, the rest is a loss', async (t) => {
  const folder = await folderFor(t)
  const file = join(folder, 'outbox.sqlite')
  const bootId = randomUUID()
  const before = open(file, { bootId, bytesMax: 64e6 })
  for (let i = 0; i < 20; i++) {
    before.append(
      Array.from({ length: 50 }, (_, j) => arrival(event, i * 50 + j, 400)),
      at,
    )
  }
  before.close()
  const bytes = readFileSync(file)
  // Three pages in the middle of the entries: those before and after stay readable.
  const page = Math.floor(bytes.indexOf('"text":"500 ') / 4096)
  bytes.fill(0xa5, page * 4096, (page + 3) * 4096)
  writeFileSync(file, bytes)
  const after = open(file)
  assert.ok(after.salvage)
  assert.ok(existsSync(`${file}.damaged`))
  const events = drain(after).get(bootId) ?? []
  assert.equal(assertUnbroken(events), 1000)
  const losses = lossesOf(events)
  assert.ok(losses.length > 0 && losses.every(({ reason }) => reason === 'damaged'))
  assert.ok(events.length > 500, `${events.length} of 1000 saved`)
  after.close()
})

for (const [what, damage] of [
  ['an empty file', (file: string) => truncateSync(file)],
  ['a file that is no database', (file: string) => writeFileSync(file, '<html>not found</html>')],
  ['a file cut in half', (file: string) => truncateSync(file, 100_000)],
] as const) {
  test(`${what} in its place does not stop the start`, async (t) => {
    const file = join(await folderFor(t), 'outbox.sqlite')
    const before = open(file)
    before.append([arrival(event)], at)
    before.close()
    damage(file)
    const after = open(file)
    assert.equal(after.append([arrival(event)], at).first, 1)
    after.close()
  })
}

test('whatever happens, every number reaches the hub once, in order, as its event or a counted loss', async (t) => {
  const folder = await folderFor(t)
  const seed = Number(process.env.EDGELOOP_SEED ?? Date.now() % 2 ** 31)
  t.diagnostic(`seed ${seed} (EDGELOOP_SEED)`)
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('append' as const),
        classes: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 20 }),
        bytes: fc.integer({ min: 150, max: 900 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('send' as const),
        entriesMax: fc.integer({ min: 1, max: 30 }),
        stored: fc.boolean(),
        acknowledged: fc.boolean(),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('restart' as const), crash: fc.boolean() }),
    },
  )
  const steps = fc.array(step, { minLength: 5, maxLength: 60, size: 'max' })
  let run = 0
  let losses = 0
  fc.assert(
    fc.property(steps, fc.integer({ min: 3_000, max: 40_000 }), (script, bytesMax) => {
      let file = join(folder, `${run++}.sqlite`)
      const hub = new ModelHub()
      /** What was appended, by boot and number: class and text. */
      const said = new Map<string, Map<number, { class: number; text: string }>>()
      const openAs = (bootId: string) => {
        said.set(bootId, new Map())
        return open(file, { bootId, bytesMax })
      }
      let bootId: string = randomUUID()
      let store = openAs(bootId)
      let mark = 0
      for (const act of script) {
        if (act.do === 'append') {
          const arrivals = act.classes.map((c) => arrival(c, ++mark, act.bytes))
          const { first } = store.append(arrivals, at)
          assert.ok(first !== undefined)
          for (const [i, { class: eventClass, json }] of arrivals.entries()) {
            said.get(bootId)?.set(first + i, { class: eventClass, text: JSON.parse(json).text })
          }
        } else if (act.do === 'send') {
          const batch = store.peekBatch(act.entriesMax)
          if (batch && act.stored) {
            const through = hub.take(batch.payload)
            if (act.acknowledged) store.acknowledge(batch.bootId, through, at)
          }
        } else {
          const next = join(folder, `${run++}.sqlite`)
          if (act.crash) {
            // What a power cut leaves: the files as they are, without a goodbye.
            for (const suffix of ['', '-wal']) copyFileSync(file + suffix, next + suffix)
          }
          store.close()
          if (act.crash) file = next
          bootId = randomUUID()
          store = openAs(bootId)
        }
      }
      const { lost } = store.figures
      for (let b = store.peekBatch(50); b; b = store.peekBatch(50)) {
        store.acknowledge(b.bootId, hub.take(b.payload), at)
      }
      store.close()
      const seen = { aggregates: 0, events: 0, alarms: 0 }
      for (const [id, events] of hub.boots) {
        const lastNumber = assertUnbroken(events)
        const own = said.get(id)!
        assert.ok(Math.max(0, ...own.keys()) <= lastNumber)
        for (const entry of events) {
          if (entry.kind !== 'loss') {
            const expected = own.get(entry.sequence)
            if (expected) assert.equal('text' in entry && entry.text, expected.text)
            else assert.ok(entry.kind === 'alarm' && entry.code === 'outboxFull')
            continue
          }
          losses++
          const counts = { aggregates: 0, events: 0, alarms: 0 }
          for (let s = entry.sequence; s <= entry.through; s++) {
            // Numbers that nobody appended are the outbox's own alarms.
            counts[`${eventClasses[own.get(s)?.class ?? alarm]!}s`]++
          }
          const { aggregates, events: lostEvents, alarms } = entry
          assert.deepEqual({ aggregates, events: lostEvents, alarms }, counts)
          for (const key of ['aggregates', 'events', 'alarms'] as const) seen[key] += counts[key]
        }
      }
      assert.deepEqual(seen, lost, 'losses at the hub and losses counted on the box')
    }),
    { seed, numRuns: 50 },
  )
  t.diagnostic(`${run} starts, ${losses} loss records`)
})

test('whatever a full disk does, of every class as much arrives or is counted as lost as was appended', async (t) => {
  const folder = await folderFor(t)
  const seed = Number(process.env.EDGELOOP_SEED ?? Date.now() % 2 ** 31)
  t.diagnostic(`seed ${seed} (EDGELOOP_SEED)`)
  const step = fc.record({
    classes: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 60 }),
    bytes: fc.integer({ min: 150, max: 4000 }),
    freeBytes: fc.constantFrom(0, 0, 0, 1e9),
    sent: fc.boolean(),
  })
  const steps = fc.array(step, { minLength: 20, maxLength: 60, size: 'max' })
  let run = 0
  let lostInAll = 0
  fc.assert(
    fc.property(steps, (script) => {
      const file = join(folder, `${run++}.sqlite`)
      const hub = new ModelHub()
      const appended = [0, 0, 0]
      let spareBytes = 0
      const store = open(file, { bytesMax: 1_000_000, freeBytes: () => spareBytes })
      for (const { classes, bytes, freeBytes, sent } of script) {
        spareBytes = freeBytes
        store.append(
          classes.map((eventClass) => arrival(eventClass, eventClass, bytes)),
          at,
        )
        for (const eventClass of classes) appended[eventClass]!++
        const batch = sent ? store.peekBatch(20) : undefined
        if (batch) hub.take(batch.payload)
      }
      spareBytes = 1e9
      store.settle(at)
      for (let b = store.peekBatch(50); b; b = store.peekBatch(50)) {
        store.acknowledge(b.bootId, hub.take(b.payload), at)
      }
      const { lost, unrecorded } = store.figures
      store.close()
      assert.deepEqual(unrecorded, { aggregates: 0, events: 0, alarms: 0 })
      const events = [...hub.boots.values()].flat()
      assertUnbroken(events)
      const told = { aggregates: 0, events: 0, alarms: 0 }
      for (const loss of lossesOf(events)) {
        for (const key of ['aggregates', 'events', 'alarms'] as const) told[key] += loss[key]
      }
      assert.deepEqual(told, lost)
      const arrived = [0, 0, 0]
      for (const entry of events) {
        if (entry.kind !== 'alarm' || entry.code !== 'mediaHung') continue
        arrived[Number.parseInt(entry.text, 10)]!++
      }
      assert.equal(arrived[aggregate]! + told.aggregates, appended[aggregate])
      assert.equal(arrived[event]! + told.events, appended[event])
      // Alarms of the outbox itself may have given way too.
      assert.ok(arrived[alarm]! + told.alarms >= appended[alarm]!)
      lostInAll += told.aggregates + told.events + told.alarms
    }),
    { seed, numRuns: 30 },
  )
  t.diagnostic(`${lostInAll} lost in ${run} runs`)
  assert.ok(lostInAll > 0)
})

/** Exactly what DESIGN §4 asks of a hub: a mark per boot, moved over an unbroken sequence only. */
class ModelHub {
  readonly boots = new Map<string, Event[]>()
  readonly #marks = new Map<string, number>()

  /** @returns the mark after the batch */
  take(payload: string): number {
    const { bootId, acknowledgedThrough, entries } = JSON.parse(payload)
    const stored = this.boots.get(bootId) ?? []
    this.boots.set(bootId, stored)
    let mark = this.#marks.get(bootId) ?? 0
    assert.ok(acknowledgedThrough <= mark, 'the box forgot what the hub never stored')
    for (const entry of entries) {
      const through = entry.through ?? entry.sequence
      if (through <= mark) continue
      assert.equal(entry.sequence, mark + 1, 'no gap, and no loss record across the mark')
      stored.push(entry)
      mark = through
    }
    this.#marks.set(bootId, mark)
    return mark
  }
}
