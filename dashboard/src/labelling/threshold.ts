/** From which score suggestions are shown: of each queue, kept in this browser. */
import { standardThreshold } from './desk.ts'

const stepShare = 0.05
const keyOf = (queue: string) => `edgeloop.labels.threshold.${queue}`

/** One step up or down, between 0 and 1. */
export const thresholdStep = (threshold: number, by: number): number =>
  Math.round(Math.min(1, Math.max(0, threshold + by * stepShare)) * 100) / 100

/** As it was left; where storage is refused, as it is at first. */
export function keptThreshold(queue: string): number {
  try {
    const kept = Number(localStorage.getItem(keyOf(queue)) ?? Number.NaN)
    return kept >= 0 && kept <= 1 ? kept : standardThreshold
  } catch {
    return standardThreshold
  }
}

export function keepThreshold(queue: string, threshold: number): void {
  try {
    localStorage.setItem(keyOf(queue), String(threshold))
  } catch {}
}
