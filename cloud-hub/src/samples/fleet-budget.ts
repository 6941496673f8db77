/**
 * How what all boxes may send in a day is dealt out to their streams. A stream gets the more, the more frames it
 * would keep, the less sure its model is or while its scene drifts, and the more people mended of what it sent before.
 * Some is dealt out alike, so that a stream that nobody expects anything of is heard all the same. Pure.
 */

/** Share of the budget that every stream has the same part of. */
export const evenShare = 0.2
/** A stream whose samples are all doubtful counts so many times one whose samples are all random. */
const doubtWeight = 3
const alarmWeight = 2
/** As if so many samples of each stream had been labelled before, half of them with something to mend. */
const priorLabelled = 10
const priorMended = 5

export type StreamNeed = {
  readonly deviceId: string
  readonly streamId: string
  /** Frames that it would keep in a day. */
  readonly wished: number
  /** Share (0..1) of its samples that were kept because the model is unsure or wrong. */
  readonly doubt: number
  /** A drift alarm is on. */
  readonly alarm: boolean
  /** Samples of it that people answered, and those of them in which they changed what was proposed. */
  readonly labelled: number
  readonly mended: number
}

export type StreamShare = {
  readonly deviceId: string
  readonly streamId: string
  readonly frames: number
  readonly bytes: number
  /** What its wish is multiplied with: 1 where nothing is known of it. */
  readonly weight: number
}

/**
 * Deals a day's budget out. What a stream would not use goes to the others; what nobody would use is dealt out alike.
 * @returns a share for each stream, in their order; together no more than the budget
 */
export function divideBudget(
  budget: { readonly framesPerDay: number; readonly bytesPerDay: number },
  needs: readonly StreamNeed[],
): StreamShare[] {
  const { framesPerDay, bytesPerDay } = budget
  const weights = needs.map(weightOf)
  const even = needs.length === 0 ? 0 : (framesPerDay * evenShare) / needs.length
  const frames = needs.map(() => even)
  let left = framesPerDay - even * needs.length
  // Whoever has what it wishes leaves the round; so each round ends for one at least.
  let open = needs.map((_, i) => i).filter((i) => needs[i]!.wished > even)
  while (left > 1e-9 && open.length > 0) {
    const total = sum(open.map((i) => weights[i]! * needs[i]!.wished))
    const parts = open.map((i) => (left * weights[i]! * needs[i]!.wished) / total)
    const full = open.filter((i, n) => frames[i]! + parts[n]! >= needs[i]!.wished)
    if (full.length === 0) {
      for (const [n, i] of open.entries()) frames[i]! += parts[n]!
      left = 0
    }
    for (const i of full) {
      left -= needs[i]!.wished - frames[i]!
      frames[i] = needs[i]!.wished
    }
    open = open.filter((i) => !full.includes(i))
  }
  const rest = needs.length === 0 ? 0 : Math.max(0, left) / needs.length
  const whole = wholeParts(
    frames.map((part) => part + rest),
    framesPerDay,
  )
  const dealt = Math.max(1, sum(whole))
  return needs.map(({ deviceId, streamId }, i) => ({
    deviceId,
    streamId,
    frames: whole[i]!,
    weight: weights[i]!,
    bytes: Math.floor((bytesPerDay * whole[i]!) / dealt),
  }))
}

function weightOf({ doubt, alarm, labelled, mended }: StreamNeed): number {
  const use = (mended + priorMended) / (labelled + priorLabelled)
  const known = priorMended / priorLabelled
  return (1 + (doubtWeight - 1) * doubt) * (alarm ? alarmWeight : 1) * (use / known)
}

/** Whole numbers for parts: rounded down, and what is left goes to those that lost most. */
function wholeParts(parts: readonly number[], total: number): number[] {
  const whole = parts.map((part) => Math.floor(part + 1e-9))
  const byLoss = parts
    .map((part, i) => ({ i, lost: part - whole[i]! }))
    .sort((a, b) => b.lost - a.lost || a.i - b.i)
  let left = Math.round(Math.min(total, sum(parts))) - sum(whole)
  for (const { i } of byLoss) {
    if (left-- <= 0) break
    whole[i]!++
  }
  return whole
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
