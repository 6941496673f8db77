/**
 * Clips of events: which one shows an event is told by time, and its bytes stay on the device until somebody
 * asks. Then they come in parts, are put together in a file, verified, and kept with the pictures, for as long
 * as pictures are kept.
 */
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ClipReceived,
  type ClipRecorded,
  type ClipRequest,
  clipSecondsMax,
  clipsAskedMax,
  type Event,
  type EventClip,
  Refusal,
} from '@edgeloop/protocol'
import { sql } from 'kysely'
import type { Blobs } from '../blobs/blobs.ts'
import type { Device } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { Store } from '../store/store.ts'

/** Clips that come at the same time, of all devices: each holds up to its size on disk. */
const comingMax = 16
/** Without a part for so long, a clip is said not to come; what there is of it is kept for longer. */
const silentMs = 60_000
const keptMs = 10 * 60_000
/** Clips that are known to be gone; the one that was learned of first is forgotten. */
const goneMax = 10_000
/** A clip ends with the last picture that was wanted, which may come a little before the event's own time. */
const slackMs = 1000
/** Clips of one stream that are looked at for one event: they follow each other. */
const candidatesMax = 16

export type Clips = AsyncDisposable & {
  /** @throws {Refusal} notFound when there is no such event */
  show(eventId: number): Promise<EventClip>
  /**
   * Asks the device for the clip; one that is here or coming already is not asked for again.
   * @throws {Refusal} notFound, or unavailable: there is none, its device is away, too many are coming
   */
  ask(eventId: number): Promise<EventClip>
  /**
   * Takes a part from a device.
   * @throws {Refusal} notFound when nobody waits for it; conflict while the part before it is being written;
   *   wrongMediaType or digestDiffers when it is no clip
   */
  take(device: Device, digest: string, from: number, bytes: Uint8Array): Promise<ClipReceived>
  /** A device says that it has a clip no more. */
  gone(device: Device, digest: string): void
  /** Events of a device were stored: clips of moments that are important already are kept. */
  stored(device: Device, events: readonly Event[]): void
  /** Events were marked as important, or no longer: their devices keep their clips. */
  important(eventIds: readonly number[], isImportant: boolean): Promise<void>
}

type Found = NonNullable<EventClip['clip']>
type Span = Pick<Found, 'deviceId' | 'streamId' | 'startedAt' | 'endedAt'>
type Coming = {
  readonly deviceId: string
  readonly file: string
  readonly sizeBytes: number
  receivedBytes: number
  heardAt: number
  isWriting: boolean
}

