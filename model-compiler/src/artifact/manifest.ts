/** Reading manifests. Their bytes are checked by digest before anybody reads them, and never written again. */
import {
  chunkBytes,
  type Encoding,
  Manifest,
  type Manifest as ManifestType,
  manifestBytesMax,
} from '@edgeloop/protocol'
import { Misfit, parse, parseJson } from '@edgeloop/protocol/check'
import { ArtifactError } from './artifact-error.ts'

/**
 * @throws {ArtifactError} `too-large`; `damaged` when it is no manifest, or says what cannot be together, with the place
 */
export function readManifest(bytes: Uint8Array): ManifestType {
  if (bytes.length > manifestBytesMax) {
    throw new ArtifactError(
      'too-large',
      `Cannot read a manifest of ${bytes.length} bytes: it may have ${manifestBytesMax}`,
    )
  }
  let manifest: ManifestType
  try {
    manifest = parse(Manifest, parseJson(bytes, 'manifest'), 'manifest')
  } catch (cause) {
    if (!(cause instanceof Misfit)) throw cause
    throw new ArtifactError('damaged', cause.message, { cause })
  }
  for (const [at, encoding] of manifest.encodings.entries()) {
    checkEncoding(encoding, `/encodings/${at}`, manifest)
  }
  if (!manifest.encodings.some(({ codec }) => codec === 'zstd')) {
    throw misfit('/encodings', 'none of them is zstd, which needs no other file')
  }
  return manifest
}

function checkEncoding(
  { codec, baseDigest, lengthBytes, chunks }: Encoding,
  place: string,
  { file }: ManifestType,
): void {
  if ((codec === 'zstd') !== (baseDigest === undefined)) {
    throw misfit(
      `${place}/baseDigest`,
      codec === 'zstd' ? 'zstd has no base' : `${codec} needs the digest of its base`,
    )
  }
  if (baseDigest === file.digest) throw misfit(`${place}/baseDigest`, 'a file is not its own base')
  const expected = Math.ceil(lengthBytes / chunkBytes)
  if (chunks.length !== expected) {
    throw misfit(
      `${place}/chunks`,
      `${chunks.length} digests for ${lengthBytes} bytes, which are ${expected} pieces`,
    )
  }
}

const misfit = (place: string, why: string): ArtifactError =>
  new ArtifactError('damaged', `Cannot read manifest: ${place} ${why}`)
