/**
 * Datasets as they are now: which samples are in them and what is said of each. Every change counts the dataset's
 * revision up; what was said of a sample before is kept. What is frozen is a list of its own (`versions.ts`) that no
 * change here reaches.
 */
import {
  type AnnotationRevision,
  copiesShownMax,
  type DatasetDetail,
  type DatasetEdit,
  type DatasetInspection,
  type DatasetRequest,
  type DatasetRow,
  type DatasetSample,
  datasetLabelsMax,
  datasetSamplesMax,
  nearestName,
  Refusal,
  type SampleAnnotation,
  type SampleDetail,
  type SamplePage,
  type SampleQuery,
  type SampleShown,
} from '@edgeloop/protocol'
import type { Kysely, Selectable, SelectQueryBuilder, Transaction } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { Store } from '../store/store.ts'
import type { DatasetSampleTable, DatasetTable, Tables } from '../store/tables.ts'
import { sayTheSame } from './same-annotations.ts'

const datasetsMax = 500
/** Earlier revisions kept of one sample. */
export const revisionsMax = 20
const facesShown = 4
const pageSamples = 100
const sourcesShown = 200
/** Kind of problem of a sample that shows nearly what another one shows. */
const nearCopy = 'near-copy'
/** Digests in one query. */
const queryDigestsMax = 1000

/** What became of samples that were put into a dataset. */
export type SamplesPut = {
  readonly added: number
  readonly changed: number
  readonly unchanged: number
}

/** What a look at a dataset found, as the store keeps it. */
export type Found = {
  readonly revision: number
  /** Milliseconds since 1970. */
  readonly at: number
  readonly problems: readonly DatasetInspection['problems'][number][]
  readonly listed: readonly DatasetInspection['listed'][number][]
  /** Digests of samples that show nearly the same. */
  readonly copies: readonly (readonly string[])[]
  readonly complete: boolean
}

export type DatasetDesk = {
  list(): Promise<DatasetRow[]>
  /** @throws {Refusal} notFound */
  show(name: string): Promise<DatasetRow>
  /** @throws {Refusal} notFound */
  detail(name: string): Promise<DatasetDetail>
  /** @throws {Refusal} conflict where there is one of that name, or too many */
  add(request: DatasetRequest, by: string, note: AuditNote): Promise<DatasetRow>
  /** @throws {Refusal} notFound; badRequest with too many labels */
  edit(name: string, edit: DatasetEdit, note?: AuditNote): Promise<DatasetRow>
  /**
   * Puts samples in, or changes what is said of those that are in. All of them or none. Where and when one of them was
   * taken stays as it was where it is left out.
   * @param note of the call that does it; a job has told already
   * @throws {Refusal} notFound; badRequest with an unknown label, or a picture that has not come; tooLarge
   */
  put(
    name: string,
    samples: readonly DatasetSample[],
    by: string,
    note?: AuditNote,
  ): Promise<SamplesPut>
  /**
   * The same as part of a change of somebody else, who tells of it when it is committed.
   * @throws {Refusal} as `put`
   */
  putWithin(
    tx: Transaction<Tables>,
    name: string,
    samples: readonly DatasetSample[],
    by: string,
  ): Promise<SamplesPut>
  /** As `takeOut`, as part of a change of somebody else. @throws {Refusal} notFound */
  takeOutWithin(
    tx: Transaction<Tables>,
    name: string,
    digests: readonly string[],
  ): Promise<{ removed: number }>
  /** @throws {Refusal} notFound */
  takeOut(name: string, digests: readonly string[], note: AuditNote): Promise<{ removed: number }>
  /** @throws {Refusal} notFound */
  samples(name: string, query: SampleQuery): Promise<SamplePage>
  /** @throws {Refusal} notFound */
  sample(name: string, digest: string): Promise<SampleDetail>
  has(name: string, digest: string): Promise<boolean>
  /** All samples in their order, a page at a time. */
  pages(name: string): AsyncGenerator<DatasetSample[]>
  /** What the last look found, all of it; undefined before the first. @throws {Refusal} notFound */
  found(name: string): Promise<Found | undefined>
  /** The same as people see it. @throws {Refusal} notFound */
  inspection(name: string): Promise<DatasetInspection | null>
  /** Keeps what a look at the dataset as it was at a revision found. @throws {Refusal} notFound */
  keepFound(name: string, found: Omit<Found, 'at'>): Promise<void>
  /** Removes a dataset with its versions; the pictures that nothing needs any more go later. */
  remove(name: string, note: AuditNote): Promise<void>
}

