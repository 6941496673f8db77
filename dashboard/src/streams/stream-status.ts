/** What a person should think of a stream: icon kind, word and the sentence behind it. */
import type { ReportedStream, StreamState } from '@edgeloop/protocol'
import type { StatusKind } from '../shell/status.tsx'

export type StreamStatus = {
  readonly kind: StatusKind
  readonly word: string
  /** Empty where there is nothing to explain. */
  readonly sentence: string
}

const words: Record<StreamState, { kind: StatusKind; word: string }> = {
  live: { kind: 'ok', word: 'Live' },
  connecting: { kind: 'info', word: 'Connecting' },
  stalled: { kind: 'warn', word: 'Stalled' },
  offline: { kind: 'offline', word: 'Offline' },
  ended: { kind: 'offline', word: 'Ended' },
  failed: { kind: 'bad', word: 'Failed' },
}

/** How `state` is shown, wherever it appears. */
export const streamStateWord = (state: StreamState): { kind: StatusKind; word: string } =>
  words[state]

/** @param online whether the device is connected; when it is not, its last word about a stream is old */
export function streamStatus(
  stream: Pick<ReportedStream, 'state' | 'reason' | 'shedding'>,
  online: boolean,
): StreamStatus {
  if (!online) return { kind: 'offline', word: 'Device offline', sentence: 'The device is offline' }
  const { kind, word } = words[stream.state]
  if (stream.state === 'live' && stream.shedding) {
    return { kind: 'warn', word: 'Live, shedding', sentence: stream.shedding.reason }
  }
  if (stream.state === 'live') return { kind, word, sentence: '' }
  return { kind, word, sentence: stream.reason ? `${word}: ${stream.reason}` : word }
}
