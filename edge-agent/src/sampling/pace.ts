/**
 * How a day's budget is spent. Most of it flows evenly into a bucket; a part is kept back and pays only for what is
 * unusually worth it, so that a change at noon gets pictures at once and the evening still has some. Bucket and
 * reserve fill by a clock that is never set, so that no jump of the wall clock buys more than they hold; the day's
 * bounds begin anew with a later date, or a day after they did.
 */
import { type Static, Type } from 'typebox'

export type Budget = {
  readonly framesPerDay: number
  readonly bytesPerDay: number
  /** Share of the frames that is spent at random, beside bucket and reserve. */
  readonly randomShare: number
}

const Amount = Type.Number({ minimum: 0 })

/** What is written down, so that a restart changes nothing. */
export const Spent = Type.Object(
  {
    /** Days since 1970 (UTC) for which `frames` and `bytes` count. */
    day: Type.Integer(),
    /** How long that day has lasted by the clock that is never set, ms. */
    dayMs: Amount,
    frames: Amount,
    bytes: Amount,
    /** Frames that may be spent. */
    bucket: Amount,
    reserve: Amount,
    /** Of the interval in which one frame is kept at random: how much has passed, and when it is due, ms. */
    randomMs: Amount,
    randomDueMs: Amount,
  },
  { additionalProperties: false },
)
export type Spent = Static<typeof Spent>

export const dayMs = 86_400_000
/** Shares of the frames that are not random. */
const bucketFlow = 0.6
const reserveFlow = 1 - bucketFlow
/** What the bucket holds at most, of a day's worth; at least one frame. */
const bucketHolds = 0.1
/** How full the reserve is when a stream is new. */
const reserveAtFirst = 0.5
/** Pictures larger than their share of the bytes cost more than one frame, up to so many. */
const costMax = 20

const chosenFrames = ({ framesPerDay, randomShare }: Budget): number =>
  framesPerDay * (1 - randomShare)
const bucketMax = (budget: Budget): number => Math.max(1, chosenFrames(budget) * bucketHolds)
const reserveMax = (budget: Budget): number => chosenFrames(budget) * reserveFlow

/** How full the bucket is, 0..1. */
export const bucketShare = (spent: Spent, budget: Budget): number =>
  Math.min(1, spent.bucket / bucketMax(budget))

/** @param random 0..1 */
export function firstSpent(budget: Budget, at: number, random: number): Spent {
  return {
    day: Math.floor(at / dayMs),
    dayMs: 0,
    frames: 0,
    bytes: 0,
    bucket: bucketMax(budget),
    reserve: reserveMax(budget) * reserveAtFirst,
    randomMs: 0,
    randomDueMs: random * randomIntervalMs(budget),
  }
}

/**
 * Time has passed. Pure.
 * @param at wall clock, ms
 * @param elapsedMs by the clock that is never set; none after a restart, as nobody measured how long it took
 */
export function advance(spent: Spent, budget: Budget, at: number, elapsedMs: number): Spent {
  const ms = Math.min(dayMs, Math.max(0, elapsedMs))
  const share = ms / dayMs
  const frames = chosenFrames(budget)
  const full = { bucket: bucketMax(budget), reserve: reserveMax(budget) }
  const filled = {
    ...spent,
    dayMs: spent.dayMs + ms,
    bucket: Math.min(full.bucket, spent.bucket + frames * bucketFlow * share),
    reserve: Math.min(full.reserve, spent.reserve + frames * reserveFlow * share),
  }
  const day = Math.floor(at / dayMs)
  // A clock that goes back does not give the day again; one that was far ahead does not end sampling for years.
  if (day <= spent.day && filled.dayMs < dayMs) return filled
  return { ...filled, day, dayMs: 0, frames: 0, bytes: 0 }
}

/** What a picture of so many bytes takes out of bucket or reserve, in frames. */
export function costOf({ framesPerDay, bytesPerDay }: Budget, bytes: number): number {
  const each = bytesPerDay / Math.max(1, framesPerDay)
  return Math.min(costMax, Math.max(1, each > 0 ? bytes / each : costMax))
}

/** Whether the day has room for one more picture of so many bytes. */
export const hasRoom = (spent: Spent, budget: Budget, bytes: number): boolean =>
  spent.frames < budget.framesPerDay && spent.bytes + bytes <= budget.bytesPerDay

export type Purse = 'bucket' | 'reserve' | 'none'

/** A picture was kept. Pure. @param from what pays for it; `none`: only the day does */
export function pay(spent: Spent, budget: Budget, bytes: number, from: Purse): Spent {
  const counted = { ...spent, frames: spent.frames + 1, bytes: spent.bytes + bytes }
  if (from === 'none') return counted
  return { ...counted, [from]: Math.max(0, spent[from] - costOf(budget, bytes)) }
}

/** In each such interval one frame is kept at random. */
export function randomIntervalMs({ framesPerDay, randomShare }: Budget): number {
  const frames = framesPerDay * randomShare
  return frames > 0 ? dayMs / frames : Number.MAX_SAFE_INTEGER
}

/**
 * Whether this frame is the random one of its interval: it stands for the time since the frame before it, and was
 * chosen by a moment that was drawn when the interval began. Pure.
 * @param standsForMs time since the frame before it
 * @param random 0..1, for the next interval
 */
export function drawRandom(
  spent: Spent,
  budget: Budget,
  standsForMs: number,
  random: number,
): { spent: Spent; isDrawn: boolean; probability: number } {
  const intervalMs = randomIntervalMs(budget)
  const probability = Math.min(1, Math.max(Number.EPSILON, standsForMs / intervalMs))
  const now = spent.randomMs + standsForMs
  const isDrawn = spent.randomMs <= spent.randomDueMs && now > spent.randomDueMs
  if (now < intervalMs) return { spent: { ...spent, randomMs: now }, isDrawn, probability }
  const over = now % intervalMs
  const dueMs = random * intervalMs
  // What is left over may hold the moment of the next interval already.
  const isNext = over > dueMs
  return {
    spent: { ...spent, randomMs: over, randomDueMs: dueMs },
    isDrawn: isDrawn || isNext,
    probability,
  }
}
