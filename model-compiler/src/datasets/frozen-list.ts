/**
 * The frozen list: one line of canonical JSON for the labels, then one for each sample in its order. Keys are in the
 * order of their code units and nothing is written that is undefined, so equal sets give equal bytes, and the digest
 * of a set is what `sha256sum samples.jsonl` says.
 */
import { createHash } from 'node:crypto'
import type { Sample } from './dataset.ts'

/** JSON with keys in the order of their code units, without blanks. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  const entries = Object.entries(value)
    .filter(([, held]) => held !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${entries.map(([key, held]) => `${JSON.stringify(key)}:${canonicalJson(held)}`).join(',')}}`
}

/** Lines without their ends. Where a mask lies is not said, as its digest names it. */
export function* frozenLines(
  labels: readonly string[],
  samples: Iterable<Sample>,
): Generator<string> {
  yield canonicalJson({ labels })
  for (const sample of samples) {
    const annotations = sample.annotations.map((annotation) =>
      annotation.kind === 'mask' ? { ...annotation, file: undefined } : annotation,
    )
    yield canonicalJson({ ...sample, annotations })
  }
}

/** SHA-256 of the frozen list, hex: names the data set. */
export function datasetDigest(labels: readonly string[], samples: Iterable<Sample>): string {
  const digest = createHash('sha256')
  for (const line of frozenLines(labels, samples)) digest.update(`${line}\n`)
  return digest.digest('hex')
}
