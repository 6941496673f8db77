import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Detection, type SampleReason, sampleReasons } from '@edgeloop/protocol'
import { fits } from '@edgeloop/protocol/check'
import { type Random, seededRandom } from '../demo/random.ts'
import { type Choice, Chooser, type ChooserOptions, ChooserState } from './chooser.ts'
import type { Looks } from './looks.ts'
import { dayMs } from './pace.ts'

const midnight = Date.UTC(2026, 10, 21)
const bytes = 100_000

/** A stream whose time and frames the test decides. */
class Stream {
  ms = 0
  wallMs = midnight
  readonly options: ChooserOptions
  chooser: Chooser
  readonly random: Random

  constructor(options: Partial<ChooserOptions> = {}, seed = 1) {
    this.random = seededRandom(seed)
    this.options = {
      budget: { framesPerDay: 100, bytesPerDay: 1e9, randomShare: 0.1 },
      reasons: sampleReasons,
      rareLabels: undefined,
      intervalMinMs: 2_000,
      now: () => this.wallMs,
      monotonicMs: () => this.ms,
      random: this.random,
      ...options,
    }
    this.chooser = new Chooser(this.options)
  }

  pass(ms: number): void {
    this.ms += ms
    this.wallMs += ms
  }

  restart(): void {
    const state = JSON.parse(JSON.stringify(this.chooser.state))
    assert.ok(fits(ChooserState, state))
    this.chooser = new Chooser(this.options, state)
  }

  /** Looks at a frame with an object of this score somewhere, and keeps what is chosen. */
  frame(score: number | undefined, looks = looksAt(this.random())): Choice | undefined {
    const box = [this.random() * 0.8, this.random() * 0.8, 0.1, 0.1]
    const detections: Detection[] = score === undefined ? [] : [{ label: 'cup', score, box }]
    const choice = this.chooser.consider(
      {
        at: this.ms,
        detections,
        trackIds: [undefined],
        tracks: [],
        moving: undefined,
        scoreMinOf: () => 0.4,
      },
      () => looks,
    )
    if (choice) this.chooser.kept(choice, bytes)
    return choice
  }
}

/** Pictures that are nearer to each other the nearer their numbers are. */
const looksAt = (turn: number): Looks => ({
  hash: Math.floor(turn * 2 ** 32)
    .toString(16)
    .padStart(16, '0'),
  embedding: [Math.cos(turn), Math.sin(turn)],
})
const only = (...reasons: SampleReason[]) => ({ reasons })

/** A day of frames every ten seconds, uncertain ones in the hours that are given. */
function day(stream: Stream, busy: (hour: number) => boolean): { hour: number; choice: Choice }[] {
  const kept: { hour: number; choice: Choice }[] = []
  for (let at = 0; at < dayMs; at += 10_000) {
    stream.pass(10_000)
    const hour = Math.floor(at / 3_600_000)
    const choice = stream.frame(busy(hour) ? 0.3 + 0.2 * stream.random() : 0.95)
    if (choice) kept.push({ hour, choice })
  }
  return kept
}

test('a budget lasts the day when there is always something to keep', () => {
  const stream = new Stream(only('uncertain'))
  day(stream, () => true)
  const kept = day(stream, () => true)
  assert.ok(kept.length > 80 && kept.length <= 100, `${kept.length} kept`)
  for (let from = 0; from < 24; from += 4) {
    const some = kept.filter(({ hour }) => hour >= from && hour < from + 4).length
    assert.ok(some >= 8, `${some} kept from ${from} h on`)
  }
})

test('a change at noon gets pictures at once, and the evening has some left', () => {
  const stream = new Stream(only('uncertain'))
  day(stream, () => false)
  const kept = day(stream, (hour) => hour >= 12)
  const first = kept.filter(({ hour }) => hour === 12).length
  assert.ok(first >= 25, `${first} kept in the first hour`)
  const evening = kept.filter(({ hour }) => hour >= 20).length
  assert.ok(evening >= 4, `${evening} kept from 20 h on`)
})

