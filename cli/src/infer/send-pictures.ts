/** Sends pictures of this machine to a hub, those that it does not have. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { ImageFile } from '@edgeloop/edge-agent/detect'
import {
  batchPicturesMax,
  fileFormOf,
  type PackedPicture,
  picturePackBytes,
  samplePictureBytesMax,
  samplesBatchMax,
  writePack,
} from '@edgeloop/protocol'
import { Failure } from '../failure.ts'
import type { HubClient } from '../hub-client.ts'

const requestTimeoutMs = 300_000

/**
 * @param told after each pack: pictures that were sent
 * @returns names by the digest of their picture; files of the same bytes share one
 * @throws {Failure} naming a picture that no hub takes
 */
export async function sendPictures(
  hub: HubClient,
  images: readonly ImageFile[],
  { told, signal }: { told: (pictures: number) => void; signal: AbortSignal },
): Promise<ReadonlyMap<string, readonly string[]>> {
  if (images.length > batchPicturesMax) {
    throw new Failure(
      `Cannot ask about ${images.length} pictures at once: a batch takes ${batchPicturesMax}`,
      'name parts of them, each in a command of its own',
    )
  }
  const byDigest = new Map<string, ImageFile[]>()
  for (const image of images) {
    signal.throwIfAborted()
    const digest = createHash('sha256')
      .update(await readFile(image.file))
      .digest('hex')
    byDigest.set(digest, [...(byDigest.get(digest) ?? []), image])
  }
  const within = () => AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)])
  const digests = [...byDigest.keys()]
  let sent = 0
  for (let at = 0; at < digests.length; at += samplesBatchMax) {
    const { missing } = await hub.call('sampleMissing', {
      body: { digests: digests.slice(at, at + samplesBatchMax) },
      signal: within(),
    })
    let pack: PackedPicture[] = []
    const send = async (): Promise<void> => {
      if (pack.length === 0) return
      await hub.call('samplePack', { bytes: writePack(pack), signal: within() })
      sent += pack.length
      told(sent)
      pack = []
    }
    for (const digest of missing) {
      const picture = await pictureOf(digest, byDigest.get(digest)![0]!)
      const packed = pack.reduce((sum, { bytes }) => sum + bytes.length, 0)
      if (packed + picture.bytes.length > picturePackBytes) await send()
      pack.push(picture)
    }
    await send()
  }
  return new Map(
    [...byDigest].map(([digest, files]) => [digest, files.map(({ source }) => source)]),
  )
}

async function pictureOf(digest: string, { source, file }: ImageFile): Promise<PackedPicture> {
  const { imageSize } = await import('@edgeloop/edge-agent/detect')
  const bytes = await readFile(file)
  if (bytes.length > samplePictureBytesMax) {
    throw new Failure(
      `Cannot send "${source}": it has ${bytes.length} bytes, a hub takes ${samplePictureBytesMax}`,
      'make it smaller, or compress it',
    )
  }
  const form = fileFormOf(bytes)
  if (form === undefined) {
    throw new Failure(
      `Cannot send "${source}": no hub knows its format`,
      'convert it to PNG or JPEG',
    )
  }
  return { digest, bytes, form, ...(await imageSize(file)) }
}
