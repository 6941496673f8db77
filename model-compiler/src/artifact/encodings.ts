/** How a file travels: whole, or as the difference to one that a box has already. The smallest wins at publishing. */
import type { Encoding } from '@edgeloop/protocol'
import { type Bounds, checkBase, checkBounds, checkOutput, digestOf } from './bounds.ts'
import { applyDelta, makeDelta } from './delta/delta.ts'
import { compress, decompress } from './zstd.ts'

/** A file in the form in which it travels. */
export type EncodedBytes = {
  readonly codec: Encoding['codec']
  /** SHA-256 of the file that decoding needs, hex; absent for `zstd`. */
  readonly baseDigest?: string
  readonly bytes: Uint8Array
}

/**
 * Everything worth keeping of a file: the smallest form per base, where it is smaller than the whole file, and the whole file as
 * zstd, which comes last. The same files give the same bytes.
 * @param bases files that boxes have now
 */
export function encodings(next: Uint8Array, bases: readonly Uint8Array[]): EncodedBytes[] {
  const full: EncodedBytes = { codec: 'zstd', bytes: compress(next) }
  const differences = bases
    .map((base): EncodedBytes => {
      const delta = makeDelta(base, next)
      const plain = compress(next, base)
      // What could not be read again would strand every box that it is offered to.
      applyDelta(base, delta, { lengthBytes: next.length, digest: digestOf(next) })
      const isDelta = delta.length < plain.length
      return {
        codec: isDelta ? 'delta' : 'zstd-base',
        baseDigest: digestOf(base),
        bytes: isDelta ? delta : plain,
      }
    })
    .filter(({ bytes }) => bytes.length < full.bytes.length)
  return [...differences, full]
}

/**
 * The file that an encoding stands for.
 * @param base the file whose digest is `baseDigest`; not looked at for `zstd`
 * @param bounds length and digest of what must come out, from a signed manifest
 * @throws {ArtifactError} when it cannot be decoded, or is not the file that `bounds` name; never gives a wrong byte
 */
export function decode(
  { codec, baseDigest }: { readonly codec: Encoding['codec']; readonly baseDigest?: string },
  bytes: Uint8Array,
  base: Uint8Array | undefined,
  bounds: Bounds,
): Uint8Array {
  checkBounds(bounds)
  switch (codec) {
    case 'zstd':
      return checkOutput(decompress(bytes, bounds.lengthBytes), bounds)
    case 'zstd-base':
      return checkOutput(decompress(bytes, bounds.lengthBytes, checkBase(base, baseDigest)), bounds)
    case 'delta':
      return applyDelta(checkBase(base, baseDigest), bytes, bounds)
  }
}
