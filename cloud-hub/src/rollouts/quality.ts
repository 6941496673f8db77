/**
 * How a model does on many devices, beside the model before on the same devices. A rollout is only stopped for what is sure:
 * what devices differ in among themselves is measured with it, and little data makes the bound wide (docs/decisions/0046).
 */
import {
  type Comparison,
  latencyRatio,
  type StageGate,
  type StageQuality,
} from '@edgeloop/protocol'

/** What one device has compared: beside the active model, and after it took its place. */
export type Compared = {
  readonly shadow: Comparison | null
  readonly probation: Comparison | null
}

/** Fewer devices than these say nothing about the others. */
export const comparedMin = 3
/** A share of fewer detections is none. */
const detectionsMin = 5
/** Weight of what is assumed of how devices differ, in devices, before they have shown it. */
const assumedDevices = 8
/** How devices are assumed to differ: standard deviations of drift, of agreement, and of the logarithm of latency. */
const assumed = { drift: 1, agreement: 0.1, latency: 0.1 } as const

export type Judged = StageQuality & {
  /** What looks wrong but may be chance: nothing to stop for, nothing to go on with either. Empty where nothing does. */
  readonly doubt: string
}

/** @param gate limits that are sure to be exceeded before it speaks against a model */
export function judgeQuality(boxes: readonly Compared[], gate: StageGate): Judged {
  const agreements: number[] = []
  const counts: number[] = []
  const confidences: number[] = []
  const latencies: number[] = []
  let devices = 0
  let frames = 0
  let crashed = 0
  for (const { shadow, probation } of boxes) {
    const newest = probation ?? shadow
    if (!newest) continue
    devices++
    frames += (shadow?.frames ?? 0) + (probation?.frames ?? 0)
    if ((shadow?.crashes ?? 0) + (probation?.crashes ?? 0) > 0) crashed++
    if (shadow && seen(shadow) >= detectionsMin) agreements.push(shadow.agreement)
    if (newest.frames > 0) {
      counts.push(newest.countDrift)
      confidences.push(newest.confidenceDrift)
    }
    // Beside each other both were timed under the same load.
    const ratio = (shadow && latencyRatio(shadow)) ?? (probation && latencyRatio(probation))
    if (ratio !== null) latencies.push(Math.log(ratio))
  }
  const agreement = bounded(agreements, assumed.agreement)
  const count = bounded(counts, assumed.drift)
  const confidence = bounded(confidences, assumed.drift)
  const latency = bounded(latencies, assumed.latency)
  const sure: string[] = []
  const doubts: string[] = []
  const look = (
    bound: Bound | undefined,
    isOver: (value: number) => boolean,
    text: (b: Bound) => string,
  ) => {
    if (!bound || !isOver(bound.mean)) return
    const nearer = isOver(bound.high) && isOver(bound.low)
    ;(nearer ? sure : doubts).push(text(bound))
  }
  look(
    agreement,
    (value) => value < gate.agreementMin,
    ({ mean, n }) =>
      `${percent(mean)} of detections on ${n} devices are common to it and the model before, at least ${percent(gate.agreementMin)} wanted`,
  )
  for (const [what, bound] of [
    ['Detections in a frame', count],
    ['Mean confidence', confidence],
  ] as const) {
    const over = (value: number) =>
      bound !== undefined && value * Math.sign(bound.mean) > gate.driftMax
    look(
      bound,
      over,
      ({ mean, n }) =>
        `${what} drifted by ${mean.toFixed(1)} standard errors on ${n} devices, allowed ${gate.driftMax}`,
    )
  }
  look(
    latency,
    (value) => value > Math.log(gate.latencyRatioMax),
    ({ mean, n }) =>
      `Inference takes ${Math.exp(mean).toFixed(2)} times as long on ${n} devices, allowed ${gate.latencyRatioMax}`,
  )
  return {
    devices,
    frames,
    crashed,
    agreement: agreement?.mean ?? null,
    countDrift: count?.mean ?? null,
    confidenceDrift: confidence?.mean ?? null,
    latencyRatio: latency ? Math.exp(latency.mean) : null,
    verdict: sure.join('; '),
    doubt: doubts.join('; '),
  }
}

const seen = ({ frames, detections, activeDetections }: Comparison): number =>
  frames * Math.max(detections, activeDetections)

const percent = (share: number): string => `${(share * 100).toFixed(0)} %`

type Bound = {
  readonly n: number
  readonly mean: number
  readonly low: number
  readonly high: number
}

/**
 * The mean, and between which it lies as far as is sure (99.8 %): Student's bound, the variance between devices shrunk
 * towards what is assumed while they are few.
 */
function bounded(values: readonly number[], deviation: number): Bound | undefined {
  const n = values.length
  if (n < comparedMin) return undefined
  const mean = values.reduce((sum, value) => sum + value, 0) / n
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const freedom = assumedDevices + n - 1
  const variance = (assumedDevices * deviation ** 2 + squares) / freedom
  const off = studentQuantile(freedom) * Math.sqrt(variance / n)
  return { n, mean, low: mean - off, high: mean + off }
}

/** Quantile 0.999 of Student's distribution, by the expansion of Cornish and Fisher; within 0.5 % from 8 degrees on. */
export function studentQuantile(freedom: number): number {
  const z = 3.090232306
  const [z3, z5, z7, z9] = [z ** 3, z ** 5, z ** 7, z ** 9]
  return (
    z +
    (z3 + z) / (4 * freedom) +
    (5 * z5 + 16 * z3 + 3 * z) / (96 * freedom ** 2) +
    (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * freedom ** 3) +
    (79 * z9 + 776 * z7 + 1482 * z5 - 1920 * z3 - 945 * z) / (92160 * freedom ** 4)
  )
}
