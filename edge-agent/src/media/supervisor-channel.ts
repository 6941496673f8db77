/**
 * A media process's end of the IPC channel to its supervisor. Keeps what it sends bounded: events
 * wait while too many are not recorded yet, live pictures are dropped, everything else is small.
 */
import type { NewEvent } from '@edgeloop/protocol'
import { type FromMedia, type ToMedia, unrecordedEventsMax } from './protocol.ts'

export interface SupervisorChannel {
  send(message: FromMedia): void
  /** Sends bytes; settles when they have left the process. */
  sendLive(streamId: string, bytes: Uint8Array): Promise<void>
  /** Sends an event. Settles at once while fewer than `unrecordedEventsMax` are unrecorded. */
  record(event: NewEvent): Promise<void>
}

/**
 * Opens the channel of this process.
 * @param onClosed called when the supervisor has gone
 * @throws {Error} when the process was not forked
 */
export function openSupervisorChannel(
  onMessage: (message: Exclude<ToMedia, { kind: 'recorded' }>) => void,
  onClosed: () => void,
): SupervisorChannel {
  const write = process.send?.bind(process)
  if (!write) {
    throw new Error('Cannot start media process: it has no supervisor; `edgeloop agent` starts it')
  }
  let sent = 0
  let recorded = 0
  let room = Promise.withResolvers<void>()
  process.on('message', (message: ToMedia) => {
    if (message.kind !== 'recorded') return onMessage(message)
    recorded = message.id
    room.resolve()
    room = Promise.withResolvers()
  })
  process.once('disconnect', onClosed)
  // A write that fails means that the supervisor has gone, which `disconnect` says as well.
  const ignore = (): void => {}
  return {
    send: (message) => {
      if (process.connected) write(message, undefined, undefined, ignore)
    },
    sendLive: (streamId, bytes) =>
      new Promise((resolve) => {
        if (!process.connected) return resolve()
        write({ kind: 'live', streamId, bytes } satisfies FromMedia, undefined, undefined, () =>
          resolve(),
        )
      }),
    record: async (event) => {
      while (sent - recorded >= unrecordedEventsMax) await room.promise
      sent++
      if (process.connected) {
        write({ kind: 'event', id: sent, event } satisfies FromMedia, undefined, undefined, ignore)
      }
    },
  }
}
