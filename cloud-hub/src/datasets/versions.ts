/**
 * Frozen datasets. The list of a version is a file under its digest, one line for the labels and one for each sample;
 * its splits are another. Neither ever changes, so what was read of one is kept in memory for as long as it is in use.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type DatasetSample,
  type DatasetVersion,
  Refusal,
  type SampleAnnotation,
  type SamplePage,
  type SampleQuery,
  type SampleShown,
  type SplitCounts,
  type SplitName,
  type SplitRequest,
} from '@edgeloop/protocol'
import type { Selectable } from 'kysely'
import type { Blobs } from '../blobs/blobs.ts'
import { digestOf, only } from '../blobs/bytes.ts'
import type { Store } from '../store/store.ts'
import type { DatasetVersionTable } from '../store/tables.ts'
import { find, labelsIn } from './datasets.ts'
import { layFrozen } from './lay-pictures.ts'
import { sideLetters } from './side-letters.ts'

/** Bytes of one list: 200,000 samples with a few outlines each. */
const listBytesMax = 512 * 1024 * 1024
/** Lists in memory. */
const listsKept = 2
const pageSamples = 100

/** A sample as a line of the frozen list has it. */
export type FrozenSample = Omit<DatasetSample, 'capturedAt'> & { readonly capturedAt?: number }

/** A letter for each sample in the order of the list, for each fold: its side, or that it is on none. */
export type Splits = { readonly folds: readonly string[] }

/** As the store keeps it. */
type SplitKept = { readonly asked: SplitRequest; readonly folds: readonly SplitCounts[] }

type FrozenList = {
  readonly labels: readonly string[]
  readonly samples: readonly FrozenSample[]
  readonly splits: Splits
}

/** What freezing leaves. */
export type NewVersion = {
  readonly dataset: string
  readonly revision: number
  readonly list: Uint8Array
  readonly splits: Splits
  readonly asked: SplitRequest
  readonly labels: readonly string[]
  readonly samples: number
  readonly inspection: string
  readonly note: string
  readonly by: string
}

/** Where a version was laid out. */
export type LaidOut = {
  /** Folder in the form `frozen`. */
  readonly folder: string
  /** JSON: digest of each sample → train, validation or test; what is on no side is not in it. */
  readonly splitFile: string
}

export type VersionDesk = {
  /** Newest first. @throws {Refusal} notFound */
  list(dataset: string): Promise<DatasetVersion[]>
  /** @throws {Refusal} notFound */
  show(dataset: string, version: number): Promise<DatasetVersion>
  /** @throws {Refusal} notFound */
  samples(dataset: string, version: number, query: SampleQuery): Promise<SamplePage>
  /** All samples of a version, in the order of its list. @throws {Refusal} notFound */
  pictures(
    dataset: string,
    version: number,
  ): Promise<readonly Pick<FrozenSample, 'digest' | 'name'>[]>
  /** Which side each sample of a version is on, by digest; of one with folds, in its first. @throws {Refusal} notFound */
  sides(dataset: string, version: number): Promise<ReadonlyMap<string, SplitName>>
  /** @throws {Error} when the dataset is gone, or its newest version is the same */
  keep(version: NewVersion): Promise<DatasetVersion>
  /**
   * What a run may be made of.
   * @param fold of a version with folds
   * @throws {Refusal} notFound; badRequest where it has no such fold
   */
  frozen(dataset: string, version: number, fold?: number): Promise<{ readonly digest: string }>
  /**
   * Lays a version down for a job: `data/` in the form `frozen`, and `split.json`, the side of each digest in one fold.
   * @throws {Refusal} as `frozen`; {Error} when a picture is gone
   */
  layOut(
    given: {
      readonly name: string
      readonly version: number
      readonly fold: number | null
      /** Digests; all where left out. */
      readonly only?: ReadonlySet<string>
    },
    into: string,
    signal: AbortSignal,
  ): Promise<LaidOut>
}

