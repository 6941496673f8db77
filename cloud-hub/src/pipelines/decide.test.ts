/** What a pipeline does next: by what a round begins, what holds it up, and what becomes of a step that fails. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type DriftKind,
  type PipelineRequest,
  type PipelineStepName,
  pipelineOf,
  pipelineSteps,
} from '@edgeloop/protocol'
import fc from 'fast-check'
import { type Decision, decide, type Facts, retryMsFirst, type StepFacts } from './decide.ts'
import { type KeptPipeline, type KeptRound, type KeptStep, stepAhead } from './pipeline-rows.ts'

const now = 1_700_000_000_000
const hourMs = 3_600_000

const pipeline = (
  more: Partial<KeptPipeline> = {},
  request: Partial<PipelineRequest> = {},
): KeptPipeline => ({
  model: 'parts',
  config: pipelineOf({ dataset: 'parts', ...request }),
  parked: null,
  asked: null,
  alarms: [],
  alarmsThrough: 0,
  dueAt: null,
  hurry: false,
  sitesBehind: {},
  by: 'ada',
  createdAt: now - 100 * hourMs,
  changedAt: now,
  revision: 1,
  ...more,
})

const round = (
  more: Partial<KeptRound> = {},
  steps: Partial<Record<PipelineStepName, Partial<KeptStep>>> = {},
  request: Partial<PipelineRequest> = {},
): KeptRound => ({
  model: 'parts',
  round: 1,
  state: 'running',
  why: 'as before',
  by: 'ada',
  annotations: 3,
  cause: { kind: 'asked', text: '' },
  config: pipelineOf({ dataset: 'parts', ...request }),
  datasetVersion: 1,
  version: 2,
  championBefore: 1,
  crowned: true,
  key: null,
  sites: [],
  startedAt: now - hourMs,
  endedAt: null,
  revision: 4,
  ...more,
  steps: pipelineSteps.map((name) => ({ ...stepAhead(name), ...steps[name] })),
})

const alarm = (kind: DriftKind, alarmId = 1) => ({
  alarmId,
  kind,
  at: new Date(now).toISOString(),
  stream: 'gate/one',
  text: 'darker',
})

const said = (annotations: number): Facts => ({ annotations })
const causeOf = (decision: Decision) =>
  decision.act === 'begin' ? `${decision.cause.kind}: ${decision.cause.text}` : undefined
const whyOf = (decision: Decision) => ('why' in decision ? decision.why : undefined)

test('a round begins by labels, by drift with labels to answer it, by the clock, or because somebody asked', () => {
  const by = (trigger: PipelineRequest['trigger'], given: Partial<KeptPipeline>, count: number) =>
    decide(pipeline(given, { trigger: trigger ?? {} }), undefined, said(count), now)
  assert.equal(
    causeOf(by({ annotations: 200 }, {}, 200)),
    'annotations: 200 of 200 new annotations',
  )
  assert.match(whyOf(by({ annotations: 200 }, {}, 199)) ?? '', /^Waits: 199 of 200 new/)
  const drift = { drift: { kinds: [], annotationsMin: 20 } }
  const alarms = [alarm('data'), alarm('output', 2)]
  assert.equal(causeOf(by(drift, { alarms }, 20)), 'drift: Drift (data, output) on gate/one')
  assert.match(whyOf(by(drift, { alarms }, 19)) ?? '', /19 of 20 new annotations to answer it/)
  assert.match(whyOf(by(drift, { alarms: [alarm('camera-covered')] }, 90)) ?? '', /no drift alarm/)
  const covered = { drift: { kinds: ['camera-covered' as const], annotationsMin: 0 } }
  assert.match(causeOf(by(covered, { alarms: [alarm('camera-covered')] }, 0)) ?? '', /^drift/)
  const cron = { cron: '17 3 * * 1' }
  assert.match(causeOf(by(cron, { dueAt: now - 1 }, 1)) ?? '', /^calendar: Due since 2023-/)
  assert.match(whyOf(by(cron, {}, 1)) ?? '', /not due by "17 3 \* \* 1" yet/)
  assert.equal(causeOf(by({}, { asked: { by: 'bert', at: now } }, 0)), 'asked: Asked for by bert')
  assert.match(whyOf(by({}, {}, 1000)) ?? '', /^Nothing begins a round by itself/)
})

test('the time between two rounds, an open round and a parked pipeline hold up what is due', () => {
  const trigger = { annotations: 10, intervalMinMs: 2 * hourMs }
  const over = round({ state: 'done', startedAt: now - hourMs })
  const next = (given: Partial<KeptPipeline>, count = 10) =>
    decide(pipeline(given, { trigger }), over, said(count), now)
  assert.match(whyOf(next({})) ?? '', /^10 of 10 new annotations; not before .*2 hours after/)
  assert.match(causeOf(next({ hurry: true })) ?? '', /^annotations/)
  assert.match(causeOf(next({ asked: { by: 'ada', at: now } })) ?? '', /^asked/)
  const later = decide(pipeline({}, { trigger }), over, said(10), now + hourMs)
  assert.match(causeOf(later) ?? '', /^annotations/)
  assert.match(whyOf(next({ parked: { by: 'ada', at: 0 }, hurry: true })) ?? '', /parked by ada$/)
  // By the clock nothing begins where nothing is new; the first round is always new.
  const cron = { trigger: { cron: '17 3 * * 1' } }
  const due = pipeline({ dueAt: now - 1 }, cron)
  assert.match(whyOf(decide(due, over, said(0), now)) ?? '', /nothing is newly said/)
  assert.match(causeOf(decide(due, undefined, said(0), now)) ?? '', /^calendar/)
})

const through = { state: 'done', attempt: 1 } as const
const facts = (step: StepFacts): Facts => ({ annotations: 0, step })

test('what fails is tried again after a while, as often as it may, and then somebody has to look', () => {
  const at = (attempt: number, retries: number, final = false) =>
    decide(
      pipeline(),
      round({}, { freeze: through, train: { state: 'running', attempt } }, { retries }),
      facts({ kind: 'failed', why: 'NaN in step 7', final }),
      now,
    )
  assert.deepEqual(at(1, 2), {
    act: 'retry',
    step: 'train',
    at: now + retryMsFirst,
    why: 'NaN in step 7',
  })
  assert.deepEqual(at(2, 2), {
    act: 'retry',
    step: 'train',
    at: now + 2 * retryMsFirst,
    why: 'NaN in step 7',
  })
  const parked = { act: 'park', step: 'train', why: 'NaN in step 7' }
  assert.deepEqual([at(3, 2), at(1, 0), at(1, 5, true)], [parked, parked, parked])
  const waiting = round(
    {},
    { freeze: { state: 'waiting', attempt: 1, retryAt: now + 5, why: 'x' } },
  )
  assert.equal(decide(pipeline(), waiting, said(0), now).act, 'wait')
  assert.equal(decide(pipeline(), waiting, said(0), now + 5).act, 'start')
  assert.equal(decide(pipeline({ hurry: true }), waiting, said(0), now).act, 'start')
  const stuck = round({ state: 'parked' }, { freeze: { state: 'failed', attempt: 3 } })
  assert.equal(decide(pipeline({ asked: { by: 'x', at: 0 } }), stuck, said(999), now).act, 'wait')
})

test('a version that waits for approval is offered to nobody before it', () => {
  const built = {
    freeze: through,
    train: through,
    gate: through,
    compile: through,
    publish: through,
  }
  const config = { rollout: { approve: true } }
  const ahead = decide(pipeline(), round({}, built, config), said(0), now)
  assert.deepEqual([ahead.act, 'state' in ahead && ahead.state], ['note', 'waiting'])
  const waits = (more: Partial<KeptStep>) =>
    round({}, { ...built, rollout: { state: 'waiting', ...more } }, config)
  assert.equal(decide(pipeline(), waits({}), said(0), now).act, 'wait')
  assert.equal(decide(pipeline(), waits({ approvedBy: 'ada' }), said(0), now).act, 'start')
  const parked = pipeline({ parked: { by: 'bert', at: 0 } })
  assert.equal(decide(parked, waits({ approvedBy: 'ada' }), said(0), now).act, 'wait')
  const free = decide(pipeline(), round({}, built), said(0), now)
  assert.deepEqual(free, { act: 'start', step: 'rollout' })
})

test('a round that is refused or stopped ends, and one that is through is done', () => {
  const gated = round(
    {},
    { freeze: through, train: through, gate: { state: 'running', attempt: 1 } },
  )
  const refused = { kind: 'ended', state: 'refused', why: 'worse' } as const
  assert.deepEqual(decide(pipeline(), gated, facts(refused), now), {
    act: 'end',
    state: 'refused',
    why: 'worse',
  })
  const all = Object.fromEntries(pipelineSteps.map((name) => [name, through]))
  const done = decide(pipeline(), round({}, all), said(0), now)
  assert.deepEqual(done, { act: 'end', state: 'done', why: 'Version 2 runs on its boxes' })
})

test('whatever is known, a round goes through its steps in their order, and never two at once', () => {
  const known: fc.Arbitrary<StepFacts> = fc.oneof(
    fc.constant({ kind: 'missing' } as const),
    fc.constant({ kind: 'going', why: 'on', progress: 0.5 } as const),
    fc.constant({ kind: 'held', why: 'yes?' } as const),
    fc.constantFrom('done' as const, 'skipped' as const).map((kind) => ({ kind, why: '' })),
    fc.boolean().map((final) => ({ kind: 'failed', why: 'no', final }) as const),
  )
  fc.assert(
    fc.property(fc.array(known, { maxLength: 40 }), fc.boolean(), (news, approve) => {
      let at = now
      let one = round({}, {}, { rollout: { approve } })
      const put = (name: PipelineStepName, step: Partial<KeptStep>) => {
        one = { ...one, steps: one.steps.map((s) => (s.name === name ? { ...s, ...step } : s)) }
      }
      for (const news1 of news) {
        at += 2 * hourMs
        const decision = decide(pipeline(), one, facts(news1), at)
        if ('step' in decision) {
          const index = pipelineSteps.indexOf(decision.step)
          const before = one.steps.slice(0, index)
          assert(before.every(({ state }) => state === 'done' || state === 'skipped'))
          assert(one.steps.slice(index + 1).every(({ state }) => state === 'ahead'))
        }
        const attempt =
          'step' in decision ? one.steps.find((s) => s.name === decision.step)!.attempt : 0
        if (decision.act === 'start')
          put(decision.step, { state: 'running', attempt: attempt + 1, retryAt: null })
        else if (decision.act === 'finish') put(decision.step, { state: decision.state })
        else if (decision.act === 'retry')
          put(decision.step, { state: 'waiting', retryAt: decision.at })
        else if (decision.act === 'note') put(decision.step, { state: decision.state })
        else if (decision.act === 'park') {
          assert(attempt <= one.config.retries + 1)
          break
        } else if (decision.act === 'wait') put('rollout', { approvedBy: 'ada' })
        else if (decision.act === 'end') {
          assert(one.steps.every(({ state }) => state === 'done' || state === 'skipped'))
          break
        }
      }
    }),
    { numRuns: 200 },
  )
})

test('a clock that jumps holds nothing up for longer than it would be held up anyway', () => {
  const dayMs = 24 * hourMs
  const late = now + 400 * dayMs
  // A step was to be tried again by a clock that was more than a year ahead.
  const waits = round({}, { freeze: { state: 'waiting', attempt: 3, retryAt: late + 60_000 } })
  assert.deepEqual(decide(pipeline(), waits, said(0), now), { act: 'start', step: 'freeze' })
  // A little ahead is waited for, as it may be the clock of another hub.
  const soon = round({}, { freeze: { state: 'waiting', attempt: 1, retryAt: now + 90_000 } })
  assert.equal(decide(pipeline(), soon, said(0), now).act, 'wait')
  // And one that jumped forth: it is tried, once, and the next wait is as long as ever.
  assert.equal(decide(pipeline(), soon, said(0), late).act, 'start')
  const again = decide(
    pipeline(),
    round({}, { freeze: { state: 'running', attempt: 1 } }),
    { annotations: 0, step: { kind: 'failed', why: 'it is down' } },
    late,
  )
  assert.deepEqual(again.act === 'retry' && again.at - late, retryMsFirst)

  // The last round began by that clock: a week after it is a year away.
  const trigger = { annotations: 10, intervalMinMs: 7 * dayMs }
  const over = (startedAt: number) => round({ state: 'done', startedAt, endedAt: startedAt })
  const due = pipeline({}, { trigger })
  assert.equal(decide(due, over(late), said(12), now).act, 'begin')
  assert.equal(decide(due, over(now + hourMs), said(12), now).act, 'wait', 'set back by an hour')
  assert.equal(decide(due, over(now - dayMs), said(12), now).act, 'wait')
  assert.equal(decide(due, over(now - dayMs), said(12), late).act, 'begin')
})
