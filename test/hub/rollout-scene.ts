/** A rollout as a hub would show it in the middle of its second stage: boxes in many states, with figures that differ. */
import { createHash, randomUUID } from 'node:crypto'
import {
  type BoxCounts,
  type BoxState,
  type Comparison,
  careDefaults,
  planDefaults,
  type RolloutBox,
  type RolloutDecision,
  type RolloutDetail,
  type RolloutState,
  stageDefaults,
  type UpdateCode,
  updateStateNames,
} from '@edgeloop/protocol'

const minuteMs = 60_000
const wholeBytes = 2_236_000
const deltaBytes = 121_000

export type RolloutScene = {
  readonly detail: RolloutDetail
  readonly boxes: readonly RolloutBox[]
}

/** @param devices their ids, in the order in which they are offered it; some forty show every state */
export function rolloutScene(
  devices: readonly { readonly deviceId: string; readonly name: string; readonly site: string }[],
  given: {
    readonly state: RolloutState
    readonly why?: string
    readonly version?: number
    readonly now?: number
    readonly note?: string
  },
): RolloutScene {
  const { state, why = '', version = 3, now = Date.now(), note = '' } = given
  const rolloutId = randomUUID()
  const ago = (minutes: number) => new Date(now - minutes * minuteMs).toISOString()
  const canary = Math.min(devices.length, 10)
  const second = Math.min(devices.length, canary + Math.ceil(devices.length * 0.25))
  const boxes = devices.map((device, at): RolloutBox => {
    const stage = at < canary ? 0 : at < second ? 1 : 2
    const { state: boxState, code, reason } = stateOf(at, stage, state)
    const passed = historyOf(boxState)
    const touched = passed.length > 1
    const compared = passed.includes('shadowing') ? comparison(at, code) : null
    const confirmed = boxState === 'committed' && at % 9 !== 8
    return {
      rolloutId,
      name: 'parts',
      version,
      deviceId: device.deviceId,
      deviceName: device.name,
      site: device.site,
      stage,
      state: boxState,
      attempt: 1,
      since: ago(40 - Math.min(38, at)),
      confirmedAt: confirmed ? ago(Math.max(1, 54 - at * 1.4)) : null,
      revoked: false,
      goingBack: false,
      code,
      reason,
      reachable: at % 11 !== 10,
      offeredAt: touched ? ago(60) : null,
      contactAt: touched ? ago(59) : null,
      deadlineAt: null,
      digest: digestOf(`parts ${version}`),
      target: 'x64-avx512',
      versionBefore: version - 1,
      bytes: {
        codec: touched ? 'delta' : '',
        total: touched ? deltaBytes : 0,
        done: boxState === 'downloading' ? Math.round(deltaBytes * 0.6) : touched ? deltaBytes : 0,
        fromHub: touched ? (at % 3 === 0 ? deltaBytes : Math.round(deltaBytes * 0.4)) : 0,
        fromMirrors: touched && at % 3 !== 0 ? Math.round(deltaBytes * 0.6) : 0,
        whole: wholeBytes,
      },
      history: passed.map((one, n) => ({
        state: one,
        at: ago(59 - n * 4),
      })),
      shadow: compared,
      probation: passed.includes('probation') ? compared : null,
    }
  })
  const stagePlans = stageDefaults(devices.length).filter((_, at) => at !== 1)
  const reached = state === 'held' ? 0 : state === 'complete' ? 2 : 1
  const stages = stagePlans.map((plan, at): RolloutDetail['stages'][number] => {
    const mine = boxes.filter((box) => box.stage === at)
    const counts = countsOf(mine)
    const seen = mine.flatMap(({ shadow }) => shadow ?? [])
    const mean = (figure: (one: Comparison) => number) =>
      seen.length < 3 ? null : seen.reduce((sum, one) => sum + figure(one), 0) / seen.length
    const failed = at === reached && state === 'stopped'
    return {
      name: plan.name,
      state: failed
        ? 'failed'
        : at < reached || state === 'complete'
          ? 'passed'
          : at === reached
            ? 'running'
            : 'ahead',
      counts,
      states: Object.fromEntries(
        [...Map.groupBy(mine, (box) => box.state)].map(([key, those]) => [key, those.length]),
      ),
      reachable: mine.filter((box) => box.reachable).length,
      failuresStop: at === 0 ? 2 : 3,
      quality: {
        devices: seen.length,
        frames: seen.reduce((sum, one) => sum + one.frames, 0),
        agreement: mean((one) => one.agreement),
        countDrift: mean((one) => one.countDrift),
        confidenceDrift: mean((one) => one.confidenceDrift),
        latencyRatio: mean((one) => one.latencyP95Ms / one.activeLatencyP95Ms),
        crashed: 0,
        verdict: failed ? 'Agreement is surely below 70 %' : '',
      },
      startedAt: at <= reached ? ago(60 - at * 25) : null,
      soakUntil: null,
      passedAt: at < reached ? ago(36) : null,
      approvedBy: at === 1 && reached === 1 ? 'anna' : '',
      wants: at === reached && !failed ? `${counts.active} boxes to come through` : '',
    }
  })
  const decisions: RolloutDecision[] = [
    ...(why === '' ? [] : [{ at: ago(1), act: state, text: why, by: '' }]),
    { at: ago(35), act: 'stage', text: 'Stage 2, 25 %, begins', by: '' },
    { at: ago(36), act: 'approved', text: 'Stage 2, 25 %', by: 'anna' },
    { at: ago(60), act: 'begun', text: `${devices.length} devices in 3 stages`, by: 'anna' },
  ]
  const sent = (way: 'fromHub' | 'fromMirrors') =>
    boxes.reduce((sum, { bytes }) => sum + bytes[way], 0)
  return {
    boxes,
    detail: {
      rollout: {
        rolloutId,
        name: 'parts',
        version,
        state,
        why,
        stage: reached,
        note,
        by: 'anna',
        stageName: stages[reached]?.name ?? '',
        stages: stages.length,
        counts: countsOf(boxes),
        offersPerMinute: state === 'running' ? 50 : 0,
        bytes: {
          fromHub: sent('fromHub'),
          fromMirrors: sent('fromMirrors'),
          whole: boxes.filter(({ bytes }) => bytes.total > 0).length * wholeBytes,
        },
        createdAt: ago(62),
        startedAt: ago(60),
        endedAt: null,
        revision: 7,
      },
      plan: {
        ...planDefaults,
        windows: [],
        name: 'parts',
        version,
        note,
        care: careDefaults,
        select: { all: true },
        stages: stagePlans,
        approval: 'after-canary',
      },
      stages,
      decisions,
      leftOut: [
        { reason: 'no published file is for its kind of box', devices: 1, first: ['arm-7'] },
      ],
      supersededBy: null,
    },
  }
}

