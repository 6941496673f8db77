/**
 * Samples on a box's disk: a picture named by its digest, and beside it what is known of it. The picture is written
 * first, each file whole or not at all, so that after a cut of power a sample is either there or is not.
 */
import { createHash, randomUUID } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Redaction, SampleOffer } from '@edgeloop/protocol'
import { fits } from '@edgeloop/protocol/check'
import { type Static, Type } from 'typebox'
import { ChooserState } from './chooser.ts'

const closed = { additionalProperties: false } as const
const { signature: _, ...unsigned } = Redaction.properties

/** What is known of a sample: what the hub is offered, not signed yet, and how much it is worth to keep it. */
export const KeptSample = Type.Object(
  {
    ...SampleOffer.properties,
    redaction: Type.Object(unsigned, closed),
    /** When the disk is full, the least goes. */
    use: Type.Number({ minimum: 0, maximum: 1 }),
  },
  closed,
)
export type KeptSample = Static<typeof KeptSample>

/**
 * Writes a sample.
 * @returns its digest
 * @throws {Error} when the folder cannot be written
 */
export async function writeSample(
  folder: string,
  jpeg: Uint8Array,
  about: Omit<KeptSample, 'digest' | 'sizeBytes'>,
): Promise<string> {
  const digest = createHash('sha256').update(jpeg).digest('hex')
  const record: KeptSample = { digest, sizeBytes: jpeg.length, ...about }
  try {
    await writeWhole(folder, `${digest}.jpg`, jpeg)
    await writeWhole(folder, `${digest}.json`, JSON.stringify(record))
  } catch (cause) {
    const why = (cause as Error).message
    throw new Error(`Cannot keep a sample in "${folder}": ${why}`, { cause })
  }
  return digest
}

/** A sample as it lies there; undefined where it is damaged or gone. */
export async function readSample(folder: string, digest: string): Promise<KeptSample | undefined> {
  const record = await readJson(join(folder, `${digest}.json`))
  return fits(KeptSample, record) && record.digest === digest ? record : undefined
}

/** What a stream's chooser remembers; undefined where there is nothing that can be read. */
export async function readState(
  folder: string,
  streamId: string,
): Promise<ChooserState | undefined> {
  const state = await readJson(join(folder, stateName(streamId)))
  return fits(ChooserState, state) ? state : undefined
}

/** @throws {Error} when the folder cannot be written */
export async function writeState(
  folder: string,
  streamId: string,
  state: ChooserState,
): Promise<void> {
  await writeWhole(folder, stateName(streamId), JSON.stringify(state))
}

/** No name of a stream looks like a digest with its ending. */
const stateName = (streamId: string): string => `${streamId}.state`

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch {
    return undefined
  }
}

/** Whole or not at all, also when power fails. */
export async function writeWhole(
  folder: string,
  name: string,
  content: Uint8Array | string,
): Promise<void> {
  const part = join(folder, `.${randomUUID()}.part`)
  try {
    const handle = await open(part, 'wx', 0o600)
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(part, join(folder, name))
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
  await using directory = await open(folder, 'r')
  await directory.sync()
}
