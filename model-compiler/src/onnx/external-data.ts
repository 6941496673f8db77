/**
 * Tensors that lie in files beside the model, as large models keep them. Where a model says they are is not believed:
 * a name leads to a regular file in the model's own folder or is refused.
 */
import { constants } from 'node:fs'
import { type FileHandle, lstat, open } from 'node:fs/promises'
import { isAbsolute, join, win32 } from 'node:path'
import { clearField } from '@bufbuild/protobuf'
import { altered } from './altered.ts'
import { modelSizeBytesMax, OnnxError } from './read.ts'
import { type ModelProto, type TensorProto, TensorProtoSchema } from './schema.ts'
import { tensorsIn, withTensors } from './tensors.ts'
import { bitsOf } from './types.ts'

/** TensorProto.DataLocation. */
export const externalLocation = 1
const chunkBytes = 4 * 1024 * 1024

export type ExternalTensor = {
  readonly tensor: TensorProto
  readonly path: string
  readonly offsetBytes: number
  readonly sizeBytes: number
}

export const isExternal = (tensor: TensorProto): boolean =>
  tensor.dataLocation === externalLocation || tensor.externalData.length > 0

/**
 * Where the tensors of a model lie that are not in its own file.
 * @param folder the model's own folder
 * @throws {OnnxError} for a place outside the folder or behind a link, what is missing, too short or no file, a range
 * that does not fit the tensor, and two tensors that overlap
 */
export async function locateExternalData(
  model: ModelProto,
  folder: string,
): Promise<readonly ExternalTensor[]> {
  const found: ExternalTensor[] = []
  const sizes = new Map<string, number>()
  for (const tensor of tensorsIn(model)) {
    if (!isExternal(tensor)) continue
    const { location, offsetBytes, sizeBytes } = rangeOf(tensor)
    let fileBytes = sizes.get(location)
    if (fileBytes === undefined) {
      fileBytes = await fileSize(tensor, folder, location)
      sizes.set(location, fileBytes)
    }
    if (offsetBytes + sizeBytes > fileBytes) {
      refuse(
        tensor,
        `"${location}" has ${fileBytes} bytes, ${offsetBytes + sizeBytes} are needed; it may be truncated`,
      )
    }
    found.push({ tensor, path: join(folder, location), offsetBytes, sizeBytes })
  }
  refuseOverlaps(found)
  return found
}

/**
 * The bytes of a tensor in pieces, each of which holds until the next is asked for.
 * @throws {OnnxError} when the file has become shorter, or a link
 */
export async function* readExternalTensor(
  external: ExternalTensor,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  await using file = await openPlainFile(external)
  const end = external.offsetBytes + external.sizeBytes
  const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, external.sizeBytes))
  for (let at = external.offsetBytes; at < end; ) {
    signal?.throwIfAborted()
    const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.length, end - at), at)
    if (bytesRead === 0) refuse(external.tensor, `"${external.path}" ends at ${at} bytes`)
    yield chunk.subarray(0, bytesRead)
    at += bytesRead
  }
}

/** The tensor with its bytes in it. */
export async function loadExternalTensor(
  external: ExternalTensor,
  signal?: AbortSignal,
): Promise<TensorProto> {
  const rawData = new Uint8Array(external.sizeBytes)
  let at = 0
  for await (const chunk of readExternalTensor(external, signal)) {
    rawData.set(chunk, at)
    at += chunk.length
  }
  const tensor = altered(TensorProtoSchema, external.tensor, { rawData, externalData: [] })
  clearField(tensor, TensorProtoSchema.field.dataLocation)
  return tensor
}

export type LoadOptions = {
  /** More bytes are not loaded (default `modelSizeBytesMax`). */
  readonly sizeBytesMax?: number
  readonly signal?: AbortSignal
}

/**
 * A model with all its tensors in it.
 * @throws {OnnxError} as `locateExternalData`, and when they are more than `sizeBytesMax` together
 */
export async function loadExternalData(
  model: ModelProto,
  folder: string,
  { sizeBytesMax = modelSizeBytesMax, signal }: LoadOptions = {},
): Promise<ModelProto> {
  const places = await locateExternalData(model, folder)
  const total = places.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  if (total > sizeBytesMax) {
    throw new OnnxError(
      `Cannot load the data of the model: they are ${total} bytes, and at most ${sizeBytesMax} are loaded`,
    )
  }
  const loaded = new Map<TensorProto, TensorProto>()
  for (const place of places) {
    loaded.set(place.tensor, await loadExternalTensor(place, signal))
  }
  return withTensors(model, loaded)
}

