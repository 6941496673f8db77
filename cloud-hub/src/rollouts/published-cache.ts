/** What is published for kinds of boxes, asked for once in a while: a fleet has thousands of devices and few kinds. */
import type { Published } from '@edgeloop/protocol'

/** Where signed artifacts come from. */
export type PublishedArtifacts = {
  /** The artifact of a version that fits a device best; undefined where none does. */
  artifactFor(
    name: string,
    version: number,
    targets: readonly string[],
  ): Promise<Published | undefined>
}

const keptMs = 30_000
const entriesMax = 1000

/** @returns the same answers, up to half a minute old */
export function cachePublished(
  artifacts: PublishedArtifacts,
  clock: () => number,
): PublishedArtifacts & { forget(): void } {
  const entries = new Map<string, { at: number; published: Promise<Published | undefined> }>()
  return {
    artifactFor: (name, version, targets) => {
      const key = JSON.stringify([name, version, targets])
      const now = clock()
      const kept = entries.get(key)
      if (kept && Math.abs(now - kept.at) < keptMs) return kept.published
      if (entries.size >= entriesMax) entries.clear()
      const published = artifacts.artifactFor(name, version, targets)
      entries.set(key, { at: now, published })
      published.catch(() => entries.delete(key))
      return published
    },
    forget: () => entries.clear(),
  }
}
