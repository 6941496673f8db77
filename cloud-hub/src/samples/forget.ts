/**
 * Forgetting what a stream showed: its samples, the pictures and clips of its events, what datasets and queues hold of
 * them. It is said before what that is, and which frozen versions and models have it in them already: those are numbers
 * that nobody takes back. What a box still has of that time is not taken any more.
 */
import {
  type ClipRecorded,
  type ForgetAffected,
  type ForgetRequest,
  type Lineage,
  Refusal,
} from '@edgeloop/protocol'
import type { Selectable, Transaction } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { Changes } from '../changes/changes.ts'
import type { DatasetDesk } from '../datasets/datasets.ts'
import { frozenPictures } from '../datasets/frozen-pictures.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { Store } from '../store/store.ts'
import type { ForgottenTable, Tables } from '../store/tables.ts'

/** Pictures of one step: others write between two steps. */
const stepPictures = 200
const eventsPage = 2000

export type ForgetDesk = {
  /** @throws {Refusal} badRequest where the end is not after the beginning */
  preview(asked: ForgetRequest): Promise<ForgetAffected>
  /** Does it, and says what it was. Interrupted, it is gone on with when it is asked for again. */
  forget(asked: ForgetRequest, by: string, note: AuditNote): Promise<ForgetAffected>
}

type Span = { deviceId: string; streamId: string | undefined; from: number; to: number }
type Found = {
  /** Pictures among samples. */
  readonly samples: ReadonlySet<string>
  /** Pictures and clips of events. */
  readonly snapshots: ReadonlySet<string>
  readonly clips: ReadonlySet<string>
  /** Events that name a picture. */
  readonly events: readonly number[]
}

