/** `edgeloop events clip`: the video that shows the moment of an event, fetched from its box where that is needed. */
import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EventClip } from '@edgeloop/protocol'
import type { Command } from 'commander'
import { Failure } from '../failure.ts'
import { connectHub, type HubClient, type HubOptions } from '../hub-client.ts'
import { integer, number, withHub } from '../options.ts'
import { bytes, plain, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'

type Options = HubOptions & { json?: boolean; output?: string; timeout: number }

/** How often the hub is asked how far it is. */
const lookIntervalMs = 500

/** Adds the command to `events`. */
export function addClip(events: Command): void {
  withHub(
    events
      .command('clip')
      .argument('<event>', 'number of the event', integer(1, Number.MAX_SAFE_INTEGER))
      .description('fetch the clip that shows the moment of an event, as an MP4')
      .option('-o, --output <file>', 'where to write it; `event-NUMBER.mp4` when left out')
      .option('--timeout <seconds>', 'how long to wait for the box', number(1, 86_400), 600)
      .addHelpText(
        'after',
        `
Examples:
  $ ./edgeloop events clip 4711 -o gate.mp4
  $ ./edgeloop events clip 4711 --json | jq .momentMs`,
      ),
  ).action(fetchClip)
}

async function fetchClip(eventId: number, options: Options): Promise<void> {
  const hub = await connectHub(options)
  const signal = AbortSignal.any([stopSignal(), AbortSignal.timeout(options.timeout * 1000)])
  const file = options.output ?? `event-${eventId}.mp4`
  try {
    const clip = await untilHere(hub, eventId, signal)
    await save(hub, clip.digest, file, signal)
    if (options.json) return printJson({ eventId, file, ...clip })
    const moment = `${(clip.momentMs / 1000).toFixed(1)} s`
    console.log(plain(`${file}: ${bytes(clip.sizeBytes)}, the event is at ${moment}`))
  } catch (error) {
    if (!signal.aborted) throw error
    throw new Failure(
      `Cannot fetch the clip of event ${eventId}: it did not come in time`,
      'what has come stays at the hub for ten minutes; start again, or wait longer with --timeout',
      { cause: error },
    )
  }
}

/** Asks for the clip where it is not at the hub, and waits until it is. */
async function untilHere(
  hub: HubClient,
  eventId: number,
  signal: AbortSignal,
): Promise<NonNullable<EventClip['clip']>> {
  const params = { eventId }
  let said = ''
  for (;;) {
    const found = await hub.call('eventClipShow', { params, signal })
    const { state, reason, clip, receivedBytes } = found
    if (state === 'here' && clip) return clip
    if (state === 'none' || state === 'offline' || state === 'expired') {
      throw new Failure(`Cannot fetch the clip of event ${eventId}: ${reason}`)
    }
    if (state === 'onBox') await hub.call('eventClipAsk', { params, signal })
    const text = `${bytes(receivedBytes)} of ${bytes(clip?.sizeBytes ?? 0)} have come from the box`
    if (text !== said) process.stderr.write(`${text}\n`)
    said = text
    await sleep(lookIntervalMs, undefined, { signal })
  }
}

/** Whole or not at all: what is cut off leaves no file. */
async function save(
  hub: HubClient,
  digest: string,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const part = `${file}.${randomUUID()}.part`
  try {
    const body = await hub.stream('clipShow', { params: { digest }, signal })
    await pipeline(body, createWriteStream(part, { flags: 'wx' }), { signal })
    await rename(part, file)
  } catch (cause) {
    await rm(part, { force: true })
    if (cause instanceof Failure || signal.aborted) throw cause
    throw new Failure(`Cannot write "${file}": ${(cause as Error).message}`, undefined, { cause })
  }
}
