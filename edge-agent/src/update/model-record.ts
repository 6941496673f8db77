/**
 * What the box keeps of one model's updates: one small file per model name, replaced in one step, whose digest stands
 * in its first line. Slots hold the files; which of them frames go to is said here alone, so that taking up a model
 * and going back are each one rename.
 */
import { createHash } from 'node:crypto'
import { Digest, ModelName, ModelVersionNumber, Offer, RolloutId, Update } from '@edgeloop/protocol'
import { fits, parseJson } from '@edgeloop/protocol/check'
import { type Static, Type } from 'typebox'
import { replaceFile, type UpdateDisk } from './update-disk.ts'

const closed = { additionalProperties: false } as const

export const slotNames = ['a', 'b'] as const
const SlotName = Type.Enum(slotNames)
export type SlotName = (typeof slotNames)[number]

/** What a slot holds, whole and verified. */
export const SlotContent = Type.Object(
  {
    rolloutId: RolloutId,
    version: ModelVersionNumber,
    /** Of the model's file. */
    digest: Digest,
    manifestDigest: Digest,
    /** It has passed a probation here. */
    committed: Type.Boolean(),
  },
  closed,
)
export type SlotContent = Static<typeof SlotContent>

/** One passage through a rollout: the offer as it is followed, and where that stands. */
const Passage = Type.Object(
  {
    offer: Offer,
    told: Update,
    /** Digest of what is fetched; absent before that is chosen. */
    encoding: Type.Optional(Digest),
    /** Where its candidate is being put together or lies. */
    slot: Type.Optional(SlotName),
    /** The candidate was looked at beside the active model, and nothing spoke against it. */
    shadowed: Type.Boolean(),
    /** Starts of the agent since it was activated. */
    starts: Type.Integer({ minimum: 0 }),
  },
  closed,
)
export type Passage = Static<typeof Passage>

export const ModelRecord = Type.Object(
  {
    spec: Type.Literal('edgeloop-model-record/1'),
    name: ModelName,
    /** Highest version that frames ever went to; an older one is not taken up. 0: none yet. */
    floor: Type.Integer({ minimum: 0 }),
    /** Where frames go; null: to the box's own file. */
    active: Type.Union([SlotName, Type.Null()]),
    /** Where they went before. What lies there stays until `active` is committed. */
    previous: Type.Union([SlotName, Type.Null()]),
    slots: Type.Object({ a: Type.Optional(SlotContent), b: Type.Optional(SlotContent) }, closed),
    /** Newest last. All but the last have ended. */
    passages: Type.Array(Passage, { maxItems: 4 }),
  },
  closed,
)
export type ModelRecord = Static<typeof ModelRecord>

/** Passages of one model that are remembered. */
export const passagesMax = 4

export const newRecord = (name: string): ModelRecord => ({
  spec: 'edgeloop-model-record/1',
  name,
  floor: 0,
  active: null,
  previous: null,
  slots: {},
  passages: [],
})

/** Where things of a model lie. */
export const modelFolder = (name: string): string => `models/${name}`
export const slotFolder = (name: string, slot: SlotName): string => `${modelFolder(name)}/${slot}`
export const recordFile = (name: string): string => `${modelFolder(name)}/record`

/** @throws {Error} where the disk does not take it; then the record before is there */
export async function writeRecord(disk: UpdateDisk, record: ModelRecord): Promise<void> {
  const text = JSON.stringify(record)
  await replaceFile(disk, recordFile(record.name), Buffer.from(`${digestOf(text)}\n${text}`))
}

/** `damaged`: there is a file, which is not what was written. */
export async function readRecord(
  disk: UpdateDisk,
  name: string,
): Promise<ModelRecord | 'damaged' | undefined> {
  const bytes = await disk.read(recordFile(name))
  if (!bytes) return undefined
  const text = Buffer.from(bytes).toString()
  const [sum, body = ''] = [text.slice(0, 64), text.slice(65)]
  if (digestOf(body) !== sum) return 'damaged'
  const value = parseJson(Buffer.from(body), 'the record of a model')
  return fits(ModelRecord, value) && value.name === name ? value : 'damaged'
}

/** SHA-256 in lower-case hex. */
export const digestOf = (bytes: Uint8Array | string): string =>
  createHash('sha256').update(bytes).digest('hex')
