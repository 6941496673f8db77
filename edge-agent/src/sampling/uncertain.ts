/** Frames on which the model is not sure: scores near the one that counts, or two labels on one object. */
import type { Box, Detection } from '@edgeloop/protocol'
import { iou } from '../streams/tracker.ts'
import { type Finding, type FrameFacts, usesTogether } from './facts.ts'
import type { Acquaintance } from './known-things.ts'

/** Scores this near to the one that counts are uncertain. */
const band = 0.15
/** Boxes that overlap more are opinions about one object. */
const sameObjectIou = 0.6
/** What an object in the middle of the band is worth. */
const useMax = 0.6
/** Below this share of the threshold an opinion is noise. */
const heardShare = 0.5

type Doubt = { readonly use: number; readonly why: string; readonly at: number }

/** What a thing is worth that was kept for learning already. */
export const knownShare = 0.2

/**
 * Pure.
 * @param seen what each detection is of; something new, where nothing is said
 */
export function uncertain(
  facts: FrameFacts,
  seen: readonly Acquaintance[] = [],
): Finding | undefined {
  const all = [...nearThreshold(facts), ...torn(facts)]
  const of = ({ at }: Doubt): Acquaintance => seen[at] ?? 'new'
  const doubts = all
    .map((doubt) => ({ ...doubt, use: doubt.use * (of(doubt) === 'new' ? 1 : knownShare) }))
    .sort((a, b) => b.use - a.use)
  const [most] = doubts
  if (!most) return undefined
  const fresh = sumOf(all.filter((doubt) => of(doubt) === 'new'))
  const more = doubts.length === 1 ? '' : `; ${doubts.length - 1} more in the picture`
  return {
    reason: 'uncertain',
    use: usesTogether(doubts.map(({ use }) => use)),
    why: `${most.why}${more}`,
    tracks: [],
    fresh: shareOf(fresh, sumOf(all.filter((doubt) => of(doubt) === 'passing'))),
  }
}

/** What stands where it was kept is part of the scene, and does not count against what is new. */
const shareOf = (fresh: number, passing: number): number =>
  fresh === 0 ? 0 : fresh / (fresh + passing)

const sumOf = (doubts: readonly Doubt[]): number => doubts.reduce((sum, { use }) => sum + use, 0)

function nearThreshold({ detections, scoreMinOf }: FrameFacts): Doubt[] {
  return detections.flatMap(({ label, score }, i): Doubt[] => {
    const enough = scoreMinOf(label)
    const near = 1 - Math.abs(score - enough) / band
    if (near <= 0) return []
    const why = `score ${score.toFixed(2)} of "${label}", threshold ${enough.toFixed(2)}`
    return [{ use: near * useMax, why, at: i }]
  })
}

/** Objects about which there are several opinions: by how far the best is ahead, and how evenly they share. */
function torn({ detections, scoreMinOf }: FrameFacts): Doubt[] {
  const heard = detections
    .map((detection, at) => ({ ...detection, at }))
    .filter(({ label, score }) => score >= scoreMinOf(label) * heardShare)
  const taken = new Set<number>()
  return heard.flatMap((first, i): Doubt[] => {
    if (taken.has(i)) return []
    const opinions = [first]
    for (let k = i + 1; k < heard.length; k++) {
      const other = heard[k]!
      if (opinions.some(({ label }) => label === other.label) || taken.has(k)) continue
      if (iou(first.box as unknown as Box, other.box as unknown as Box) < sameObjectIou) continue
      opinions.push(other)
      taken.add(k)
    }
    const [best, next] = opinions.sort((a, b) => b.score - a.score)
    if (!best || !next) return []
    const margin = best.score - next.score
    if (margin >= band) return []
    const share = entropyOf(opinions)
    const why = `"${best.label}" ${best.score.toFixed(2)} or "${next.label}" ${next.score.toFixed(2)}: ${margin.toFixed(2)} apart, entropy ${share.toFixed(2)} of 1`
    return [{ use: useMax * Math.max(1 - margin / band, 0) * share, why, at: first.at }]
  })
}

/** How evenly the scores share: 1 where all are alike. */
export function entropyOf(opinions: readonly Pick<Detection, 'score'>[]): number {
  const sum = opinions.reduce((all, { score }) => all + score, 0)
  if (opinions.length < 2 || sum === 0) return 0
  const bits = opinions.reduce((all, { score }) => {
    const share = score / sum
    return share === 0 ? all : all - share * Math.log(share)
  }, 0)
  return bits / Math.log(opinions.length)
}
