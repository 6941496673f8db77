/** What a device is offered: always the whole, worked out anew from what is kept. Pure. */

import type { RolloutPlan } from '@edgeloop/protocol'
import { messages, type Offer, type Offers } from '@edgeloop/protocol'
import { isActive, isConfirmed } from './decide.ts'
import type { KeptBox } from './kept-box.ts'

/** Offers in one message, at most. */
const offersMax = 8

/** True while the device has to hear of it. */
export const isOffered = (box: KeptBox): boolean =>
  box.goingBack ||
  (box.current && (isActive(box) || (box.state === 'committed' && !isConfirmed(box))))

/**
 * @param mirrors base addresses of boxes near it that have these bytes
 * @returns undefined where this box's device has nothing to hear of it
 */
export function offerOf(
  box: KeptBox,
  plan: RolloutPlan,
  mirrors: readonly string[],
): Offer | undefined {
  if (!isOffered(box)) return undefined
  return {
    rolloutId: box.rolloutId,
    name: plan.name,
    version: plan.version,
    act: box.goingBack ? 'roll-back' : 'update',
    attempt: box.attempt,
    manifest: box.manifest,
    care: plan.care,
    ...(box.activateBefore === null
      ? {}
      : { activateBefore: new Date(box.activateBefore).toISOString() }),
    ...(plan.bytesPerSecondMax === 0
      ? {}
      : { bytesPerSecondMax: Math.max(1024, plan.bytesPerSecondMax) }),
    jitterMs: plan.jitterMs,
    mirrors: [...mirrors],
  }
}

/** The message, with as many offers as it holds: the first of them. */
export function offersOf(offers: readonly Offer[], now: number): Offers {
  const at = new Date(now).toISOString()
  let list = offers.slice(0, offersMax)
  while (
    list.length > 1 &&
    Buffer.byteLength(JSON.stringify(list)) > messages.offers.bytesMax - 256
  ) {
    list = list.slice(0, -1)
  }
  return { at, offers: list }
}