function refuse(tensor: TensorProto, why: string): never {
  const name = JSON.stringify(tensor.name.slice(0, 80))
  throw new OnnxError(`Cannot find the data of tensor ${name}: ${why}`)
}

function rangeOf(tensor: TensorProto) {
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]))
  const location = entries.get('location') ?? ''
  const bits = bitsOf(tensor.dataType) ?? refuse(tensor, `its type ${tensor.dataType} is not read`)
  const size = tensor.dims.reduce((product, dim) => product * Number(dim), 1)
  const needed = Math.ceil((size * bits) / 8)
  if (!Number.isSafeInteger(needed) || needed < 0 || tensor.dims.some((dim) => dim < 0n)) {
    refuse(tensor, `its dimensions are ${tensor.dims.slice(0, 16).join('×')}`)
  }
  const offsetBytes = wholeNumber(tensor, 'offset', entries.get('offset') ?? '0')
  const sizeBytes = wholeNumber(tensor, 'length', entries.get('length') ?? String(needed))
  if (sizeBytes !== needed) {
    refuse(tensor, `${sizeBytes} bytes are said, its dimensions hold ${needed}`)
  }
  return { location, offsetBytes, sizeBytes }
}

function wholeNumber(tensor: TensorProto, what: string, text: string): number {
  const value = Number(text)
  // Offset and length are added up: half of what is exact is enough for any file.
  if (!/^\d{1,16}$/.test(text) || value > Number.MAX_SAFE_INTEGER / 2) {
    refuse(tensor, `its ${what} is ${JSON.stringify(text.slice(0, 40))}`)
  }
  return value
}

/** The size of the file a tensor names, once it is certain that it is one in the folder. */
async function fileSize(tensor: TensorProto, folder: string, location: string): Promise<number> {
  const shown = JSON.stringify(location.slice(0, 200))
  if (location === '') refuse(tensor, 'no file is named')
  if (location.includes('\0') || location.includes('\\')) refuse(tensor, `${shown} is no file name`)
  if (isAbsolute(location) || win32.isAbsolute(location) || /^[a-z]:/i.test(location)) {
    refuse(tensor, `${shown} is not in the model's folder`)
  }
  const parts = location.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) refuse(tensor, `${shown} leads out of the model's folder`)
  let path = folder
  for (const [at, part] of parts.entries()) {
    path = join(path, part)
    const entry = await lstat(path).catch((error: NodeJS.ErrnoException) =>
      refuse(tensor, error.code === 'ENOENT' ? `there is no file ${shown}` : error.message),
    )
    if (entry.isSymbolicLink()) refuse(tensor, `${shown} is a link; put the file itself there`)
    const last = at === parts.length - 1
    if (last && entry.isFile()) return entry.size
    if (last || !entry.isDirectory()) refuse(tensor, `${shown} is no file`)
  }
  return refuse(tensor, `${shown} is no file`)
}

function refuseOverlaps(places: readonly ExternalTensor[]): void {
  const sorted = places
    .filter(({ sizeBytes }) => sizeBytes > 0)
    .toSorted((a, b) =>
      a.path === b.path ? a.offsetBytes - b.offsetBytes : a.path < b.path ? -1 : 1,
    )
  for (const [at, place] of sorted.entries()) {
    const before = sorted[at - 1]
    if (before?.path !== place.path) continue
    if (before.offsetBytes + before.sizeBytes > place.offsetBytes) {
      refuse(
        place.tensor,
        `its bytes are those of tensor ${JSON.stringify(before.tensor.name.slice(0, 80))}, too`,
      )
    }
  }
}

async function openPlainFile({ tensor, path }: ExternalTensor): Promise<FileHandle> {
  // Between looking and opening a link may have taken the file's place.
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)
  const file = await open(path, flags).catch((error: Error) => refuse(tensor, error.message))
  if ((await file.stat()).isFile()) return file
  await file.close()
  return refuse(tensor, `"${path}" is no file`)
}
