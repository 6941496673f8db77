/**
 * The two places on disk that a model of one name may lie in, and what a start of the agent finds there. Nothing is
 * believed because it is there: a slot counts when its file has the digest that was written down for it.
 */
import { createHash } from 'node:crypto'
import { readManifest } from '@edgeloop/model-compiler/artifact'
import { type Manifest, updateStates } from '@edgeloop/protocol'
import { fits } from '@edgeloop/protocol/check'
import { type Candidate, candidateIn, slotFiles } from './model-host.ts'
import {
  digestOf,
  type ModelRecord,
  modelFolder,
  newRecord,
  readRecord,
  SlotContent,
  type SlotName,
  slotFolder,
  slotNames,
  writeRecord,
} from './model-record.ts'
import { changed, entered, startsCounted, wentBack } from './passage.ts'
import { openPassage, planUpdate } from './plan.ts'
import { removeFolder, replaceFile, type UpdateDisk } from './update-disk.ts'

/** What comes is put together here before it has a slot. */
export const incomingFolder = (name: string): string => `${modelFolder(name)}/incoming`
export const incomingManifest = (name: string): string =>
  `${incomingFolder(name)}/${slotFiles.manifest}`

/** Says what a slot holds once that has proved itself: what is left to go by where the record is damaged. */
const committedFile = 'committed.json'

/** Writes a candidate where nothing was; durable when it resolves, and worth nothing before the record says so. */
export async function fillSlot(
  disk: UpdateDisk,
  slot: SlotName,
  model: Uint8Array,
  manifestBytes: Uint8Array,
  manifest: Manifest,
): Promise<void> {
  const { name } = manifest
  const folder = slotFolder(name, slot)
  await removeFolder(disk, folder)
  await disk.makeFolder(folder)
  const files: [string, Uint8Array][] = [
    [slotFiles.model, model],
    [slotFiles.manifest, manifestBytes],
    ...filesBeside(manifest),
  ]
  for (const [file, bytes] of files) {
    await disk.write(`${folder}/${file}`, bytes)
    await disk.sync(`${folder}/${file}`)
  }
  await disk.syncFolder(folder)
  await disk.syncFolder(modelFolder(name))
}

/** Before the record says that it is committed. */
export async function markCommitted(
  disk: UpdateDisk,
  name: string,
  slot: SlotName,
  content: SlotContent,
): Promise<void> {
  const bytes = Buffer.from(JSON.stringify({ ...content, committed: true }))
  await replaceFile(disk, `${slotFolder(name, slot)}/${committedFile}`, bytes)
}

/** The model in a slot as the rest of the agent uses it. @throws {Error} where its manifest cannot be read */
export async function candidateOf(
  disk: UpdateDisk,
  name: string,
  slot: SlotName,
): Promise<Candidate> {
  const folder = slotFolder(name, slot)
  const bytes = await disk.read(`${folder}/${slotFiles.manifest}`)
  if (!bytes) throw new Error(`Cannot use slot ${slot} of model "${name}": it has no manifest`)
  return candidateIn(disk.at(folder), readManifest(bytes))
}

/** SHA-256 of a file, read in parts; undefined where there is none. */
export async function fileDigest(disk: UpdateDisk, path: string): Promise<string | undefined> {
  const partBytes = 4 * 1024 * 1024
  const hash = createHash('sha256')
  for (let from = 0; ; from += partBytes) {
    const part = await disk.readPart(path, from, partBytes)
    if (!part) return undefined
    hash.update(part)
    if (part.length < partBytes) return hash.digest('hex')
  }
}

/** Whether a slot holds, whole, what was written down. */
async function isWhole(
  disk: UpdateDisk,
  name: string,
  slot: SlotName,
  { digest, manifestDigest }: SlotContent,
): Promise<boolean> {
  const folder = slotFolder(name, slot)
  const bytes = await disk.read(`${folder}/${slotFiles.manifest}`)
  if (!bytes || digestOf(bytes) !== manifestDigest) return false
  const manifest = readManifest(bytes)
  if (manifest.file.digest !== digest) return false
  for (const [file, wanted] of filesBeside(manifest)) {
    if (!Buffer.from(wanted).equals((await disk.read(`${folder}/${file}`)) ?? Buffer.of()))
      return false
  }
  return (await fileDigest(disk, `${folder}/${slotFiles.model}`)) === digest
}

/** What a slot holds of a manifest in files of their own. */
function filesBeside({ labels, description }: Manifest): [string, Uint8Array][] {
  const files: [string, Uint8Array][] = []
  if (labels.length > 0) files.push([slotFiles.labels, Buffer.from(`${labels.join('\n')}\n`)])
  if (description !== '') files.push([slotFiles.description, Buffer.from(description)])
  return files
}

