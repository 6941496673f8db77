/** Numbers to tensors and back. Raw data is little-endian by the format, on every machine. */
import { endianness } from 'node:os'
import { create } from '@bufbuild/protobuf'
import { OnnxError } from './read.ts'
import { type TensorProto, TensorProtoSchema } from './schema.ts'
import { type TensorTypeName, tensorTypes } from './types.ts'

type Numbers = Float32Array | Float64Array | Uint8Array | Int8Array | Int32Array | BigInt64Array

/**
 * A named tensor with its values as raw data.
 * @throws {OnnxError} when there are not as many values as the dimensions say
 */
export function tensor(name: string, dims: readonly number[], values: Numbers): TensorProto {
  const size = dims.reduce((product, dim) => product * dim, 1)
  if (size !== values.length) {
    throw new OnnxError(
      `Cannot make tensor "${name}": dimensions ${dims.join('×')} hold ${size} values, ${values.length} were given`,
    )
  }
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: tensorTypes[typeNameOf(values)],
    rawData: littleEndian(values),
  })
}

/**
 * The values of a float32 tensor, from wherever the file keeps them.
 * @throws {OnnxError} for another type, external data, or a length that does not fit the dimensions
 */
export function floatsOf(tensor: TensorProto): Float32Array {
  const refuse = (why: string): never => {
    throw new OnnxError(`Cannot read the values of tensor "${tensor.name}": ${why}`)
  }
  if (tensor.dataType !== tensorTypes.float32) refuse(`its type is ${tensor.dataType}, not float32`)
  if (tensor.externalData.length > 0) refuse('they lie in another file')
  const size = tensor.dims.reduce((product, dim) => product * Number(dim), 1)
  const values =
    tensor.rawData.length > 0
      ? new Float32Array(littleEndian(tensor.rawData, 4).slice().buffer)
      : Float32Array.from(tensor.floatData)
  if (values.length !== size) {
    refuse(`its dimensions hold ${size} values, ${values.length} are there`)
  }
  return values
}

function typeNameOf(values: Numbers): TensorTypeName {
  if (values instanceof Float32Array) return 'float32'
  if (values instanceof Float64Array) return 'float64'
  if (values instanceof Uint8Array) return 'uint8'
  if (values instanceof Int8Array) return 'int8'
  if (values instanceof Int32Array) return 'int32'
  return 'int64'
}

/** A copy of the bytes with the least significant first; `width` is the size of one element. */
function littleEndian(values: Numbers, width = values.BYTES_PER_ELEMENT): Uint8Array {
  const bytes = Buffer.from(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  if (endianness() === 'BE') {
    if (width === 4) bytes.swap32()
    if (width === 8) bytes.swap64()
  }
  return new Uint8Array(bytes)
}
