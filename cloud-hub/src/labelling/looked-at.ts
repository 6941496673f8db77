/** What pictures look like that no box has told of: they are looked at in a child, once. */
import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Refusal } from '@edgeloop/protocol'
import type { Blobs } from '../blobs/blobs.ts'
import { layFrozen } from '../datasets/lay-pictures.ts'
import { withWorkFolder } from '../datasets/work-folder.ts'
import type { Store } from '../store/store.ts'
import type { ProposedSample, Proposer } from './proposer.ts'
import { embeddingText } from './task-row.ts'
import type { Looks } from './use.ts'

/** Longest that somebody waits for one picture. */
const lookMs = 60_000

export type LookedAt = {
  readonly store: Store
  /** Of samples. */
  readonly files: Blobs
  readonly proposer: Proposer | undefined
  readonly clock: () => number
  /** Work is done in a new folder below this one. */
  readonly folder: string
}

/**
 * Lays samples down as a process reads them.
 * @returns digests of those whose pictures are here
 */
export async function laySamples(
  { store, files }: Pick<LookedAt, 'store' | 'files'>,
  digests: readonly string[],
  labels: readonly string[],
  into: string,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  await mkdir(into, { recursive: true })
  const here = await store.writer
    .selectFrom('sample')
    .select(['digest', 'width', 'height'])
    .where('digest', 'in', [...digests])
    .execute()
  const lines = function* () {
    yield `${JSON.stringify({ labels })}\n`
    for (const { digest, width, height } of here) {
      yield `${JSON.stringify({ digest, name: digest, width, height, annotations: [] })}\n`
    }
  }
  await pipeline(lines, createWriteStream(join(into, 'samples.jsonl')))
  const samples = here.map(({ digest }) => ({ digest, annotations: [] }))
  await layFrozen({ store, files }, { name: 'tasks', labels, samples }, into, signal)
  return new Set(here.map(({ digest }) => digest))
}

/** @throws {Refusal} notFound; unavailable where nothing here can look */
export async function lookAt(
  deps: LookedAt,
  digest: string,
  signal: AbortSignal,
): Promise<Looks | undefined> {
  const { proposer, folder } = deps
  if (!proposer) {
    throw new Refusal(
      'unavailable',
      `Cannot look at ${digest}: this hub was started without what looks at pictures`,
    )
  }
  return await withWorkFolder(folder, 'look', async (work) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(lookMs)])
    const here = await laySamples(deps, [digest], [], work, limit)
    if (!here.has(digest)) {
      throw new Refusal('notFound', `Cannot find the picture ${digest}`)
    }
    const order = { folder: work, models: [], looks: true }
    const [found] = await proposer.propose(order, () => {}, limit)
    await keepLooks(deps, [digest], found ? [found] : [])
    return found?.looks && looksOfProposed(found.looks)
  })
}

export const looksOfProposed = ({
  hash,
  embedding,
}: NonNullable<ProposedSample['looks']>): Looks => ({
  hash,
  embedding: new Float32Array(embedding),
})

/** Keeps what pictures look like; those that could not be read are not looked at again. */
export async function keepLooks(
  { store, clock }: Pick<LookedAt, 'store' | 'clock'>,
  digests: readonly string[],
  found: readonly ProposedSample[],
): Promise<void> {
  const byDigest = new Map(found.map((one) => [one.digest, one.looks]))
  const rows = digests.map((digest) => {
    const looks = byDigest.get(digest)
    return {
      digest,
      hash: looks?.hash ?? '',
      at: clock(),
      embedding: looks ? embeddingText(new Float32Array(looks.embedding)) : '',
    }
  })
  if (rows.length === 0) return
  await store.writer
    .insertInto('sample_looks')
    .values(rows)
    .onConflict((on) => on.column('digest').doNothing())
    .execute()
}
