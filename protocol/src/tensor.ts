/** Tensors, as everybody here means them: what a model takes and gives. */

export type TensorType = 'float32' | 'uint8' | 'int8' | 'int32' | 'int64' | 'float16' | 'bool'

export type TensorInfo = {
  readonly name: string
  readonly type: TensorType
  /** One entry per dimension; a name or -1 for what is free. */
  readonly shape: readonly (number | string)[]
}

export type Tensor = {
  readonly type: TensorType
  readonly shape: readonly number[]
  readonly data: Float32Array | Uint8Array | Int8Array | Int32Array | BigInt64Array | Uint16Array
}

/** Tensors by their names. */
export type Tensors = Readonly<Record<string, Tensor>>

/** Bytes of one element. */
export const elementBytes: Readonly<Record<TensorType, number>> = {
  float32: 4,
  uint8: 1,
  int8: 1,
  int32: 4,
  int64: 8,
  float16: 2,
  bool: 1,
}

/** Elements of a shape without free dimensions. */
export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}
