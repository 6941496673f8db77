/**
 * Who looks at which stream: the hub, and people beside the box. The media processes are asked for all of
 * it at once, and each side gets only what it asked for.
 */
import type { LiveRequest } from '@edgeloop/protocol'

type Want = LiveRequest['streams'][number]

export type LiveViewsOptions = {
  /** Asks the media processes, in place of what they were asked before. */
  readonly ask: (request: LiveRequest) => void
  /** Sends a picture to the hub. */
  readonly forward: (streamId: string, bytes: Uint8Array) => void
  readonly now: () => number
}

/** How long a request holds that is not renewed, and how often those of local views are. */
const holdMs = 15_000
const renewMs = 5_000
/** A picture may come this share of an interval early and still be in time. */
const earlyShare = 0.1

type View = { readonly want: Want; readonly show: (message: Uint8Array) => void }

export class LiveViews implements Disposable {
  readonly #options: LiveViewsOptions
  readonly #views = new Set<View>()
  /** When the hub was last sent a picture, by stream. */
  readonly #forwardedAt = new Map<string, number>()
  #hub: LiveRequest | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(options: LiveViewsOptions) {
    this.#options = options
  }

  /** Takes the hub's request, which replaces its last one. */
  hubAsks(request: LiveRequest): void {
    this.#hub = request
    if (this.#views.size === 0) this.#options.ask(request)
    else this.#ask()
  }

  /**
   * Looks at a stream until disposed of.
   * @param show gets every live message of it, as `decodeLiveFrame` reads them
   */
  look(want: Want, show: (message: Uint8Array) => void): Disposable {
    const view = { want, show }
    this.#views.add(view)
    this.#ask()
    this.#timer ??= setInterval(() => this.#ask(), renewMs).unref()
    return {
      [Symbol.dispose]: () => {
        if (!this.#views.delete(view)) return
        if (this.#views.size === 0) {
          clearInterval(this.#timer)
          this.#timer = undefined
        }
        this.#ask()
      },
    }
  }

  /** A live message has come from a media process. */
  take(streamId: string, message: Uint8Array): void {
    for (const { want, show } of this.#views) if (want.streamId === streamId) show(message)
    const want = this.#hubWants().find((wanted) => wanted.streamId === streamId)
    if (!want) return
    const now = this.#options.now()
    const sinceMs = now - (this.#forwardedAt.get(streamId) ?? Number.NEGATIVE_INFINITY)
    // Beside a faster local view, the hub still gets no more than it asked for.
    const isFaster = [...this.#views].some((view) => view.want.streamId === streamId)
    if (isFaster && sinceMs < (1000 / want.fpsMax) * (1 - earlyShare)) return
    this.#forwardedAt.set(streamId, now)
    this.#options.forward(streamId, message)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#views.clear()
  }

  #hubWants(): readonly Want[] {
    const hub = this.#hub
    return hub && Date.parse(hub.until) >= this.#options.now() ? hub.streams : []
  }

  #ask(): void {
    const wants = new Map<string, Want>()
    for (const want of [...this.#hubWants(), ...[...this.#views].map((view) => view.want)]) {
      const { streamId, widthMax, fpsMax } = want
      const known = wants.get(streamId)
      wants.set(streamId, {
        streamId,
        widthMax: Math.max(widthMax, known?.widthMax ?? 0),
        fpsMax: Math.max(fpsMax, known?.fpsMax ?? 0),
      })
    }
    const localUntil = this.#options.now() + (this.#views.size > 0 ? holdMs : 0)
    const hubUntil = this.#hubWants().length > 0 ? Date.parse(this.#hub?.until ?? '') : 0
    const until = new Date(Math.max(localUntil, hubUntil)).toISOString()
    this.#options.ask({ until, streams: [...wants.values()] })
  }
}
