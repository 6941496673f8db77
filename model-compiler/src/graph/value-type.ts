/** What is known of a value in a graph: the type of its elements and, as far as it goes, its shape. */
import { create } from '@bufbuild/protobuf'
import { type TypeProto, TypeProtoSchema } from '../onnx/schema.ts'

/** A number, the name of a free dimension, or nothing known. */
export type Dimension = number | string | undefined

export type ValueType = {
  /** TensorProto.DataType (see `tensorTypes`); 0 when not known. */
  readonly elementType: number
  /** Undefined when not even the rank is known. */
  readonly shape: readonly Dimension[] | undefined
}

/** @returns undefined for what is no tensor (sequences, maps, optionals) */
export function valueTypeOf(type: TypeProto | undefined): ValueType | undefined {
  if (type?.value.case !== 'tensorType') return undefined
  const { elemType, shape } = type.value.value
  return {
    elementType: elemType,
    shape: shape?.dim.map(({ value }): Dimension => {
      if (value.case === 'dimParam') return value.value === '' ? undefined : value.value
      // Some exporters write -1 where they mean a free dimension.
      return value.case === 'dimValue' && value.value >= 0n ? Number(value.value) : undefined
    }),
  }
}

/** The same as a message of the format. */
export function typeProtoOf({ elementType, shape }: ValueType): TypeProto {
  return create(TypeProtoSchema, {
    value: {
      case: 'tensorType',
      value: {
        elemType: elementType,
        ...(shape && {
          shape: {
            dim: shape.map((dimension) => ({
              value:
                typeof dimension === 'number'
                  ? { case: 'dimValue' as const, value: BigInt(dimension) }
                  : typeof dimension === 'string'
                    ? { case: 'dimParam' as const, value: dimension }
                    : { case: undefined },
            })),
          },
        }),
      },
    },
  })
}

/** All dimensions as numbers, or undefined when one of them is not. */
export function staticShape(type: ValueType | undefined): readonly number[] | undefined {
  const shape = type?.shape
  return shape?.every((dimension) => typeof dimension === 'number')
    ? (shape as readonly number[])
    : undefined
}
