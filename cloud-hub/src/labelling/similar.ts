/**
 * Pictures that look like one: all that boxes sent and all that were looked at here are compared, a few hundred at a
 * time, so that whoever else waits for the hub gets their turn between.
 */
import { setImmediate as turn } from 'node:timers/promises'
import {
  Refusal,
  type SampleOffer,
  type SimilarQuery,
  type SimilarSamples,
} from '@edgeloop/protocol'
import type { Store } from '../store/store.ts'
import { type LookedAt, lookAt } from './looked-at.ts'
import { embeddingOf, queryRowsMax } from './task-row.ts'
import { bitsApart, cosineOf, type Looks } from './use.ts'

/** Pictures of each source that are compared, the newest. */
const comparedMax = 20_000
const shownDefault = 24

/** @throws {Refusal} notFound; unavailable where nobody knows what it looks like and nothing here can look */
export async function findSimilar(
  deps: LookedAt,
  digest: string,
  { dataset, limit = shownDefault }: SimilarQuery,
  signal: AbortSignal,
): Promise<SimilarSamples> {
  const { store } = deps
  const wanted = (await knownLooks(store, digest)) ?? (await looked(deps, digest, signal))
  if (!wanted) {
    throw new Refusal(
      'badRequest',
      `Cannot look for pictures like ${digest}: it is no picture that can be read`,
    )
  }
  const best = new Map<string, number>()
  let compared = 0
  for await (const rows of candidates(store, dataset)) {
    signal.throwIfAborted()
    for (const row of rows) {
      if (row.digest === digest) continue
      compared++
      const likeness = likenessOf(wanted, row.looks)
      if (likeness > (best.get(row.digest) ?? 0)) best.set(row.digest, likeness)
    }
    await turn()
  }
  const similar = [...best].toSorted((a, b) => b[1] - a[1]).slice(0, limit)
  return { similar: await shown(store, similar), compared }
}

/** Pictures that are looked at at once: each is a process. */
const looksAtOnce = 2
let looking = 0

async function looked(deps: LookedAt, digest: string, signal: AbortSignal) {
  if (looking >= looksAtOnce) {
    throw new Refusal(
      'tooManyRequests',
      'Cannot look at another picture now: others are being looked at; try again in a moment',
    )
  }
  looking++
  try {
    return await lookAt(deps, digest, signal)
  } finally {
    looking--
  }
}

/** How alike two pictures look: 0 where nothing is known, or nothing is in common. */
export function likenessOf(one: Looks, other: Looks): number {
  if (one.embedding.length > 0 && one.embedding.length === other.embedding.length) {
    return Math.max(0, Math.min(1, cosineOf(one.embedding, other.embedding)))
  }
  if (one.hash === '' || other.hash === '') return 0
  return Math.max(0, 1 - bitsApart(one.hash, other.hash) / 32)
}

async function knownLooks(store: Store, digest: string): Promise<Looks | undefined> {
  const field = await store.reader
    .selectFrom('field_sample')
    .select('offer')
    .where('digest', '=', digest)
    .executeTakeFirst()
  if (field) return looksOfOffer(field.offer)
  const row = await store.reader
    .selectFrom('sample_looks')
    .selectAll()
    .where('digest', '=', digest)
    .where('hash', '<>', '')
    .executeTakeFirst()
  return row && { hash: row.hash, embedding: embeddingOf(row.embedding) }
}

function looksOfOffer(text: string): Looks {
  const { looks, embedding = [] } = JSON.parse(text) as SampleOffer
  return { hash: looks, embedding: new Float32Array(embedding) }
}

type Candidate = { readonly digest: string; readonly looks: Looks }

async function* candidates(store: Store, dataset: string | undefined): AsyncGenerator<Candidate[]> {
  let before = Number.MAX_SAFE_INTEGER
  for (let seen = 0; seen < comparedMax; ) {
    let found = store.reader
      .selectFrom('field_sample')
      .select(['sample_id', 'digest', 'offer'])
      .where('sample_id', '<', before)
    if (dataset !== undefined) {
      found = found.where('digest', 'in', (e) =>
        e
          .selectFrom('dataset_sample')
          .select('dataset_sample.digest')
          .where('dataset_sample.dataset', '=', dataset),
      )
    }
    const rows = await found.orderBy('sample_id', 'desc').limit(queryRowsMax).execute()
    if (rows.length === 0) break
    before = rows.at(-1)!.sample_id
    seen += rows.length
    yield rows.map(({ digest, offer }) => ({ digest, looks: looksOfOffer(offer) }))
  }
  let after = ''
  for (let seen = 0; seen < comparedMax; ) {
    let found = store.reader
      .selectFrom('sample_looks')
      .selectAll()
      .where('digest', '>', after)
      .where('hash', '<>', '')
    if (dataset !== undefined) {
      found = found.where('digest', 'in', (e) =>
        e
          .selectFrom('dataset_sample')
          .select('dataset_sample.digest')
          .where('dataset_sample.dataset', '=', dataset),
      )
    }
    const rows = await found.orderBy('digest').limit(queryRowsMax).execute()
    if (rows.length === 0) break
    after = rows.at(-1)!.digest
    seen += rows.length
    yield rows.map(({ digest, hash, embedding }) => ({
      digest,
      looks: { hash, embedding: embeddingOf(embedding) },
    }))
  }
}

/** With where each is to be found. */
async function shown(
  store: Store,
  similar: readonly (readonly [digest: string, likeness: number])[],
): Promise<SimilarSamples['similar']> {
  if (similar.length === 0) return []
  const digests = similar.map(([digest]) => digest)
  const [field, members] = await Promise.all([
    store.reader
      .selectFrom('field_sample')
      .select(['digest', 'device_id', 'stream_id', 'captured_at'])
      .where('digest', 'in', digests)
      .execute(),
    store.reader
      .selectFrom('dataset_sample')
      .select(['digest', 'dataset'])
      .where('digest', 'in', digests)
      .orderBy('dataset')
      .execute(),
  ])
  return similar.map(([digest, likeness]) => {
    const from = field.find((one) => one.digest === digest)
    return {
      digest,
      likeness,
      ...(from && {
        deviceId: from.device_id,
        streamId: from.stream_id,
        capturedAt: new Date(from.captured_at).toISOString(),
      }),
      datasets: members.filter((one) => one.digest === digest).map((one) => one.dataset),
    }
  })
}
