/**
 * What a pipeline does next, from what is known of it, of its newest round and of the step that round is at. Pure: asked
 * again after everything that was done, it says what is left, so a hub that dies in between loses nothing.
 */
import {
  isRoundOver,
  learnableDrift,
  type PipelineAlarm,
  type PipelineCause,
  type PipelineCheck,
  type PipelineRoundState,
  type PipelineStepName,
} from '@edgeloop/protocol'
import { currentStep, type KeptPipeline, type KeptRound } from './pipeline-rows.ts'

/** Wait before the second try of a step; each further one is twice as long. */
export const retryMsFirst = 60_000
export const retryMsMax = 3_600_000
/** A round that began so long after now did so by a clock that was wrong, and has been set back. */
const clockAheadMs = 86_400_000

/** What is known of a step that was begun. */
export type StepFacts =
  /** What it keeps ids for is not there: it was to be begun when the hub died. */
  | { readonly kind: 'missing' }
  | { readonly kind: 'going'; readonly why: string; readonly progress: number | null }
  /** For somebody, outside of the pipeline or in it. */
  | { readonly kind: 'held'; readonly why: string }
  | { readonly kind: 'done' | 'skipped'; readonly why: string }
  /** `final` where another try would end as this one did. */
  | { readonly kind: 'failed'; readonly why: string; readonly final?: boolean }
  /** It did what it should, and the round ends with it. */
  | { readonly kind: 'ended'; readonly state: 'refused' | 'stopped'; readonly why: string }

export type Facts = {
  /** Samples that something is newly said of since the last round froze the dataset. */
  readonly annotations: number
  /** Of the step the round is at, where that was begun. */
  readonly step?: StepFacts | undefined
}

export type Decision =
  | { readonly act: 'wait'; readonly why: string }
  | { readonly act: 'begin'; readonly cause: PipelineCause }
  | { readonly act: 'start'; readonly step: PipelineStepName }
  /** What was to be begun is begun, with the ids that were kept. */
  | { readonly act: 'begin-again'; readonly step: PipelineStepName }
  | {
      readonly act: 'note'
      readonly step: PipelineStepName
      readonly state: 'running' | 'waiting'
      readonly why: string
      readonly progress: number | null
    }
  | {
      readonly act: 'finish'
      readonly step: PipelineStepName
      readonly state: 'done' | 'skipped'
      readonly why: string
    }
  | {
      readonly act: 'retry'
      readonly step: PipelineStepName
      readonly at: number
      readonly why: string
    }
  | { readonly act: 'park'; readonly step: PipelineStepName; readonly why: string }
  | {
      readonly act: 'end'
      readonly state: Exclude<PipelineRoundState, 'running' | 'parked' | 'cancelled'>
      readonly why: string
    }

/** @param round the newest; undefined before the first */
export function decide(
  pipeline: KeptPipeline,
  round: KeptRound | undefined,
  facts: Facts,
  now: number,
): Decision {
  if (!round || isRoundOver(round)) return decideBegin(pipeline, round, facts, now)
  const step = currentStep(round)
  if (!step) return { act: 'end', state: 'done', why: doneText(round) }
  if (round.state === 'parked' || step.state === 'failed') return { act: 'wait', why: round.why }
  const { name } = step
  if (step.state === 'ahead') {
    if (pipeline.parked) return { act: 'wait', why: parkedText(pipeline) }
    if (name !== 'rollout' || !round.config.rollout?.approve || step.approvedBy !== '') {
      return { act: 'start', step: name }
    }
    const why = `Waits for approval before version ${round.version ?? ''} is offered to boxes`
    return { act: 'note', step: name, state: 'waiting', why, progress: null }
  }
  if (step.state === 'waiting' && step.retryAt !== null) {
    // No wait is that long: the clock was ahead when it was written down.
    const isAhead = step.retryAt - now > retryMsMax
    const isDue = now >= step.retryAt || isAhead || pipeline.hurry
    if (isDue && !pipeline.parked) return { act: 'start', step: name }
    return { act: 'wait', why: step.why }
  }
  if (name === 'rollout' && step.state === 'waiting' && step.attempt === 0) {
    if (step.approvedBy === '') return { act: 'wait', why: step.why }
    return pipeline.parked
      ? { act: 'wait', why: parkedText(pipeline) }
      : { act: 'start', step: name }
  }
  const known = facts.step
  if (!known) return { act: 'wait', why: step.why }
  switch (known.kind) {
    case 'missing':
      return { act: 'begin-again', step: name }
    case 'going':
      return { act: 'note', step: name, state: 'running', why: known.why, progress: known.progress }
    case 'held':
      return { act: 'note', step: name, state: 'waiting', why: known.why, progress: null }
    case 'done':
    case 'skipped':
      return { act: 'finish', step: name, state: known.kind, why: known.why }
    case 'ended':
      return { act: 'end', state: known.state, why: known.why }
    case 'failed': {
      const isLast = known.final === true || step.attempt > round.config.retries
      if (isLast) return { act: 'park', step: name, why: known.why }
      const wait = Math.min(retryMsMax, retryMsFirst * 2 ** Math.max(0, step.attempt - 1))
      return { act: 'retry', step: name, at: now + wait, why: known.why }
    }
  }
}

