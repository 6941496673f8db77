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
import { isOp, isPlain, onlyUserOf, splitConstant } from './matching.ts'
import { unary } from './merge-transposes.ts'
import type { Pass } from './pass.ts'

export const raiseTransposes: Pass = {
  name: 'raise-transposes',
  about: 'Moves a Transpose behind arithmetic on an input of the graph before that arithmetic.',
  run(graph) {
    let changes = 0
    for (const node of [...graph.nodes])
      if (isOp(node, 'Transpose') && raise(graph, node)) changes++
    return changes
  },
}

function raise(graph: Graph, transpose: NodeProto): boolean {
  const perm = intsOf(transpose, 'perm', undefined)
  if (perm === undefined || graph.isInput(transpose.input[0]!)) return false
  const chain: NodeProto[] = []
  let value = transpose.input[0]!
  let reader = transpose
  while (!graph.isInput(value)) {
    const maker = graph.producerOf(value)
    if (!maker || onlyUserOf(graph, value) !== reader || !isMovable(graph, maker, perm))
      return false
    chain.unshift(maker)
    value = sourceOf(graph, maker)
    reader = maker
  }
  const turned = graph.freshName(`${value}_turned`)
  const made = makeNode('Transpose', [value], [turned], { perm: { ints: perm } })
  graph.remove(transpose)
  graph.insert([made], chain[0])
  let from = turned
  for (const [at, node] of chain.entries()) {
    const source = sourceOf(graph, node)
    const isLast = at === chain.length - 1
    const output = isLast ? transpose.output[0]! : graph.freshName(`${node.output[0]}_turned`)
    turnConstant(graph, node, perm)
    if (isOp(node, 'Gather')) {
      const rank = perm.length
      const axis = (intOf(node, 'axis', 0) + rank) % rank
      setAttribute(node, 'axis', { int: perm.indexOf(axis) })
    }
    const before = from
    graph.edit(node, () => {
      node.input = node.input.map((input) => (input === source ? before : input))
      node.output[0] = output
    })
    from = output
  }
  return true
}

const arithmetic = ['Add', 'Sub', 'Mul', 'Div'] as const

/** The input of an elementwise node that is no constant. */
const sourceOf = (graph: Graph, node: NodeProto): string =>
  isOp(node, ...arithmetic) ? (splitConstant(graph, node)?.other ?? '') : node.input[0]!

function isMovable(graph: Graph, node: NodeProto, perm: readonly number[]): boolean {
  if (!isPlain(node) || node.output.length !== 1) return false
  if (unary.has(node.opType)) return true
  if (isOp(node, 'Gather')) return graph.constantOf(node.input[1])?.dims.length === 1
  const split = isOp(node, ...arithmetic) ? splitConstant(graph, node) : undefined
  if (split === undefined) return false
  const dims = graph.constantOf(split.constant)!.dims
  // Along one axis at most: then its numbers stay in order, wherever the axis goes.
  return dims.length <= perm.length && dims.filter((dim) => dim !== 1n).length <= 1
}

function turnConstant(graph: Graph, node: NodeProto, perm: readonly number[]): void {
  const split = isOp(node, ...arithmetic) ? splitConstant(graph, node) : undefined
  const constant = graph.constantOf(split?.constant)
  if (split === undefined || constant === undefined || constant.dims.length === 0) return
  const whole = [...new Array(perm.length - constant.dims.length).fill(1n), ...constant.dims]
  const dims = perm.map((axis) => whole[axis] as bigint)
  const name = constant.name || split.constant
  const turned = graph.addInitializer(altered(TensorProtoSchema, constant, { name, dims }))
  graph.setInput(node, split.constantFirst ? 0 : 1, turned)
}
