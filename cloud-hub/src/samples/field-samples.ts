/**
 * Samples from boxes. A box says what it has; the hub says what it wants of it; the bytes come in parts, are looked at,
 * and only then there is a sample: picture, facts and what it cost, in one transaction. What was asked to be hidden
 * and was not is refused before a byte of it comes.
 */
import { type KeyObject, verify } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import {
  type FieldSample,
  type FieldSampleDetail,
  type FieldSamplePage,
  type FieldSampleQuery,
  Refusal,
  redactionStatement,
  type SampleAnswers,
  type SampleOffer,
  type SampleOffers,
  type SampleReceived,
  sampleBytesMax,
} from '@edgeloop/protocol'
import type { Logger } from 'pino'
import type { Audit } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import { digestOf, only } from '../blobs/bytes.ts'
import type { Changes } from '../changes/changes.ts'
import { jpegSize } from '../datasets/jpeg-size.ts'
import { type Device, siteOf } from '../devices/device.ts'
import { type EarlierKey, earlierKeysOf } from '../devices/earlier-keys.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { Store } from '../store/store.ts'
import type { FieldSampleTable } from '../store/tables.ts'
import { areAlike, type Looked } from './alike.ts'
import { openComing } from './coming.ts'
import { againstOffer } from './judge-offer.ts'
import type { PictureCheck } from './picture-check.ts'
import type { SamplePurse } from './sample-purse.ts'

const dayMs = 86_400_000
const minuteMs = 60_000
/** Samples that boxes were told to send and that are not here yet: of one device, and bytes of all. */
export const comingOfDeviceMax = 100
export const comingBytesMax = 512 * 1024 * 1024
/** What was not heard of for so long is not waited for any more. */
const offerKeptMs = dayMs
const tidyIntervalMs = 10 * minuteMs
/** Samples that new ones are compared with, the newest. */
const comparedMax = 4096
/** Pictures that turned out to be none: their boxes are told so before they send them again. */
const badMax = 10_000
/** Streams of which was told that they do not hide what they shall; each is told of once in an hour. */
const toldMax = 1000
const tellAgainMs = 3_600_000
const thumbnailBytesMax = 256 * 1024
const headBytes = 64 * 1024
const pageSamples = 60

export type FieldSamples = AsyncDisposable & {
  /**
   * Takes what a device offers.
   * @param by key of the certificate that the device came with, and where from
   */
  offer(
    device: Device,
    offers: SampleOffers,
    by: { readonly publicKey: KeyObject; readonly address: string },
  ): Promise<SampleAnswers>
  /**
   * Takes a part.
   * @throws {Refusal} notFound where it was not asked for; conflict while the part before it is being written;
   *   tooLarge, wrongMediaType, digestDiffers, forbidden
   */
  take(device: Device, digest: string, from: number, bytes: Uint8Array): Promise<SampleReceived>
  list(query: FieldSampleQuery): Promise<FieldSamplePage>
  /** @throws {Refusal} notFound */
  show(sampleId: number): Promise<FieldSampleDetail>
  /** Tells of each sample that has come, after it is stored. Returns how to stop. */
  onArrived(heard: (sample: FieldSample) => void): () => void
}

