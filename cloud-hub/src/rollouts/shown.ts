/** What people see of a rollout: counts, bytes, and each stage with what its gate still wants. Pure. */
import type { BoxCounts, RolloutBytes, RolloutStage } from '@edgeloop/protocol'
import {
  type Box,
  gateOf,
  hasEnded,
  hasFailed,
  isActive,
  isConfirmed,
  offersPerMinute,
  type StageFacts,
  stageFacts,
} from './decide.ts'
import type { KeptBox } from './kept-box.ts'
import type { KeptRollout, RolloutShown } from './rollout-rows.ts'

export type ShownBox = Box & KeptBox

export function countsOf(boxes: readonly ShownBox[]): BoxCounts {
  const count = (is: (box: ShownBox) => boolean) => boxes.filter(is).length
  return {
    devices: boxes.length,
    waiting: count(({ state }) => state === 'waiting'),
    active: count(isActive),
    committed: count((box) => box.state === 'committed' && !isConfirmed(box)),
    confirmed: count(isConfirmed),
    failed: count(hasFailed),
    revoked: count(({ revoked }) => revoked),
    ended: count(hasEnded),
    goingBack: count(({ goingBack }) => goingBack),
  }
}

function bytesOf(boxes: readonly ShownBox[]): RolloutBytes {
  let [fromHub, fromMirrors, whole] = [0, 0, 0]
  for (const { bytes, offeredAt } of boxes) {
    fromHub += bytes.fromHub + bytes.earlierHub
    fromMirrors += bytes.fromMirrors + bytes.earlierMirrors
    if (offeredAt !== null && bytes.total > 0) whole += bytes.whole
  }
  return { fromHub, fromMirrors, whole }
}

export function shownOf(
  rollout: KeptRollout,
  boxes: readonly ShownBox[],
  now: number,
): RolloutShown {
  const counts = countsOf(boxes)
  const stages = rollout.plan.stages.map((_, index) => stageOf(rollout, index, boxes, now))
  const isOffering = rollout.state === 'running' || rollout.state === 'complete'
  const rate =
    isOffering && counts.waiting > 0 ? offersPerMinute(rollout.plan, counts.confirmed) : 0
  return { counts, bytes: bytesOf(boxes), offersPerMinute: rate, stages }
}

function stageOf(
  rollout: KeptRollout,
  index: number,
  boxes: readonly ShownBox[],
  now: number,
): RolloutStage {
  const { plan, stages } = rollout
  const record = stages[index]
  const members = boxes.filter(({ stage }) => stage === index)
  const facts = stageFacts(plan, index, boxes, now)
  const { doubt: _, ...quality } = facts.quality
  const states: Record<string, number> = {}
  for (const { state } of members) states[state] = (states[state] ?? 0) + 1
  const isNow = record?.startedAt !== null && record?.passedAt === null
  const gate = isNow ? gateOf(plan, index, facts, now) : undefined
  const soakUntil =
    isNow && facts.soakUntil !== undefined && isEnough(rollout, index, facts)
      ? facts.soakUntil
      : null
  return {
    name: plan.stages[index]?.name ?? '',
    state: stateOf(rollout, index, soakUntil !== null && soakUntil > now),
    counts: countsOf(members),
    states,
    reachable: facts.heard,
    failuresStop: facts.failuresStop,
    quality,
    startedAt: timeOf(record?.startedAt ?? null),
    soakUntil: timeOf(soakUntil),
    passedAt: timeOf(record?.passedAt ?? null),
    approvedBy: record?.approvedBy ?? '',
    wants: gate && !gate.open ? gate.wants : '',
  }
}

function stateOf(
  { state, stages, stage }: KeptRollout,
  index: number,
  soaks: boolean,
): RolloutStage['state'] {
  const record = stages[index]
  if (!record || record.startedAt === null) return 'ahead'
  if (state === 'stopped' && index === stage) return 'failed'
  if (record.passedAt !== null) return 'passed'
  return soaks ? 'soaking' : 'running'
}

const isEnough = (
  { plan }: KeptRollout,
  index: number,
  { confirmed, heard }: StageFacts,
): boolean => confirmed >= (plan.stages[index]?.gate.committedShareMin ?? 1) * heard - 1e-9

const timeOf = (at: number | null) => (at === null ? null : new Date(at).toISOString())
