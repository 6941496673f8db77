/** "Did you mean …": unknown keys, flags and labels name the nearest known one. */
import leven from 'leven'

/**
 * The known name closest to `name`, or undefined where none is within a third of its length
 * (at least two edits), so that a wild guess is never offered.
 */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const editsMax = Math.max(2, Math.floor(name.length / 3))
  let best: string | undefined
  let bestEdits = editsMax + 1
  for (const candidate of known) {
    const edits = leven(name.toLowerCase(), candidate.toLowerCase())
    if (edits < bestEdits) {
      best = candidate
      bestEdits = edits
    }
  }
  return best
}
