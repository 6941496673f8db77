import assert from 'node:assert/strict'
import { test } from 'node:test'
import { careDefaults, type Offer, updateStateNames, updateStates } from '@edgeloop/protocol'
import fc from 'fast-check'
import { type ModelRecord, newRecord, type SlotName } from './model-record.ts'
import {
  activated,
  committed,
  ended,
  entered,
  rejected,
  slotFreed,
  staged,
  startsCounted,
  takenUp,
  wentBack,
} from './passage.ts'
import { activeContent, type Facts, openPassage, planUpdate, type Step } from './plan.ts'

const at = Date.parse('2026-01-01T00:00:00.000Z')

const offerOf = (of: Partial<Offer> = {}): Offer => {
  const version = of.version ?? 2
  const path = `manifests/parts/${version}/linux-x64.json`
  return {
    rolloutId: rolloutIds[0] as string,
    name: 'parts',
    version,
    act: 'update',
    attempt: 1,
    manifest: { path, digest: String(version).padStart(64, '0'), lengthBytes: 900 },
    care: careDefaults,
    jitterMs: 0,
    mirrors: [],
    ...of,
  }
}
const rolloutIds = ['a', 'b', 'c'].map((letter) => letter.repeat(36).replaceAll(/[g-z]/g, 'f'))

/** One box in which every step is done at once, as it is told to end. */
class Box {
  record: ModelRecord = newRecord('parts')
  running: SlotName | null = null
  offers: readonly Offer[] | undefined
  now = at
  inStateMs = 0

  plan(facts: Partial<Facts> = {}): Step {
    const { now, inStateMs, running } = this
    return planUpdate(this.record, this.offers, { now, inStateMs, running, ...facts })
  }

  /** @param good whether the step finds nothing wrong */
  perform(step: Step, good = true): void {
    const { record, now } = this
    const stateBefore = openPassage(record)?.told.state
    this.record = this.#after(step, good)
    if (openPassage(this.record)?.told.state !== stateBefore) this.inStateMs = 0
    this.now = now + 1000
  }

  #after(step: Step, good: boolean): ModelRecord {
    const { record, now } = this
    const failed = { state: 'failed', code: 'internal', reason: 'as told' } as const
    switch (step.do) {
      case 'rest':
        return record
      case 'take-up':
        return takenUp(record, step.offer, now)
      case 'reject':
        return rejected(record, step.offer, { ...step, state: 'rejected' }, now)
      case 'follow':
        return {
          ...record,
          passages: record.passages.with(-1, { ...last(record), offer: step.offer }),
        }
      case 'end':
        return ended(record, step, now)
      case 'check':
        return good ? entered(record, 'downloading', now) : ended(record, failed, now)
      case 'download':
        return good ? entered(record, 'verified', now) : ended(record, failed, now)
      case 'rebuild':
        return good
          ? staged(slotFreed(record), 'd'.repeat(64), now)
          : ended(slotFreed(record), failed, now)
      case 'probe':
        return good ? entered(record, 'probed', now) : ended(record, failed, now)
      case 'enter':
        return entered(record, step.state, now)
      case 'shadow':
        return good
          ? { ...record, passages: record.passages.with(-1, { ...last(record), shadowed: true }) }
          : ended(record, failed, now)
      case 'activate':
        return activated(record, now)
      case 'run':
        this.running = record.active
        return record
      case 'watch':
        return good
          ? committed(record, now)
          : wentBack(record, { ...failed, state: 'rolled-back', code: 'probation-slow' }, now)
      case 'go-back':
        return wentBack(record, step, now)
    }
  }

  /** The agent ends and starts again; frames go where they belong. */
  restart(): void {
    const passage = openPassage(this.record)
    if (passage && updateStates[passage.told.state].touches) {
      this.record = startsCounted(this.record, passage.starts + 1)
    }
    this.running = this.record.active
    this.inStateMs = 0
    this.offers = undefined
  }

  /** Goes on until there is nothing to do; gives what was done. */
  settle(): string[] {
    const done: string[] = []
    for (let step = this.plan(); step.do !== 'rest'; step = this.plan()) {
      assert.ok(done.length < 40, `no end: ${done.join(' ')}`)
      done.push(step.do === 'enter' ? step.state : step.do)
      this.perform(step)
    }
    return done
  }
}

const last = (record: ModelRecord) => record.passages.at(-1) as ModelRecord['passages'][number]
const toldOf = ({ record }: Box) => last(record).told