export function openVersionDesk(deps: {
  store: Store
  files: Blobs
  clock: () => number
  changed: (dataset: string) => void
}): VersionDesk {
  const { store, files, clock, changed } = deps
  /** By the row's key, the last used last. */
  const lists = new Map<string, Promise<FrozenList>>()

  async function rowOf(dataset: string, version: number) {
    const row = await store.writer
      .selectFrom('dataset_version')
      .selectAll()
      .where('dataset', '=', dataset)
      .where('version', '=', version)
      .executeTakeFirst()
    if (row) return row
    throw new Refusal('notFound', `Cannot find version ${version} of the dataset "${dataset}"`)
  }

  function listOf(row: Selectable<DatasetVersionTable>): Promise<FrozenList> {
    const key = `${row.digest} ${row.split_digest}`
    const reading = lists.get(key) ?? readList(row)
    lists.delete(key)
    lists.set(key, reading)
    reading.catch(() => lists.delete(key))
    for (const oldest of lists.keys()) {
      if (lists.size <= listsKept) break
      lists.delete(oldest)
    }
    return reading
  }

  async function readList(row: Selectable<DatasetVersionTable>): Promise<FrozenList> {
    const [list, splits] = await Promise.all([bytesOf(row.digest), bytesOf(row.split_digest)])
    const [head = '{}', ...lines] = Buffer.from(list).toString('utf8').trimEnd().split('\n')
    const { labels } = JSON.parse(head) as { labels: string[] }
    const samples = lines.map((line) => JSON.parse(line) as FrozenSample)
    return { labels, samples, splits: JSON.parse(Buffer.from(splits).toString('utf8')) as Splits }
  }

  async function bytesOf(digest: string): Promise<Uint8Array> {
    const bytes = await files.read(digest)
    if (bytes) return bytes
    throw new Error(`Cannot read the frozen list ${digest}: it is not there`)
  }

  return {
    list: async (dataset) => {
      await find(store.reader, dataset)
      const rows = await store.reader
        .selectFrom('dataset_version')
        .selectAll()
        .where('dataset', '=', dataset)
        .orderBy('version', 'desc')
        .execute()
      return rows.map(versionOf)
    },

    show: async (dataset, version) => versionOf(await rowOf(dataset, version)),

    samples: async (dataset, version, query) => {
      const { samples, splits } = await listOf(await rowOf(dataset, version))
      const { after = 0, limit = pageSamples, fold = 0 } = query
      const sides = sidesOf({ dataset, version }, splits.folds, fold)
      let total = 0
      let next: number | null = null
      const page: SampleShown[] = []
      for (const [at, sample] of samples.entries()) {
        const shown = shownOf(sample, sides[at])
        if (!fitsQuery(shown, query)) continue
        total++
        if (at < after) continue
        if (page.length < limit) page.push(shown)
        else next ??= at
      }
      return { samples: page, total, next }
    },

    pictures: async (dataset, version) => (await listOf(await rowOf(dataset, version))).samples,

    sides: async (dataset, version) => {
      const { samples, splits } = await listOf(await rowOf(dataset, version))
      const letters = sidesOf({ dataset, version }, splits.folds, 0)
      return new Map(
        samples.flatMap(({ digest }, at) => {
          const side = sideOf(letters[at])
          return side ? [[digest, side] as const] : []
        }),
      )
    },

    keep: async ({ list, splits, ...given }) => {
      const { dataset, revision, asked, labels, samples, inspection, note, by } = given
      const splitBytes = Buffer.from(JSON.stringify(splits))
      const digest = digestOf(list)
      const splitDigest = digestOf(splitBytes)
      await files.put(digest, only(list), { bytesMax: listBytesMax })
      await files.put(splitDigest, only(splitBytes), { bytesMax: listBytesMax })
      const row = await store.writer.transaction().execute(async (tx) => {
        await find(tx, dataset)
        const newest = await tx
          .selectFrom('dataset_version')
          .select(['version', 'digest', 'split_digest'])
          .where('dataset', '=', dataset)
          .orderBy('version', 'desc')
          .limit(1)
          .executeTakeFirst()
        if (newest?.digest === digest && newest.split_digest === splitDigest) {
          throw new Error(
            `Cannot freeze "${dataset}" again: version ${newest.version} is the same, with the same split`,
          )
        }
        const kept: SplitKept = { asked, folds: splits.folds.map(countSides) }
        const row = {
          dataset,
          digest,
          samples,
          inspection,
          note,
          revision,
          author: by,
          version: (newest?.version ?? 0) + 1,
          split_digest: splitDigest,
          labels: JSON.stringify(labels),
          split: JSON.stringify(kept),
          created_at: clock(),
        }
        await tx.insertInto('dataset_version').values(row).execute()
        return row
      })
      changed(dataset)
      return versionOf(row)
    },

    frozen: async (dataset, version, fold = 0) => {
      const row = await rowOf(dataset, version)
      sidesOf(row, (JSON.parse(row.split) as SplitKept).folds, fold)
      return { digest: row.digest }
    },

    layOut: async ({ name, version, fold, only }, into, signal) => {
      const row = await rowOf(name, version)
      const { labels, samples, splits } = await listOf(row)
      const sides = sidesOf(row, splits.folds, fold ?? 0)
      const folder = join(into, 'data')
      const wanted = only ? samples.filter(({ digest }) => only.has(digest)) : samples
      await layFrozen({ store, files }, { name, labels, samples: wanted }, folder, signal)
      const list = only ? listWith(labels, wanted) : await bytesOf(row.digest)
      await writeFile(join(folder, 'samples.jsonl'), list)
      const split: Record<string, SplitName> = {}
      for (const [at, { digest }] of samples.entries()) {
        const side = sideOf(sides[at])
        if (side) split[digest] = side
      }
      const splitFile = join(into, 'split.json')
      await writeFile(splitFile, JSON.stringify(split))
      return { folder, splitFile }
    },
  }
}