/** Opens the room; what an earlier start had not finished is removed. */
export async function openClips(deps: {
  store: Store
  blobs: Blobs
  fleet: Fleet
  /** Where clips are put together. */
  folder: string
  clock: () => number
  request: (device: Device, request: ClipRequest) => void
  failed: (error: unknown) => void
}): Promise<Clips> {
  const { store, blobs, fleet, folder, clock } = deps
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const coming = new Map<string, Coming>()
  const lost = new Set<string>()
  /** One after the other: blobs elsewhere may have to hold a whole one in memory. */
  let storing: Promise<void> = Promise.resolve()
  const tidying = setInterval(() => {
    for (const [digest, { heardAt, isWriting }] of coming) {
      if (!isWriting && clock() - heardAt > keptMs) void forget(digest).catch(deps.failed)
    }
  }, silentMs)

  async function forget(digest: string): Promise<void> {
    const file = coming.get(digest)?.file
    coming.delete(digest)
    if (file !== undefined) await rm(file, { force: true })
  }

  /** The clip that shows most of what is around an event. */
  async function find(eventId: number): Promise<Found | undefined> {
    const event = await store.reader
      .selectFrom('event')
      .innerJoin('device', 'device.device_key', 'event.device_key')
      .select(['event.device_key', 'device.device_id', 'stream_id', 'at'])
      .where('event_id', '=', eventId)
      .executeTakeFirst()
    if (!event) throw new Refusal('notFound', `Cannot find event ${eventId}`)
    const { device_key, device_id: deviceId, stream_id, at } = event
    if (stream_id === null) return undefined
    const rows = await store.reader
      .selectFrom('event')
      .select('data')
      .where('kind', '=', sql.lit('clip'))
      .where('device_key', '=', device_key)
      .where('stream_id', '=', stream_id)
      .where('at', '>=', at - slackMs)
      .where('at', '<=', at + clipSecondsMax * 1000 + slackMs)
      .orderBy('at')
      .limit(candidatesMax)
      .execute()
    let best: Found | undefined
    let bestMs = Number.NEGATIVE_INFINITY
    for (const { data } of rows) {
      // Checked against its schema before it was stored.
      const clip = JSON.parse(data) as ClipRecorded
      const before = at - Date.parse(clip.startedAt)
      const around = Math.min(before, Date.parse(clip.at) - at)
      if (before < -slackMs || around <= bestMs) continue
      bestMs = around
      const { clip: digest, streamId, startedAt, at: endedAt, durationMs, sizeBytes } = clip
      const momentMs = Math.min(Math.max(0, before), durationMs)
      const size = { sizeBytes, width: clip.width, height: clip.height }
      best = { digest, deviceId, streamId, startedAt, endedAt, durationMs, ...size, momentMs }
    }
    return best
  }

  async function stateOf(clip: Found | undefined): Promise<EventClip> {
    if (!clip) {
      const reason = 'No clip shows this moment; one is there a while after it has ended'
      return { state: 'none', reason, clip: null, receivedBytes: 0 }
    }
    const { digest, deviceId } = clip
    const say = (state: EventClip['state'], reason = '', receivedBytes = 0): EventClip => ({
      state,
      reason,
      clip,
      receivedBytes,
    })
    if ((await blobs.sizeOf(digest)) !== undefined) return say('here', '', clip.sizeBytes)
    if (lost.has(digest)) return say('expired', `Device "${deviceId}" does not have it any more`)
    if (!fleet.find(deviceId)?.online) {
      return say('offline', `The clip is on device "${deviceId}", which is not connected`)
    }
    const one = coming.get(digest)
    if (!one) return say('onBox')
    if (clock() - one.heardAt <= silentMs) return say('coming', '', one.receivedBytes)
    return say('onBox', `It was asked for, and nothing came for ${silentMs / 1000} s`)
  }

  async function ask(eventId: number): Promise<EventClip> {
    const clip = await find(eventId)
    const { state, reason, ...rest } = await stateOf(clip)
    if (!clip || state === 'none' || state === 'offline' || state === 'expired') {
      const code = state === 'offline' ? 'unavailable' : 'notFound'
      throw new Refusal(code, `Cannot fetch the clip of event ${eventId}: ${reason}`)
    }
    if (state === 'here' || state === 'coming') return { state, reason, ...rest }
    const { digest, deviceId, sizeBytes } = clip
    const known = coming.get(digest)
    if (!known && coming.size >= comingMax) {
      throw new Refusal(
        'unavailable',
        `Cannot fetch the clip of event ${eventId}: ${comingMax} others are coming; try again when they are here`,
      )
    }
    const file = join(folder, randomUUID())
    const fresh = {
      deviceId,
      file,
      sizeBytes,
      receivedBytes: 0,
      heardAt: clock(),
      isWriting: false,
    }
    if (known) known.heardAt = clock()
    else coming.set(digest, fresh)
    deps.request(fleet.get(deviceId), { act: 'send', clips: [digest] })
    return { state: 'coming', reason: '', clip, receivedBytes: known?.receivedBytes ?? 0 }
  }

  async function take(
    device: Device,
    digest: string,
    from: number,
    bytes: Uint8Array,
  ): Promise<ClipReceived> {
    const one = coming.get(digest)
    if (one?.deviceId !== device.deviceId) {
      throw new Refusal('notFound', 'Cannot take a part of this clip: nobody waits for it')
    }
    if (one.isWriting) {
      throw new Refusal('conflict', 'Cannot take this part: the one before it is being written')
    }
    one.heardAt = clock()
    // Sent again, or the hub has been started anew: what counts is what is here.
    if (from !== one.receivedBytes) return { receivedBytes: one.receivedBytes }
    if (from + bytes.length > one.sizeBytes) {
      throw new Refusal('tooLarge', `Cannot take more than the ${one.sizeBytes} bytes of this clip`)
    }
    if (from === 0 && !isMp4(bytes)) {
      await forget(digest)
      throw new Refusal('wrongMediaType', 'Cannot take these bytes: they are no MP4')
    }
    one.isWriting = true
    try {
      await using handle = await open(one.file, 'a')
      await handle.writeFile(bytes)
      one.receivedBytes += bytes.length
      if (one.receivedBytes === one.sizeBytes) await complete(digest, one)
    } finally {
      one.isWriting = false
    }
    return { receivedBytes: one.receivedBytes }
  }

  /** All of it is here: under its digest, or not at all. */
  async function complete(digest: string, { file, sizeBytes }: Coming): Promise<void> {
    const turn = storing
    const done = Promise.withResolvers<void>()
    storing = done.promise
    try {
      await turn
      await blobs.put(digest, createReadStream(file), { bytesMax: sizeBytes })
      await forget(digest)
    } catch (error) {
      const isDamaged = error instanceof Refusal && error.code === 'digestDiffers'
      await forget(digest)
      if (isDamaged) remember(digest)
      throw error
    } finally {
      done.resolve()
    }
  }

  function remember(digest: string): void {
    lost.add(digest)
    if (lost.size > goneMax) lost.delete(lost.values().next().value ?? '')
  }

  /** A person may mark an event before its clip is whole. */
  async function keepImportant(device: Device, clip: ClipRecorded): Promise<void> {
    const { streamId, startedAt, at: endedAt } = clip
    const { deviceId } = device
    if (!(await hasImportant({ deviceId, streamId, startedAt, endedAt }))) return
    deps.request(device, { act: 'keep', clips: [clip.clip] })
  }

  async function important(eventIds: readonly number[], isImportant: boolean): Promise<void> {
    const byDevice = new Map<string, Set<string>>()
    for (const eventId of eventIds) {
      const clip = await find(eventId).catch(() => undefined)
      if (!clip || (!isImportant && (await hasImportant(clip)))) continue
      const digests = byDevice.get(clip.deviceId) ?? new Set()
      byDevice.set(clip.deviceId, digests.add(clip.digest))
    }
    for (const [deviceId, digests] of byDevice) {
      const device = fleet.find(deviceId)
      const clips = [...digests].slice(0, clipsAskedMax)
      if (device?.online) deps.request(device, { act: isImportant ? 'keep' : 'release', clips })
    }
  }

  /** Whether anybody's mark is left on an event of the time that a clip shows. */
  async function hasImportant(clip: Span): Promise<boolean> {
    const { deviceId, streamId, startedAt, endedAt } = clip
    const device = fleet.find(deviceId)
    if (!device) return false
    const row = await store.reader
      .selectFrom('event_mark')
      .innerJoin('event', 'event.event_id', 'event_mark.event_id')
      .select('event.event_id')
      .where('mark', '=', 'important')
      .where('event.device_key', '=', device.deviceKey)
      .where('event.stream_id', '=', streamId)
      .where('event.at', '>=', Date.parse(startedAt))
      .where('event.at', '<=', Date.parse(endedAt))
      .limit(1)
      .executeTakeFirst()
    return row !== undefined
  }

  return {
    show: async (eventId) => stateOf(await find(eventId)),
    ask,
    take,
    gone: ({ deviceId }, digest) => {
      if (coming.get(digest)?.deviceId !== deviceId) {
        throw new Refusal('notFound', 'Cannot take this answer: nobody waits for it')
      }
      remember(digest)
      void forget(digest).catch(deps.failed)
    },
    stored: (device, events) => {
      for (const event of events) {
        if (event.kind === 'clip') void keepImportant(device, event).catch(deps.failed)
      }
    },
    important,
    async [Symbol.asyncDispose]() {
      clearInterval(tidying)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** An MP4 begins with a box that says so. */
const isMp4 = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', 4, 8) === 'ftyp'
