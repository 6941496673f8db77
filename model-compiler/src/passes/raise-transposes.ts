/**
 * A Transpose behind arithmetic on an input of the graph moves before it: what is transposed is then smaller where
 * the input is bytes, arithmetic per channel is along planes (on the last axis ONNX Runtime is eight times slower),
 * and stands beside the weights that can take it over.
 */
import { intOf, intsOf, setAttribute } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import { altered } from '../onnx/altered.ts'
import { node as makeNode } from '../onnx/build.ts'
import { type NodeProto, TensorProtoSchema } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { isOp, isPlain, numbersOf, onlyUserOf } from './matching.ts'
import { binary, unary } from './merge-transposes.ts'
import type { Pass } from './pass.ts'

/** More operators than this before a Transpose are no preprocessing. */
const regionMax = 64

export const raiseTransposes: Pass = {
  name: 'raise-transposes',
  about: 'Moves a Transpose behind arithmetic on an input of the graph before that arithmetic.',
  run(graph) {
    let changes = 0
    for (const node of [...graph.nodes]) {
      const perm = isOp(node, 'Transpose') && intsOf(node, 'perm', undefined)
      if (!perm || graph.isInput(node.input[0]!)) continue
      const region = regionBefore(graph, node, perm)
      if (region === undefined) continue
      raise(graph, node, perm, region)
      changes++
    }
    return changes
  },
}

type Region = { readonly source: string; readonly nodes: ReadonlySet<NodeProto> }

/**
 * What lies between one input of the graph and a Transpose; undefined where an operator cares for the order of axes
 * in a way that is not known here, or somebody else reads a value.
 */
function regionBefore(
  graph: Graph,
  transpose: NodeProto,
  perm: readonly number[],
): Region | undefined {
  const nodes = new Set<NodeProto>()
  const sources = new Set<string>()
  const open = [transpose.input[0]!]
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (graph.typeOf(value)?.shape?.length !== perm.length) return undefined
    if (graph.isInput(value)) {
      sources.add(value)
      continue
    }
    const maker = graph.producerOf(value)
    if (!maker || nodes.size >= regionMax || !isMovable(graph, maker, perm)) return undefined
    if (nodes.has(maker)) continue
    nodes.add(maker)
    open.push(...movedInputs(graph, maker))
  }
  const [source, second] = sources
  const isClosed = [...nodes].every(({ output }) =>
    output.every((value) => {
      if (value === transpose.input[0]) return onlyUserOf(graph, value) === transpose
      return !graph.isOutput(value) && graph.usersOf(value).every((user) => nodes.has(user))
    }),
  )
  if (source === undefined || second !== undefined || !isClosed) return undefined
  return { source, nodes }
}

const reducing = ['ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin'] as const

/** Inputs that are pictures themselves, and no constants or lists of axes. */
function movedInputs(graph: Graph, node: NodeProto): readonly string[] {
  if (isOp(node, 'Concat')) return node.input
  if (binary.has(node.opType)) return node.input.filter((value) => !graph.constantOf(value))
  return node.input.slice(0, 1)
}

function isMovable(graph: Graph, node: NodeProto, perm: readonly number[]): boolean {
  if (!isPlain(node)) return false
  if (unary.has(node.opType) || isOp(node, 'Concat')) return true
  if (isOp(node, 'Gather')) return graph.constantOf(node.input[1])?.dims.length === 1
  if (isOp(node, 'Split')) return true
  if (isOp(node, ...reducing)) {
    return intOf(node, 'keepdims', 1) === 1 && axesOf(graph, node) !== undefined
  }
  if (!binary.has(node.opType) || node.opType === 'PRelu') return false
  return node.input.every((value) => {
    const dims = graph.constantOf(value)?.dims
    // Along one axis at most: then its numbers stay in order, wherever the axis goes.
    return !dims || (dims.length <= perm.length && dims.filter((dim) => dim !== 1n).length <= 1)
  })
}

/** Axes that are reduced, an input from opset 13 (ReduceSum) or 18; undefined for all of them unsaid. */
const axesOf = (graph: Graph, node: NodeProto): number[] | undefined =>
  node.input[1] ? numbersOf(graph, node.input[1]) : intsOf(node, 'axes', undefined)

function raise(
  graph: Graph,
  transpose: NodeProto,
  perm: readonly number[],
  { source, nodes }: Region,
): void {
  const turned = graph.freshName(`${source}_turned`)
  const names = new Map([[source, turned]])
  const ordered = graph.nodes.filter((node) => nodes.has(node))
  graph.remove(transpose)
  graph.insert(
    [makeNode('Transpose', [source], [turned], { perm: { ints: perm } })],
    ordered[0] ?? graph.nodes[0],
  )
  for (const node of ordered) {
    turnAxes(graph, node, perm)
    if (binary.has(node.opType)) turnConstants(graph, node, perm)
    const output = node.output.map((value) =>
      value === transpose.input[0] ? transpose.output[0]! : graph.freshName(`${value}_turned`),
    )
    for (const [at, value] of node.output.entries()) names.set(value, output[at]!)
    graph.edit(node, () => {
      node.input = node.input.map((value) => names.get(value) ?? value)
      node.output = output
    })
  }
}

/** Attributes and inputs that name axes name them where they are now. */
function turnAxes(graph: Graph, node: NodeProto, perm: readonly number[]): void {
  const turn = (axis: number): number => perm.indexOf((axis + perm.length) % perm.length)
  if (isOp(node, 'Gather', 'Split', 'Concat')) {
    setAttribute(node, 'axis', { int: turn(intOf(node, 'axis', 0)) })
  } else if (isOp(node, ...reducing)) {
    const axes = axesOf(graph, node)!.map(turn)
    if (!node.input[1]) {
      setAttribute(node, 'axes', { ints: axes })
      return
    }
    const list = tensor(`${node.output[0]}_axes`, [axes.length], BigInt64Array.from(axes, BigInt))
    graph.setInput(node, 1, graph.addInitializer(list))
  }
}

function turnConstants(graph: Graph, node: NodeProto, perm: readonly number[]): void {
  for (const [at, value] of node.input.entries()) {
    const constant = graph.constantOf(value)
    if (constant === undefined || constant.dims.length === 0) continue
    const whole = [...new Array(perm.length - constant.dims.length).fill(1n), ...constant.dims]
    const dims = perm.map((axis) => whole[axis] as bigint)
    const name = constant.name || value
    const turned = graph.addInitializer(altered(TensorProtoSchema, constant, { name, dims }))
    graph.setInput(node, at, turned)
  }
}