/** @param changed is told the name of a dataset that changed */
export function openDatasetDesk(deps: {
  store: Store
  clock: () => number
  changed: (name: string) => void
}): DatasetDesk {
  const { store, clock, changed } = deps

  async function show(name: string): Promise<DatasetRow> {
    const [row] = await rowsOf(store.writer, [await find(store.writer, name)])
    return row!
  }

  return {
    list: async () => {
      const rows = await store.reader
        .selectFrom('dataset')
        .selectAll()
        .orderBy('changed_at', 'desc')
        .orderBy('name')
        .execute()
      return await rowsOf(store.reader, rows)
    },

    show,

    detail: async (name) => {
      const dataset = await show(name)
      const marks = await store.reader
        .selectFrom('dataset_mark')
        .select(({ fn }) => [
          'kind',
          'word',
          fn.countAll<number>().as('samples'),
          fn.sum<number>('count').as('annotations'),
        ])
        .where('dataset', '=', name)
        .groupBy(['kind', 'word'])
        .execute()
      const counted = new Map(
        marks.filter(({ kind }) => kind === 'label').map((mark) => [mark.word, mark]),
      )
      const sources = await store.reader
        .selectFrom('dataset_sample')
        .select(({ fn }) => ['site', 'stream_id', fn.countAll<number>().as('samples')])
        .where('dataset', '=', name)
        .groupBy(['site', 'stream_id'])
        .orderBy('samples', 'desc')
        .orderBy('site')
        .orderBy('stream_id')
        .limit(sourcesShown)
        .execute()
      return {
        dataset,
        labelCounts: dataset.labels.map((label) => ({
          label,
          samples: Number(counted.get(label)?.samples ?? 0),
          annotations: Number(counted.get(label)?.annotations ?? 0),
        })),
        sources: sources.map(({ site, stream_id, samples }) => ({
          site,
          stream: stream_id,
          samples: Number(samples),
        })),
        problems: marks
          .filter(({ kind }) => kind === 'problem')
          .map(({ word, samples }) => ({ kind: word, samples: Number(samples) })),
      }
    },

    add: async ({ name, description = '', labels = [] }, by, note) => {
      await store.writer.transaction().execute(async (tx) => {
        const { count } = await tx
          .selectFrom('dataset')
          .select(({ fn }) => fn.countAll<number>().as('count'))
          .executeTakeFirstOrThrow()
        if (Number(count) >= datasetsMax) {
          throw new Refusal(
            'conflict',
            `Cannot keep another dataset: there are ${datasetsMax}; remove one first`,
          )
        }
        const { numInsertedOrUpdatedRows } = await tx
          .insertInto('dataset')
          .values({
            name,
            description,
            labels: JSON.stringify(labels),
            revision: 0,
            author: by,
            inspection: '',
            created_at: clock(),
            changed_at: clock(),
          })
          .onConflict((on) => on.column('name').doNothing())
          .executeTakeFirstOrThrow()
        if (Number(numInsertedOrUpdatedRows) === 0) {
          throw new Refusal('conflict', `Cannot add the dataset "${name}": there is one already`)
        }
        await note.within(tx)
      })
      changed(name)
      return await show(name)
    },

    edit: async (name, { description, addLabels = [] }, note) => {
      await store.writer.transaction().execute(async (tx) => {
        const dataset = await begin(tx, name)
        const labels = [...new Set([...labelsOf(dataset), ...addLabels])]
        if (labels.length > datasetLabelsMax) {
          throw new Refusal(
            'badRequest',
            `Cannot have ${labels.length} labels in a dataset, at most ${datasetLabelsMax}`,
          )
        }
        await tx
          .updateTable('dataset')
          .set({
            labels: JSON.stringify(labels),
            ...(description !== undefined && { description }),
          })
          .where('name', '=', name)
          .execute()
        await count(tx, name)
        await note?.within(tx)
      })
      changed(name)
      return await show(name)
    },

    put: async (name, samples, by, note) => {
      const put = await store.writer.transaction().execute(async (tx) => {
        const put = await putWithin(tx, name, samples, by)
        note?.about({ detail: `${put.added} added, ${put.changed} changed` })
        await note?.within(tx)
        return put
      })
      changed(name)
      return put
    },

    putWithin,

    takeOut: async (name, digests, note) => {
      const taken = await store.writer.transaction().execute(async (tx) => {
        const taken = await takeOutWithin(tx, name, digests)
        note.about({ detail: `${taken.removed} taken out` })
        await note.within(tx)
        return taken
      })
      changed(name)
      return taken
    },

    takeOutWithin,

    samples: async (name, query) => {
      const dataset = await find(store.reader, name)
      const fitting = (): SelectQueryBuilder<Tables, 'dataset_sample', object> => {
        let found = store.reader.selectFrom('dataset_sample').where('dataset', '=', dataset.name)
        const { label, annotated, site, stream, problem } = query
        if (site !== undefined) found = found.where('site', '=', site)
        if (stream !== undefined) found = found.where('stream_id', '=', stream)
        if (annotated === 'no') found = found.where('annotations', '=', '[]')
        if (annotated === 'yes') found = found.where('annotations', '<>', '[]')
        for (const [kind, word] of Object.entries({ label, problem })) {
          if (word === undefined) continue
          found = found.where('digest', 'in', (e) =>
            e
              .selectFrom('dataset_mark')
              .select('dataset_mark.digest')
              .where('dataset_mark.dataset', '=', name)
              .where('dataset_mark.kind', '=', kind)
              .where('dataset_mark.word', '=', word),
          )
        }
        return found
      }
      const { after = 0, limit = pageSamples } = query
      const { total } = await fitting()
        .select(({ fn }) => fn.countAll<number>().as('total'))
        .executeTakeFirstOrThrow()
      const rows = await fitting()
        .selectAll()
        .where('position', '>', after)
        .orderBy('position')
        .limit(limit + 1)
        .execute()
      const shown = rows.slice(0, limit)
      return {
        samples: await samplesOf(store.reader, name, shown),
        total: Number(total),
        next: rows.length > limit ? (shown.at(-1)?.position ?? null) : null,
      }
    },

    sample: async (name, digest) => {
      await find(store.writer, name)
      const row = (await membersOf(store.writer, name, [digest])).get(digest)
      if (!row) throw new Refusal('notFound', `Cannot find the sample ${digest} in "${name}"`)
      const [sample] = await samplesOf(store.writer, name, [row])
      const earlier = await store.writer
        .selectFrom('annotation_revision')
        .selectAll()
        .where('dataset', '=', name)
        .where('digest', '=', digest)
        .orderBy('revision', 'desc')
        .execute()
      const others = await store.writer
        .selectFrom('dataset_sample')
        .select('dataset')
        .where('digest', '=', digest)
        .where('dataset', '<>', name)
        .orderBy('dataset')
        .execute()
      return {
        sample: sample!,
        revision: row.revision,
        by: row.author,
        at: new Date(row.at).toISOString(),
        earlier: earlier.map(
          ({ revision, annotations, author, at }): AnnotationRevision => ({
            revision,
            annotations: JSON.parse(annotations) as SampleAnnotation[],
            by: author,
            at: new Date(at).toISOString(),
          }),
        ),
        alsoIn: others.map(({ dataset }) => dataset),
      }
    },

    has: async (name, digest) => (await membersOf(store.writer, name, [digest])).has(digest),

    pages: async function* (name) {
      let after = 0
      for (;;) {
        const rows = await store.writer
          .selectFrom('dataset_sample')
          .selectAll()
          .where('dataset', '=', name)
          .where('position', '>', after)
          .orderBy('position')
          .limit(queryDigestsMax)
          .execute()
        if (rows.length === 0) return
        const samples = await samplesOf(store.writer, name, rows)
        yield samples.map(({ problems, ...sample }) => sample)
        after = rows.at(-1)!.position
      }
    },

    found,

    inspection: async (name) => {
      const kept = await found(name)
      if (!kept) return null
      const { at, copies, problems, listed, ...rest } = kept
      return {
        ...rest,
        at: new Date(at).toISOString(),
        problems: [...problems],
        listed: [...listed],
        copies: copies.slice(0, copiesShownMax).map((group) => [...group]),
        copiesTotal: copies.length,
      }
    },

    keepFound: async (name, kept) => {
      await store.writer.transaction().execute(async (tx) => {
        await begin(tx, name)
        await tx
          .updateTable('dataset')
          .set({ inspection: JSON.stringify({ ...kept, at: clock() }) })
          .where('name', '=', name)
          .execute()
        await tx
          .deleteFrom('dataset_mark')
          .where('dataset', '=', name)
          .where('kind', '=', 'problem')
          .execute()
        const counts = new Map<string, { word: string; digest: string; count: number }>()
        const note = (word: string, digest: string) => {
          const mark = counts.get(`${word} ${digest}`) ?? { word, digest, count: 0 }
          counts.set(`${word} ${digest}`, { ...mark, count: mark.count + 1 })
        }
        for (const { kind, digest } of kept.listed) if (digest !== null) note(kind, digest)
        for (const digest of kept.copies.flat()) note(nearCopy, digest)
        const marks = [...counts.values()].map((mark) => ({
          dataset: name,
          kind: 'problem',
          ...mark,
        }))
        for (let at = 0; at < marks.length; at += queryDigestsMax) {
          await tx
            .insertInto('dataset_mark')
            .values(marks.slice(at, at + queryDigestsMax))
            .execute()
        }
      })
      changed(name)
    },

    remove: async (name, note) => {
      await store.writer.transaction().execute(async (tx) => {
        await begin(tx, name)
        const queue = await tx
          .selectFrom('label_queue')
          .select('name')
          .where('dataset', '=', name)
          .orderBy('name')
          .executeTakeFirst()
        if (queue) {
          throw new Refusal(
            'conflict',
            `Cannot remove the dataset "${name}": the label queue "${queue.name}" fills it; remove that first`,
          )
        }
        for (const table of tablesOfDataset) {
          await tx.deleteFrom(table).where('dataset', '=', name).execute()
        }
        await tx.deleteFrom('dataset').where('name', '=', name).execute()
        await note.within(tx)
      })
      changed(name)
    },
  }

  async function putWithin(
    tx: Transaction<Tables>,
    name: string,
    samples: readonly DatasetSample[],
    by: string,
  ): Promise<SamplesPut> {
    const dataset = await begin(tx, name)
    checkLabels(name, labelsOf(dataset), samples)
    await checkPictures(tx, samples)
    const known = await membersOf(
      tx,
      name,
      samples.map(({ digest }) => digest),
    )
    const rows = samples.map((sample) => rowOf(name, sample, known.get(sample.digest)))
    const fresh = rows.filter(({ digest }) => !known.has(digest))
    const other = rows.filter((row) => {
      const before = known.get(row.digest)
      return before !== undefined && facts.some((fact) => before[fact] !== row[fact])
    })
    const { count: before, last } = await tx
      .selectFrom('dataset_sample')
      .select(({ fn }) => [
        fn.countAll<number>().as('count'),
        fn.max<number | null>('position').as('last'),
      ])
      .where('dataset', '=', name)
      .executeTakeFirstOrThrow()
    if (Number(before) + fresh.length > datasetSamplesMax) {
      throw new Refusal(
        'tooLarge',
        `Cannot put ${fresh.length} more samples into "${name}": it has ${before}, at most ${datasetSamplesMax} are kept`,
      )
    }
    const now = { author: by, at: clock() }
    await keepEarlier(tx, name, [...other.map(({ digest }) => known.get(digest)!)])
    await withoutMarks(
      tx,
      name,
      other.map(({ digest }) => digest),
    )
    for (const row of other) {
      const { position, digest, dataset: _, ...said } = row
      await tx
        .updateTable('dataset_sample')
        .set({ ...said, ...now })
        .where('dataset', '=', name)
        .where('digest', '=', digest)
        .execute()
    }
    const written = fresh.map((row, at) => ({
      ...row,
      ...now,
      position: Number(last ?? 0) + 1 + at,
    }))
    if (written.length > 0) await tx.insertInto('dataset_sample').values(written).execute()
    await writeMarks(tx, name, [...fresh, ...other])
    if (fresh.length + other.length > 0) await count(tx, name)
    return {
      added: fresh.length,
      changed: other.length,
      unchanged: samples.length - fresh.length - other.length,
    }
  }

  async function takeOutWithin(
    tx: Transaction<Tables>,
    name: string,
    digests: readonly string[],
  ): Promise<{ removed: number }> {
    await begin(tx, name)
    for (const table of ['dataset_mark', 'annotation_revision'] as const) {
      await tx
        .deleteFrom(table)
        .where('dataset', '=', name)
        .where('digest', 'in', [...digests])
        .execute()
    }
    const { numDeletedRows } = await tx
      .deleteFrom('dataset_sample')
      .where('dataset', '=', name)
      .where('digest', 'in', [...digests])
      .executeTakeFirst()
    if (Number(numDeletedRows) > 0) await count(tx, name)
    return { removed: Number(numDeletedRows) }
  }

  async function found(name: string): Promise<Found | undefined> {
    const { inspection } = await find(store.writer, name)
    return inspection === '' ? undefined : (JSON.parse(inspection) as Found)
  }

  /** Counts a change of what is in a dataset. */
  async function count(tx: Transaction<Tables>, name: string): Promise<void> {
    await tx
      .updateTable('dataset')
      .set(({ eb }) => ({ revision: eb('revision', '+', 1), changed_at: clock() }))
      .where('name', '=', name)
      .execute()
  }
}

