/** A model's file before any runtime gets it: is it there, is it a whole ONNX model, and alone? */
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { inspectOnnx, OnnxError } from './onnx-file.ts'
import { ModelError } from './runtime.ts'

/** Largest model file: protobuf itself cannot hold more. */
const sizeBytesMax = 2 ** 31 - 1

export type ModelFile = {
  readonly bytes: Uint8Array
  /** SHA-256 of the bytes, in hexadecimal. */
  readonly digest: string
}

/**
 * Reads and checks a model file.
 * @throws {ModelError} saying why no runtime may have it
 */
export async function readModelFile(file: string): Promise<ModelFile> {
  const refuse = (reason: string, cause?: unknown): never => {
    throw new ModelError(`Cannot load model "${file}": ${reason}`, { cause })
  }
  const found = await stat(file).catch((cause: NodeJS.ErrnoException) =>
    refuse(cause.code === 'ENOENT' ? 'there is no such file' : cause.message, cause),
  )
  if (found.isDirectory()) refuse('it is a folder; name the .onnx file in it')
  if (found.size > sizeBytesMax) refuse(`${found.size} bytes, allowed ${sizeBytesMax}`)
  const bytes = await readFile(file).catch((cause: Error) => refuse(cause.message, cause))
  try {
    const { externalTensors } = inspectOnnx(bytes)
    const [first] = externalTensors
    if (first === undefined) {
      return { bytes, digest: createHash('sha256').update(bytes).digest('hex') }
    }
    return refuse(
      `tensor "${first}" keeps its data in another file, which is not allowed; save the model with all data inside`,
    )
  } catch (cause) {
    if (cause instanceof OnnxError) return refuse(cause.message, cause)
    throw cause
  }
}