function decideBegin(
  pipeline: KeptPipeline,
  last: KeptRound | undefined,
  facts: Facts,
  now: number,
): Decision {
  const checks = checksOf(pipeline, last, facts.annotations, now)
  const stands = checks.find(({ kind, met }) => isObstacle(kind) && !met)
  const cause = causeOf(pipeline, checks)
  if (stands && !(stands.kind === 'interval' && cause?.kind === 'asked')) {
    return { act: 'wait', why: cause ? `${cause.text}; ${lower(stands.text)}` : stands.text }
  }
  if (cause) return { act: 'begin', cause }
  const waits = checks.filter(({ kind }) => !isObstacle(kind) && kind !== 'asked')
  const why =
    waits.length === 0
      ? 'Nothing begins a round by itself: start one by hand, or say what does'
      : `Waits: ${waits.map(({ text }) => lower(text)).join('; ')}`
  return { act: 'wait', why }
}

const isObstacle = (kind: PipelineCheck['kind']): boolean =>
  kind === 'interval' || kind === 'open' || kind === 'parked'

/** By hand first, then what is most particular. */
function causeOf(
  pipeline: KeptPipeline,
  checks: readonly PipelineCheck[],
): PipelineCause | undefined {
  const met = checks.find(({ kind, met }) => met && !isObstacle(kind))
  if (!met) return undefined
  const kind = met.kind as PipelineCause['kind']
  if (kind === 'asked') return { kind, text: `Asked for by ${pipeline.asked?.by ?? ''}` }
  return { kind, text: met.text }
}

/** Everything that a round begins by or waits for, each with how far it is. */
export function checksOf(
  pipeline: KeptPipeline,
  last: KeptRound | undefined,
  annotations: number,
  now: number,
): PipelineCheck[] {
  const { trigger } = pipeline.config
  const checks: PipelineCheck[] = []
  if (pipeline.asked) {
    checks.push({ kind: 'asked', met: true, text: `Asked for by ${pipeline.asked.by}` })
  }
  if (trigger.drift) {
    const alarms = countedAlarms(pipeline)
    const { annotationsMin } = trigger.drift
    const enough = annotations >= annotationsMin
    const text =
      alarms.length === 0
        ? 'No drift alarm of a stream that runs it'
        : `${alarmsText(alarms)}${enough ? '' : `; ${annotations} of ${annotationsMin} new annotations to answer it`}`
    checks.push({ kind: 'drift', met: alarms.length > 0 && enough, text })
  }
  if (trigger.annotations !== null) {
    const met = annotations >= trigger.annotations
    checks.push({
      kind: 'annotations',
      met,
      text: `${annotations} of ${trigger.annotations} new annotations`,
    })
  }
  if (trigger.cron !== null) {
    const isDue = pipeline.dueAt !== null
    const isNew = annotations > 0 || !last
    const text = isDue
      ? `Due since ${iso(pipeline.dueAt)}${isNew ? '' : ', and nothing is newly said'}`
      : `Not due by "${trigger.cron}" yet`
    checks.push({ kind: 'calendar', met: isDue && isNew, text })
  }
  const open = last !== undefined && !isRoundOver(last)
  checks.push({
    kind: 'open',
    met: !open,
    text: open ? `Round ${last.round} is not over` : 'No other round is open',
  })
  const notBefore = last ? last.startedAt + trigger.intervalMinMs : now
  const isAhead = last !== undefined && last.startedAt - now > clockAheadMs
  const waits = now < notBefore && !isAhead && !pipeline.hurry
  checks.push({
    kind: 'interval',
    met: !waits,
    text: waits
      ? `Not before ${iso(notBefore)}, ${durationText(trigger.intervalMinMs)} after the last round began`
      : 'Long enough after the last round',
  })
  checks.push({
    kind: 'parked',
    met: pipeline.parked === null,
    text: pipeline.parked ? parkedText(pipeline) : 'Nobody has parked it',
  })
  return checks
}

/** Alarms that count for this pipeline. */
export const countedAlarms = ({
  alarms,
  config,
}: Pick<KeptPipeline, 'alarms' | 'config'>): PipelineAlarm[] => {
  const kinds = config.trigger.drift?.kinds ?? []
  return alarms.filter(({ kind }) => (kinds.length === 0 ? learnableDrift : kinds).includes(kind))
}

const alarmsText = (alarms: readonly PipelineAlarm[]): string => {
  const streams = [...new Set(alarms.map(({ stream }) => stream))]
  const kinds = [...new Set(alarms.map(({ kind }) => kind))].join(', ')
  const more = streams.length > 3 ? ` and ${streams.length - 3} more` : ''
  return `Drift (${kinds}) on ${streams.slice(0, 3).join(', ')}${more}`
}

const parkedText = ({ parked }: KeptPipeline): string => `Parked by ${parked?.by ?? 'nobody'}`

/** How a round that went through ended. */
function doneText({ version, config, steps }: KeptRound): string {
  const rollout = steps.find(({ name }) => name === 'rollout')
  const made = `Version ${version ?? ''}`
  if (config.rollout === null) return `${made} is published`
  return rollout?.state === 'skipped'
    ? `${made} is published; ${lower(rollout.why)}`
    : `${made} runs on its boxes`
}

const lower = (text: string): string => text.slice(0, 1).toLowerCase() + text.slice(1)
const iso = (at: number | null): string => (at === null ? 'never' : new Date(at).toISOString())

/** `7 days`, `90 minutes`. */
export function durationText(ms: number): string {
  const units = [
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
    ['second', 1000],
  ] as const
  const [name, size] = units.find(([, each]) => ms >= each && ms % each === 0) ?? ['ms', 1]
  const count = ms / size
  return name === 'ms' ? `${count} ms` : `${count} ${name}${count === 1 ? '' : 's'}`
}
