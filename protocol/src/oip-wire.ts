/**
 * The Open Inference Protocol v2 as it stands on an HTTP connection: its JSON objects and the binary
 * tensor data behind them (kserve.github.io, "V2 protocol" and "binary tensor data extension").
 * Tensors are little-endian, as every processor that Node runs on is.
 */
import { type Static, Type } from 'typebox'
import {
  elementBytes,
  elementsOf,
  type Tensor,
  type TensorInfo,
  type TensorType,
} from './tensor.ts'

/** Says how many bytes of a body are JSON; the rest are tensors. */
export const jsonLengthHeader = 'inference-header-content-length'

/** Most bytes of JSON in front of binary tensors, and of every answer that holds no tensors. */
export const jsonBytesMax = 1024 * 1024

const Name = Type.String({ maxLength: 512 })

/** `GET /v2` */
export const ServerMetadata = Type.Object({
  name: Name,
  version: Type.Optional(Name),
  extensions: Type.Optional(Type.Array(Name, { maxItems: 100 })),
})

const TensorMetadata = Type.Object({
  name: Name,
  datatype: Type.String({ maxLength: 40 }),
  /** -1 for what is free. */
  shape: Type.Array(Type.Integer({ minimum: -1 }), { maxItems: 16 }),
})

/** `GET /v2/models/NAME` */
export const ModelMetadata = Type.Object({
  name: Name,
  platform: Type.Optional(Name),
  inputs: Type.Array(TensorMetadata, { maxItems: 64 }),
  outputs: Type.Array(TensorMetadata, { maxItems: 64 }),
})
export type ModelMetadata = Static<typeof ModelMetadata>

const Shape = Type.Array(Type.Integer({ minimum: 0 }), { maxItems: 16 })
const BinarySize = Type.Object({ binary_data_size: Type.Optional(Type.Integer({ minimum: 0 })) })

/** One tensor of a request or an answer: its data are here, or behind the JSON. */
const WireTensor = Type.Object({
  name: Name,
  datatype: Type.String({ maxLength: 40 }),
  shape: Shape,
  parameters: Type.Optional(BinarySize),
  data: Type.Optional(Type.Array(Type.Unknown())),
})
export type WireTensor = Static<typeof WireTensor>

/** Answer of `POST /v2/models/NAME/infer` */
export const InferAnswer = Type.Object({
  outputs: Type.Array(WireTensor, { maxItems: 64 }),
})

/** Body of `POST /v2/models/NAME/infer` */
export const InferRequest = Type.Object({
  id: Type.Optional(Name),
  parameters: Type.Optional(Type.Object({ binary_data_output: Type.Optional(Type.Boolean()) })),
  inputs: Type.Array(WireTensor, { minItems: 1, maxItems: 64 }),
  outputs: Type.Optional(
    Type.Array(
      Type.Object({
        name: Name,
        parameters: Type.Optional(Type.Object({ binary_data: Type.Optional(Type.Boolean()) })),
      }),
      { maxItems: 64 },
    ),
  ),
})
export type InferRequest = Static<typeof InferRequest>

/** What every refusal says. */
export const Refusal = Type.Object({ error: Type.String() })

const datatypes: Readonly<Record<TensorType, string>> = {
  float32: 'FP32',
  uint8: 'UINT8',
  int8: 'INT8',
  int32: 'INT32',
  int64: 'INT64',
  float16: 'FP16',
  bool: 'BOOL',
}
const types = new Map(
  Object.entries(datatypes).map(([type, datatype]) => [datatype, type as TensorType]),
)

export function datatypeOf(type: TensorType): string {
  return datatypes[type]
}

/** @throws {Error} for what the contract of a runtime does not know, such as BYTES */
export function typeOf(datatype: string): TensorType {
  const type = types.get(datatype)
  if (type) return type
  throw new Error(`type "${datatype}", which is not one of ${[...types.keys()].join(', ')}`)
}

/** `[1, 3, ?]` */
export function shapeText(shape: TensorInfo['shape']): string {
  return `[${shape.map((size) => (Number(size) >= 0 ? size : '?')).join(', ')}]`
}

/** True where a real shape keeps a promised one, in which anything may stand for what is free. */
export function keepsShape(real: readonly number[], promised: TensorInfo['shape']): boolean {
  return (
    real.length === promised.length &&
    promised.every((size, i) => typeof size === 'string' || size === -1 || size === real[i])
  )
}

/** A tensor's bytes as they travel: a view, not a copy. */
export function bytesOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/** A body of JSON with the bytes of its tensors behind it, and the length of the JSON. */
export function bodyOf(
  json: object,
  tensors: readonly Tensor[],
): { readonly body: Buffer; readonly jsonLength: number } {
  const head = Buffer.from(JSON.stringify(json))
  return { body: Buffer.concat([head, ...tensors.map(bytesOf)]), jsonLength: head.length }
}

