/**
 * What happens next with a rollout: pure, asked again after everything that changes, so it makes no difference what a hub did
 * before it died. Success is a device that has committed and is seen running the version afterwards; silence runs out of
 * time; each decision says why in a sentence (docs/decisions/0046).
 */
import {
  type BoxState,
  type Comparison,
  type RollBackScope,
  type RolloutPlan,
  type RolloutState,
  type StageGate,
  type UpdateCode,
  type UpdateState,
  updateStates,
} from '@edgeloop/protocol'
import { type Judged, judgeQuality } from './quality.ts'
import { type Opening, openingAt } from './windows.ts'

/** A device of a rollout, as far as decisions need it. Times are ms of the hub's clock. */
export type Box = {
  readonly deviceId: string
  readonly stage: number
  readonly state: BoxState
  /** Since when it is in this state. */
  readonly since: number
  readonly offeredAt: number | null
  /** First heard of after the offer: from here deadlines run. */
  readonly contactAt: number | null
  readonly confirmedAt: number | null
  /** It has been asked to go back, and has not said that it did. */
  readonly goingBack: boolean
  readonly code: UpdateCode | null
  /** The newest rollout that offered this model to this device is this one. */
  readonly current: boolean
  /** Digest of what it is to run. */
  readonly digest: string
  /** What it says that it runs counts from messages after this one: that of its commit, or the newest when it was asked to go back. */
  readonly afterSequence: number
  /** What it runs under that name as it said last, in which of its messages; null where it never did. */
  readonly running: {
    readonly digest: string
    readonly version: number
    readonly sequence: number
  } | null
  readonly shadow: Comparison | null
  readonly probation: Comparison | null
  readonly online: boolean
  readonly lastSeenAt: number | null
  /** Time zone of its site. */
  readonly zone: string
}

export type Rollout = {
  readonly state: RolloutState
  /** The stage that it is in, from 0. */
  readonly stage: number
  readonly plan: RolloutPlan
  /** One for each of the plan's, and one for the end. */
  readonly stages: readonly {
    readonly startedAt: number | null
    /** Somebody approved it. */
    readonly approved: boolean
    /** And to what its gate still wanted. */
    readonly regardless: boolean
  }[]
  /** Who goes back, of one that was stopped or aborted. */
  readonly scope: RollBackScope
  /** Devices on which an update of another rollout of the same trust had an integrity failure. */
  readonly integrityElsewhere: readonly string[]
  /** What a held one waits for; null where it is not held. */
  readonly held: { readonly stage: number; readonly regardless: boolean } | null
  /** Another rollout has some of its devices, and this one waits. */
  readonly busy: boolean
}

export type Decision = { readonly why: string } & (
  | { readonly act: 'begin' }
  /** A held one does not have to wait for anybody any more. */
  | { readonly act: 'go-on' }
  | { readonly act: 'offer'; readonly devices: readonly string[] }
  | { readonly act: 'confirm'; readonly deviceId: string }
  | { readonly act: 'time-out'; readonly deviceId: string; readonly goBack: boolean }
  | { readonly act: 'revoke'; readonly deviceId: string }
  | { readonly act: 'went-back'; readonly deviceId: string }
  | { readonly act: 'cancel'; readonly devices: readonly string[] }
  | { readonly act: 'roll-back'; readonly devices: readonly string[] }
  /** To a stage; the number of stages means the end. */
  | { readonly act: 'advance'; readonly stage: number }
  | { readonly act: 'hold'; readonly stage: number; readonly regardless: boolean }
  | {
      readonly act: 'stop'
      readonly cause: 'failures' | 'integrity' | 'quality'
      /** Every rollout of the same trust ends with it. */
      readonly everything: boolean
    }
)

/** Devices with an integrity failure at which everything stops: one may have a bad disk, two point at the hub or a mirror. */
export const integrityMax = 2
/** A committed device that is there so long after, and has not said that it runs anything else, still runs it. */
export const confirmMs = 10_000

