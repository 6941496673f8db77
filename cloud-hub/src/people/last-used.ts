/** Keeps "last used" of sessions and tokens to the minute, without a write per request. */

const writeIntervalMs = 60_000
/** Ids remembered; above it all are forgotten, which costs one write each. */
const idsMax = 5000

/**
 * @param write records that `id` was used at `now`
 * @returns to be called on every use
 */
export function openLastUsed(deps: {
  write: (id: string, now: number) => Promise<unknown>
  failed: (error: unknown) => void
}): (id: string, now: number) => void {
  const written = new Map<string, number>()
  return (id, now) => {
    if (now - (written.get(id) ?? Number.NEGATIVE_INFINITY) < writeIntervalMs) return
    if (written.size >= idsMax) written.clear()
    written.set(id, now)
    deps.write(id, now).catch(deps.failed)
  }
}
