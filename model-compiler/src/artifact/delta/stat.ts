/** What the ways of telling a file by another come to. */
import { compress } from '../zstd.ts'
import { makeDeltaInDetail, readDeltaHead } from './delta.ts'
import type { ToldPayload } from './tensors.ts'

export type DeltaStat = {
  readonly baseBytes: number
  readonly nextBytes: number
  readonly patch: Uint8Array
  readonly method: 'zstd' | 'tensors' | 'bytes'
  readonly zstdBaseBytes: number
  readonly zstdBytes: number
  /** What each tensor took; empty where zstd alone was shorter. */
  readonly tensors: readonly ToldPayload[]
}

/** Makes the delta and what it is compared with. */
export function statDelta(base: Uint8Array, next: Uint8Array): DeltaStat {
  const { patch, told } = makeDeltaInDetail(base, next)
  return {
    baseBytes: base.length,
    nextBytes: next.length,
    patch,
    method: readDeltaHead(patch).method,
    zstdBaseBytes: compress(next, base).length,
    zstdBytes: compress(next).length,
    tensors: told,
  }
}
