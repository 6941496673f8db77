/** Bytes in memory as blobs want them. */
import { createHash } from 'node:crypto'

export const digestOf = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')

/** Bytes that are all there, as chunks that come. */
export async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