export async function openFieldSamples(deps: {
  store: Store
  /** Where pictures of samples are kept. */
  files: Blobs
  fleet: Fleet
  audit: Audit
  changes: Pick<Changes, 'publish'>
  purse: Pick<SamplePurse, 'wish' | 'allowance'>
  check: PictureCheck
  /** Where parts are put together. */
  folder: string
  clock: () => number
  log: Logger
  failed: (error: unknown) => void
}): Promise<FieldSamples> {
  const { store, files, fleet, purse, clock, log } = deps
  const coming = await openComing(deps.folder)
  const heardBy = new Set<(sample: FieldSample) => void>()
  const writing = new Set<string>()
  const bad = new Map<string, string>()
  const toldAt = new Map<string, number>()
  const compared: (Looked & { readonly digest: string })[] = []
  /** Offers of all devices one after the other: each counts on what the one before was promised. */
  let turn: Promise<unknown> = Promise.resolve()

  const newest = await store.reader
    .selectFrom('field_sample')
    .select(['digest', 'offer'])
    .orderBy('sample_id', 'desc')
    .limit(comparedMax)
    .execute()
  for (const { digest, offer } of newest.reverse()) compare(digest, JSON.parse(offer))

  function compare(digest: string, offer: SampleOffer): void {
    const { looks, model, detections, embedding } = offer
    compared.push({ digest, looks, modelDigest: model.digest, detections, embedding })
    if (compared.length > comparedMax) compared.shift()
  }

  async function tidy(): Promise<void> {
    const rows = await store.reader
      .selectFrom('sample_offer')
      .select(['digest', 'device_id', 'heard_at'])
      .execute()
    const before = clock() - offerKeptMs
    for (const { digest, device_id, heard_at } of rows) {
      const device = fleet.find(device_id)
      if (heard_at < before || !device || device.retiredAt !== null) await dropOffer(digest)
    }
    await coming.keepOnly(async (digests) => {
      const wanted = new Set<string>(writing)
      for (let at = 0; at < digests.length; at += 500) {
        const some = await store.reader
          .selectFrom('sample_offer')
          .select('digest')
          .where('digest', 'in', digests.slice(at, at + 500))
          .execute()
        for (const { digest } of some) wanted.add(digest)
      }
      return wanted
    })
  }
  await tidy()
  const tidying = setInterval(() => void tidy().catch(deps.failed), tidyIntervalMs)

  async function dropOffer(digest: string): Promise<void> {
    await store.writer.deleteFrom('sample_offer').where('digest', '=', digest).execute()
    await coming.drop(digest)
  }

  async function refuseFor(digest: string, refusal: Refusal): Promise<never> {
    bad.set(digest, refusal.message.slice(0, 300))
    if (bad.size > badMax) bad.delete(bad.keys().next().value ?? '')
    await dropOffer(digest)
    throw refusal
  }

  async function offer(
    device: Device,
    { offers, wishes }: SampleOffers,
    by: { readonly publicKey: KeyObject; readonly address: string },
  ): Promise<SampleAnswers> {
    const wished = new Set(wishes.map(({ streamId }) => streamId))
    const silent = new Set(offers.map(({ streamId }) => streamId).filter((id) => !wished.has(id)))
    await purse.wish(device, [
      ...wishes,
      ...[...silent].map((streamId) => ({ streamId, frames: 0 })),
    ])
    const digests = offers.map(({ digest }) => digest)
    const here = await ownersOf('field_sample', digests)
    const waited = await ownersOf('sample_offer', digests)
    const allowance = await purse.allowance(device)
    const open = await store.reader
      .selectFrom('sample_offer')
      .select(({ fn }) => [
        fn.countAll<number>().as('frames'),
        fn.sum<number>('size_bytes').as('bytes'),
      ])
      .where('device_id', '=', device.deviceId)
      .executeTakeFirstOrThrow()
    const all = await store.reader
      .selectFrom('sample_offer')
      .select(({ fn }) => fn.sum<number>('size_bytes').as('bytes'))
      .executeTakeFirstOrThrow()
    const forgotten = await store.reader
      .selectFrom('forgotten')
      .select(['stream_id', 'from_at', 'to_at'])
      .where('device_id', '=', device.deviceId)
      .execute()
    let comingFrames = Number(open.frames)
    let bytesLeft = comingBytesMax - Number(all.bytes ?? 0)
    // What it was told to send counts as sent.
    let frames = allowance.frames - comingFrames
    let bytes = allowance.bytes - Number(open.bytes ?? 0)
    const answers: SampleAnswers['answers'] = []
    let earlier: Promise<EarlierKey[]> | undefined
    /** What was signed before its certificate was renewed is signed. */
    const isSignedBy = async (one: SampleOffer): Promise<boolean> => {
      if (isSigned(device, one, by.publicKey)) return true
      earlier ??= earlierKeysOf(store.reader, device)
      const at = Date.parse(one.capturedAt)
      return (await earlier).some(
        ({ publicKey, notBefore, notAfter }) =>
          at >= notBefore && at <= notAfter && isSigned(device, one, publicKey),
      )
    }
    for (const one of offers) {
      const { digest, sizeBytes } = one
      const refuse = (reason: string) =>
        void answers.push({ digest, act: 'refuse', reason: reason.slice(0, 300) })
      const wait = (ms: number, reason: string) =>
        void answers.push({ digest, act: 'wait', after: new Date(ms).toISOString(), reason })
      const owner = here.get(digest) ?? waited.get(digest)
      if (owner !== undefined && owner !== device.deviceId) {
        refuse('another device has this picture')
        continue
      }
      if (here.has(digest)) {
        answers.push({ digest, act: 'have' })
        continue
      }
      const signatureValid = await isSignedBy(one)
      const at = Date.parse(one.capturedAt)
      const against = againstOffer(one, {
        now: clock(),
        stream: streamOf(device, one.streamId),
        signatureValid,
        forgotten: forgotten.some(
          ({ stream_id, from_at, to_at }) =>
            (stream_id === null || stream_id === one.streamId) && at >= from_at && at < to_at,
        ),
      })
      if (against) {
        if (against.kind === 'uncovered') tell(device, one.streamId, against.reason, by.address)
        if (waited.has(digest)) await dropOffer(digest)
        refuse(against.reason)
        continue
      }
      const fault = bad.get(digest)
      if (fault !== undefined) {
        refuse(fault)
        continue
      }
      if (waited.has(digest)) {
        await hear(digest, one, signatureValid)
        const received = await coming.received(digest)
        // The hub ended between its last part and the look at it.
        if (received >= sizeBytes) await coming.drop(digest)
        answers.push({ digest, act: 'send', from: received >= sizeBytes ? 0 : received })
        continue
      }
      const { looks, model, detections, embedding, reason } = one
      const looked = { looks, modelDigest: model.digest, detections, embedding }
      // Those must come as they fell: a figure is made of them, or somebody waits for them.
      const isFree = reason === 'random' || reason === 'asked'
      if (!isFree && compared.some((other) => areAlike(looked, other))) {
        refuse('the hub has one that shows the same')
      } else if (frames < 1 || bytes < sizeBytes) {
        wait(Date.parse(allowance.until), 'what this device may send until then is used up')
      } else if (comingFrames >= comingOfDeviceMax || bytesLeft < sizeBytes) {
        wait(clock() + minuteMs, 'the hub waits for enough others already')
      } else {
        await expect(device, one, signatureValid)
        waited.set(digest, device.deviceId)
        answers.push({ digest, act: 'send', from: 0 })
        frames -= 1
        bytes -= sizeBytes
        bytesLeft -= sizeBytes
        comingFrames += 1
      }
    }
    const left = { frames: Math.max(0, frames), bytes: Math.max(0, bytes) }
    return { answers, allowance: { ...left, until: allowance.until } }
  }

  async function ownersOf(
    table: 'field_sample' | 'sample_offer',
    digests: readonly string[],
  ): Promise<Map<string, string>> {
    const rows = await store.writer
      .selectFrom(table)
      .select(['digest', 'device_id'])
      .where('digest', 'in', [...digests])
      .execute()
    return new Map(rows.map(({ digest, device_id }) => [digest, device_id]))
  }

  async function expect(device: Device, one: SampleOffer, signatureValid: boolean): Promise<void> {
    await coming.drop(one.digest)
    await store.writer
      .insertInto('sample_offer')
      .values({
        digest: one.digest,
        device_id: device.deviceId,
        stream_id: one.streamId,
        size_bytes: one.sizeBytes,
        signature_valid: signatureValid ? 1 : 0,
        offer: JSON.stringify(one),
        heard_at: clock(),
      })
      .onConflict((on) => on.column('digest').doNothing())
      .execute()
  }

  /** It is offered again: its facts are those that were said last. */
  async function hear(digest: string, one: SampleOffer, signatureValid: boolean): Promise<void> {
    await store.writer
      .updateTable('sample_offer')
      .set({
        size_bytes: one.sizeBytes,
        offer: JSON.stringify(one),
        heard_at: clock(),
        signature_valid: signatureValid ? 1 : 0,
      })
      .where('digest', '=', digest)
      .execute()
  }

  /** That a stream does not hide what it shall: for the log, and once in an hour for the audit log. */
  function tell(device: Device, streamId: string, reason: string, address: string): void {
    const target = `${device.deviceId}/${streamId}`
    if (clock() - (toldAt.get(target) ?? Number.NEGATIVE_INFINITY) < tellAgainMs) return
    toldAt.set(target, clock())
    if (toldAt.size > toldMax) toldAt.delete(toldAt.keys().next().value ?? '')
    log.warn({ deviceId: device.deviceId, streamId, reason }, 'a sample was refused: uncovered')
    const facts = { actor: device.deviceId, via: 'device', action: 'sampleOffer' } as const
    const note = deps.audit.begin({ ...facts, target, address, detail: reason })
    void note.finish('forbidden')
  }

  async function take(
    device: Device,
    digest: string,
    from: number,
    bytes: Uint8Array,
  ): Promise<SampleReceived> {
    if (writing.has(digest)) {
      throw new Refusal('conflict', 'Cannot take this part: the one before it is being written')
    }
    writing.add(digest)
    try {
      const row = await store.writer
        .selectFrom('sample_offer')
        .selectAll()
        .where('digest', '=', digest)
        .executeTakeFirst()
      if (row?.device_id !== device.deviceId) {
        const owner = (await ownersOf('field_sample', [digest])).get(digest)
        // The answer to its last part was lost.
        if (owner === device.deviceId) return { next: from + bytes.length, complete: true }
        throw new Refusal('notFound', 'Cannot take a part of this sample: offer it first')
      }
      const received = await coming.received(digest)
      if (from !== received) return { next: received, complete: false }
      const next = received + bytes.length
      if (next > row.size_bytes) {
        throw new Refusal('tooLarge', `Cannot take more than the ${row.size_bytes} bytes of it`)
      }
      if (received === 0 && bytes.length >= 3 && !isJpeg(bytes)) {
        const text = 'Cannot take this sample: its bytes are no JPEG'
        return await refuseFor(digest, new Refusal('wrongMediaType', text))
      }
      await coming.append(digest, bytes)
      if (next < row.size_bytes) return { next, complete: false }
      await complete(device, JSON.parse(row.offer) as SampleOffer, row.signature_valid === 1)
      return { next, complete: true }
    } finally {
      writing.delete(digest)
    }
  }

  /** All of it is here: it becomes a sample, or nothing of it stays. */
  async function complete(device: Device, one: SampleOffer, isSigned: boolean): Promise<void> {
    const { digest, width, height, sizeBytes } = one
    if ((await coming.digestOf(digest)) !== digest) {
      const text = 'Cannot take this sample: its bytes do not have the digest it was offered under'
      return await refuseFor(digest, new Refusal('digestDiffers', text))
    }
    const file = coming.file(digest)
    const size = jpegSize(await headOf(file))
    if (size?.width !== width || size.height !== height) {
      const found = size ? `it is ${size.width}×${size.height} pixels` : 'it is no JPEG'
      const text = `Cannot take this sample: ${found}, and it was offered as ${width}×${height}`
      return await refuseFor(digest, new Refusal('wrongMediaType', text))
    }
    let thumbnail: Uint8Array
    try {
      thumbnail = await deps.check.look(file, size)
    } catch (error) {
      if (error instanceof Refusal) return await refuseFor(digest, error)
      throw error
    }
    await files.put(digest, createReadStream(file), { bytesMax: sampleBytesMax })
    const small = thumbnail.length <= thumbnailBytesMax ? digestOf(thumbnail) : ''
    if (small !== '') await files.put(small, only(thumbnail), { bytesMax: thumbnailBytesMax })
    const row = {
      digest,
      device_id: device.deviceId,
      site: siteOf(device),
      stream_id: one.streamId,
      captured_at: Date.parse(one.capturedAt),
      received_at: clock(),
      reason: one.reason,
      model_name: one.model.name,
      looks: one.looks,
      size_bytes: sizeBytes,
      signature_valid: isSigned ? 1 : 0,
      offer: JSON.stringify(one),
    }
    const sampleId = await store.writer.transaction().execute(async (tx) => {
      const { numDeletedRows } = await tx
        .deleteFrom('sample_offer')
        .where('digest', '=', digest)
        .executeTakeFirstOrThrow()
      // While it was looked at: the device was removed, or what it shows was forgotten.
      if (numDeletedRows === 0n || device.retiredAt !== null || !fleet.find(device.deviceId)) {
        return undefined
      }
      await tx
        .insertInto('sample')
        .values({
          digest,
          form: 'image/jpeg',
          width,
          height,
          size_bytes: sizeBytes,
          added_at: clock(),
          thumbnail: small,
        })
        .onConflict((on) => on.column('digest').doNothing())
        .execute()
      const { sample_id } = await tx
        .insertInto('field_sample')
        .values(row)
        .returning('sample_id')
        .executeTakeFirstOrThrow()
      await tx
        .insertInto('sample_spend')
        .values({
          day: Math.floor(clock() / dayMs),
          device_id: row.device_id,
          stream_id: row.stream_id,
          wished: 0,
          frames: 1,
          bytes: sizeBytes,
        })
        .onConflict((on) =>
          on.columns(['day', 'device_id', 'stream_id']).doUpdateSet(({ ref, eb }) => ({
            frames: eb(ref('sample_spend.frames'), '+', 1),
            bytes: eb(ref('sample_spend.bytes'), '+', sizeBytes),
          })),
        )
        .execute()
      return sample_id
    })
    await coming.drop(digest)
    if (sampleId === undefined) {
      throw new Refusal('forbidden', 'Cannot take this sample: it is not wanted any more')
    }
    compare(digest, one)
    const sample = fieldSampleOf({ ...row, sample_id: sampleId })
    deps.changes.publish({ kind: 'samples', deviceId: row.device_id, streamId: row.stream_id })
    for (const heard of heardBy) heard(sample)
  }

  async function list(query: FieldSampleQuery): Promise<FieldSamplePage> {
    const { device, stream, site, reason, model, from, to, before, limit = pageSamples } = query
    let found = store.reader.selectFrom('field_sample').selectAll()
    if (device !== undefined) found = found.where('device_id', '=', device)
    if (stream !== undefined) found = found.where('stream_id', '=', stream)
    if (site !== undefined) found = found.where('site', '=', site)
    if (reason !== undefined) found = found.where('reason', '=', reason)
    if (model !== undefined) found = found.where('model_name', '=', model)
    if (from !== undefined) found = found.where('captured_at', '>=', timeOf(from))
    if (to !== undefined) found = found.where('captured_at', '<', timeOf(to))
    if (before !== undefined) found = found.where('sample_id', '<', before)
    const rows = await found
      .orderBy('sample_id', 'desc')
      .limit(limit + 1)
      .execute()
    const samples = rows.slice(0, limit).map(fieldSampleOf)
    return { samples, next: rows.length > limit ? (samples.at(-1)?.sampleId ?? null) : null }
  }

  return {
    offer: async (device, offers, by) => {
      const before = turn
      const over = Promise.withResolvers<void>()
      turn = over.promise
      try {
        await before
        return await offer(device, offers, by)
      } finally {
        over.resolve()
      }
    },
    take,
    list,
    show: async (sampleId) => {
      const row = await store.reader
        .selectFrom('field_sample')
        .selectAll()
        .where('sample_id', '=', sampleId)
        .executeTakeFirst()
      if (!row) throw new Refusal('notFound', `Cannot find sample ${sampleId} of a box`)
      const { digest } = row
      const datasets = await store.reader
        .selectFrom('dataset_sample')
        .select('dataset')
        .where('digest', '=', digest)
        .orderBy('dataset')
        .execute()
      const tasks = await store.reader
        .selectFrom('label_task')
        .select(['task_id', 'queue', 'state'])
        .where('digest', '=', digest)
        .orderBy('queue')
        .execute()
      return {
        ...fieldSampleOf(row),
        datasets: datasets.map(({ dataset }) => dataset),
        tasks: tasks.map(({ task_id, queue, state }) => ({ taskId: task_id, queue, state })),
      }
    },
    onArrived: (heard) => {
      heardBy.add(heard)
      return () => heardBy.delete(heard)
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(tidying)
      deps.check[Symbol.dispose]()
      await turn
    },
  }
}