const digestOf = (text: string) => createHash('sha256').update(text).digest('hex')

/** States that a box was in before, and is. */
function historyOf(state: BoxState): (typeof updateStateNames)[number][] {
  const active = updateStateNames.slice(0, updateStateNames.indexOf('committed'))
  if (state === 'waiting') return []
  const at = active.indexOf(state)
  if (at >= 0) return active.slice(0, at + 1)
  return state === 'timed-out'
    ? [...active.slice(0, 2), state]
    : state === 'rejected'
      ? ['offered', state]
      : [...active, state]
}

function stateOf(
  at: number,
  stage: number,
  rollout: RolloutState,
): { state: BoxState; code: UpdateCode | null; reason: string } {
  const well = (state: BoxState) => ({ state, code: null, reason: '' })
  if (stage === 0 || rollout === 'complete') return well('committed')
  if (stage > 1 || rollout === 'held') return well('waiting')
  const turn = (at - 10) % 8
  if (turn === 3) {
    const reason = 'Agreement with the active model 0.41, at least 0.6 is asked'
    return { state: 'rolled-back', code: 'probation-disagreement', reason }
  }
  if (turn === 5) {
    const reason = 'p95 of the inference 1.61 × that of the active model, allowed 1.25'
    return { state: 'failed', code: 'shadow-slow', reason }
  }
  const ways = ['committed', 'probation', 'shadowing', '', 'downloading', '', 'probed', 'committed']
  return well(ways[turn] as BoxState)
}

/** Figures of one box, no two alike. */
function comparison(at: number, code: UpdateCode | null): Comparison {
  const wave = Math.sin(at * 2.3)
  const slow = code === 'shadow-slow'
  const wrong = code === 'probation-disagreement'
  const active = 18 + wave * 2
  return {
    frames: 1200 + at,
    agreement: wrong ? 0.41 : 0.9 + wave * 0.06,
    latencyP95Ms: active * (slow ? 1.61 : 1.02 + wave * 0.05),
    activeLatencyP95Ms: active,
    detections: 2.9 + wave * 0.2,
    activeDetections: 3,
    confidence: 0.82,
    activeConfidence: 0.8,
    countDrift: wrong ? -5.2 : wave * 1.4,
    confidenceDrift: wave,
    memoryBytes: 180_000_000,
    crashes: 0,
    streams: ['belt'],
  }
}

function countsOf(boxes: readonly RolloutBox[]): BoxCounts {
  const count = (fits: (box: RolloutBox) => boolean) => boxes.filter(fits).length
  const failures: readonly BoxState[] = ['rolled-back', 'failed', 'rejected', 'timed-out']
  const ends: readonly BoxState[] = ['committed', 'superseded', 'cancelled', 'waiting', ...failures]
  return {
    devices: boxes.length,
    waiting: count(({ state }) => state === 'waiting'),
    active: count(({ state }) => !ends.includes(state)),
    committed: count(({ state, confirmedAt }) => state === 'committed' && confirmedAt === null),
    confirmed: count(({ confirmedAt }) => confirmedAt !== null),
    failed: count(({ state }) => failures.includes(state)),
    revoked: count(({ revoked }) => revoked),
    ended: count(({ state }) => state === 'superseded' || state === 'cancelled'),
    goingBack: count(({ goingBack }) => goingBack),
  }
}