export function openForgetDesk(deps: {
  store: Store
  /** Pictures of samples. */
  files: Blobs
  /** Pictures and clips of events. */
  blobs: Blobs
  fleet: Fleet
  datasets: Pick<DatasetDesk, 'takeOutWithin'>
  changes: Pick<Changes, 'publish'>
  clock: () => number
}): ForgetDesk {
  const { store, files, blobs, fleet, clock } = deps

  function spanOf({ deviceId, streamId, from, to }: ForgetRequest): Span {
    const span = {
      deviceId,
      streamId,
      from: from === undefined ? 0 : Date.parse(from),
      to: to === undefined ? clock() : Date.parse(to),
    }
    if (span.to > span.from) return span
    throw new Refusal(
      'badRequest',
      `Cannot forget: the time ends at ${to}, which is not after ${from}`,
    )
  }

  async function find({ deviceId, streamId, from, to }: Span): Promise<Found> {
    let taken = store.reader
      .selectFrom('field_sample')
      .select('digest')
      .where('device_id', '=', deviceId)
      .where('captured_at', '>=', from)
      .where('captured_at', '<', to)
    if (streamId !== undefined) taken = taken.where('stream_id', '=', streamId)
    const samples = new Set((await taken.execute()).map(({ digest }) => digest))
    const [snapshots, clips] = [new Set<string>(), new Set<string>()]
    const events: number[] = []
    const device = fleet.find(deviceId)
    for (let after = 0; device; ) {
      let page = store.reader
        .selectFrom('event')
        .select(['event_id', 'kind', 'snapshot', 'data'])
        .where('device_key', '=', device.deviceKey)
        .where('event_id', '>', after)
        .where('at', '>=', from)
        .where('at', '<', to)
        .where(({ eb, or }) => or([eb('snapshot', 'is not', null), eb('kind', '=', 'clip')]))
      if (streamId !== undefined) page = page.where('stream_id', '=', streamId)
      const rows = await page.orderBy('event_id').limit(eventsPage).execute()
      for (const { event_id, kind, snapshot, data } of rows) {
        if (snapshot !== null) {
          snapshots.add(snapshot)
          events.push(event_id)
        }
        // Checked against its schema before it was stored.
        if (kind === 'clip') clips.add((JSON.parse(data) as ClipRecorded).clip)
      }
      if (rows.length < eventsPage) break
      after = rows.at(-1)!.event_id
    }
    return { samples, snapshots, clips, events }
  }

  async function affectedBy(span: Span, found: Found): Promise<ForgetAffected> {
    const pictures = new Set([...found.samples, ...found.snapshots])
    const datasets = new Map<string, number>()
    let tasks = 0
    for (const digests of steps([...pictures])) {
      const inDatasets = await store.reader
        .selectFrom('dataset_sample')
        .select('dataset')
        .where('digest', 'in', digests)
        .execute()
      for (const { dataset } of inDatasets) datasets.set(dataset, (datasets.get(dataset) ?? 0) + 1)
      const { count } = await store.reader
        .selectFrom('label_task')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('digest', 'in', digests)
        .executeTakeFirstOrThrow()
      tasks += Number(count)
    }
    const versions = await versionsWith(pictures)
    return {
      deviceId: span.deviceId,
      streamId: span.streamId ?? null,
      from: new Date(span.from).toISOString(),
      to: new Date(span.to).toISOString(),
      samples: found.samples.size,
      snapshots: found.snapshots.size,
      clips: found.clips.size,
      tasks,
      versions,
      models: await modelsFrom(versions),
      datasets: [...datasets].map(([dataset, samples]) => ({ dataset, samples })),
    }
  }

  /** Frozen versions whose list names one of the pictures. */
  async function versionsWith(pictures: ReadonlySet<string>) {
    const found: ForgetAffected['versions'] = []
    for await (const { dataset, version, named } of frozenPictures(deps, pictures)) {
      found.push({ dataset, version, samples: named.size })
    }
    return found
  }

  /** Models that were trained on those versions, and models that were trained on from there. */
  async function modelsFrom(versions: ForgetAffected['versions']) {
    if (versions.length === 0) return []
    const rows = await store.reader
      .selectFrom('model_version')
      .select(['name', 'version', 'lineage'])
      .where('lineage', 'is not', null)
      .execute()
    // Written from its schema.
    const models = rows.map((row) => ({ ...row, lineage: JSON.parse(row.lineage!) as Lineage }))
    const learned = new Set<string>()
    const found: ForgetAffected['models'] = []
    for (let before = -1; before < found.length; ) {
      before = found.length
      for (const { name, version, lineage } of models) {
        const key = `${name}/${version}`
        if (learned.has(key)) continue
        const { dataset, parent } = lineage
        const own = versions.some(
          (v) => v.dataset === dataset.name && v.version === dataset.version,
        )
        if (!own && !learned.has(parent)) continue
        learned.add(key)
        const from = own ? `dataset ${dataset.name}/${dataset.version}` : `model ${parent}`
        found.push({ name, version, from })
      }
    }
    return found
  }

  async function forgetPictures(tx: Transaction<Tables>, digests: string[]): Promise<string[]> {
    const held = await tx
      .selectFrom('dataset_sample')
      .select('dataset')
      .distinct()
      .where('digest', 'in', digests)
      .execute()
    for (const { dataset } of held) await deps.datasets.takeOutWithin(tx, dataset, digests)
    const tasks = tx.selectFrom('label_task').select('task_id').where('digest', 'in', digests)
    await tx.deleteFrom('label_hold').where('task_id', 'in', tasks).execute()
    await tx.deleteFrom('label_answer').where('task_id', 'in', tasks).execute()
    await tx.deleteFrom('label_task').where('digest', 'in', digests).execute()
    await tx.deleteFrom('sample_looks').where('digest', 'in', digests).execute()
    await tx.deleteFrom('inference_result').where('digest', 'in', digests).execute()
    await tx
      .updateTable('inference_picture')
      .set({ state: 'failed', error: 'the picture was forgotten' })
      .where('digest', 'in', digests)
      .where('state', '<>', 'waiting')
      .execute()
    await tx.deleteFrom('field_sample').where('digest', 'in', digests).execute()
    const rows = await tx
      .selectFrom('sample')
      .select('thumbnail')
      .where('digest', 'in', digests)
      .execute()
    await tx.deleteFrom('sample').where('digest', 'in', digests).execute()
    for (const { dataset } of held) deps.changes.publish({ kind: 'dataset', name: dataset })
    return rows.map(({ thumbnail }) => thumbnail).filter((thumbnail) => thumbnail !== '')
  }

  async function begin(tx: Transaction<Tables>, span: Span, by: string, note: AuditNote) {
    const { deviceId, streamId, from, to } = span
    const row: Omit<Selectable<ForgottenTable>, 'forgotten_id'> = {
      device_id: deviceId,
      stream_id: streamId ?? null,
      from_at: from,
      to_at: to,
      author: by,
      at: clock(),
    }
    await tx.insertInto('forgotten').values(row).execute()
    // What is on its way is offered again, and refused then.
    let coming = tx.deleteFrom('sample_offer').where('device_id', '=', deviceId)
    if (streamId !== undefined) coming = coming.where('stream_id', '=', streamId)
    await coming.execute()
    await note.within(tx)
  }

  return {
    preview: async (asked) => {
      const span = spanOf(asked)
      return await affectedBy(span, await find(span))
    },

    forget: async (asked, by, note) => {
      const span = spanOf(asked)
      const affected = await affectedBy(span, await find(span))
      const { samples, snapshots, clips } = affected
      note.about({
        target: span.streamId === undefined ? span.deviceId : `${span.deviceId}/${span.streamId}`,
        detail: `${affected.from} to ${affected.to}: ${samples} samples, ${snapshots} pictures, ${clips} clips`,
      })
      await store.writer.transaction().execute((tx) => begin(tx, span, by, note))
      // Looked for anew: from here on nothing of that time comes any more.
      const found = await find(span)
      for (const digests of steps([...new Set([...found.samples, ...found.snapshots])])) {
        const thumbnails = await store.writer
          .transaction()
          .execute((tx) => forgetPictures(tx, digests))
        for (const digest of [...digests, ...thumbnails]) await files.remove(digest)
      }
      for (const digest of [...found.snapshots, ...found.clips]) await blobs.remove(digest)
      for (const eventIds of steps(found.events)) {
        await store.writer
          .updateTable('event')
          .set({ snapshot: null })
          .where('event_id', 'in', eventIds)
          .execute()
      }
      deps.changes.publish({
        kind: 'samples',
        deviceId: span.deviceId,
        streamId: span.streamId ?? null,
      })
      return affected
    },
  }
}

function* steps<T>(all: readonly T[]): Generator<T[]> {
  for (let at = 0; at < all.length; at += stepPictures) {
    yield all.slice(at, at + stepPictures)
  }
}
