/**
 * Frames unlike those that were sent: by their distance to a bounded set of embeddings that stands for them
 * (greedy k-centre). When the set is full, the two that are nearest to each other become one, so that it goes on
 * covering what there is; of the two the older goes.
 */
import type { Finding } from './facts.ts'
import { cosineDistance } from './looks.ts'

/** Embeddings that stand for all that was sent. */
export const coverMax = 128
/** How much further than what is usual between neighbours a frame has to be. */
const beyond = 2
/** No less than this, however alike all frames are: the noise of a camera in the dark. */
const distanceMin = 0.02
const useMax = 0.8
/** Before so many were sent, everything is novel, which says little. */
const centresMin = 4

export type Cover = readonly (readonly number[])[]

/** Distance to the nearest that was sent; 1 before anything was. Pure. */
export function distanceTo(cover: Cover, embedding: readonly number[]): number {
  return Math.min(1, ...cover.map((one) => cosineDistance(one, embedding)))
}

/** Pure. */
export function novel(cover: Cover, embedding: readonly number[]): Finding | undefined {
  if (cover.length < centresMin) {
    const why = `${cover.length} pictures were sent of this stream so far`
    return { reason: 'novel', use: useMax / 2, why, tracks: [] }
  }
  const distance = distanceTo(cover, embedding)
  const usual = Math.max(distanceMin, beyond * medianSpacing(cover))
  if (distance < usual) return undefined
  const why = `${distance.toFixed(3)} from the nearest of ${cover.length} pictures that stand for what was sent; ${usual.toFixed(3)} is unusual`
  return { reason: 'novel', use: useMax * Math.min(1, distance / usual / 2), why, tracks: [] }
}

/** The set with one more. Pure. */
export function withCentre(cover: Cover, embedding: readonly number[], max = coverMax): Cover {
  // From a model or of another kind: what is there cannot be compared with it.
  const alike = cover.filter((one) => one.length === embedding.length)
  const all = [...alike, embedding]
  if (all.length <= max) return all
  let least = Number.POSITIVE_INFINITY
  let going = 0
  for (let a = 0; a < all.length; a++) {
    for (let b = a + 1; b < all.length; b++) {
      const distance = cosineDistance(all[a]!, all[b]!)
      if (distance >= least) continue
      least = distance
      going = a
    }
  }
  return all.filter((_, i) => i !== going)
}

/** A set is asked about with every frame and changes with every one that is sent. */
const spacings = new WeakMap<Cover, number>()

/** How far one of the set usually is from its nearest other. */
function medianSpacing(cover: Cover): number {
  const known = spacings.get(cover)
  if (known !== undefined) return known
  const nearest = cover
    .map((one, i) =>
      Math.min(...cover.map((other, k) => (k === i ? 2 : cosineDistance(one, other)))),
    )
    .sort((a, b) => a - b)
  const median = nearest[Math.floor(nearest.length / 2)] ?? 0
  spacings.set(cover, median)
  return median
}