/** As a list is frozen, of some of its samples. */
const listWith = (labels: readonly string[], samples: readonly FrozenSample[]): string =>
  [{ labels }, ...samples].map((one) => `${JSON.stringify(one)}\n`).join('')

/** @throws {Refusal} badRequest where there is no such fold */
function sidesOf<T>(
  { dataset, version }: { readonly dataset: string; readonly version: number },
  folds: readonly T[],
  fold: number,
): T {
  const sides = folds[fold]
  if (sides !== undefined) return sides
  const has = folds.length === 1 ? 'no folds' : `folds 0 to ${folds.length - 1}`
  throw new Refusal(
    'badRequest',
    `Cannot use fold ${fold} of version ${version} of "${dataset}": it has ${has}`,
  )
}

const sideNames = ['train', 'validation', 'test'] as const

const sideOf = (letter: string | undefined): SplitName | undefined =>
  sideNames.find((name) => sideLetters[name] === letter)

function countSides(sides: string): SplitCounts {
  const counts = { train: 0, validation: 0, test: 0, leftOut: 0 }
  for (const letter of sides) counts[sideOf(letter) ?? 'leftOut']++
  return counts
}

function shownOf({ capturedAt, ...sample }: FrozenSample, letter: string | undefined): SampleShown {
  const split = sideOf(letter)
  return {
    ...sample,
    ...(capturedAt !== undefined && { capturedAt: new Date(capturedAt).toISOString() }),
    // The list names a mask by its digest alone.
    annotations: sample.annotations.map(
      (one): SampleAnnotation => (one.kind === 'mask' ? { ...one, file: one.digest } : one),
    ),
    ...(split && { split }),
    problems: [],
  }
}

function fitsQuery(sample: SampleShown, query: SampleQuery): boolean {
  const { label, annotated, site, stream, problem, split } = query
  return (
    (label === undefined || sample.annotations.some((one) => labelsIn(one).includes(label))) &&
    (annotated === undefined || sample.annotations.length > 0 === (annotated === 'yes')) &&
    (site === undefined || sample.site === site) &&
    (stream === undefined || sample.stream === stream) &&
    (split === undefined || sample.split === split) &&
    // Problems are looked for in what a dataset is now.
    problem === undefined
  )
}

const versionOf = (row: Selectable<DatasetVersionTable>): DatasetVersion => {
  const { asked, folds } = JSON.parse(row.split) as SplitKept
  return {
    dataset: row.dataset,
    version: row.version,
    digest: row.digest,
    samples: row.samples,
    labels: JSON.parse(row.labels) as string[],
    split: asked,
    folds: [...folds],
    note: row.note,
    revision: row.revision,
    by: row.author,
    createdAt: new Date(row.created_at).toISOString(),
  }
}