const kindOf = (state: BoxState) => (state === 'waiting' ? 'waiting' : updateStates[state].kind)
export const isActive = ({ state }: Pick<Box, 'state'>): boolean => kindOf(state) === 'active'
/** True where the device's frames may already go to the new model. */
export const isTouched = ({ state }: Pick<Box, 'state'>): boolean =>
  state !== 'waiting' && updateStates[state].touches
/** It failed, and nobody asked it to. */
export const hasFailed = ({ state, code }: Pick<Box, 'state' | 'code'>): boolean =>
  kindOf(state) === 'failure' && code !== 'by-request'
/** Neither success nor failure. */
export const hasEnded = ({ state, code }: Pick<Box, 'state' | 'code'>): boolean =>
  kindOf(state) === 'ended' || (kindOf(state) === 'failure' && code === 'by-request')
export const isConfirmed = ({ state, confirmedAt }: Pick<Box, 'state' | 'confirmedAt'>): boolean =>
  state === 'committed' && confirmedAt !== null

export const isReachable = (
  { online, lastSeenAt }: Pick<Box, 'online' | 'lastSeenAt'>,
  reachableMs: number,
  now: number,
): boolean => online || (lastSeenAt !== null && lastSeenAt > now - reachableMs)

/** Failures at which a stage of so many devices stops. */
export const failuresStop = (gate: StageGate, devices: number): number =>
  Math.max(gate.failuresMax, Math.ceil(gate.failureShareMax * devices))

/**
 * @param boxes all devices of the rollout, in the order in which they are offered it
 * @returns what to do, in this order; empty where nothing is to be done before something changes
 */
export function decide(rollout: Rollout, boxes: readonly Box[], now: number): Decision[] {
  const openings = new Map<string, Opening | undefined>()
  const opening = (zone: string): Opening | undefined => {
    if (!openings.has(zone)) openings.set(zone, openingAt(rollout.plan.windows, zone, now))
    return openings.get(zone)
  }
  const decisions: Decision[] = []
  const after = boxes.map((box) => {
    const decision = decideBox(rollout, box, opening(box.zone), now)
    if (decision) decisions.push(decision)
    return decision ? changedBy(box, decision, now) : box
  })
  const { state } = rollout
  if (state === 'stopped' || state === 'aborted') return [...decisions, ...takeBack(rollout, after)]
  if (state === 'queued') {
    if (rollout.busy) return decisions
    return [...decisions, { act: 'begin', why: 'No other rollout of this model has its devices' }]
  }
  if (state === 'superseded') return decisions
  const stop = stopOf(rollout, after, now)
  if (stop) return [...decisions, stop]
  if (state === 'running' || state === 'held') {
    const step = stepOf(rollout, after, now)
    if (step && !isHeldFor(rollout, step)) return [...decisions, step]
    if (!step && state === 'held') {
      return [...decisions, { act: 'go-on', why: 'Devices of its stage are on their way again' }]
    }
  }
  if (state !== 'paused') {
    const offer = offerOf(rollout, after, opening, now)
    if (offer) decisions.push(offer)
  }
  return decisions
}

const isHeldFor = ({ held }: Rollout, step: Decision): boolean =>
  step.act === 'hold' && held?.stage === step.stage && held.regardless === step.regardless

/** What the facts about one device say, whatever the others do. */
function decideBox(
  { plan }: Rollout,
  box: Box,
  opening: Opening | undefined,
  now: number,
): Decision | undefined {
  const { deviceId, running } = box
  const tellsOther =
    running !== null && running.digest !== box.digest && running.sequence > box.afterSequence
  if (box.goingBack) {
    if (!tellsOther) return undefined
    if (box.state === 'committed' || hasFailed(box)) {
      return { act: 'went-back', deviceId, why: `It runs ${versionText(running.version)} again` }
    }
    return undefined
  }
  if (box.state === 'committed' && box.current) {
    // A newer one was carried there by hand: nothing was wrong with this one.
    if (tellsOther && running.version > plan.version) return undefined
    if (tellsOther) {
      const why = `It had committed version ${plan.version}, and now runs ${versionText(running.version)}`
      return { act: 'revoke', deviceId, why }
    }
    if (box.confirmedAt === null && running?.digest === box.digest) {
      const saidAgain = running.sequence > box.afterSequence
      const heardAt = box.online ? now : (box.lastSeenAt ?? 0)
      const heardSince = heardAt >= box.since + confirmMs
      if (saidAgain || heardSince) {
        return {
          act: 'confirm',
          deviceId,
          why: `It was seen running version ${plan.version} after it committed`,
        }
      }
    }
    return undefined
  }
  const deadline = deadlineOf(box, plan, opening)
  if (deadline === undefined || now <= deadline) return undefined
  const minutes = Math.round((now - box.since) / 60_000)
  const why = `It was ${box.state} for ${minutes} minutes without a word of more`
  return { act: 'time-out', deviceId, goBack: isTouched(box), why }
}