/** Keeps other changes of a dataset out until the transaction ends. @throws {Refusal} notFound */
async function begin(tx: Transaction<Tables>, name: string): Promise<Selectable<DatasetTable>> {
  await tx
    .updateTable('dataset')
    .set(({ ref }) => ({ revision: ref('revision') }))
    .where('name', '=', name)
    .execute()
  return await find(tx, name)
}

const tablesOfDataset = [
  'dataset_sample',
  'dataset_mark',
  'annotation_revision',
  'dataset_version',
] as const

/** What makes a sample another one than before. */
const facts = ['site', 'stream_id', 'captured_at', 'annotations'] as const

/** @throws {Refusal} notFound */
export async function find(db: Kysely<Tables>, name: string): Promise<Selectable<DatasetTable>> {
  const row = await db.selectFrom('dataset').selectAll().where('name', '=', name).executeTakeFirst()
  if (row) return row
  throw new Refusal('notFound', `Cannot find the dataset "${name}"`)
}

export const labelsOf = (dataset: { readonly labels: string }): string[] =>
  JSON.parse(dataset.labels) as string[]

async function rowsOf(
  db: Kysely<Tables>,
  datasets: readonly Selectable<DatasetTable>[],
): Promise<DatasetRow[]> {
  const counts = await db
    .selectFrom('dataset_sample')
    .select(({ fn, eb }) => [
      'dataset',
      fn.countAll<number>().as('samples'),
      fn
        .sum<number>(eb.case().when('annotations', '<>', '[]').then(1).else(0).end())
        .as('annotated'),
    ])
    .groupBy('dataset')
    .execute()
  const versions = await db
    .selectFrom('dataset_version')
    .select(({ fn }) => ['dataset', fn.countAll<number>().as('count')])
    .groupBy('dataset')
    .execute()
  return await Promise.all(
    datasets.map(async (dataset) => {
      const { name, description, revision, author, created_at, changed_at } = dataset
      const counted = counts.find((one) => one.dataset === name)
      const faces = await db
        .selectFrom('dataset_sample')
        .select('digest')
        .where('dataset', '=', name)
        .orderBy('position')
        .limit(facesShown)
        .execute()
      return {
        name,
        description,
        revision,
        labels: labelsOf(dataset),
        by: author,
        samples: Number(counted?.samples ?? 0),
        annotated: Number(counted?.annotated ?? 0),
        versions: Number(versions.find((one) => one.dataset === name)?.count ?? 0),
        faces: faces.map(({ digest }) => digest),
        createdAt: new Date(created_at).toISOString(),
        changedAt: new Date(changed_at).toISOString(),
      }
    }),
  )
}

