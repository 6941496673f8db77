/** Where a node stands while it is brought to a newer operator set: a graph, or a body within one. */
import type { ValueType } from '../graph/value-type.ts'
import type { NodeProto, TensorProto } from '../onnx/schema.ts'

export type Place = {
  /** Puts a constant beside the node. @returns its name */
  readonly constant: (tensor: TensorProto) => string
  /** A name that nothing has yet. */
  readonly fresh: (base: string) => string
  /** What is known of a value before the change; undefined within bodies. */
  readonly typeOf: (value: string) => ValueType | undefined
  /** The tensor behind a value, where it is a constant. */
  readonly constantOf: (value: string) => TensorProto | undefined
  /** Whether anything reads a value, or the graph gives it. */
  readonly isRead: (value: string) => boolean
}

/**
 * Brings one node over one version. The node is a copy to be changed.
 * @returns the nodes in its place, or nothing where it is the node itself
 * @throws {OnnxError} with only the reason, where it cannot be said in the newer set
 */
export type Adapter = (node: NodeProto, place: Place) => readonly NodeProto[] | undefined