test('a good update passes through every state in the order of the table and is committed', () => {
  const box = new Box()
  box.offers = [offerOf()]
  assert.deepEqual(box.settle(), [
    ...['take-up', 'check', 'download', 'rebuild', 'probe', 'shadowing', 'shadow'],
    ...['activate', 'run', 'probation', 'watch'],
  ])
  const states = toldOf(box).history.map(({ state }) => state)
  assert.deepEqual(states, updateStateNames.slice(0, updateStateNames.indexOf('committed') + 1))
  assert.deepEqual(box.record.slots.a?.committed, true)
  assert.deepEqual([box.record.active, box.record.previous, box.record.floor], ['a', null, 2])
  // The next one is put together in the other slot, and the way back is kept.
  box.offers = [offerOf({ version: 3, rolloutId: rolloutIds[1] as string })]
  box.settle()
  assert.deepEqual([box.record.active, box.record.previous, box.record.floor], ['b', 'a', 3])
})

/** A box in whose update the state was just entered. */
function boxIn(state: string, offer = offerOf()): Box {
  const box = new Box()
  box.offers = [offer]
  while (toldState(box) !== state) box.perform(box.plan())
  return box
}
const toldState = ({ record }: Box) => record.passages.at(-1)?.told.state

test('an offer that vanishes is cancelled before activation, and watched to its end after it', () => {
  for (const state of ['offered', 'downloading', 'verified', 'staged', 'probed', 'shadowing']) {
    const box = boxIn(state)
    box.offers = []
    box.settle()
    assert.equal(toldState(box), 'cancelled', state)
    assert.deepEqual([box.record.active, box.record.slots], [null, {}])
  }
  for (const state of ['activating', 'probation']) {
    const box = boxIn(state)
    box.offers = []
    box.settle()
    assert.equal(toldState(box), 'committed')
  }
})

test('while the hub is away, the box goes on with what it knows', () => {
  const box = boxIn('verified')
  box.restart()
  box.settle()
  assert.equal(toldState(box), 'committed')
})

test('a newer offer takes the place of one under way; from activation on the box goes back first', () => {
  for (const state of ['downloading', 'shadowing', 'activating', 'probation']) {
    const box = boxIn(state)
    box.offers = [offerOf({ version: 3, rolloutId: rolloutIds[1] as string })]
    const done = box.settle()
    assert.equal(box.record.passages.at(-2)?.told.state, 'superseded')
    assert.equal(toldState(box), 'committed')
    assert.equal(activeContent(box.record)?.version, 3)
    assert.equal(done[0], state === 'downloading' || state === 'shadowing' ? 'end' : 'go-back')
  }
})

test('the hub may ask for the model before at any time, and only of what its rollout brought', () => {
  for (const state of ['downloading', 'probation', 'committed']) {
    const box = boxIn(state)
    box.offers = [offerOf({ act: 'roll-back', rolloutId: rolloutIds[1] as string })]
    if (state === 'committed') assert.deepEqual(box.settle(), [])
    box.offers = [offerOf({ act: 'roll-back' })]
    box.settle()
    assert.equal(toldOf(box).code, 'by-request')
    assert.equal(toldState(box), state === 'downloading' ? 'cancelled' : 'rolled-back')
    assert.deepEqual([box.record.active, box.running], [null, null])
    assert.deepEqual(box.settle(), [])
  }
})

test('two starts without a commit are a boot loop; one is not', () => {
  const box = boxIn('probation')
  box.restart()
  assert.equal(box.plan().do, 'watch')
  box.restart()
  const step = box.plan()
  assert.ok(step.do === 'go-back' && step.code === 'boot-loop')
  box.settle()
  assert.equal(toldState(box), 'rolled-back')
})

test('a state that lasts too long ends the update; the wait for a window does not', () => {
  for (const state of [
    'offered',
    'downloading',
    'staged',
    'shadowing',
    'activating',
    'probation',
  ]) {
    const box = boxIn(state)
    box.inStateMs = 26 * 3_600_000
    box.settle()
    const touches = state === 'activating' || state === 'probation'
    assert.equal(toldState(box), touches ? 'rolled-back' : 'timed-out', state)
    assert.equal(toldOf(box).code, 'deadline')
  }
  const box = boxIn('shadowing', offerOf({ activateBefore: new Date(at).toISOString() }))
  box.perform(box.plan())
  assert.equal(box.plan({ inStateMs: 1e10 }).do, 'rest')
  box.offers = [offerOf({ activateBefore: new Date(box.now + 60_000).toISOString() })]
  assert.equal(box.plan().do, 'follow')
  box.settle()
  assert.equal(toldState(box), 'committed')
})

test('an older version than one that has run here is refused, and a failed one is tried again when asked', () => {
  const box = boxIn('committed', offerOf({ version: 5 }))
  box.offers = [offerOf({ version: 4, rolloutId: rolloutIds[1] as string })]
  box.settle()
  assert.deepEqual([toldState(box), toldOf(box).code], ['rejected', 'version-floor'])
  assert.deepEqual(box.settle(), [])
  const failing = boxIn('staged')
  failing.perform(failing.plan(), false)
  assert.deepEqual([failing.settle(), toldState(failing)], [[], 'failed'])
  failing.offers = [offerOf({ attempt: 2 })]
  failing.settle()
  assert.equal(toldState(failing), 'committed')
})