type Member = Selectable<DatasetSampleTable>

async function membersOf(
  db: Kysely<Tables>,
  name: string,
  digests: readonly string[],
): Promise<Map<string, Member>> {
  const rows = await db
    .selectFrom('dataset_sample')
    .selectAll()
    .where('dataset', '=', name)
    .where('digest', 'in', [...digests])
    .execute()
  return new Map(rows.map((row) => [row.digest, row]))
}

function rowOf(dataset: string, sample: DatasetSample, before: Member | undefined) {
  const { digest, name, site, stream, capturedAt, annotations } = sample
  const said = before && (JSON.parse(before.annotations) as SampleAnnotation[])
  return {
    // A tool that labels are mended with gives files names of its own: people go on knowing it by the first.
    dataset,
    digest,
    name: before?.name ?? name,
    // It knows nothing of where and when either: what is left out stays as it was.
    site: site ?? before?.site ?? null,
    stream_id: stream ?? before?.stream_id ?? null,
    captured_at: capturedAt === undefined ? (before?.captured_at ?? null) : Date.parse(capturedAt),
    annotations:
      before && said && sayTheSame(said, annotations)
        ? before.annotations
        : JSON.stringify(annotations),
    position: before?.position ?? 0,
    revision: (before?.revision ?? 0) + 1,
  }
}

