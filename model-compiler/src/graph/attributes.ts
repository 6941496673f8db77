/** Attributes of a node as JavaScript values. What is not there answers the operator's default, which the caller knows. */
import { type Attribute, attributeOf } from '../onnx/build.ts'
import type { AttributeProto, NodeProto, TensorProto } from '../onnx/schema.ts'

const find = (node: NodeProto, name: string): AttributeProto | undefined =>
  node.attribute.find((one) => one.name === name)

export function intOf<T>(node: NodeProto, name: string, otherwise: T): number | T {
  const found = find(node, name)
  return found ? Number(found.i) : otherwise
}

export function intsOf<T>(node: NodeProto, name: string, otherwise: T): number[] | T {
  return find(node, name)?.ints.map(Number) ?? otherwise
}

export function floatOf<T>(node: NodeProto, name: string, otherwise: T): number | T {
  return find(node, name)?.f ?? otherwise
}

export function stringOf<T>(node: NodeProto, name: string, otherwise: T): string | T {
  const found = find(node, name)
  return found ? new TextDecoder().decode(found.s) : otherwise
}

export function tensorOf(node: NodeProto, name: string): TensorProto | undefined {
  return find(node, name)?.t
}

/** Sets an attribute in its place, or adds it; `undefined` takes it away. */
export function setAttribute(node: NodeProto, name: string, value: Attribute | undefined): void {
  const at = node.attribute.findIndex((one) => one.name === name)
  if (value === undefined) {
    if (at >= 0) node.attribute.splice(at, 1)
  } else if (at >= 0) node.attribute[at] = attributeOf(name, value)
  else node.attribute.push(attributeOf(name, value))
}