const versionText = (version: number): string =>
  version === 0 ? "the box's own file" : `version ${version}`

/** When an update times out in its state, ms; undefined where it does not: nothing runs before the first contact, or out of a window. */
export function deadlineOf(
  box: Pick<Box, 'state' | 'since' | 'contactAt'>,
  { deadlines, care, jitterMs }: Pick<RolloutPlan, 'deadlines' | 'care' | 'jitterMs'>,
  opening: Opening | undefined,
): number | undefined {
  const { state } = box
  if (!isActive(box) || box.contactAt === null || opening === undefined) return undefined
  const extra =
    state === 'shadowing'
      ? 3 * care.shadowMs
      : state === 'probation'
        ? care.probationMs
        : state === 'downloading'
          ? jitterMs
          : 0
  const usual = updateStates[state as UpdateState].deadlineMs
  const from = Math.max(box.since, box.contactAt, opening.from)
  return from + ((deadlines as Record<string, number>)[state] ?? usual) + extra
}

/** A device as it is once a decision about it was carried out. */
export function changedBy<B extends Box>(box: B, decision: Decision, now: number): B {
  switch (decision.act) {
    case 'confirm':
      return { ...box, confirmedAt: now }
    case 'time-out':
      return {
        ...box,
        state: 'timed-out',
        code: 'deadline',
        since: now,
        goingBack: decision.goBack,
        afterSequence: box.running?.sequence ?? 0,
      }
    case 'revoke':
      return { ...box, state: 'rolled-back', since: now }
    case 'went-back':
      return hasFailed(box)
        ? { ...box, goingBack: false }
        : { ...box, state: 'rolled-back', code: 'by-request', since: now, goingBack: false }
    default:
      return box
  }
}

/** Of a rollout that ended early: what runs goes back as far as it was asked, what has not come that far is called off. */
function takeBack({ scope, stage }: Rollout, boxes: readonly Box[]): Decision[] {
  const open = boxes.filter((box) => box.current && !box.goingBack)
  const inScope = (box: Box) => scope === 'all' || (scope === 'stage' && box.stage === stage)
  const back = open.filter((box) => isTouched(box) && inScope(box))
  // What is activated and not in scope proves itself as it would have.
  const off = open.filter((box) => isActive(box) && !isTouched(box))
  return [
    ...(off.length > 0
      ? [
          {
            act: 'cancel',
            devices: off.map(idOf),
            why: `Called off on ${devicesText(off.length)}`,
          } as const,
        ]
      : []),
    ...(back.length > 0
      ? [
          {
            act: 'roll-back',
            devices: back.map(idOf),
            why: `${devicesText(back.length)} go back`,
          } as const,
        ]
      : []),
  ]
}

const idOf = ({ deviceId }: Box): string => deviceId
const devicesText = (count: number): string => (count === 1 ? '1 device' : `${count} devices`)

/** What a stage's devices add up to. */
export type StageFacts = {
  readonly devices: number
  readonly confirmed: number
  readonly failed: number
  /** Reachable, or through with it. */
  readonly heard: number
  /** Of them, those that may still come through. */
  readonly remaining: number
  /** Failures at which it stops. */
  readonly failuresStop: number
  /** When the soak ends; undefined while too few came through. */
  readonly soakUntil: number | undefined
  readonly quality: Judged
}

