/**
 * zstd as Node brings it, with every bound set: no more comes out than was announced, and the window, which the decoder
 * reserves before it knows anything, is no larger than base and output together.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { ArtifactError } from './artifact-error.ts'

/** Smallest and largest window, as powers of two; Node's decoder takes no larger one by itself. */
const windowLogMin = 10
const windowLogMax = 27

/** A window from which everything can be reached. */
const windowLog = (bytes: number): number =>
  Math.min(windowLogMax, Math.max(windowLogMin, Math.ceil(Math.log2(bytes + 1))))

/** One zstd frame at level 19, where `dictionary` is raw content that matches may point into. */
export const compress = (bytes: Uint8Array, dictionary?: Uint8Array): Uint8Array =>
  compressAt(19, bytes, dictionary)

/** What zstd would leave in a hurry, in bytes. */
export const roughSize = (bytes: Uint8Array, dictionary?: Uint8Array): number =>
  compressAt(1, bytes, dictionary).length

function compressAt(level: number, bytes: Uint8Array, dictionary?: Uint8Array): Uint8Array {
  const reach = bytes.length + (dictionary?.length ?? 0)
  return zstdCompressSync(bytes, {
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_windowLog]: windowLog(reach),
    },
    ...(dictionary !== undefined && dictionary.length > 0 && { dictionary }),
  })
}

/**
 * @param lengthBytes what must come out; not one byte more is made
 * @throws {ArtifactError} when the frame is damaged, or its output or window is larger
 */
export function decompress(
  bytes: Uint8Array,
  lengthBytes: number,
  dictionary?: Uint8Array,
): Uint8Array {
  const reach = lengthBytes + (dictionary?.length ?? 0)
  let made: Uint8Array
  try {
    made = zstdDecompressSync(bytes, {
      maxOutputLength: Math.max(1, lengthBytes),
      params: { [constants.ZSTD_d_windowLogMax]: windowLog(reach) },
      ...(dictionary !== undefined && dictionary.length > 0 && { dictionary }),
    })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ArtifactError(
      'damaged',
      `Cannot decode a zstd frame of ${bytes.length} bytes: ${why}`,
      {
        cause,
      },
    )
  }
  if (made.length !== lengthBytes) {
    throw new ArtifactError(
      'damaged',
      `Cannot decode a zstd frame: it holds ${made.length} bytes, and ${lengthBytes} were announced`,
    )
  }
  return made
}