/** Rows of a dataset with what is known of their pictures. */
async function samplesOf(
  db: Kysely<Tables>,
  name: string,
  rows: readonly Member[],
): Promise<SampleShown[]> {
  if (rows.length === 0) return []
  const digests = rows.map(({ digest }) => digest)
  const pictures = await db
    .selectFrom('sample')
    .select(['digest', 'width', 'height'])
    .where('digest', 'in', digests)
    .execute()
  const problems = await db
    .selectFrom('dataset_mark')
    .select(['digest', 'word'])
    .where('dataset', '=', name)
    .where('kind', '=', 'problem')
    .where('digest', 'in', digests)
    .execute()
  const pictureOf = new Map(pictures.map((one) => [one.digest, one]))
  const problemsOf = Map.groupBy(problems, ({ digest }) => digest)
  return rows.map((row): SampleShown => {
    const { width = 1, height = 1 } = pictureOf.get(row.digest) ?? {}
    return {
      digest: row.digest,
      name: row.name,
      width,
      height,
      ...(row.site !== null && { site: row.site }),
      ...(row.stream_id !== null && { stream: row.stream_id }),
      ...(row.captured_at !== null && { capturedAt: new Date(row.captured_at).toISOString() }),
      annotations: JSON.parse(row.annotations) as SampleAnnotation[],
      problems: (problemsOf.get(row.digest) ?? []).map(({ word }) => word).toSorted(),
    }
  })
}

