/** Runs an order of `dataset-work.ts` in a child with limits: its pictures and archives are those of strangers. */
import { fileURLToPath } from 'node:url'
import { type ChildLimits, runInChild } from '@edgeloop/model-compiler/child'
import type { WorkOrder, WorkProgress } from './dataset-work.ts'

export const workLimits: ChildLimits = {
  memoryBytesMax: 3 * 1024 ** 3,
  timeoutMs: 4 * 3_600_000,
  silenceMs: 10 * 60_000,
}

/**
 * @param what it is called in errors: `import into "parts"`
 * @throws {Error} saying why it could not be done
 */
export const runWork = async <O extends WorkOrder, R>(
  order: O,
  what: string,
  onProgress: (at: WorkProgress) => void,
  signal: AbortSignal,
  limits = workLimits,
): Promise<R> =>
  await runInChild<O, WorkProgress, R>({
    program: fileURLToPath(new URL('./dataset-work.ts', import.meta.url)),
    order,
    what,
    onProgress,
    signal,
    doing: (last) => last?.step ?? 'beginning',
    limits,
  })