export function stageFacts(
  plan: RolloutPlan,
  stage: number,
  boxes: readonly Box[],
  now: number,
): StageFacts {
  const { gate, soakMs } = stageOf(plan, stage)
  const members = boxes.filter((box) => box.stage === stage && !hasEnded(box))
  const confirmedAt = members.flatMap((box) => (isConfirmed(box) ? [box.confirmedAt ?? 0] : []))
  const failed = members.filter(hasFailed).length
  const remaining = members.filter(
    (box) => !isConfirmed(box) && !hasFailed(box) && isReachable(box, plan.reachableMs, now),
  ).length
  const heard = confirmedAt.length + failed + remaining
  // The soak runs from the device that made it enough: stragglers do not begin it anew.
  const enough = Math.max(1, Math.ceil(gate.committedShareMin * heard - 1e-9))
  const reached = confirmedAt.sort((a, b) => a - b)[enough - 1]
  return {
    devices: members.length,
    confirmed: confirmedAt.length,
    failed,
    heard,
    remaining,
    failuresStop: failuresStop(gate, members.length),
    soakUntil: reached === undefined ? undefined : reached + soakMs,
    quality: judgeQuality(members, gate),
  }
}

function stageOf(plan: RolloutPlan, stage: number) {
  const found = plan.stages[stage]
  if (!found) throw new Error(`Cannot find stage ${stage} of ${plan.stages.length}`)
  return found
}

/** Why it must stop now, or undefined. Stages that were passed are looked at too: devices fall back later. */
function stopOf(rollout: Rollout, boxes: readonly Box[], now: number): Decision | undefined {
  const { plan } = rollout
  const damaged = new Set([
    ...boxes.filter((box) => hasFailed(box) && box.code === 'integrity').map(idOf),
    ...rollout.integrityElsewhere,
  ])
  const own = boxes.some((box) => hasFailed(box) && box.code === 'integrity')
  if (own && damaged.size >= integrityMax) {
    const why = `${damaged.size} devices received what was not signed: somebody may have changed the hub or a mirror; every rollout stops`
    return { act: 'stop', cause: 'integrity', everything: true, why }
  }
  for (const [index, { name, gate }] of plan.stages.entries()) {
    if (rollout.stages[index]?.startedAt === null) break
    const facts = stageFacts(plan, index, boxes, now)
    const executed = facts.confirmed + facts.failed
    if (
      facts.failed >= facts.failuresStop &&
      executed >= Math.min(gate.executedMin, facts.devices)
    ) {
      const why = `${facts.failed} of ${devicesText(facts.devices)} of stage "${name}" failed, and it stops at ${facts.failuresStop}: ${reasonsOf(boxes, index)}`
      return { act: 'stop', cause: 'failures', everything: false, why }
    }
    const { verdict, crashed } = facts.quality
    if (verdict !== '')
      return {
        act: 'stop',
        cause: 'quality',
        everything: false,
        why: `Stage "${name}": ${verdict}`,
      }
    if (crashed >= facts.failuresStop) {
      const why = `Stage "${name}": it crashed on ${devicesText(crashed)}, and it stops at ${facts.failuresStop}`
      return { act: 'stop', cause: 'quality', everything: false, why }
    }
  }
  return undefined
}

/** What devices of a stage failed of, the most frequent first. */
function reasonsOf(boxes: readonly Box[], stage: number): string {
  const counts = new Map<string, number>()
  for (const box of boxes) {
    if (box.stage !== stage || !hasFailed(box)) continue
    const what = box.code ?? box.state
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([what, count]) => (count > 1 ? `${what} (${count})` : what))
    .join(', ')
}

/** What the gate of a stage says: open, or what it still wants; `short` where waiting will not help. */
export function gateOf(
  plan: RolloutPlan,
  stage: number,
  facts: StageFacts,
  now: number,
):
  | { readonly open: true }
  | { readonly open: false; readonly wants: string; readonly short: boolean } {
  const { gate, name } = stageOf(plan, stage)
  const closed = (wants: string, short = false) => ({ open: false, wants, short }) as const
  const { devices, confirmed, heard, remaining, quality } = facts
  if (devices === 0) return { open: true }
  if (heard < gate.reachableShareMin * devices || heard === 0) {
    return closed(
      `${heard} of ${devicesText(devices)} of stage "${name}" can be reached, ${percent(gate.reachableShareMin)} are wanted`,
    )
  }
  if (confirmed < gate.committedShareMin * heard - 1e-9) {
    const text = `${confirmed} of ${heard} reachable devices of stage "${name}" run it, ${percent(gate.committedShareMin)} are wanted`
    return closed(text, remaining === 0)
  }
  if (facts.soakUntil !== undefined && now < facts.soakUntil) {
    return closed(`Stage "${name}" soaks until ${new Date(facts.soakUntil).toISOString()}`)
  }
  if (quality.doubt !== '') return closed(`Stage "${name}": ${quality.doubt}`, remaining === 0)
  return { open: true }
}

