/**
 * Bytes to a model, or a sentence that says what the bytes are instead. Unknown fields and the order
 * of everything are kept, so that what is written back unchanged is the same file.
 */
import { fromBinary } from '@bufbuild/protobuf'
import { type ModelProto, ModelProtoSchema, type TensorProto, TensorProtoSchema } from './schema.ts'

/** Larger files are refused: protobuf itself ends at 2 GiB, and no box here runs a model of this size. */
export const modelSizeBytesMax = 512 * 1024 * 1024

export type ReadOptions = {
  /** Shown in errors. */
  readonly name?: string
  readonly sizeBytesMax?: number
}

/** The bytes are no ONNX model; the message says what they are and what to do. */
export class OnnxError extends Error {
  constructor(text: string, options?: ErrorOptions) {
    super(text, options)
    this.name = 'OnnxError'
  }
}

/**
 * Reads an ONNX file. Only the frame is checked here (a graph with nodes and outputs, an IR version, an
 * operator set); whether the graph makes sense is `verify`'s question.
 * @param bytes the whole file; tensors keep views of it, so it must not be changed afterwards
 * @throws {OnnxError} when the bytes are no whole ONNX model
 */
export function readModel(bytes: Uint8Array, options: ReadOptions = {}): ModelProto {
  const { name = 'model', sizeBytesMax = modelSizeBytesMax } = options
  const refuse = (why: string, cause?: unknown): never => {
    throw new OnnxError(`Cannot read "${name}" as an ONNX model: ${why}`, { cause })
  }
  if (bytes.length > sizeBytesMax) {
    refuse(`it has ${bytes.length} bytes, and at most ${sizeBytesMax} are read`)
  }
  const other = somethingElse(bytes)
  if (other !== undefined) refuse(other)
  const model = parse(bytes, refuse)
  if (model.graph === undefined || model.graph.node.length === 0) refuse('it has no graph')
  else if (model.graph.output.length === 0) refuse('its graph has no output, it may be truncated')
  if (model.irVersion < 1n) refuse('it states no IR version')
  if (model.opsetImport.length === 0 && model.irVersion >= 3n) {
    refuse('it states no operator set (opset_import), it may be truncated')
  }
  return model
}

/** Reads a file that holds one tensor, as test data of ONNX come. @throws {OnnxError} when it is none */
export function readTensor(bytes: Uint8Array, name = 'tensor'): TensorProto {
  try {
    return fromBinary(TensorProtoSchema, bytes)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new OnnxError(`Cannot read "${name}" as a tensor: ${why}`, { cause: error })
  }
}

function parse(bytes: Uint8Array, refuse: (why: string, cause: unknown) => never): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return refuse(
      /EOF/i.test(why)
        ? `it ends in the middle of a field after ${bytes.length} bytes; it may be truncated`
        : `it is not protobuf, or damaged (${why})`,
      error,
    )
  }
}

/** What people hand in instead of a model, by its first bytes. */
function somethingElse(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return 'the file is empty'
  const head = Buffer.from(bytes.subarray(0, 512)).toString('latin1')
  if (/^\s*(<!doctype|<html|<\?xml|<head)/i.test(head)) {
    return 'it is a web page; download the file itself, not the page about it'
  }
  if (head.startsWith('version https://git-lfs')) {
    return 'it is a Git LFS pointer; run git lfs pull where it came from'
  }
  if (head.startsWith('PK\x03\x04')) {
    return 'it is a zip archive (a PyTorch checkpoint or a packed model); unpack or export it first'
  }
  if (head.startsWith('\x1f\x8b')) return 'it is compressed with gzip; unpack it first'
  if (/^\s*[{[]/.test(head)) return 'it is JSON'
  if (head.slice(4, 8) === 'TFL3') return 'it is a TensorFlow Lite model; convert it to ONNX first'
  return undefined
}
