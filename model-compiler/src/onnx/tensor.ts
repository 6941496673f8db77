/** Numbers to tensors and back. Raw data is little-endian by the format, on every machine. */
import { endianness } from 'node:os'
import { create } from '@bufbuild/protobuf'
import { OnnxError } from './read.ts'
import { type TensorProto, TensorProtoSchema } from './schema.ts'
import { type TensorTypeName, tensorTypes } from './types.ts'

/** Each type of number with the array that holds it; a bool is a byte, 0 or 1. */
const arrays = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Float16Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
  bool: Uint8Array,
} as const satisfies Partial<Record<TensorTypeName, unknown>>

export type NumberTypeName = keyof typeof arrays
export type Numbers =
  | Float32Array
  | Float64Array
  | Float16Array
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array

/**
 * A named tensor with its values as raw data.
 * @param type where the array does not say it: bool
 * @throws {OnnxError} when there are not as many values as the dimensions say
 */
export function tensor(
  name: string,
  dims: readonly number[],
  values: Numbers,
  type: NumberTypeName = typeNameOf(values),
): TensorProto {
  const size = dims.reduce((product, dim) => product * dim, 1)
  if (size !== values.length) {
    throw new OnnxError(
      `Cannot make tensor "${name}": dimensions ${dims.join('×')} hold ${size} values, ${values.length} were given`,
    )
  }
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: tensorTypes[type],
    rawData: littleEndian(values),
  })
}

/**
 * The values of a float32 tensor, from wherever the file keeps them.
 * @throws {OnnxError} for another type, external data, or a length that does not fit the dimensions
 */
export function floatsOf(tensor: TensorProto): Float32Array {
  if (tensor.dataType !== tensorTypes.float32) {
    throw new OnnxError(
      `Cannot read the values of tensor "${tensor.name}": its type is ${tensor.dataType}, not float32`,
    )
  }
  return valuesOf(tensor) as Float32Array
}

/**
 * The values of a tensor of numbers in an array of its type, a copy.
 * @throws {OnnxError} for strings and types below a byte, external data, or a length that does not fit the dimensions
 */
export function valuesOf(tensor: TensorProto): Numbers {
  const refuse = (why: string): never => {
    throw new OnnxError(`Cannot read the values of tensor "${tensor.name}": ${why}`)
  }
  const type = numberTypeOf(tensor.dataType) ?? refuse(`its type ${tensor.dataType} is not read`)
  if (tensor.externalData.length > 0) refuse('they lie in another file')
  const size = tensor.dims.reduce((product, dim) => product * Number(dim), 1)
  const values =
    tensor.rawData.length > 0 ? fromRaw(tensor.rawData, type, refuse) : fromFields(tensor, type)
  if (values.length !== size) {
    refuse(`its dimensions hold ${size} values, ${values.length} are there`)
  }
  return values
}

/** The name of a type of numbers, or undefined for another one. */
export function numberTypeOf(dataType: number): NumberTypeName | undefined {
  const name = (Object.keys(tensorTypes) as TensorTypeName[]).find(
    (one) => tensorTypes[one] === dataType,
  )
  return name !== undefined && name in arrays ? (name as NumberTypeName) : undefined
}

function fromRaw(raw: Uint8Array, type: NumberTypeName, refuse: (why: string) => never): Numbers {
  const Values = arrays[type]
  const width = Values.BYTES_PER_ELEMENT
  if (raw.length % width !== 0) refuse(`${raw.length} bytes are no whole number of ${type} values`)
  return new Values(swapped(new Uint8Array(raw), width).buffer as ArrayBuffer)
}

function fromFields(tensor: TensorProto, type: NumberTypeName): Numbers {
  switch (type) {
    case 'float32':
      return Float32Array.from(tensor.floatData)
    case 'float64':
      return Float64Array.from(tensor.doubleData)
    case 'int64':
      return BigInt64Array.from(tensor.int64Data)
    case 'uint64':
      return BigUint64Array.from(tensor.uint64Data)
    case 'uint32':
      return Uint32Array.from(tensor.uint64Data, Number)
    case 'float16': // Its bits travel as a number (onnx.proto, TensorProto.int32_data).
      return new Float16Array(Uint16Array.from(tensor.int32Data).buffer)
    default:
      return arrays[type].from(tensor.int32Data)
  }
}

function typeNameOf(values: Numbers): NumberTypeName {
  const found = (Object.keys(arrays) as NumberTypeName[]).find(
    (name) => values instanceof arrays[name],
  )
  // The type of `values` leaves no other.
  return found!
}

/** A copy of the bytes with the least significant first. */
function littleEndian(values: Numbers): Uint8Array {
  const { buffer, byteOffset, byteLength } = values
  return swapped(
    new Uint8Array(buffer.slice(byteOffset, byteOffset + byteLength)),
    values.BYTES_PER_ELEMENT,
  )
}

/** Turns elements of `width` bytes around where this machine keeps them the other way. */
function swapped(bytes: Uint8Array, width: number): Uint8Array {
  if (endianness() === 'LE' || width === 1) return bytes
  const view = Buffer.from(bytes.buffer)
  if (width === 2) view.swap16()
  if (width === 4) view.swap32()
  if (width === 8) view.swap64()
  return bytes
}
