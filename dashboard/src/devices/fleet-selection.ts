/**
 * Devices that somebody has picked for a bulk act: they stay picked while filters change, and what is picked
 * but not on screen is always counted apart, so that no act hits more than one can know of.
 */

export type Selection = ReadonlySet<string>

export const nobody: Selection = new Set()

/** The selection with `deviceId` in it, or without where it was. */
export function toggle(selection: Selection, deviceId: string): Selection {
  const next = new Set(selection)
  if (!next.delete(deviceId)) next.add(deviceId)
  return next
}

/** Everything from one row to another joins the selection, whichever comes first. */
export function addRange(
  selection: Selection,
  shown: readonly string[],
  from: string,
  to: string,
): Selection {
  const [a, b] = [shown.indexOf(from), shown.indexOf(to)].sort((x, y) => x - y)
  if (a === undefined || b === undefined || a < 0) return new Set([...selection, to])
  return new Set([...selection, ...shown.slice(a, b + 1)])
}

/** All rows that are shown join; where all of them are in already, they leave. */
export function toggleAll(selection: Selection, shown: readonly string[]): Selection {
  const next = new Set(selection)
  const all = shown.every((id) => selection.has(id))
  for (const id of shown) {
    if (all) next.delete(id)
    else next.add(id)
  }
  return next
}

/**
 * What is selected, counted.
 * @param existing ids of all devices: one that is gone is selected no more
 */
export function countSelected(
  selection: Selection,
  shown: readonly string[],
  existing: ReadonlySet<string>,
): { readonly ids: readonly string[]; readonly hidden: number; readonly shownAll: boolean } {
  const ids = [...selection].filter((id) => existing.has(id))
  const seen = shown.filter((id) => selection.has(id)).length
  return {
    ids,
    hidden: ids.length - seen,
    shownAll: shown.length > 0 && seen === shown.length,
  }
}
