/** The wall of live pictures as somebody wants to see it, all of it in the address bar. */

export const layouts = [1, 4, 9, 16] as const
export type Layout = (typeof layouts)[number]

/** Parts with their default are left out of the address. */
export type WallView = {
  /** Tiles at once; 9 where left out. */
  readonly layout?: Layout
  /** From 2 on; the first where left out. */
  readonly page?: number
  readonly site?: string
  readonly device?: string
  readonly q?: string
  /** `device/stream` that is shown large, in place of the tiles. */
  readonly one?: string
  readonly boxes?: 'off'
}

export const standardLayout: Layout = 9

/** Reads a view from the search part of an address; what does not fit is dropped. */
export function readWallView(search: Record<string, unknown>): WallView {
  const layout = layouts.find((each) => each === search.layout)
  const text = (key: string) => {
    const value = search[key]
    return typeof value === 'string' && value !== '' ? { [key]: value.slice(0, 200) } : {}
  }
  const { page } = search
  return {
    ...(layout && layout !== standardLayout ? { layout } : {}),
    ...(typeof page === 'number' && Number.isInteger(page) && page > 1 ? { page } : {}),
    ...text('site'),
    ...text('device'),
    ...text('q'),
    ...(typeof search.one === 'string' && splitOne(search.one) ? { one: search.one } : {}),
    ...(search.boxes === 'off' ? { boxes: 'off' } : {}),
  }
}

/** The stream that `one` names. */
export function splitOne(one: string): { deviceId: string; streamId: string } | undefined {
  const [, deviceId, streamId] = /^([a-z0-9_-]{1,63})\/([a-z0-9_-]{1,63})$/.exec(one) ?? []
  return deviceId !== undefined && streamId !== undefined ? { deviceId, streamId } : undefined
}

/** Pages that `total` streams fill; one where there are none. */
export const pagesOf = (total: number, layout: Layout): number =>
  Math.max(1, Math.ceil(total / layout))

/**
 * What is asked of the camera for a tile: never more pixels than the tile can show, and a pace that many
 * tiles together can keep up with.
 */
export function qualityOf(layout: Layout): { widthMax: number; fpsMax: number } {
  if (layout === 1) return { widthMax: 1280, fpsMax: 10 }
  return layout === 16 ? { widthMax: 480, fpsMax: 5 } : { widthMax: 640, fpsMax: 5 }
}
