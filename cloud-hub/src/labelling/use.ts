/**
 * How much is learned from a sample, as far as is known before somebody has looked: why the box kept it, how unsure
 * models are of it, how unlike it is to what was answered already, how old it is. What shows nearly the same as a
 * sample that was answered comes last. Pure: the same facts give the same order everywhere.
 */
import type { SampleReason, Suggestion } from '@edgeloop/protocol'

const dayMs = 86_400_000
/** Age (days) at which a sample counts half of what only its age can take from it. */
const halfLifeDays = 14
/** Bits of 64 up to which two pictures show nearly the same; those of one scene differ by 0 to 4. */
const sameBitsMax = 4
/** Bits from which two pictures are as unlike as pictures get: those that have nothing in common differ by 32. */
const unlikeBits = 28
/** Cosine from which two embeddings show nearly the same. */
const sameCosineMin = 0.98
/** Novelty of what shows nearly the same as an answered sample: below all that does not. */
const sameNovelty = 0.02

/**
 * What each reason weighs. Somebody who asks knows why; two models that disagree are wrong at least once; a random
 * frame keeps figures unbiased and is mostly like the others.
 */
const reasonWeights: { readonly [R in SampleReason]: number } = {
  asked: 1,
  disagreement: 0.95,
  inconsistent: 0.85,
  uncertain: 0.8,
  motion: 0.8,
  rare: 0.75,
  novel: 0.7,
  random: 0.4,
}
/** Put in by hand: somebody wants it. */
const handWeight = 0.9

/** What a picture looks like, however it is known. */
export type Looks = {
  /** 64 bits in hex; empty where unknown. */
  readonly hash: string
  /** Of length 1; empty where unknown. */
  readonly embedding: Float32Array
}

/** @returns 0 (last) to 1 */
export function useOf(of: {
  readonly reason: SampleReason | ''
  readonly doubt: number
  readonly novelty: number
  /** Milliseconds since it was captured. */
  readonly ageMs: number
}): number {
  const weight = of.reason === '' ? handWeight : reasonWeights[of.reason]
  const fresh = 0.5 + 0.5 * 2 ** (-Math.max(0, of.ageMs) / dayMs / halfLifeDays)
  const use = weight * (0.4 + 0.6 * of.doubt) * of.novelty * fresh
  return Math.min(1, Math.max(0, use))
}

/**
 * How unsure models are of a picture.
 * @param disagreement share (0..1) of what two models found that only one of them has; undefined with one model
 * @returns 0 to 1; one half where nothing was found, which says little either way
 */
export function doubtOf(suggestions: readonly Suggestion[], disagreement?: number): number {
  const scored = suggestions.filter(({ from }) => from !== 'dataset' && from !== 'track')
  const margins = scored.map(({ score }) => 1 - Math.abs(2 * score - 1))
  const doubt = margins.length === 0 ? 0.5 : Math.max(...margins)
  return Math.max(doubt, disagreement ?? 0)
}

/**
 * How unlike two pictures are.
 * @returns 0.02 where they show nearly the same, up to 1; 1 where nothing is known of one of them
 */
export function unlikeness(one: Looks, other: Looks): number {
  const found: number[] = []
  if (one.hash !== '' && other.hash !== '') {
    const bits = bitsApart(one.hash, other.hash)
    if (bits <= sameBitsMax) return sameNovelty
    found.push((bits - sameBitsMax) / (unlikeBits - sameBitsMax))
  }
  if (one.embedding.length > 0 && one.embedding.length === other.embedding.length) {
    const cosine = cosineOf(one.embedding, other.embedding)
    if (cosine >= sameCosineMin) return sameNovelty
    found.push(1 - Math.max(0, cosine) / sameCosineMin)
  }
  if (found.length === 0) return 1
  const mean = found.reduce((sum, value) => sum + value, 0) / found.length
  return Math.min(1, Math.max(2 * sameNovelty, 0.25 + 0.75 * mean))
}

/** Bits (0..64) in which two hashes differ. */
export function bitsApart(one: string, other: string): number {
  let bits = 0
  for (let at = 0; at < 16; at += 8) {
    const differ =
      Number.parseInt(one.slice(at, at + 8), 16) ^ Number.parseInt(other.slice(at, at + 8), 16)
    bits += ones(differ >>> 0)
  }
  return bits
}

function ones(word: number): number {
  let left = word - ((word >>> 1) & 0x55555555)
  left = (left & 0x33333333) + ((left >>> 2) & 0x33333333)
  return (((left + (left >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24
}

/** Of two vectors of length 1. */
export function cosineOf(one: Float32Array, other: Float32Array): number {
  let sum = 0
  for (let at = 0; at < one.length; at++) sum += one[at]! * other[at]!
  return sum
}
