/**
 * Lines of an agent's log for whoever asks: the device is asked over the broker, and its answer, which comes
 * by HTTPS, goes straight to who waits for it. The hub keeps none of it.
 */
import { randomUUID } from 'node:crypto'
import { type DeviceLog, type LogAnswer, type LogRequest, Refusal } from '@edgeloop/protocol'
import type { Device } from './device.ts'

/** How long a device has to answer. */
const answerMs = 5000
/** Questions under way, of one device and of all: whoever asks beyond that is refused. */
const deviceQuestionsMax = 8
const questionsMax = 200

export type LogQuery = Pick<LogRequest, 'after' | 'linesMax'>

export type DeviceLogs = {
  /**
   * Asks the device, and says so where it is not there or does not answer.
   * @throws {Refusal} tooManyRequests while too much is being asked
   */
  ask(device: Device, query: LogQuery, signal: AbortSignal): Promise<DeviceLog>
  /**
   * Takes the answer of a device.
   * @throws {Refusal} notFound when nobody waits for it, or another device was asked
   */
  receive(device: Device, requestId: string, answer: LogAnswer): void
}

type Question = {
  readonly deviceId: string
  readonly take: (answer: LogAnswer | undefined) => void
}

/** @param deps.waitMs how long a device has to answer, for tests */
export function openDeviceLogs(deps: {
  request: (device: Device, request: LogRequest) => void
  waitMs?: number
}): DeviceLogs {
  const questions = new Map<string, Question>()

  return {
    async ask(device, query, signal) {
      const { deviceId } = device
      if (!device.online) {
        const why = device.retiredAt === null ? 'is not connected' : 'is retired'
        return nothing('offline', `Device "${deviceId}" ${why}: its log is on the box`)
      }
      const ofDevice = [...questions.values()].filter((one) => one.deviceId === deviceId)
      if (ofDevice.length >= deviceQuestionsMax || questions.size >= questionsMax) {
        throw new Refusal(
          'tooManyRequests',
          `Cannot ask "${deviceId}" for its log: too many wait for such answers; try again in a moment`,
          { retryAfterS: answerMs / 1000 },
        )
      }
      const requestId = randomUUID()
      const { promise, resolve } = Promise.withResolvers<LogAnswer | undefined>()
      const stop = () => resolve(undefined)
      const timeout = setTimeout(stop, deps.waitMs ?? answerMs)
      signal.addEventListener('abort', stop, { once: true })
      questions.set(requestId, { deviceId, take: resolve })
      try {
        deps.request(device, { requestId, ...query })
        const answer = await promise
        if (answer) return { state: 'answered', reason: '', ...answer }
        return nothing(
          'silent',
          `Device "${deviceId}" is connected and did not answer; an agent of an older version cannot`,
        )
      } finally {
        clearTimeout(timeout)
        signal.removeEventListener('abort', stop)
        questions.delete(requestId)
      }
    },
    receive({ deviceId }, requestId, answer) {
      const question = questions.get(requestId)
      if (question?.deviceId !== deviceId) {
        throw new Refusal('notFound', 'Cannot take these lines: nobody waits for them')
      }
      question.take(answer)
    },
  }
}

const nothing = (state: 'offline' | 'silent', reason: string): DeviceLog => ({
  state,
  reason,
  bootId: null,
  lines: [],
  omitted: 0,
})