const anyOffer = fc.record({
  rolloutId: fc.constantFrom(...rolloutIds),
  version: fc.integer({ min: 1, max: 4 }),
  attempt: fc.integer({ min: 1, max: 3 }),
  act: fc.constantFrom('update' as const, 'update' as const, 'roll-back' as const),
})
const anyAct = fc.oneof(
  { weight: 20, arbitrary: fc.record({ act: fc.constant('step' as const), good: fc.boolean() }) },
  { weight: 60, arbitrary: fc.constant({ act: 'step' as const, good: true }) },
  {
    weight: 10,
    arbitrary: fc.record({
      act: fc.constant('offers' as const),
      offers: fc.array(anyOffer, { maxLength: 3 }),
    }),
  },
  { weight: 6, arbitrary: fc.constant({ act: 'restart' as const }) },
  { weight: 4, arbitrary: fc.constant({ act: 'late' as const }) },
)

type Act = typeof anyAct extends fc.Arbitrary<infer T> ? T : never

/**
 * What the box must amount to, said without records, slots and states: a stack of what had frames. A trial lies on top
 * of what it may give way to; a commit makes it the ground, of which only one step back is kept.
 */
class Reference {
  ground = 'own'
  below: string | undefined
  trial: string | undefined
  floor = 0

  get frames(): string {
    return this.trial ?? this.ground
  }
  activate(name: string, version: number) {
    assert.equal(this.trial, undefined, 'one trial at a time')
    assert.ok(version >= this.floor, `version ${version} below ${this.floor}`)
    this.trial = name
    this.floor = version
  }
  commit() {
    ;[this.below, this.ground, this.trial] = [this.ground, this.trial as string, undefined]
  }
  goBack() {
    if (this.trial !== undefined) this.trial = undefined
    else [this.ground, this.below] = [this.below ?? 'own', undefined]
  }
}

test('random histories: frames go where a plain model says, and every history comes to rest', () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
  let activations = 0
  const history = (acts: readonly Act[]) => {
    const box = new Box()
    const reference = new Reference()
    /** What lies in the slots, by the name that the reference knows it by. */
    const slots = new Map<SlotName, string>()
    let names = 0
    const step = (good: boolean) => {
      const planned = box.plan()
      const before = box.record
      box.perform(planned, good)
      const { record } = box
      if (planned.do === 'rebuild' && good) slots.set(last(record).slot as SlotName, `m${names++}`)
      if (planned.do === 'rebuild') {
        // The slot that was taken may have been the way back of what is committed, never of a trial.
        assert.equal(reference.trial, undefined)
        if (before.previous !== null && record.previous === null) reference.below = undefined
      }
      if (planned.do === 'activate') {
        activations++
        const offer = last(before).offer
        if (box.offers) assert.ok(box.offers.some(({ version }) => version === offer.version))
        reference.activate(slots.get(record.active as SlotName) as string, offer.version)
      }
      if (planned.do === 'watch') good ? reference.commit() : reference.goBack()
      if (planned.do === 'go-back') reference.goBack()
      check()
    }
    const check = () => {
      const { record } = box
      const frames = record.active === null ? 'own' : slots.get(record.active)
      assert.equal(frames, reference.frames)
      assert.equal(record.floor, reference.floor)
      if (record.active !== null) assert.ok(record.slots[record.active], 'whole')
      if (reference.trial !== undefined && reference.ground !== 'own') {
        assert.ok(record.previous !== null && record.slots[record.previous]?.committed)
      }
      for (const { told } of record.passages.slice(0, -1)) {
        assert.notEqual(updateStates[told.state].kind, 'active', 'all but the last have ended')
      }
    }
    for (const act of acts) {
      if (act.act === 'step') step(act.good)
      else if (act.act === 'restart') box.restart()
      else if (act.act === 'late') box.inStateMs = 1e9
      else box.offers = act.offers.map(offerOf)
      check()
    }
    // Left alone, it comes to rest: nothing is under way, and frames go where they belong.
    box.offers ??= []
    for (let steps = 0; box.plan().do !== 'rest'; steps++) {
      assert.ok(steps < 60, 'it does not come to rest')
      step(true)
    }
    assert.equal(openPassage(box.record), undefined)
    assert.equal(box.running, box.record.active)
  }
  fc.assert(fc.property(fc.array(anyAct, { minLength: 20, maxLength: 120 }), history), {
    seed,
    numRuns: 400,
  })
  console.log(`# seed ${seed}: 400 histories, ${activations} activations`)
  assert.ok(activations > 50)
})