/**
 * What the box has of a model at a start, made good: what frames belong to is whole, or it is gone back; a start that
 * nobody wanted is counted, and one too many goes back before a frame is looked at.
 * @param now wall clock, ms
 * @param told what a person should know
 */
export async function openModel(
  keeping: Keeping,
  name: string,
  now: number,
  told: (text: string) => void,
): Promise<ModelRecord> {
  const { disk } = keeping
  const found = await readRecord(disk, name)
  let record = found === 'damaged' || !found ? await recordOfSlots(disk, name) : found
  if (found === 'damaged')
    told(`The record of model "${name}" was damaged; its slots say what is here`)

  for (let slot = record.active; slot !== null; slot = record.active) {
    const content = record.slots[slot]
    if (content && (await isWhole(disk, name, slot, content))) break
    const reason = `What lies in slot ${slot} is not what was written there`
    told(`Cannot use model "${name}": ${reason.toLowerCase()}; going back to the one before`)
    record = content
      ? wentBack(record, { state: 'rolled-back', code: 'damaged', reason }, now)
      : { ...record, active: record.previous, previous: null }
  }
  for (const slot of slotNames) {
    const content = record.slots[slot]
    if (slot === record.active || !content || (await isWhole(disk, name, slot, content))) continue
    const { [slot]: _, ...slots } = record.slots
    record = { ...record, slots, previous: record.previous === slot ? null : record.previous }
    if (openPassage(record)?.slot === slot) {
      record = entered(
        changed(record, ({ slot: _gone, ...rest }) => rest),
        'downloading',
        now,
      )
    }
  }

  const passage = openPassage(record)
  const counts = passage && updateStates[passage.told.state].touches
  if (counts) record = startsCounted(record, passage.starts + 1)
  const step = planUpdate(record, undefined, { now, inStateMs: 0, running: record.active })
  if (step.do === 'go-back') record = wentBack(record, step, now)
  if (JSON.stringify(record) !== JSON.stringify(found)) {
    try {
      if (found !== undefined || record.active !== null) await writeRecord(disk, record)
    } catch (error) {
      told(`Cannot write the record of model "${name}": ${(error as Error).message}`)
      // Who cannot count starts would never find a loop.
      if (openPassage(record) && counts) {
        const reason = 'Its starts could not be counted'
        record = wentBack(record, { state: 'rolled-back', code: 'disk-full', reason }, now)
      }
    }
  }
  await tidy(keeping, record).catch((error: Error) =>
    told(`Cannot remove what is left of updates of model "${name}": ${error.message}`),
  )
  return record
}

/** What can be said without a record: of the models that have proved themselves here, the highest version. */
async function recordOfSlots(disk: UpdateDisk, name: string): Promise<ModelRecord> {
  let record = newRecord(name)
  for (const slot of slotNames) {
    const bytes = await disk.read(`${slotFolder(name, slot)}/${committedFile}`)
    const content = bytes && contentIn(bytes)
    if (!content || !(await isWhole(disk, name, slot, content))) continue
    const other = record.active && record.slots[record.active]
    const isNewer = !other || content.version > other.version
    record = {
      ...record,
      slots: { ...record.slots, [slot]: content },
      floor: Math.max(record.floor, content.version),
      ...(isNewer ? { active: slot, previous: record.active } : { previous: slot }),
    }
  }
  return record
}

function contentIn(bytes: Uint8Array): SlotContent | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString())
    return fits(SlotContent, value) ? value : undefined
  } catch {
    return undefined
  }
}

export type Keeping = {
  readonly disk: UpdateDisk
  /** What was fetched is kept, for other boxes. */
  readonly keepsEncodings: boolean
}

/** What was fetched whole for the newest update, and is of use to others. */
export function sharedEncoding({ passages }: ModelRecord): string | undefined {
  const passage = passages.at(-1)
  if (!passage) return undefined
  const { state } = passage.told
  const isWhole = state !== 'offered' && state !== 'downloading'
  const isGood = updateStates[state].kind === 'active' || state === 'committed'
  return isWhole && isGood ? passage.encoding : undefined
}

/** Removes what the record does not speak of: what an update that has ended, or a power cut, has left. */
export async function tidy(keeping: Keeping, record: ModelRecord): Promise<void> {
  const { disk, keepsEncodings } = keeping
  const { name, slots } = record
  const passage = openPassage(record)
  for (const slot of slotNames) {
    if (!slots[slot] && passage?.slot !== slot) await removeFolder(disk, slotFolder(name, slot))
  }
  if (passage && !updateStates[passage.told.state].touches) return
  const folder = incomingFolder(name)
  const kept = keepsEncodings ? sharedEncoding(record) : undefined
  for (const file of await disk.list(folder)) {
    if (file !== kept) await disk.remove(`${folder}/${file}`)
  }
}
