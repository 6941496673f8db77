/** Fewer Transposes: two in a row are one, and one that is undone after arithmetic is not done at all. */
import { intsOf, setAttribute } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import { node as makeNode } from '../onnx/build.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { isOp, isPlain, onlyUserOf, producerAs } from './matching.ts'
import type { Pass } from './pass.ts'

export const mergeTransposes: Pass = {
  name: 'merge-transposes',
  about:
    'Joins Transposes in a row, and moves them behind elementwise operators where that removes one.',
  run(graph) {
    let changes = 0
    for (const node of [...graph.nodes]) {
      if (graph.producerOf(node.output[0] ?? '') !== node) continue
      if (isOp(node, 'Transpose') ? join(graph, node) || carry(graph, node) : gather(graph, node)) {
        changes++
      }
    }
    return changes
  },
}

/** The order of axes; undefined for the reversed order of a rank that is not known. */
function permOf(graph: Graph, node: NodeProto): number[] | undefined {
  const rank = graph.typeOf(node.input[0] ?? '')?.shape?.length
  const reversed =
    rank === undefined ? undefined : Array.from({ length: rank }, (_, at) => rank - 1 - at)
  return intsOf(node, 'perm', reversed)
}

/** What one order after another comes to. */
const after = (first: readonly number[], second: readonly number[]): number[] =>
  second.map((axis) => first[axis]!)

/** Transpose ∘ Transpose. */
function join(graph: Graph, node: NodeProto): boolean {
  const before = producerAs(graph, node.input[0], 'Transpose')
  const [first, second] = [before && permOf(graph, before), permOf(graph, node)]
  if (!before || !first || !second) return false
  setAttribute(node, 'perm', { ints: after(first, second) })
  graph.setInput(node, 0, before.input[0]!)
  return true
}

/** Operators that do the same to each element, wherever it lies. */
export const unary: ReadonlySet<string> = new Set([
  ...[
    'Relu',
    'LeakyRelu',
    'Sigmoid',
    'HardSigmoid',
    'HardSwish',
    'Tanh',
    'Clip',
    'Abs',
    'Neg',
    'Exp',
  ],
  ...['Sqrt', 'Log', 'Erf', 'Elu', 'Selu', 'Softplus', 'Gelu', 'Mish', 'Cast', 'Identity', 'Floor'],
  ...['Ceil', 'Round', 'Reciprocal', 'Not', 'Sign'],
])
export const binary: ReadonlySet<string> = new Set([
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Pow',
  'Min',
  'Max',
  'Sum',
  'PRelu',
])

/** Transpose → elementwise … → Transpose, each read by the next alone: the last one does it all. */
function carry(graph: Graph, node: NodeProto): boolean {
  const perm = permOf(graph, node)
  if (perm === undefined) return false
  const chain: NodeProto[] = []
  let value = node.output[0] ?? ''
  let next = onlyUserOf(graph, value)
  while (next && isCarried(graph, next, value)) {
    chain.push(next)
    value = next.output[0] ?? ''
    next = onlyUserOf(graph, value)
  }
  const last = isOp(next, 'Transpose') ? next : undefined
  const second = last && permOf(graph, last)
  if (chain.length === 0 || !last || !second) return false
  graph.remove(node)
  // What the values between mean has changed, and so their names.
  let from = node.input[0]!
  let old = node.output[0]!
  for (const one of chain) {
    const made = graph.freshName(`${one.output[0]}_carried`)
    const [before, source] = [old, from]
    old = one.output[0]!
    from = made
    graph.edit(one, () => {
      one.input = one.input.map((input) => (input === before ? source : input))
      one.output[0] = made
    })
  }
  setAttribute(last, 'perm', { ints: after(perm, second) })
  graph.setInput(last, 0, from)
  return true
}

/** Elementwise, with nothing beside the value but single numbers. */
function isCarried(graph: Graph, node: NodeProto, value: string): boolean {
  if (!isPlain(node) || node.output.length !== 1) return false
  if (unary.has(node.opType)) return node.input[0] === value
  if (!binary.has(node.opType)) return false
  return node.input.every((input) => input === value || isSingle(graph, input))
}

/** A single number, which no broadcasting makes larger: what is transposed has at least one axis. */
function isSingle(graph: Graph, value: string): boolean {
  const dims = graph.constantOf(value)?.dims
  return dims !== undefined && dims.length <= 1 && dims.every((dim) => dim === 1n)
}

/** Elementwise of several values in the same other order: one Transpose after it instead of each before it. */
function gather(graph: Graph, node: NodeProto): boolean {
  if (!isPlain(node) || !binary.has(node.opType) || node.opType === 'PRelu') return false
  const moving = node.input.filter((input) => !isSingle(graph, input))
  if (new Set(moving).size < 2 || node.output.length !== 1) return false
  const sources = moving.map((input) => {
    const made = producerAs(graph, input, 'Transpose')
    return made && onlyUserOf(graph, input) === node ? made : undefined
  })
  const perms = sources.map((source) => source && permOf(graph, source))
  const [perm] = perms
  if (!perm || !perms.every((one) => one?.join() === perm.join())) return false
  const output = node.output[0]!
  const made = graph.freshName(`${output}_gathered`)
  graph.edit(node, () => {
    node.input = node.input.map((input) => {
      const at = moving.indexOf(input)
      return at < 0 ? input : sources[at]!.input[0]!
    })
    node.output[0] = made
  })
  graph.insert([makeNode('Transpose', [made], [output], { perm: { ints: perm } })], node)
  return true
}
