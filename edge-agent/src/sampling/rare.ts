/** Frames with a label that is looked out for, or that this stream seldom shows. Counted are objects, not frames. */
import type { Finding, FrameFacts } from './facts.ts'
import { percent } from './facts.ts'

/** Labels are called rare once so many objects were counted. */
const objectsMin = 50
const rareShare = 0.02
/** Counts halve when they come to this many, so that what was rare last year may be rare again. */
const objectsMax = 5_000
const useOf = { wanted: 0.7, rare: 0.6 }

export type LabelMemory = {
  readonly counts: Readonly<Record<string, number>>
  /** Highest track number that was counted. */
  readonly counted: number
}
export const noLabels: LabelMemory = { counts: {}, counted: 0 }

/** Pure: gives what is to be remembered with what it finds. */
export function rare(
  facts: FrameFacts,
  memory: LabelMemory,
  wanted: readonly string[] | undefined,
): { finding: Finding | undefined; memory: LabelMemory } {
  const seen = facts.tracks.filter(({ seenAt }) => seenAt === facts.at)
  const fresh = facts.tracks.filter(({ trackId }) => trackId > memory.counted)
  const next = fresh.length === 0 ? memory : counted(memory, fresh)
  const objects = Object.values(next.counts).reduce((sum, count) => sum + count, 0)
  const found = seen.flatMap(({ label, trackId }) => {
    if (wanted) {
      if (!wanted.includes(label)) return []
      return [{ trackId, use: useOf.wanted, why: `"${label}" is looked out for` }]
    }
    const share = (next.counts[label] ?? 0) / Math.max(1, objects)
    if (objects < objectsMin || share > rareShare) return []
    const why = `"${label}" is ${next.counts[label]} of ${objects} objects seen here (${percent(share)})`
    return [{ trackId, use: useOf.rare, why }]
  })
  const [most] = found
  const finding: Finding | undefined = most && {
    reason: 'rare',
    use: most.use,
    why: most.why,
    tracks: found.map(({ trackId }) => trackId),
  }
  return { finding, memory: next }
}

function counted(
  memory: LabelMemory,
  fresh: readonly { trackId: number; label: string }[],
): LabelMemory {
  const counts = { ...memory.counts }
  for (const { label } of fresh) counts[label] = (counts[label] ?? 0) + 1
  const objects = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const halved = Object.entries(counts)
    .map(([label, count]): [string, number] => [label, Math.floor(count / 2)])
    .filter(([, count]) => count > 0)
  return {
    counts: objects > objectsMax ? Object.fromEntries(halved) : counts,
    counted: Math.max(memory.counted, ...fresh.map(({ trackId }) => trackId)),
  }
}
