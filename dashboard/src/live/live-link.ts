/**
 * One WebSocket for all live pictures of a tab. Tiles say what they want to see; the union is sent
 * whole whenever it changes, and nothing while the tab is hidden. Each tile gets only the newest
 * frame: what arrives while it is still decoding one replaces what waits.
 */
import { decodeLiveFrame, type LiveHeader, type LiveWant } from '@edgeloop/protocol'
import { backoffMs } from '../api/change-feed.ts'

export type LiveFrame = { readonly header: LiveHeader; readonly jpeg: Uint8Array }

export type Want = LiveWant['want'][number]

/** What becomes of a tile's frames. Resolves when it is ready for the next. */
export type Viewer = (frame: LiveFrame) => Promise<void>

type Tile = {
  readonly want: Want
  readonly viewer: Viewer
  busy: boolean
  next: LiveFrame | undefined
}

/** The connection is closed when nobody has wanted anything for this long. */
const idleCloseMs = 5000
/** Most streams in one want list (protocol `LiveWant`); more tiles than this get no live picture. */
const wantsMax = 64

export class LiveLink implements Disposable {
  readonly #url: string
  readonly #tiles = new Set<Tile>()
  #socket: WebSocket | undefined
  #visible = true
  #attempt = 0
  #said = ''
  #timer: ReturnType<typeof setTimeout> | undefined
  #wantTimer: ReturnType<typeof setTimeout> | undefined
  #closed = false

  /** @param url of the live route, `ws://…` or `wss://…` */
  constructor(url: string) {
    this.#url = url
  }

  /** Shows `want` to `viewer` until the returned function is called. */
  look(want: Want, viewer: Viewer): () => void {
    const tile: Tile = { want, viewer, busy: false, next: undefined }
    this.#tiles.add(tile)
    this.#wantSoon()
    return () => {
      this.#tiles.delete(tile)
      tile.next = undefined
      this.#wantSoon()
    }
  }

  /** Nothing is wanted while nobody can see the page. */
  setVisible(visible: boolean): void {
    this.#visible = visible
    this.#attempt = 0
    this.#sayWants()
  }

  [Symbol.dispose](): void {
    this.#closed = true
    this.#tiles.clear()
    clearTimeout(this.#timer)
    clearTimeout(this.#wantTimer)
    this.#socket?.close()
  }

  /** Tiles come and go in the same moment when a page changes: their wants go out together. */
  #wantSoon(): void {
    clearTimeout(this.#wantTimer)
    this.#wantTimer = setTimeout(() => this.#sayWants(), 30)
  }

  #sayWants(): void {
    if (this.#closed) return
    const want = this.#visible ? mergeWants([...this.#tiles].map((tile) => tile.want)) : []
    clearTimeout(this.#timer)
    if (!this.#socket) {
      if (want.length > 0) this.#open()
      return
    }
    if (this.#socket.readyState !== WebSocket.OPEN) return
    const text = JSON.stringify({ want } satisfies LiveWant)
    if (text !== this.#said) {
      this.#said = text
      this.#socket.send(text)
    }
    if (want.length === 0) this.#timer = setTimeout(() => this.#socket?.close(), idleCloseMs)
  }

  #open(): void {
    const socket = new WebSocket(this.#url)
    socket.binaryType = 'arraybuffer'
    this.#socket = socket
    socket.onopen = () => {
      this.#said = ''
      this.#sayWants()
    }
    socket.onmessage = ({ data }) => {
      if (!(data instanceof ArrayBuffer)) return
      this.#attempt = 0
      this.#show(new Uint8Array(data))
    }
    socket.onclose = () => {
      this.#socket = undefined
      if (this.#closed || this.#tiles.size === 0 || !this.#visible) return
      this.#timer = setTimeout(() => this.#sayWants(), backoffMs(this.#attempt++, Math.random))
    }
  }

  #show(bytes: Uint8Array): void {
    const frame = readLiveFrame(bytes)
    if (!frame) return
    for (const tile of this.#tiles) {
      const { deviceId, streamId } = tile.want
      if (frame.header.deviceId !== deviceId || frame.header.streamId !== streamId) continue
      tile.next = frame
      if (!tile.busy) void this.#feed(tile)
    }
  }

  async #feed(tile: Tile): Promise<void> {
    tile.busy = true
    while (tile.next) {
      const frame = tile.next
      tile.next = undefined
      // A picture that cannot be decoded is skipped; the next one may be fine.
      await tile.viewer(frame).catch(() => {})
    }
    tile.busy = false
  }
}

/** The message as header and picture, or undefined where it is neither. The hub has checked the header. */
export function readLiveFrame(bytes: Uint8Array): LiveFrame | undefined {
  try {
    const { header, jpeg } = decodeLiveFrame(bytes)
    return { header: header as LiveHeader, jpeg }
  } catch {
    return undefined
  }
}

/** One entry per stream: the widest and fastest that any tile asks for. */
export function mergeWants(wants: readonly Want[]): Want[] {
  const merged = new Map<string, Want>()
  for (const want of wants) {
    const key = `${want.deviceId}/${want.streamId}`
    const other = merged.get(key)
    merged.set(key, {
      ...want,
      widthMax: Math.max(want.widthMax, other?.widthMax ?? 0),
      fpsMax: Math.max(want.fpsMax, other?.fpsMax ?? 0),
    })
  }
  return [...merged.values()].slice(0, wantsMax)
}
