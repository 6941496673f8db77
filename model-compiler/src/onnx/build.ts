/** Graphs by hand: what a script or a test needs to write a model without ceremony. */
import { create } from '@bufbuild/protobuf'
import {
  type AttributeProto,
  AttributeProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './schema.ts'
import { attributeTypes, type TensorTypeName, tensorTypes } from './types.ts'

/**
 * JavaScript has one kind of number where ONNX has two, so each attribute says what it is:
 * `{ axis: { int: 1 }, pads: { ints: [1, 1, 1, 1] }, alpha: { float: 0.1 } }`.
 */
export type Attribute =
  | { readonly int: number }
  | { readonly ints: readonly number[] }
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly string: string }
  | { readonly tensor: TensorProto }

/**
 * One operator, named after its first output.
 * @example node('Conv', ['x', 'w', 'b'], ['y'], { strides: { ints: [2, 2] } })
 */
export function node(
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Readonly<Record<string, Attribute>> = {},
): NodeProto {
  return create(NodeProtoSchema, {
    opType,
    input: [...input],
    output: [...output],
    name: `${opType}:${output[0] ?? ''}`,
    attribute: Object.entries(attributes).map(([name, value]) => attributeOf(name, value)),
  })
}

/** Name, type and shape of a graph's input or output; a dimension given by name is free. */
export function value(
  name: string,
  type: TensorTypeName,
  shape: readonly (number | string)[],
): ValueInfoProto {
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: 'tensorType',
        value: {
          elemType: tensorTypes[type],
          shape: {
            dim: shape.map((dim) => ({
              value:
                typeof dim === 'number'
                  ? { case: 'dimValue' as const, value: BigInt(dim) }
                  : { case: 'dimParam' as const, value: dim },
            })),
          },
        },
      },
    },
  })
}

export type ModelParts = {
  readonly name: string
  readonly nodes: readonly NodeProto[]
  readonly inputs: readonly ValueInfoProto[]
  readonly outputs: readonly ValueInfoProto[]
  readonly initializers?: readonly TensorProto[]
  /** Free text pairs that travel with the model. */
  readonly metadata?: Readonly<Record<string, string>>
  readonly opset?: number
}

/** A whole model. Opset 17 with IR 8 unless said otherwise: what every current runtime accepts. */
export function model(parts: ModelParts): ModelProto {
  return create(ModelProtoSchema, {
    irVersion: 8n,
    producerName: 'edgeloop',
    opsetImport: [{ domain: '', version: BigInt(parts.opset ?? 17) }],
    graph: {
      name: parts.name,
      node: [...parts.nodes],
      input: [...parts.inputs],
      output: [...parts.outputs],
      initializer: [...(parts.initializers ?? [])],
    },
    metadataProps: Object.entries(parts.metadata ?? {}).map(([key, value]) => ({ key, value })),
  })
}

/** An attribute of the format from what it says. */
export function attributeOf(name: string, value: Attribute): AttributeProto {
  if ('int' in value) {
    return create(AttributeProtoSchema, { name, type: attributeTypes.int, i: int64Of(value.int) })
  }
  if ('ints' in value) {
    const ints = value.ints.map(int64Of)
    return create(AttributeProtoSchema, { name, type: attributeTypes.ints, ints })
  }
  if ('float' in value) {
    return create(AttributeProtoSchema, { name, type: attributeTypes.float, f: value.float })
  }
  if ('floats' in value) {
    const floats = [...value.floats]
    return create(AttributeProtoSchema, { name, type: attributeTypes.floats, floats })
  }
  if ('string' in value) {
    const s = new TextEncoder().encode(value.string)
    return create(AttributeProtoSchema, { name, type: attributeTypes.string, s })
  }
  return create(AttributeProtoSchema, { name, type: attributeTypes.tensor, t: value.tensor })
}

/** The largest integer of 64 bits stands for "to the end", and becomes one more as a number of JavaScript. */
function int64Of(value: number): bigint {
  const [least, most] = [-(2n ** 63n), 2n ** 63n - 1n]
  const whole = BigInt(value)
  if (whole > most) return most
  return whole < least ? least : whole
}
