/**
 * The outbox of whoever is signed in at this browser: one for the page, whichever place of it is looked at. What
 * was left by an earlier page is sent as soon as this one is there.
 */
import { call } from '../api/call.ts'
import { openAnswerStore } from './answer-store.ts'
import { Outbox } from './outbox.ts'
import type { TabNews } from './session.ts'

const channelName = 'edgeloop-labels'
/** Set while anything waits, so that the shell knows without opening the store. */
const unsentKey = 'edgeloop.labels.unsent'

let here:
  | { readonly user: string; readonly outbox: Outbox; readonly stop: AbortController }
  | undefined

/** Tells other tabs of this browser. */
export function tellTabs(news: TabNews): void {
  channel().postMessage(news)
}

/** Hears other tabs until `signal` is aborted. */
export function hearTabs(heard: (news: TabNews) => void, signal: AbortSignal): void {
  const listener = ({ data }: MessageEvent<TabNews>) => heard(data)
  channel().addEventListener('message', listener, { signal })
}

let opened: BroadcastChannel | undefined
function channel(): BroadcastChannel {
  opened ??= new BroadcastChannel(channelName)
  return opened
}

/** The outbox of `user`; another user's is stopped, and keeps what it has. */
export function outboxOf(user: string): Outbox {
  if (here?.user === user) return here.outbox
  here?.stop.abort()
  const stop = new AbortController()
  const outbox = new Outbox({
    user,
    store: openAnswerStore(),
    post: (queue, answers, signal) =>
      call('labelAnswer', { params: { queue }, body: { answers: [...answers] }, signal }),
    wait,
    now: Date.now,
    random: Math.random,
    // Two tabs would send the same twice: of no harm, and of no use.
    alone: async (act, signal) => {
      try {
        await navigator.locks.request(`edgeloop-labels/${user}`, { signal }, act)
      } catch (error) {
        if (!signal.aborted) throw error
      }
    },
    announce: () => tellTabs({ kind: 'outbox' }),
  })
  outbox.subscribe(() => noteUnsent(outbox.state.unsent))
  hearTabs((news) => {
    if (news.kind === 'outbox') void outbox.refresh()
  }, stop.signal)
  window.addEventListener('online', () => outbox.nudge(), { signal: stop.signal })
  here = { user, outbox, stop }
  void outbox.run(stop.signal)
  return outbox
}

/** Storage may be refused; then the next page looks when somebody labels. */
function noteUnsent(unsent: number): void {
  try {
    if (unsent > 0) localStorage.setItem(unsentKey, String(unsent))
    else localStorage.removeItem(unsentKey)
  } catch {}
}

/** Ends early when the signal is aborted. */
export const wait = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
    function done(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
