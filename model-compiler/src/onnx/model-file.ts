/**
 * Models as files. Reading takes the file and leaves data beside it where they are; writing streams them, so that a
 * model may be larger than memory and larger than the 2 GiB that protobuf ends at.
 */
import { randomUUID } from 'node:crypto'
import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { clearField, create } from '@bufbuild/protobuf'
import { altered } from './altered.ts'
import {
  type ExternalTensor,
  externalLocation,
  isExternal,
  loadExternalTensor,
  locateExternalData,
  readExternalTensor,
} from './external-data.ts'
import { modelSizeBytesMax, OnnxError, readModel } from './read.ts'
import {
  type ModelProto,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from './schema.ts'
import { tensorsIn, withTensors } from './tensors.ts'
import { writeModel } from './write.ts'

/** Tensors begin at multiples of this, so that they can be mapped into memory on any machine. */
const alignmentBytes = 64 * 1024
/** Smaller tensors stay in the model's own file. */
const externalBytesMin = 1024

/**
 * Reads a model file. Tensors in other files are checked (see `locateExternalData`), not loaded.
 * @throws {OnnxError} when there is no such file, it is larger than `sizeBytesMax`, or no model
 */
export async function readModelFile(
  path: string,
  options: { readonly sizeBytesMax?: number; readonly signal?: AbortSignal } = {},
): Promise<ModelProto> {
  const { sizeBytesMax = modelSizeBytesMax, signal } = options
  const refuse = (why: string): never => {
    throw new OnnxError(`Cannot read "${path}": ${why}`)
  }
  const found = await stat(path).catch((error: NodeJS.ErrnoException) =>
    refuse(error.code === 'ENOENT' ? 'there is no such file' : error.message),
  )
  if (!found.isFile()) refuse('it is no file')
  if (found.size > sizeBytesMax) {
    refuse(`it has ${found.size} bytes, and at most ${sizeBytesMax} are read`)
  }
  const bytes = await readFile(path, signal ? { signal } : {})
  const model = readModel(bytes, { name: basename(path), sizeBytesMax })
  await locateExternalData(model, dirname(path))
  return model
}

export type WriteOptions = {
  /** Folder of the model file whose tensors lie beside it, where `model` has such tensors. */
  readonly from?: string
  /**
   * Whether tensors go to a file beside the model's, NAME.data: `auto` (default) when they are more than
   * `modelSizeBytesMax` together.
   */
  readonly beside?: 'auto' | 'always' | 'never'
  readonly signal?: AbortSignal
}

/**
 * Writes a model file, and NAME.data beside it where the tensors are too many for one. Both appear under their names
 * when they are whole, the data first; what was begun is taken away when writing fails.
 * @returns bytes of both files
 * @throws {OnnxError} when tensors in other files are not to be found, or too many for one file
 */
export async function writeModelFile(
  model: ModelProto,
  path: string,
  options: WriteOptions = {},
): Promise<{ readonly modelBytes: number; readonly dataBytes: number }> {
  const { from, beside = 'auto', signal } = options
  if (from === undefined && [...tensorsIn(model)].some(isExternal)) {
    throw new OnnxError(
      `Cannot write "${path}": tensors lie in other files, and their folder was not given`,
    )
  }
  const sources = new Map<TensorProto, ExternalTensor>()
  for (const place of from === undefined ? [] : await locateExternalData(model, from)) {
    sources.set(place.tensor, place)
  }
  const sizeOf = (tensor: TensorProto) => sources.get(tensor)?.sizeBytes ?? tensor.rawData.length
  const total = [...tensorsIn(model)].reduce((sum, tensor) => sum + sizeOf(tensor), 0)
  const apart = beside === 'always' || (beside === 'auto' && total > modelSizeBytesMax)
  if (!apart && total > modelSizeBytesMax) {
    throw new OnnxError(
      `Cannot write "${path}" as one file: its tensors are ${total} bytes, at most ${modelSizeBytesMax} go into one`,
    )
  }
  const temporary = `${path}.${randomUUID()}.partial`
  const dataName = `${basename(path)}.data`
  const dataTemporary = `${temporary}.data`
  try {
    const written = new Map<TensorProto, TensorProto>()
    let dataBytes = 0
    if (apart) {
      await using data = await open(dataTemporary, 'wx')
      for (const tensor of new Set(tensorsIn(model))) {
        const sizeBytes = sizeOf(tensor)
        if (sizeBytes < externalBytesMin) continue
        const at = Math.ceil(dataBytes / alignmentBytes) * alignmentBytes
        await writeTensor(data, at, tensor, sources.get(tensor), signal)
        written.set(tensor, placedAt(tensor, dataName, at, sizeBytes))
        dataBytes = at + sizeBytes
      }
      await data.truncate(dataBytes)
      await data.sync()
    }
    for (const [tensor, source] of sources) {
      if (!written.has(tensor)) written.set(tensor, await loadExternalTensor(source, signal))
    }
    const bytes = writeModel(withTensors(model, written))
    signal?.throwIfAborted()
    await writeFile(temporary, bytes, { flag: 'wx', flush: true })
    if (dataBytes > 0) await rename(dataTemporary, join(dirname(path), dataName))
    else await rm(dataTemporary, { force: true })
    await rename(temporary, path)
    return { modelBytes: bytes.length, dataBytes }
  } catch (error) {
    await Promise.all([rm(temporary, { force: true }), rm(dataTemporary, { force: true })])
    throw error
  }
}

async function writeTensor(
  file: FileHandle,
  begin: number,
  tensor: TensorProto,
  source: ExternalTensor | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  let at = begin
  for await (const chunk of source ? readExternalTensor(source, signal) : [tensor.rawData]) {
    signal?.throwIfAborted()
    // What was never written reads as zeros, and takes no room on disk.
    if (!isZero(chunk)) {
      for (let done = 0; done < chunk.length; ) {
        done += (await file.write(chunk, done, chunk.length - done, at + done)).bytesWritten
      }
    }
    at += chunk.length
  }
}

const zeros = Buffer.alloc(64 * 1024)
function isZero(chunk: Uint8Array): boolean {
  for (let at = 0; at < chunk.length; at += zeros.length) {
    const part = chunk.subarray(at, at + zeros.length)
    if (zeros.compare(part, 0, part.length, 0, part.length) !== 0) return false
  }
  return true
}

function placedAt(
  tensor: TensorProto,
  location: string,
  offset: number,
  length: number,
): TensorProto {
  const externalData = Object.entries({ location, offset, length }).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value: String(value) }),
  )
  const placed = altered(TensorProtoSchema, tensor, {
    externalData,
    dataLocation: externalLocation,
  })
  clearField(placed, TensorProtoSchema.field.rawData)
  return placed
}