/** Labels that an annotation speaks of. */
export const labelsIn = (annotation: SampleAnnotation): readonly string[] =>
  annotation.kind === 'mask'
    ? annotation.labels
    : annotation.kind === 'number'
      ? []
      : [annotation.label]

/** @throws {Refusal} badRequest naming the first label that the dataset does not have, or a sample given twice */
function checkLabels(
  name: string,
  labels: readonly string[],
  samples: readonly DatasetSample[],
): void {
  const known = new Set(labels)
  const digests = new Set<string>()
  for (const sample of samples) {
    if (digests.has(sample.digest)) {
      throw new Refusal(
        'badRequest',
        `Cannot put the sample "${sample.name}" in: the same picture is in this request twice`,
      )
    }
    digests.add(sample.digest)
    for (const label of sample.annotations.flatMap(labelsIn)) {
      if (known.has(label)) continue
      const near = nearestName(label, labels)
      throw new Refusal(
        'badRequest',
        `Cannot put "${sample.name}" into "${name}": the label "${label}" is not in the dataset${near === undefined ? '; add it first' : `; did you mean "${near}"?`}`,
      )
    }
  }
}

/** @throws {Refusal} badRequest naming the first picture or mask that has not come, or is of another size */
async function checkPictures(
  tx: Transaction<Tables>,
  samples: readonly DatasetSample[],
): Promise<void> {
  const masksOf = ({ annotations }: DatasetSample) =>
    annotations.flatMap((one) => (one.kind === 'mask' ? [one.digest] : []))
  const needed = [...new Set(samples.flatMap((one) => [one.digest, ...masksOf(one)]))]
  const here = new Map<string, { width: number; height: number; form: string }>()
  for (let at = 0; at < needed.length; at += queryDigestsMax) {
    const rows = await tx
      .selectFrom('sample')
      .select(['digest', 'width', 'height', 'form'])
      .where('digest', 'in', needed.slice(at, at + queryDigestsMax))
      .execute()
    for (const row of rows) here.set(row.digest, row)
  }
  for (const sample of samples) {
    const picture = here.get(sample.digest)
    const gone = picture ? masksOf(sample).find((digest) => !here.has(digest)) : sample.digest
    if (gone !== undefined || !picture) {
      throw new Refusal(
        'badRequest',
        `Cannot put "${sample.name}" in: its ${picture ? 'mask' : 'picture'} ${gone} has not come; send it first`,
      )
    }
    if (picture.width === sample.width && picture.height === sample.height) continue
    throw new Refusal(
      'badRequest',
      `Cannot put "${sample.name}" in as ${sample.width}×${sample.height}: its picture came as ${picture.width}×${picture.height}`,
    )
  }
}

