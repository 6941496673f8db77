/** What the scores of a model's file were worth on the test samples of its version, from the report of the run that trained it. */
import type { EvaluationReport } from '@edgeloop/model-compiler'
import { type Lineage, Refusal, type RunFileKind } from '@edgeloop/protocol'
import type { Store } from '../store/store.ts'
import { type Fitted, fittedOnTest } from './accuracy.ts'

/** Files of models that are remembered; the oldest gives way. */
const knownMax = 100

/** By the digest of what a box runs; null where no run of this hub has tested it, or said too little. */
export type TestWorth = (modelDigest: string) => Promise<Fitted | null>

export function openTestWorth(deps: {
  store: Store
  /** @throws {Refusal} notFound */
  runFile: (runId: string, kind: RunFileKind) => Promise<Uint8Array>
}): TestWorth {
  const { store, runFile } = deps
  /** What a file was worth does not change. */
  const known = new Map<string, Fitted>()

  async function versionOf(digest: string) {
    for (const table of ['artifact', 'model_version'] as const) {
      const row = await store.reader
        .selectFrom(table)
        .select(['name', 'version'])
        .where('digest', '=', digest)
        .executeTakeFirst()
      if (row) return row
    }
    return undefined
  }

  return async (modelDigest) => {
    const before = known.get(modelDigest)
    if (before) return before
    const of = await versionOf(modelDigest)
    const version =
      of &&
      (await store.reader
        .selectFrom('model_version')
        .select('lineage')
        .where('name', '=', of.name)
        .where('version', '=', of.version)
        .executeTakeFirst())
    if (!of || !version?.lineage) return null
    const { runId } = JSON.parse(version.lineage) as Lineage
    const bytes = await runFile(runId, 'data').catch(unlessMissing)
    if (!bytes) return null
    // Written by this hub's trainer, of this version or an earlier one that said less.
    const { test } = JSON.parse(new TextDecoder().decode(bytes)) as { test?: EvaluationReport }
    const fitted = test ? fittedOnTest(test, `${of.name}/${of.version}`) : null
    if (!fitted) return null
    known.set(modelDigest, fitted)
    for (const oldest of known.keys()) if (known.size > knownMax) known.delete(oldest)
    return fitted
  }
}

function unlessMissing(error: unknown): undefined {
  if (error instanceof Refusal && error.code === 'notFound') return undefined
  throw error
}
