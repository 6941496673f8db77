/** Sends a message the way its receiver wants it. */
import type { Receiver } from '@edgeloop/protocol'
import type { Resolve } from './address-guard.ts'
import { type ReadPicture, sendMail } from './mail.ts'
import type { Message } from './message.ts'
import { sendMqtt } from './mqtt-topic.ts'
import { sendWebhook } from './webhook.ts'

/** A receiver with what it needs to get in and to sign. */
export type ReadyReceiver = {
  readonly name: string
  readonly receiver: Receiver
  readonly password: string
  /** The newest first; empty of what is not signed. */
  readonly secrets: readonly string[]
}

/**
 * @returns what to note of it
 * @throws {Undelivered} where it was not taken
 */
export type Send = (message: Message, to: ReadyReceiver, signal: AbortSignal) => Promise<string>

export function openSend(deps: {
  clock: () => number
  readPicture: ReadPicture
  resolve?: Resolve
}): Send {
  return async (message, { receiver, secrets, password }, signal) => {
    switch (receiver.kind) {
      case 'webhook':
        return await sendWebhook(message, { receiver, secrets }, { ...deps, signal })
      case 'mqtt':
        return await sendMqtt(message, { receiver, password }, { ...deps, signal })
      case 'mail':
        return await sendMail(message, { receiver, password }, { ...deps, signal })
    }
  }
}
