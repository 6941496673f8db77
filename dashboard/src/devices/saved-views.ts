/**
 * Views of the fleet that somebody gave a name. A view is an address, so it can be sent to anybody; the
 * names are kept in this browser only, at most 20 of them.
 */
import { type FleetView, readFleetView } from './fleet-view.ts'

export type SavedView = { readonly name: string; readonly view: FleetView }

/** Everybody's. */
export const standardViews: readonly SavedView[] = [
  { name: 'All devices', view: {} },
  { name: 'Offline, longest first', view: { health: 'offline', sort: 'seen' } },
  { name: 'Degraded', view: { health: 'degraded' } },
  { name: 'Never seen', view: { health: 'never' } },
  { name: 'Busiest first', view: { sort: 'cpu', down: true, cols: 'health,site,fps,cpu,memory' } },
]

export const savedViewsMax = 20
export const viewNameMax = 60

const storageKey = 'edgeloop.fleet-views'

type Storage = Pick<globalThis.Storage, 'getItem' | 'setItem'>

/** What is kept; nothing where it cannot be read, by whomever it was written. */
export function readSavedViews(storage: Storage): readonly SavedView[] {
  try {
    const kept: unknown = JSON.parse(storage.getItem(storageKey) ?? '[]')
    if (!Array.isArray(kept)) return []
    return kept.slice(0, savedViewsMax).flatMap((one: { name?: unknown; view?: unknown }) => {
      if (typeof one?.name !== 'string' || typeof one.view !== 'object' || !one.view) return []
      const name = one.name.slice(0, viewNameMax)
      return [{ name, view: readFleetView(one.view as Record<string, unknown>) }]
    })
  } catch {
    // Storage may be forbidden or hold something else: views are a convenience.
    return []
  }
}

/**
 * Keeps a view under a name; one of the same name is replaced, the oldest gives way.
 * @returns what is kept now
 */
export function saveView(storage: Storage, saved: SavedView): readonly SavedView[] {
  const others = readSavedViews(storage).filter(({ name }) => name !== saved.name)
  return write(storage, [...others, saved].slice(-savedViewsMax))
}

/** Forgets the view of that name. @returns what is kept now */
export function forgetView(storage: Storage, name: string): readonly SavedView[] {
  return write(
    storage,
    readSavedViews(storage).filter((saved) => saved.name !== name),
  )
}

function write(storage: Storage, views: readonly SavedView[]): readonly SavedView[] {
  try {
    storage.setItem(storageKey, JSON.stringify(views))
  } catch {
    // Full or forbidden: the view works for as long as the page is open.
  }
  return views
}

/** True where two views show the same. */
export const sameView = (a: FleetView, b: FleetView): boolean =>
  JSON.stringify(Object.entries(readFleetView({ ...a })).sort()) ===
  JSON.stringify(Object.entries(readFleetView({ ...b })).sort())