test('what is worth most is kept when not everything can be', () => {
  const stream = new Stream(only('uncertain'))
  day(stream, () => true)
  const scores = day(stream, () => true).map(({ choice }) => choice.detections[0]?.score ?? 0)
  const meanOff = scores.reduce((sum, score) => sum + Math.abs(score - 0.4), 0) / scores.length
  // At random it would be 0.05.
  assert.ok(meanOff < 0.025, `${meanOff} from the threshold`)
})

test('bounds hold whatever clocks do, and a restart gives nothing back', () => {
  const stream = new Stream(only('uncertain'))
  let kept = 0
  for (let i = 0; i < 8_640; i++) {
    stream.pass(10_000)
    // The wall clock jumps back and forth by days.
    if (i % 50 === 0) stream.wallMs += (stream.random() - 0.5) * 20 * dayMs
    if (i % 70 === 0) stream.restart()
    if (stream.frame(0.4)) kept++
  }
  // A day's worth, and what bucket and reserve held.
  assert.ok(kept <= 100 + 9 + 36, `${kept} kept`)
  const spent = new Stream(only('uncertain'))
  while (spent.ms < 3_600_000) {
    spent.pass(2_000)
    spent.frame(0.4)
  }
  const before = spent.chooser.state.spent
  spent.restart()
  assert.deepEqual(spent.chooser.state.spent, before)
})

test('what goes by in doubt and was kept is worth little: labels go to what comes new', () => {
  const seed = 5
  const stream = new Stream({ ...only('uncertain'), intervalMinMs: 1_000 }, seed)
  const passing = Array.from({ length: 400 }, (_, id) => ({ id, first: id * 0.2 }))
  const labelled: number[] = []
  let frames = 0
  // A thing needs ten seconds to go by, never becomes a track, and is doubted more or less from frame to frame.
  for (let at = 0; at < 800_000; at += 250) {
    stream.pass(250)
    const here = passing
      .map(({ id, first }) => ({ id, left: at / 10_000 - first }))
      .filter(({ left }) => left > 0 && left < 0.9)
    const detections = here.map(({ left }): Detection => {
      return { label: 'cup', score: 0.28 + 0.2 * stream.random(), box: [left, 0.4, 0.1, 0.1] }
    })
    const facts = { at: stream.ms, detections, trackIds: here.map(() => undefined), tracks: [] }
    const choice = stream.chooser.consider(
      { ...facts, moving: undefined, scoreMinOf: () => 0.4 },
      () => looksAt(stream.random()),
    )
    if (!choice) continue
    stream.chooser.kept(choice, bytes)
    frames++
    labelled.push(...here.map(({ id }) => id))
  }
  const distinct = new Set(labelled).size
  const text = `${frames} frames, ${distinct} different things of ${labelled.length}, seed ${seed}`
  assert.ok(frames >= 15 && distinct >= labelled.length / 2, text)
})

test('what stands there in doubt and was kept does not hide what comes', () => {
  const stream = new Stream(only('uncertain'))
  const standing = [0.1, 0.3, 0.5, 0.7].map((left): Detection => {
    return { label: 'car', score: 0.4, box: [left, 0.1, 0.1, 0.1] }
  })
  const see = (more: readonly Detection[]): Choice | undefined => {
    stream.pass(3_000)
    const detections = [...standing, ...more]
    const facts = { at: stream.ms, detections, trackIds: detections.map(() => undefined) }
    const choice = stream.chooser.consider(
      { ...facts, tracks: [], moving: undefined, scoreMinOf: () => 0.4 },
      () => looksAt(0.5),
    )
    if (choice) stream.chooser.kept(choice, bytes)
    return choice
  }
  assert.equal(see([])?.reason, 'uncertain')
  for (let i = 0; i < 20; i++) assert.equal(see([]), undefined)
  const walker: Detection = { label: 'walker', score: 0.4, box: [0.2, 0.6, 0.1, 0.3] }
  assert.match(see([walker])?.why ?? '', /"walker"/)
  assert.equal(see([{ ...walker, box: [0.25, 0.6, 0.1, 0.3] }]), undefined)
})

