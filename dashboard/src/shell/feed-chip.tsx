/** Whether what is on screen is the present: Live, Reconnecting (12 s), or Offline, data from 14:02. */
import { useFeedState } from '../api/changes.tsx'
import { useNow } from './now.tsx'
import { sayClock, sayDuration, sayMoment } from './say.ts'
import { Status } from './status.tsx'

/** After this long without a connection, what is on screen is called old. */
const offlineAfterMs = 30_000

export function FeedChip() {
  const state = useFeedState()
  const now = useNow()
  if (!state || state.kind === 'connecting') return <Status kind="info" word="Connecting" />
  if (state.kind === 'live') {
    return <Status kind="ok" word="Live" title="Changes arrive as they happen" />
  }
  const awayMs = now - state.since
  const from = state.dataAt ?? state.since
  if (awayMs > offlineAfterMs || !navigator.onLine) {
    return (
      <Status
        kind="offline"
        word={`Offline, data from ${sayClock(from)}`}
        title={sayMoment(from)}
      />
    )
  }
  return (
    <Status kind="warn" word={`Reconnecting (${sayDuration(awayMs)})`} title={sayMoment(from)} />
  )
}
