/** How the learning rate goes over a run: a number for each step, told by the step alone. */
import type { Recipe } from '../run/recipe.ts'

export type Schedule = Recipe['schedule']

/** Of one-cycle: where it begins, as a share of the highest rate, and how much of the run goes up. */
const cycleStart = 1 / 25
const cycleUpShare = 0.3
/** A short run warms up for less than it was told. */
const warmupShareMax = 0.1

/**
 * The share of the learning rate that counts at a step.
 * @param step from 0
 * @param steps of the whole run
 */
export function rateShare(schedule: Schedule, step: number, steps: number): number {
  const { finalShare, every, factor } = schedule
  if (schedule.name === 'one-cycle') return oneCycle(step, steps, finalShare)
  const warmupSteps = Math.min(schedule.warmupSteps, Math.floor(steps * warmupShareMax))
  if (step < warmupSteps) return (step + 1) / (warmupSteps + 1)
  const length = Math.max(1, steps - 1 - warmupSteps)
  const at = Math.min(1, (step - warmupSteps) / length)
  switch (schedule.name) {
    case 'constant':
      return 1
    case 'step':
      return every === 0 ? 1 : factor ** Math.floor(at / every)
    case 'cosine':
      return finalShare + (1 - finalShare) * cosineDown(at)
    case 'linear':
      return 1 - (1 - finalShare) * at
  }
}

/** Up by a cosine, then down by one (Smith, "Super-convergence"). */
function oneCycle(step: number, steps: number, finalShare: number): number {
  const at = Math.min(1, step / Math.max(1, steps - 1))
  if (at < cycleUpShare) return cycleStart + (1 - cycleStart) * (1 - cosineDown(at / cycleUpShare))
  return finalShare + (1 - finalShare) * cosineDown((at - cycleUpShare) / (1 - cycleUpShare))
}

/** From 1 to 0 as `at` goes from 0 to 1. */
const cosineDown = (at: number): number => (1 + Math.cos(Math.PI * at)) / 2

/** How much of the averaged weights stays: little at first, when they are still far off. */
export const averageDecay = (decay: number, step: number): number =>
  Math.min(decay, (1 + step) / (10 + step))