/** What was said of samples that are about to change. */
async function keepEarlier(
  tx: Transaction<Tables>,
  name: string,
  before: readonly Member[],
): Promise<void> {
  if (before.length === 0) return
  await tx
    .insertInto('annotation_revision')
    .values(
      before.map(({ dataset, digest, revision, annotations, author, at }) => ({
        dataset,
        digest,
        revision,
        annotations,
        author,
        at,
      })),
    )
    .execute()
  for (const { digest, revision } of before) {
    if (revision <= revisionsMax) continue
    await tx
      .deleteFrom('annotation_revision')
      .where('dataset', '=', name)
      .where('digest', '=', digest)
      .where('revision', '<=', revision - revisionsMax)
      .execute()
  }
}

async function withoutMarks(
  tx: Transaction<Tables>,
  name: string,
  digests: readonly string[],
): Promise<void> {
  if (digests.length === 0) return
  await tx
    .deleteFrom('dataset_mark')
    .where('dataset', '=', name)
    .where('kind', '=', 'label')
    .where('digest', 'in', [...digests])
    .execute()
}

async function writeMarks(
  tx: Transaction<Tables>,
  dataset: string,
  rows: readonly { digest: string; annotations: string }[],
): Promise<void> {
  const marks = rows.flatMap(({ digest, annotations }) => {
    const counts = new Map<string, number>()
    for (const label of (JSON.parse(annotations) as SampleAnnotation[]).flatMap(labelsIn)) {
      counts.set(label, (counts.get(label) ?? 0) + 1)
    }
    return [...counts].map(([word, count]) => ({ dataset, kind: 'label', word, digest, count }))
  })
  for (let at = 0; at < marks.length; at += queryDigestsMax) {
    await tx
      .insertInto('dataset_mark')
      .values(marks.slice(at, at + queryDigestsMax))
      .execute()
  }
}
