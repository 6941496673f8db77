/**
 * How often a rollout stops that should not, and where one stops that should: rollouts with the defaults, of candidates
 * that differ from the model before as measured ones do.
 */
import { careDefaults, planDefaults, type RolloutPlan, stageDefaults } from '@edgeloop/protocol'
import { drawnCourse, type Fault, type Pace } from './drawn-course.ts'
import { type BoxQuality, measuredQuality } from './live-quality.ts'
import { randomOf } from './random.ts'
import { type Simulated, simulateRollout } from './rollout-simulation.ts'

/** Boxes that each stage adds to a fleet of 200: shares of 1, 5, 25 and 100 %, but ten at least. */
export const fleetOf200 = [10, 0, 40, 150] as const

/** Devices that are drawn; a rollout takes its own from among them. */
const poolMax = 1000

export type Candidate = {
  readonly what: string
  /** As good as the model before: it is wrong to stop it. */
  readonly good: boolean
  readonly boxes: readonly BoxQuality[]
  readonly fault: Fault
  readonly pace: Pace
}

export type GateFigures = {
  readonly what: string
  readonly good: boolean
  readonly rollouts: number
  readonly complete: number
  readonly stopped: number
  /** Waited for a person at some stage. */
  readonly held: number
  /** Of those that stopped: in the first stage. */
  readonly stoppedInCanary: number
  /** Boxes that had the model at some time, and those that still had it in the end; most in one rollout. */
  readonly touchedMost: number
  readonly leftMost: number
  /** Updates that boxes refused by themselves, by why. */
  readonly refusals: Readonly<Record<string, number>>
  readonly updates: number
}

/** Candidates whose quality was measured, and the measured good one with every fault. */
export function candidates(): Candidate[] {
  const measured = [...measuredQuality()]
  const asMeasured = measured.map(([pair, boxes]) => ({
    ...({ what: pair, good: boxes[0]!.equal, boxes, fault: 'none', pace: 'calm' } as const),
  }))
  const like = measuredQuality().get('trained longer') ?? []
  const faults = ['twice as slow', 'crashes', 'hangs', 'leaks'] as const
  const spoiled = faults.map((fault) => ({
    what: fault,
    good: false,
    boxes: like,
    fault,
    pace: 'calm' as const,
  }))
  const busy = {
    what: 'trained longer, busy boxes',
    good: true,
    boxes: like,
    fault: 'none',
    pace: 'busy',
  } as const
  return [...asMeasured, busy, ...spoiled]
}

export function gateFigures(
  { what, good, boxes, fault, pace }: Candidate,
  {
    rollouts,
    seed,
    stageSizes,
  }: { rollouts: number; seed: number; stageSizes: readonly [number, ...number[]] },
): GateFigures {
  const random = randomOf(seed)
  const plan: RolloutPlan = {
    ...planDefaults,
    name: 'parts',
    version: 1,
    select: { all: true },
    windows: [],
    stages: stageDefaults(stageSizes[0]),
    care: careDefaults,
  }
  const devices = stageSizes.reduce((sum, size) => sum + size)
  const pool = Array.from({ length: Math.min(poolMax, rollouts * devices) }, () =>
    drawnCourse({ boxes, care: plan.care, fault, pace, random }),
  )
  const refusals: Record<string, number> = {}
  for (const course of pool) {
    const code = course.at(-1)?.code
    if (code) refusals[code] = (refusals[code] ?? 0) + 1
  }
  const courseOf = () => pool[Math.floor(random() * pool.length)]!
  const ends = Array.from({ length: rollouts }, () => simulateRollout(plan, stageSizes, courseOf))
  const count = (end: Simulated['end']) => ends.filter((one) => one.end === end).length
  return {
    what,
    good,
    rollouts,
    refusals,
    updates: pool.length,
    complete: count('complete'),
    stopped: count('stopped'),
    held: count('held'),
    stoppedInCanary: ends.filter(({ end, stage }) => end === 'stopped' && stage === 0).length,
    touchedMost: Math.max(...ends.map(({ touched }) => touched)),
    leftMost: Math.max(...ends.map(({ left }) => left)),
  }
}