type Row = Omit<FieldSampleTable, 'sample_id'> & { sample_id: number }

/** A row as people and programs see it. */
export function fieldSampleOf({
  sample_id,
  device_id,
  site,
  received_at,
  ...row
}: Row): FieldSample {
  return {
    sampleId: sample_id,
    deviceId: device_id,
    site,
    // Checked against its schema before it was stored.
    ...(JSON.parse(row.offer) as SampleOffer),
    receivedAt: new Date(received_at).toISOString(),
    signatureValid: row.signature_valid === 1,
  }
}

const streamOf = ({ desired }: Device, streamId: string) =>
  desired?.config.streams.find((stream) => stream.streamId === streamId)

/** Whether the record of what was hidden was signed by the device with this key. */
function isSigned(device: Device, offer: SampleOffer, publicKey: KeyObject): boolean {
  const { streamId, capturedAt, digest } = offer
  const { signature, ...redaction } = offer.redaction
  const { deviceId } = device
  const statement = redactionStatement({ deviceId, streamId, capturedAt, digest }, redaction)
  try {
    return verify('sha256', Buffer.from(statement), publicKey, Buffer.from(signature, 'base64'))
  } catch {
    return false
  }
}

/** ISO/IEC 10918-1: SOI, then a marker. */
const isJpeg = (head: Uint8Array): boolean =>
  head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff

async function headOf(file: string): Promise<Uint8Array> {
  await using handle = await open(file)
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(headBytes), 0, headBytes, 0)
  return buffer.subarray(0, bytesRead)
}

function timeOf(timestamp: string): number {
  const time = Date.parse(timestamp)
  if (Number.isNaN(time)) throw new Refusal('badRequest', `Cannot read the time "${timestamp}"`)
  return time
}
