/** Which pictures frozen versions name: those are kept for as long as the version is, and known to be in it. */
import type { Blobs } from '../blobs/blobs.ts'
import type { Store } from '../store/store.ts'

/**
 * Which of `digests` each frozen version names; versions that name none are left out.
 * @throws {Error} where a list cannot be read: what it names is then unknown
 */
export async function* frozenPictures(
  { store, files }: { store: Store; files: Blobs },
  digests: ReadonlySet<string>,
): AsyncGenerator<{ dataset: string; version: number; named: ReadonlySet<string> }> {
  if (digests.size === 0) return
  const rows = await store.reader
    .selectFrom('dataset_version')
    .select(['dataset', 'version', 'digest'])
    .orderBy('dataset')
    .orderBy('version')
    .execute()
  for (const { dataset, version, digest } of rows) {
    const list = await files.read(digest)
    if (!list) {
      throw new Error(
        `Cannot say which pictures ${dataset}/${version} names: its list ${digest} is not there`,
      )
    }
    // The first line holds the labels.
    const lines = Buffer.from(list).toString('utf8').trimEnd().split('\n').slice(1)
    const names = lines.map((line) => (JSON.parse(line) as { digest: string }).digest)
    const named = new Set(names.filter((name) => digests.has(name)))
    if (named.size > 0) yield { dataset, version, named }
  }
}