const percent = (share: number): string => `${+(share * 100).toFixed(1)} %`

/** The next stage, or what somebody has to say before it. */
function stepOf(rollout: Rollout, boxes: readonly Box[], now: number): Decision | undefined {
  const { plan, stage, stages } = rollout
  const begun = stages[stage]?.startedAt !== null
  const next = begun ? stage + 1 : stage
  const nextName = plan.stages[next]?.name
  let why = 'It begins'
  if (begun) {
    const facts = stageFacts(plan, stage, boxes, now)
    const gate = gateOf(plan, stage, facts, now)
    const name = stageOf(plan, stage).name
    if (!gate.open && !stages[next]?.regardless) {
      if (!gate.short) return undefined
      const text = `${gate.wants}; retry those that failed, or approve it to go on regardless`
      return { act: 'hold', stage: next, regardless: true, why: text }
    }
    const passed =
      facts.devices === 0
        ? `Stage "${name}" has no device left`
        : `${facts.confirmed} of ${facts.heard} reachable devices of stage "${name}" run it well`
    why = gate.open ? passed : `Approved regardless: ${gate.wants}`
  }
  const isAsked =
    next < plan.stages.length &&
    (plan.approval === 'every-stage' || (plan.approval === 'after-canary' && next === 1))
  if (isAsked && !stages[next]?.approved) {
    return {
      act: 'hold',
      stage: next,
      regardless: false,
      why: `${why}; stage "${nextName}" waits for approval`,
    }
  }
  return { act: 'advance', stage: next, why }
}

/** Offers per minute now: it doubles with what came through. */
export function offersPerMinute({ rate }: Pick<RolloutPlan, 'rate'>, confirmed: number): number {
  const doublings = rate.doubledAfter === 0 ? 0 : Math.floor(confirmed / rate.doubledAfter)
  return Math.min(rate.perMinuteMax, rate.perMinute * 2 ** Math.min(doublings, 30))
}

function offerOf(
  { plan, stage, stages }: Rollout,
  boxes: readonly Box[],
  opening: (zone: string) => Opening | undefined,
  now: number,
): Decision | undefined {
  if (stages[stage]?.startedAt === null) return undefined
  const due = boxes.filter(
    (box) =>
      box.state === 'waiting' &&
      box.stage <= stage &&
      isReachable(box, plan.reachableMs, now) &&
      opening(box.zone) !== undefined,
  )
  if (due.length === 0) return undefined
  const perMinute = offersPerMinute(plan, boxes.filter(isConfirmed).length)
  const devices = due.slice(0, budgetOf(perMinute, boxes, now)).map(idOf)
  if (devices.length === 0) return undefined
  return { act: 'offer', devices, why: `Offered to ${devicesText(devices.length)}` }
}

/** How many may be offered it now: never more than the rate in any minute, and of these a sixth in ten seconds. */
function budgetOf(perMinute: number, boxes: readonly Box[], now: number): number {
  const room = (windowMs: number, most: number) => {
    const recent = boxes.filter(({ offeredAt }) => offeredAt !== null && offeredAt > now - windowMs)
    return most - recent.length
  }
  // Less than one in a minute: one in as many minutes.
  const slowMs = 60_000 * Math.max(1, 1 / perMinute)
  return Math.max(
    0,
    Math.min(
      room(slowMs, Math.max(1, Math.floor(perMinute))),
      room(10_000, Math.max(1, Math.ceil(perMinute / 6))),
    ),
  )
}
