/** What is known of a file before its bytes are there, and the check that they are that file. */
import { createHash } from 'node:crypto'
import { artifactBytesMax } from '@edgeloop/protocol'
import { ArtifactError } from './artifact-error.ts'

/** Length and digest of the file that must come out, from a signed manifest. */
export type Bounds = {
  readonly lengthBytes: number
  /** SHA-256, hex. */
  readonly digest: string
}

/** SHA-256 as hex, by which files are named. */
export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** @throws {ArtifactError} where more is promised than may be */
export function checkBounds({ lengthBytes }: Bounds): void {
  if (!Number.isSafeInteger(lengthBytes) || lengthBytes < 0 || lengthBytes > artifactBytesMax) {
    throw new ArtifactError(
      'too-large',
      `Cannot decode a file of ${lengthBytes} bytes: it may have 0 to ${artifactBytesMax}`,
    )
  }
}

/**
 * Gives `bytes` back when they are the file that `bounds` name.
 * @throws {ArtifactError} `damaged` when they are another
 */
export function checkOutput(bytes: Uint8Array, { lengthBytes, digest }: Bounds): Uint8Array {
  if (bytes.length !== lengthBytes) {
    throw new ArtifactError(
      'damaged',
      `Cannot decode: ${bytes.length} bytes came out, and the file has ${lengthBytes}`,
    )
  }
  const found = digestOf(bytes)
  if (found !== digest) {
    throw new ArtifactError(
      'damaged',
      `Cannot decode: what came out has digest ${found}, and the file has ${digest}`,
    )
  }
  return bytes
}

/** @throws {ArtifactError} `wrong-base` when `base` is not the file with this digest */
export function checkBase(
  base: Uint8Array | undefined,
  baseDigest: string | undefined,
): Uint8Array {
  if (base === undefined || baseDigest === undefined) {
    throw new ArtifactError(
      'wrong-base',
      `Cannot decode: it needs the file ${baseDigest ?? 'it was made against'} as base, and none was given`,
    )
  }
  const found = digestOf(base)
  if (found !== baseDigest) {
    throw new ArtifactError(
      'wrong-base',
      `Cannot decode: it was made against ${baseDigest}, and the file that is here is ${found}`,
    )
  }
  return base
}
