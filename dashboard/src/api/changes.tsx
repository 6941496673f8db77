/**
 * Hands what the change feed hears to the rooms that care, in batches, so that a burst costs one
 * render and not hundreds.
 */
import { type Change, routes } from '@edgeloop/protocol'
import {
  createContext,
  type ReactNode,
  useContext,
  useEffect,
  useEffectEvent,
  useState,
  useSyncExternalStore,
} from 'react'
import { ChangeFeed, type FeedState } from './change-feed.ts'

/** Changes are gathered for this long. */
const batchMs = 200
/** More in one batch than this, and fetching again is cheaper than applying them. */
const batchChangesMax = 5000

type Listener = {
  readonly onChanges: (batch: readonly Change[]) => void
  readonly onReset?: (() => void) | undefined
}

type Hub = { readonly feed: ChangeFeed; readonly listeners: Set<Listener> }

const ChangesContext = createContext<Hub | undefined>(undefined)

/** Runs the feed for as long as it is mounted. */
export function ChangesProvider(props: { onSignedOut: () => void; children: ReactNode }) {
  const [hub, setHub] = useState<Hub>()
  const signedOut = useEffectEvent(props.onSignedOut)

  useEffect(() => {
    const stop = new AbortController()
    const listeners = new Set<Listener>()
    let batch: Change[] = []
    let overflowed = false
    let timer: ReturnType<typeof setTimeout> | undefined
    const reset = () => {
      for (const listener of listeners) listener.onReset?.()
    }
    const flush = () => {
      timer = undefined
      const changes = batch
      batch = []
      if (overflowed) {
        overflowed = false
        return reset()
      }
      for (const listener of listeners) listener.onChanges(changes)
    }
    const feed = new ChangeFeed({
      url: routes.changes.path,
      onChange: (change) => {
        if (batch.length < batchChangesMax) batch.push(change)
        else overflowed = true
        timer ??= setTimeout(flush, batchMs)
      },
      onReset: reset,
      onSignedOut: () => signedOut(),
      signal: stop.signal,
    })
    const seen = () => feed.setVisible(document.visibilityState === 'visible')
    const heard = { signal: stop.signal }
    document.addEventListener('visibilitychange', seen, heard)
    window.addEventListener('online', feed.retryNow, heard)
    seen()
    setHub({ feed, listeners })
    void feed.run()
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [])

  return <ChangesContext value={hub}>{props.children}</ChangesContext>
}

/** Calls back with every batch of changes, and when everything must be fetched again. */
export function useChanges(
  onChanges: (batch: readonly Change[]) => void,
  onReset?: () => void,
): void {
  const hub = useContext(ChangesContext)
  const changed = useEffectEvent(onChanges)
  const resetted = useEffectEvent(() => onReset?.())
  useEffect(() => {
    if (!hub) return
    const listener: Listener = {
      onChanges: (batch) => changed(batch),
      onReset: () => resetted(),
    }
    hub.listeners.add(listener)
    return () => void hub.listeners.delete(listener)
  }, [hub])
}

const unwatched = () => () => {}
const notYet = (): FeedState | undefined => undefined

/** What state the change stream is in; undefined before it starts. */
export function useFeedState(): FeedState | undefined {
  const feed = useContext(ChangesContext)?.feed
  return useSyncExternalStore<FeedState | undefined>(
    feed?.watch ?? unwatched,
    feed?.state ?? notYet,
  )
}
