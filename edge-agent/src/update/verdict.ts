/** When a comparison speaks against a candidate. Pure; shadow and probation ask it with every frame they hear of. */
import { type Comparison, latencySlackMs, type UpdateCare } from '@edgeloop/protocol'
import type { Refused } from './model-host.ts'

/** Fewest frames on which anything is said of agreement, drift and speed, whatever the care asks for. */
export const framesMin = 20

/** Where a candidate is looked at. */
export type Stage = 'shadow' | 'probation'

/** How much of an allowed excess is let pass because figures of few frames are uncertain. */
export type Evidence = {
  /** Detections that the agreement was counted over, of both models together. */
  readonly detections: number
  /** Medians of the inference time, each model's, ms. */
  readonly medianMs: number
  readonly activeMedianMs: number
  /** Less than half of the time has passed: whoever looks for drift with every block finds one sooner or later. */
  readonly isEarly?: boolean
  /** The last crash was a process that did not answer any more. */
  readonly hung?: boolean
}

/**
 * What speaks against going on; undefined while nothing does.
 * @param evidence what the agreement rests on: a share of few detections says little
 */
export function objection(
  stage: Stage,
  comparison: Comparison,
  care: UpdateCare,
  evidence: Evidence,
): Refused | undefined {
  const refuse = (what: 'crash' | 'slow' | 'disagreement', reason: string): Refused => ({
    ok: false,
    code: `${stage}-${what}`,
    reason,
    comparison,
  })
  if (stage === 'probation' && evidence.hung && comparison.crashes > care.crashesMax) {
    const reason = `Media processes hung, ${comparison.crashes} times, allowed ${care.crashesMax}`
    return { ok: false, code: 'probation-hang', reason, comparison }
  }
  const { crashes, frames } = comparison
  const crashesMax = stage === 'shadow' ? 0 : care.crashesMax
  if (crashes > crashesMax) {
    return refuse('crash', `${crashes} crashes, allowed ${crashesMax}`)
  }
  if (frames < Math.max(framesMin, Math.min(care.shadowFramesMin, framesEnough))) return undefined
  const { latencyP95Ms, activeLatencyP95Ms } = comparison
  const slowest = activeLatencyP95Ms * care.latencyRatioMax + latencySlackMs
  // The tail of few frames is mostly of what else the box does; a model that is slower is so in the middle as well.
  const isSlower = evidence.medianMs > evidence.activeMedianMs * care.latencyRatioMax
  if (activeLatencyP95Ms > 0 && latencyP95Ms > slowest && isSlower) {
    return refuse(
      'slow',
      `p95 of its inference is ${latencyP95Ms.toFixed(1)} ms, allowed ${care.latencyRatioMax} times the ${activeLatencyP95Ms.toFixed(1)} ms of the model before`,
    )
  }
  if (stage === 'shadow' && agreementAtMost(comparison, evidence) < care.agreementMin) {
    return refuse(
      'disagreement',
      `${share(comparison.agreement)} of ${evidence.detections} detections are common to it and the active model, at least ${share(care.agreementMin)} wanted`,
    )
  }
  if (stage === 'probation' && !evidence.isEarly) {
    const { countDrift, confidenceDrift } = comparison
    const [what, drift] =
      Math.abs(countDrift) >= Math.abs(confidenceDrift)
        ? ['Detections in a frame', countDrift]
        : ['Mean confidence', confidenceDrift]
    if (Math.abs(drift) > care.driftMax) {
      return refuse(
        'disagreement',
        `${what} drifted by ${drift.toFixed(1)} standard errors of this device's baseline, allowed ${care.driftMax}`,
      )
    }
  }
  return undefined
}

/** Frames that are enough for anything, however many are asked for. */
const framesEnough = 100

/** One object is seen so often: its detections agree or disagree together, and count as one. */
const sightings = 5

/** Upper end of what the true agreement may be: two standard errors of a share above what was counted. */
function agreementAtMost({ agreement }: Comparison, { detections }: Evidence): number {
  if (detections === 0) return 1
  const objects = detections / sightings
  return agreement + 2 * Math.sqrt((agreement * (1 - agreement)) / objects) + 1 / objects
}

const share = (value: number): string => `${(value * 100).toFixed(0)} %`
