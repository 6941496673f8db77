/** The numbers behind ONNX's enumerations (TensorProto.DataType, AttributeProto.AttributeType). */

export const tensorTypes = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4e2m1: 23,
  float8e8m0: 24,
  uint2: 25,
  int2: 26,
} as const
export type TensorTypeName = keyof typeof tensorTypes

export const attributeTypes = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
  sparse: 11,
  sparses: 12,
  type: 13,
  types: 14,
} as const

/** `float32` for 1; `type 99` where the number means nothing. */
export function tensorTypeName(dataType: number): string {
  return names.get(dataType) ?? `type ${dataType}`
}
const names = new Map<number, string>(
  Object.entries(tensorTypes).map(([name, number]) => [number, name]),
)

/** Bits of an element of a type of numbers; undefined for text and for what is no type. */
export function bitsOf(dataType: number): number | undefined {
  const name = names.get(dataType)
  if (name === undefined || name === 'string') return undefined
  if (name === 'bool') return 8
  if (name.startsWith('complex')) return name === 'complex64' ? 64 : 128
  return Number(/\d+/.exec(name)?.[0])
}
