/** Nodes that stand between two forms of a value. */
import { node } from '../onnx/build.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { type TensorTypeName, tensorTypes } from '../onnx/types.ts'

/** A node without a name: names have to differ within a graph, and two for each weight would be a fortieth of a small model. */
export function nameless(one: NodeProto): NodeProto {
  one.name = ''
  return one
}

export const cast = (from: string, to: string, type: TensorTypeName): NodeProto =>
  nameless(node('Cast', [from], [to], { to: { int: tensorTypes[type] } }))