test('near-duplicates are kept once, also after a restart', () => {
  const stream = new Stream(only('uncertain'))
  const looks = looksAt(0.5)
  const box = [0.4, 0.4, 0.1, 0.1]
  const see = (): Choice | undefined => {
    stream.pass(5_000)
    const choice = stream.chooser.consider(
      {
        at: stream.ms,
        detections: [{ label: 'cup', score: 0.4, box }],
        trackIds: [undefined],
        tracks: [],
        moving: undefined,
        scoreMinOf: () => 0.4,
      },
      () => looks,
    )
    if (choice) stream.chooser.kept(choice, bytes)
    return choice
  }
  assert.equal(see()?.reason, 'uncertain')
  assert.equal(see(), undefined)
  stream.restart()
  assert.equal(see(), undefined)
})

test('random frames are kept at their rate beside everything else, duplicates or not', () => {
  const seed = 3
  const stream = new Stream(only('random'), seed)
  const looks = looksAt(0.1)
  let kept = 0
  for (let at = 0; at < 4 * dayMs; at += 5_000) {
    stream.pass(5_000)
    const choice = stream.frame(0.9, looks)
    if (!choice) continue
    kept++
    assert.equal(choice.reason, 'random')
    assert.ok(Math.abs(choice.probability - 5_000 / (dayMs / 10)) < 1e-9)
    assert.match(choice.why, /it stands for 5000 ms/)
  }
  assert.ok(Math.abs(kept - 40) <= 1, `${kept} kept, seed ${seed}`)
})

test('what a person asks for is kept whatever was spent, and only so often', () => {
  const stream = new Stream({
    ...only('uncertain'),
    budget: { framesPerDay: 0, bytesPerDay: 0, randomShare: 0 },
  })
  stream.pass(5_000)
  assert.equal(stream.frame(0.4), undefined)
  stream.chooser.ask({ reason: 'asked', frames: 2, why: 'anna asked for it', withinMs: 60_000 })
  const kept: (Choice | undefined)[] = []
  for (let i = 0; i < 20; i++) {
    stream.pass(1_000)
    kept.push(stream.frame(0.9))
  }
  const choices = kept.filter((choice) => choice !== undefined)
  assert.deepEqual(
    choices.map(({ reason, why, probability }) => [reason, why, probability]),
    Array.from({ length: 2 }, () => ['asked', 'anna asked for it', 1]),
  )
  stream.chooser.ask({ reason: 'asked', frames: 2, why: 'too late', withinMs: 500 })
  stream.pass(3_000)
  assert.equal(stream.frame(0.9), undefined)
})

test('where two models differ is a reason for the next frame, within the budget', () => {
  const stream = new Stream(only('disagreement'))
  const differ = () =>
    stream.chooser.ask({ reason: 'disagreement', frames: 1, why: '40 %', withinMs: 1_000 })
  let kept = 0
  for (let i = 0; i < 600; i++) {
    stream.pass(3_000)
    differ()
    if (stream.frame(0.9)?.reason === 'disagreement') kept++
  }
  assert.ok(kept > 3 && kept < 40, `${kept} kept`)
  stream.pass(3_000)
  assert.equal(stream.frame(0.9), undefined)
})

test('wishes count what would be kept without a budget', () => {
  const stream = new Stream({
    ...only('uncertain'),
    budget: { framesPerDay: 0, bytesPerDay: 0, randomShare: 0 },
  })
  for (let i = 0; i < 10; i++) {
    stream.pass(2_000)
    stream.frame(0.4)
  }
  assert.equal(stream.chooser.takeWishes(), 10)
  assert.equal(stream.chooser.takeWishes(), 0)
})
