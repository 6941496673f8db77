/**
 * Whether a sample tells the same as one that is here. Looks alone do not say it: a hash of 64 bits is of the whole
 * picture, and a small thing in front of the same wall leaves it as it is. So what was found has to be alike, too.
 */
import type { Box, SampleDetection } from '@edgeloop/protocol'

/** Bits in which the looks of two pictures of the same moment may differ. */
const looksBitsMax = 2
const overlapMin = 0.8
const likenessMin = 0.995

/** What is compared of a sample. */
export type Looked = {
  readonly looks: string
  readonly modelDigest: string
  readonly detections: readonly SampleDetection[]
  readonly embedding?: readonly number[] | undefined
}

/** True where `one` shows what `other` shows; each by the same model. Pure. */
export function areAlike(one: Looked, other: Looked): boolean {
  return (
    one.modelDigest === other.modelDigest &&
    differingBits(one.looks, other.looks) <= looksBitsMax &&
    foundAlike(one.detections, other.detections) &&
    (one.embedding === undefined ||
      other.embedding === undefined ||
      likeness(one.embedding, other.embedding) >= likenessMin)
  )
}

/** Bits in which two hashes of 16 hexadecimal digits differ. */
export function differingBits(a: string, b: string): number {
  let bits = 0
  for (let at = 0; at < 16; at += 8) {
    let differ = Number.parseInt(a.slice(at, at + 8), 16) ^ Number.parseInt(b.slice(at, at + 8), 16)
    for (; differ !== 0; differ &= differ - 1) bits++
  }
  return bits
}

/** Each detection of one has its own in the other: same label, same place. */
function foundAlike(some: readonly SampleDetection[], others: readonly SampleDetection[]): boolean {
  if (some.length !== others.length) return false
  const left = [...others]
  return some.every(({ label, box }) => {
    const at = left.findIndex(
      (other) =>
        other.label === label &&
        overlap(box as unknown as Box, other.box as unknown as Box) >= overlapMin,
    )
    if (at >= 0) left.splice(at, 1)
    return at >= 0
  })
}

/** Of vectors of length 1: the cosine between them; 0 where they are not of one kind. */
function likeness(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return 0
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0)
}

/** Shared share (0..1) of the area of two boxes. */
export function overlap([ax, ay, aw, ah]: Box, [bx, by, bw, bh]: Box): number {
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx)
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by)
  if (width <= 0 || height <= 0) return 0
  const shared = width * height
  return shared / (aw * ah + bw * bh - shared)
}