/** What stands for a tensor in the JSON of a body that carries its bytes. */
export function headOf(name: string, tensor: Tensor): WireTensor {
  return {
    name,
    datatype: datatypeOf(tensor.type),
    shape: [...tensor.shape],
    parameters: { binary_data_size: tensor.data.byteLength },
  }
}

/**
 * Splits a body into its JSON, parsed but not checked, and the tensors behind it.
 * @param header value of `jsonLengthHeader`; without one all of the body is JSON
 * @throws {Error} saying in what way the body is none
 */
export function splitBody(
  body: Uint8Array,
  header: string | undefined,
): { readonly json: unknown; readonly binary: Uint8Array } {
  const length = header === undefined ? body.length : Number(header)
  if (!/^\d{1,12}$/.test(header ?? '0') || length > body.length) {
    throw new Error(`says that "${header}" of its ${body.length} bytes are JSON`)
  }
  if (header !== undefined && length > jsonBytesMax) {
    throw new Error(`has ${length} bytes of JSON before its tensors, allowed ${jsonBytesMax}`)
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body.subarray(0, length))
    return { json: JSON.parse(text), binary: body.subarray(length) }
  } catch {
    throw new Error('is not JSON')
  }
}

/**
 * The tensors of a body, in order. Data that came as binary is copied, so that it is aligned.
 * @throws {Error} saying which tensor contradicts itself, or that bytes are missing or left over
 */
export function readTensors(heads: readonly WireTensor[], binary: Uint8Array): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>()
  let at = 0
  for (const head of heads) {
    const what = `"${head.name}"`
    if (tensors.has(head.name)) throw new Error(`has ${what} twice`)
    const type = typeOf(head.datatype)
    const elements = elementsOf(head.shape)
    const sizeBytes = elements * elementBytes[type]
    const given = head.parameters?.binary_data_size
    if ((given === undefined) === (head.data === undefined)) {
      throw new Error(`has data of ${what} ${given === undefined ? 'nowhere' : 'twice'}`)
    }
    if (head.data) {
      if (head.data.length !== elements) {
        const shape = `${head.datatype} ${shapeText(head.shape)}`
        throw new Error(
          `has ${head.data.length} numbers for ${what} ${shape}, expected ${elements}`,
        )
      }
      tensors.set(head.name, { type, shape: head.shape, data: numbersOf(type, head.data, what) })
      continue
    }
    if (given !== sizeBytes) {
      const shape = `${head.datatype} ${shapeText(head.shape)}`
      throw new Error(`has ${given} bytes for ${what} ${shape}, expected ${sizeBytes}`)
    }
    if (at + sizeBytes > binary.length) {
      throw new Error(`ends ${at + sizeBytes - binary.length} bytes before the end of ${what}`)
    }
    const buffer = new Uint8Array(binary.subarray(at, at + sizeBytes)).buffer
    tensors.set(head.name, { type, shape: head.shape, data: arrayOver(type, buffer) })
    at += sizeBytes
  }
  if (at !== binary.length)
    throw new Error(`has ${binary.length - at} bytes behind its last tensor`)
  return tensors
}

/** A tensor's numbers as JSON carries them. @throws {Error} for half floats, which JSON cannot */
export function jsonNumbers({ type, data }: Tensor): (number | boolean)[] {
  if (type === 'float16') throw new Error('FP16 travels as binary data only')
  const numbers = Array.from<number | bigint, number>(data, Number)
  return type === 'bool' ? numbers.map(Boolean) : numbers
}

function arrayOver(type: TensorType, buffer: ArrayBuffer): Tensor['data'] {
  switch (type) {
    case 'float32':
      return new Float32Array(buffer)
    case 'int8':
      return new Int8Array(buffer)
    case 'int32':
      return new Int32Array(buffer)
    case 'int64':
      return new BigInt64Array(buffer)
    case 'float16':
      return new Uint16Array(buffer)
    default:
      return new Uint8Array(buffer)
  }
}

function numbersOf(type: TensorType, numbers: readonly unknown[], what: string): Tensor['data'] {
  if (type === 'float16') throw new Error(`has ${what} as JSON; FP16 travels as binary data only`)
  const data = arrayOver(type, new ArrayBuffer(numbers.length * elementBytes[type]))
  for (const [i, number] of numbers.entries()) {
    const isTruth = type === 'bool' && typeof number === 'boolean'
    const fits =
      isTruth || (typeof number === 'number' && (type === 'float32' || Number.isInteger(number)))
    if (!fits)
      throw new Error(`has ${JSON.stringify(number)?.slice(0, 40)} among the numbers of ${what}`)
    if (data instanceof BigInt64Array) data[i] = BigInt(number as number)
    else data[i] = Number(number)
  }
  return data
}
