/**
 * Stands in for a media process: says events at a high rate, and writes into a ledger what the agent
 * has confirmed as recorded. Started by the agent itself, killed like a real one.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { NewEvent, StreamConfig } from '@edgeloop/protocol'
import type { FromMedia, ToMedia } from '../../edge-agent/src/media/protocol.ts'
import { unrecordedEventsMax } from '../../edge-agent/src/media/protocol.ts'
import { ledgerLine, type MediaOrder, mediaOrderVariable, stopFile } from './ledger.ts'

const tickMs = 20
const heartbeatMs = 500

if (import.meta.main) produce(JSON.parse(process.env[mediaOrderVariable] ?? '{}'))

function produce({ ledgerFolder, eventsPerSecond }: MediaOrder): void {
  const ledger = openSync(join(ledgerFolder, `${process.pid}.ledger`), 'a')
  /** Unique to this process, so that every event ever made has a name of its own. */
  const maker = randomUUID()
  const waiting = new Map<number, string>()
  let streams: readonly StreamConfig[] = []
  let made = 0

  const send = (message: FromMedia) => process.send?.(message, undefined, undefined, () => {})
  process.on('message', (message: ToMedia) => {
    if (message.kind === 'start') send({ kind: 'ready' })
    if (message.kind === 'streams') streams = message.streams
    if (message.kind === 'stop') process.exit(0)
    if (message.kind === 'recorded') {
      const label = waiting.get(message.id)
      waiting.delete(message.id)
      if (label !== undefined && message.sequence !== undefined) {
        writeSync(ledger, ledgerLine(label))
      }
    }
  })
  process.on('disconnect', () => process.exit(0))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})

  setInterval(() => send({ kind: 'heartbeat' }), heartbeatMs)
  let owed = 0
  setInterval(() => {
    owed = Math.min(owed + (eventsPerSecond * tickMs) / 1000, unrecordedEventsMax)
    if (streams.length === 0 || existsSync(join(ledgerFolder, stopFile))) return
    while (owed >= 1 && waiting.size < unrecordedEventsMax) {
      owed--
      made++
      const label = `${maker}:${String(made).padStart(9, '0')}`
      waiting.set(made, label)
      send({ kind: 'event', id: made, event: eventOf(label, made, streams) })
    }
  }, tickMs)
}

/** Mostly appearances, some departures; every one names itself by its label. */
function eventOf(label: string, number: number, streams: readonly StreamConfig[]): NewEvent {
  const at = new Date().toISOString()
  const streamId = streams[number % streams.length]?.streamId ?? ''
  const seen = { at, streamId, trackId: number, label, score: 0.5, box: [0.1, 0.2, 0.3, 0.4] }
  if (number % 4 !== 0) return { kind: 'appeared', ...seen }
  const best = { at, box: seen.box, score: 0.5 }
  return { kind: 'left', ...seen, appearedAt: at, frames: 3, best }
}
