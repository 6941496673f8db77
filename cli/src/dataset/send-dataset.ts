/**
 * Sends a folder of pictures and labels to a hub, picture by picture: those that the hub has are not sent, so what was
 * cut off goes on where it stopped.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Dataset, Sample } from '@edgeloop/model-compiler/datasets'
import {
  fileFormOf,
  type PackedPicture,
  picturePackBytes,
  samplePictureBytesMax,
  samplesBatchMax,
  sampleToSend,
  writePack,
} from '@edgeloop/protocol'
import { Failure } from '../failure.ts'
import type { HubClient } from '../hub-client.ts'

/** Samples in one request: their annotations must fit as well. */
const batchSamples = 250
const requestTimeoutMs = 300_000

export type Sent = {
  readonly samples: number
  readonly added: number
  readonly changed: number
  readonly unchanged: number
  /** Pictures that the hub did not have. */
  readonly pictures: number
  readonly bytes: number
}

/**
 * @param told after each pack and each batch
 * @throws {Failure} when the hub refuses it, or a picture is too large
 */
export async function sendDataset(
  hub: HubClient,
  dataset: Dataset,
  name: string,
  { told, signal }: { told: (sent: Sent) => void; signal: AbortSignal },
): Promise<Sent> {
  let sent: Sent = { samples: 0, added: 0, changed: 0, unchanged: 0, pictures: 0, bytes: 0 }
  for (let at = 0; at < dataset.samples.length; at += batchSamples) {
    const batch = dataset.samples.slice(at, at + batchSamples)
    for await (const pack of packsOf(hub, dataset, batch, signal)) {
      const bytes = sent.bytes + pack.reduce((sum, one) => sum + one.bytes.length, 0)
      await hub.call('samplePack', { bytes: writePack(pack), signal: within(signal) })
      sent = { ...sent, pictures: sent.pictures + pack.length, bytes }
      told(sent)
    }
    const put = await hub.call('datasetSamplePut', {
      params: { dataset: name },
      body: { samples: batch.map(sampleToSend) },
      signal: within(signal),
    })
    sent = {
      ...sent,
      samples: sent.samples + batch.length,
      added: sent.added + put.added,
      changed: sent.changed + put.changed,
      unchanged: sent.unchanged + put.unchanged,
    }
    told(sent)
  }
  return sent
}

const within = (signal: AbortSignal): AbortSignal =>
  AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)])

/** The pictures and masks of samples that the hub does not have, as many together as fit a pack. */
async function* packsOf(
  hub: HubClient,
  dataset: Dataset,
  batch: readonly Sample[],
  signal: AbortSignal,
): AsyncGenerator<PackedPicture[]> {
  const needed = neededBy(dataset, batch)
  const digests = [...needed.keys()]
  let pack: PackedPicture[] = []
  let packBytes = 0
  for (let at = 0; at < digests.length; at += samplesBatchMax) {
    const { missing } = await hub.call('sampleMissing', {
      body: { digests: digests.slice(at, at + samplesBatchMax) },
      signal: within(signal),
    })
    for (const digest of missing) {
      signal.throwIfAborted()
      const picture = await needed.get(digest)!()
      if (pack.length > 0 && packBytes + picture.bytes.length > picturePackBytes) {
        yield pack
        pack = []
        packBytes = 0
      }
      pack.push(picture)
      packBytes += picture.bytes.length
    }
  }
  if (pack.length > 0) yield pack
}

function neededBy(
  dataset: Dataset,
  batch: readonly Sample[],
): Map<string, () => Promise<PackedPicture>> {
  const needed = new Map<string, () => Promise<PackedPicture>>()
  for (const sample of batch) {
    const { width, height, annotations } = sample
    needed.set(sample.digest, () => pictureOf(dataset, sample))
    for (const one of annotations) {
      if (one.kind !== 'mask') continue
      needed.set(one.digest, async () => {
        const bytes = await readFile(join(dataset.folder, one.file))
        return { digest: one.digest, width, height, bytes }
      })
    }
  }
  return needed
}

async function pictureOf(dataset: Dataset, sample: Sample): Promise<PackedPicture> {
  const { digest, width, height, name } = sample
  const bytes = await dataset.bytes(sample)
  if (bytes.length > samplePictureBytesMax) {
    throw new Failure(
      `Cannot send "${name}": it has ${bytes.length} bytes, a hub takes ${samplePictureBytesMax}`,
      'make it smaller, or compress it',
    )
  }
  const { pictures } = dataset
  const raw =
    pictures.kind === 'raw' ? (pictures.channels === 1 ? 'raw-grey' : 'raw-rgb') : undefined
  const form = raw ?? fileFormOf(bytes)
  if (form !== undefined) return { digest, bytes, width, height, form }
  throw new Failure(`Cannot send "${name}": no hub knows its format`, 'convert it to PNG or JPEG')
}
