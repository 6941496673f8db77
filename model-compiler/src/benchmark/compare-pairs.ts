/**
 * Which of two models is faster, on a machine that is never quiet. Single times on such a machine move by half;
 * two runs right after each other see nearly the same machine. So the models take turns, who goes first changes with
 * every pair, each pair gives one ratio, and their median is the answer.
 *
 * Both sessions block the thread they are called from. Whoever must stay responsive, or does not trust the models,
 * calls this in a process of its own.
 */
import { OnnxError } from '../onnx/read.ts'
import { openSession, type Session, type SessionOptions, type Value } from '../runtime/session.ts'

export type PairOptions = {
  /** Ends after the pair in which this is over (default 2); counted from the end of the warm-up. */
  readonly seconds?: number
  /** At most so many pairs (default 1000). */
  readonly pairs?: number
  /** Never fewer pairs, whatever the time (default 5): with fewer a median means nothing. */
  readonly pairsMin?: number
  /** What `b` is fed, where it is not what `a` is fed: preprocessing may have moved into it. */
  readonly feedsOfB?: Feeds
  /** Of both (default: level `all`, one thread that does not spin). */
  readonly session?: Pick<SessionOptions, 'level' | 'threads' | 'extra'>
  readonly signal?: AbortSignal
  /** Milliseconds of anything that only grows, by which turns are timed (default: as they pass). */
  readonly clock?: () => number
}

type Feeds = Readonly<Record<string, Value>>

export type PairComparison = {
  /** How many times as fast `b` is as `a`: median of the pairs' time of `a` over time of `b`. */
  readonly medianRatio: number
  /** Half of the pairs lie between these two. */
  readonly ratioQuartiles: readonly [low: number, high: number]
  /** Median of one inference, in milliseconds. */
  readonly aMs: number
  readonly bMs: number
  /** One for each pair, in the order of measurement. */
  readonly ratios: readonly number[]
}

/** An inference shorter than this is repeated within its turn, so that the clock and the call weigh little. */
const turnMsMin = 1
const repeatsMax = 64
const warmUpRuns = 3

/**
 * Times `a` against `b` on the same input.
 * @throws {OnnxError} when the runtime refuses a model or an input; what `signal` gives when it is aborted, between two runs
 */
export async function comparePairs(
  a: Uint8Array,
  b: Uint8Array,
  feeds: Feeds,
  options: PairOptions = {},
): Promise<PairComparison> {
  const { seconds = 2, pairs = 1000, pairsMin = 5, feedsOfB = feeds, signal } = options
  const { clock = () => performance.now() } = options
  if (!(seconds > 0) || !(pairs >= 1)) {
    throw new OnnxError(
      `Cannot compare models in ${seconds} seconds and ${pairs} pairs: both have to be above zero`,
    )
  }
  signal?.throwIfAborted()
  await using sessionA = await openSession(a, options.session)
  signal?.throwIfAborted()
  await using sessionB = await openSession(b, options.session)
  const aTimes: number[] = []
  const bTimes: number[] = []
  const repeatsA = await warmUp(sessionA, feeds, clock, signal)
  const repeatsB = await warmUp(sessionB, feedsOfB, clock, signal)
  const sides = [
    { session: sessionA, feeds, repeats: repeatsA, times: aTimes },
    { session: sessionB, feeds: feedsOfB, repeats: repeatsB, times: bTimes },
  ]

  const end = performance.now() + seconds * 1000
  const least = Math.min(pairs, pairsMin)
  for (let pair = 0; pair < pairs && (pair < least || performance.now() < end); pair++) {
    // Who goes second finds other caches and a warmer clock: that must not always be the same one.
    for (const side of pair % 2 === 0 ? sides : sides.toReversed()) {
      signal?.throwIfAborted()
      side.times.push(await turn(side.session, side.feeds, side.repeats, clock))
    }
  }
  const ratios = aTimes.map((ms, pair) => ms / bTimes[pair]!)
  return {
    medianRatio: quantileOf(ratios, 0.5),
    ratioQuartiles: [quantileOf(ratios, 0.25), quantileOf(ratios, 0.75)],
    aMs: quantileOf(aTimes, 0.5),
    bMs: quantileOf(bTimes, 0.5),
    ratios,
  }
}

/** Runs until memory is laid out and caches are warm. @returns how many runs make a turn of at least `turnMsMin` */
async function warmUp(
  session: Session,
  feeds: Feeds,
  clock: () => number,
  signal?: AbortSignal,
): Promise<number> {
  let fastest = Number.POSITIVE_INFINITY
  for (let run = 0; run < warmUpRuns; run++) {
    signal?.throwIfAborted()
    fastest = Math.min(fastest, await turn(session, feeds, 1, clock))
  }
  return Math.min(repeatsMax, Math.max(1, Math.ceil(turnMsMin / fastest)))
}

/** @returns milliseconds of one inference */
async function turn(
  session: Session,
  feeds: Feeds,
  repeats: number,
  clock: () => number,
): Promise<number> {
  const start = clock()
  for (let run = 0; run < repeats; run++) await session.run(feeds)
  return (clock() - start) / repeats
}

function quantileOf(values: readonly number[], share: number): number {
  const sorted = values.toSorted((x, y) => x - y)
  const at = (sorted.length - 1) * share
  const low = sorted[Math.floor(at)]!
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at))
}
