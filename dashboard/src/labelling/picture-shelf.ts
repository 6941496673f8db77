/**
 * Pictures of the frames ahead: the bytes of many, fetched a few at a time, and the nearest ones decoded, so that the
 * next frame is there when its key is pressed and some are left when the hub goes away. Bounded both ways: what is
 * no longer near is let go.
 */

/** Decoded pictures: the one that is looked at, those before and those behind it. */
export const decodedAhead = 5
export const decodedBehind = 2
/** Bytes of pictures that are kept, beside the decoded ones. */
const bytesMax = 96 * 1024 * 1024
const fetchesMax = 3

export type PictureState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly bitmap: ImageBitmap }
  | { readonly kind: 'failed'; readonly why: string }

type Entry = {
  blob?: Blob
  bitmap?: ImageBitmap
  why?: string
  /** A fetch or a decoding is under way. */
  busy?: AbortController
}

export class PictureShelf {
  readonly #entries = new Map<string, Entry>()
  readonly #listeners = new Set<(digest: string) => void>()
  readonly #get: (digest: string, signal: AbortSignal) => Promise<Blob>
  #near: readonly string[] = []
  #far: readonly string[] = []

  /** @param get fetches a picture */
  constructor(get: (digest: string, signal: AbortSignal) => Promise<Blob>) {
    this.#get = get
  }

  readonly subscribe = (listener: (digest: string) => void): (() => void) => {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** How a picture is now. */
  at(digest: string): PictureState {
    const entry = this.#entries.get(digest)
    if (entry?.bitmap) return { kind: 'ready', bitmap: entry.bitmap }
    return entry?.why === undefined ? { kind: 'loading' } : { kind: 'failed', why: entry.why }
  }

  /** Tries a picture again that could not be had. */
  retry(digest: string): void {
    const entry = this.#entries.get(digest)
    if (entry) delete entry.why
    this.#work()
  }

  /**
   * Says what is wanted now.
   * @param near to be decoded, the most urgent first
   * @param far to be fetched, the most urgent first
   */
  want(near: readonly string[], far: readonly string[]): void {
    this.#near = near
    this.#far = far
    const wanted = new Set([...near, ...far])
    const decoded = new Set(near)
    for (const [digest, entry] of this.#entries) {
      if (!decoded.has(digest) && entry.bitmap) {
        entry.bitmap.close()
        delete entry.bitmap
      }
      if (wanted.has(digest)) continue
      entry.busy?.abort()
      this.#entries.delete(digest)
    }
    this.#work()
  }

  close(): void {
    this.want([], [])
    this.#listeners.clear()
  }

  #work(): void {
    let room =
      fetchesMax - [...this.#entries.values()].filter(({ busy, blob }) => busy && !blob).length
    let bytes = [...this.#entries.values()].reduce((sum, { blob }) => sum + (blob?.size ?? 0), 0)
    for (const digest of [...this.#near, ...this.#far]) {
      const entry = this.#entries.get(digest) ?? {}
      this.#entries.set(digest, entry)
      const isNear = this.#near.includes(digest)
      if (entry.busy || entry.why !== undefined || entry.bitmap) continue
      if (entry.blob) {
        if (isNear) void this.#decode(digest, entry, entry.blob)
      } else if (room > 0 && (isNear || bytes < bytesMax)) {
        room--
        // What is not known yet is counted as a large one.
        bytes += 1_000_000
        void this.#fetch(digest, entry)
      }
    }
  }

  async #fetch(digest: string, entry: Entry): Promise<void> {
    const busy = new AbortController()
    entry.busy = busy
    try {
      entry.blob = await this.#get(digest, busy.signal)
    } catch (error) {
      if (!busy.signal.aborted) entry.why = error instanceof Error ? error.message : String(error)
    }
    delete entry.busy
    if (busy.signal.aborted) return
    this.#tell(digest)
    this.#work()
  }

  async #decode(digest: string, entry: Entry, blob: Blob): Promise<void> {
    const busy = new AbortController()
    entry.busy = busy
    let bitmap: ImageBitmap | undefined
    try {
      bitmap = await createImageBitmap(blob)
    } catch {
      entry.why = 'Its bytes are not a picture that this browser can show'
    }
    delete entry.busy
    if (busy.signal.aborted || !this.#near.includes(digest)) bitmap?.close()
    else if (bitmap) entry.bitmap = bitmap
    this.#tell(digest)
    this.#work()
  }

  #tell(digest: string): void {
    for (const listener of this.#listeners) listener(digest)
  }
}

/** Which pictures are wanted around a place in the order of frames. */
export function wantedAround(
  digests: readonly string[],
  at: number,
): { near: readonly string[]; far: readonly string[] } {
  const ahead = digests.slice(at, at + 1 + decodedAhead)
  const behind = digests.slice(Math.max(0, at - decodedBehind), at).toReversed()
  const near = [...new Set([...ahead, ...behind])]
  const far = [...new Set(digests.slice(at + 1 + decodedAhead))].filter(
    (one) => !near.includes(one),
  )
  return { near, far }
}
