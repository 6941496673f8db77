/** Nodes that give out what they take in. */
import { intOf, intsOf, stringOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import { staticShape } from '../graph/value-type.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { isPlain, numbersOf, splitConstant } from './matching.ts'
import type { Pass } from './pass.ts'

export const removeIdentities: Pass = {
  name: 'remove-identities',
  about:
    'Removes nodes that change nothing: Identity, Dropout, Cast, Reshape, Transpose, Pad, + 0, × 1 …',
  run(graph) {
    let changes = 0
    for (const node of [...graph.nodes]) {
      const input = passedThrough(graph, node)
      if (input && graph.bypass(node, input)) changes++
    }
    return changes
  },
}

/** The input that comes out as it went in, or undefined. */
function passedThrough(graph: Graph, node: NodeProto): string | undefined {
  if (!isPlain(node)) return undefined
  if (node.output.slice(1).some((value) => isUsed(graph, value))) return undefined
  const keeps = identities[node.opType]
  return keeps?.(graph, node)
}

type Rule = (graph: Graph, node: NodeProto) => string | undefined

const first: Rule = (_, { input }) => input[0]
const single: Rule = (_, { input }) => (input.length === 1 ? input[0] : undefined)
const when =
  (test: (graph: Graph, node: NodeProto) => boolean): Rule =>
  (graph, node) =>
    test(graph, node) ? node.input[0] : undefined

const identities: Readonly<Record<string, Rule>> = {
  Identity: first,
  Concat: single,
  Sum: single,
  Max: single,
  Min: single,
  Mean: single,
  Dropout: when((graph, { input }) => {
    const training = input[2] ?? ''
    return training === '' || numbersOf(graph, training)?.[0] === 0
  }),
  Cast: when(
    (graph, node) =>
      graph.typeOf(node.input[0] ?? '')?.elementType === intOf(node, 'to', undefined),
  ),
  Transpose: when((_, node) =>
    Boolean(intsOf(node, 'perm', undefined)?.every((from, to) => from === to)),
  ),
  Reshape: when(sameShape),
  Flatten: when(sameShape),
  Expand: when(sameShape),
  Squeeze: when(sameShape),
  Unsqueeze: when(sameShape),
  Pad: when((graph, node) => {
    const pads = node.input[1] ? numbersOf(graph, node.input[1]) : intsOf(node, 'pads', undefined)
    return Boolean(pads?.every((pad) => pad === 0))
  }),
  Slice: when((graph, node) => {
    const steps = node.input[4] ? numbersOf(graph, node.input[4]) : []
    return Boolean(steps?.every((step) => step === 1)) && sameShape(graph, node)
  }),
  Resize: when(
    (graph, node) =>
      // Of equal size, every other mode maps a pixel onto itself.
      !/^tf_/.test(stringOf(node, 'coordinate_transformation_mode', 'half_pixel')) &&
      onesOrSizes(graph, node) &&
      sameShape(graph, node),
  ),
  Add: (graph, node) => neutral(graph, node, 0, true),
  Sub: (graph, node) => neutral(graph, node, 0, false),
  Mul: (graph, node) => neutral(graph, node, 1, true),
  Div: (graph, node) => neutral(graph, node, 1, false),
}

const isUsed = (graph: Graph, value: string): boolean =>
  value !== '' && (graph.isOutput(value) || graph.usersOf(value).length > 0)

function sameShape(graph: Graph, { input, output }: NodeProto): boolean {
  const before = staticShape(graph.typeOf(input[0] ?? ''))
  const after = staticShape(graph.typeOf(output[0] ?? ''))
  if (before === undefined || after === undefined || before.length !== after.length) return false
  return before.every((dim, at) => dim === after[at])
}

function onesOrSizes(graph: Graph, { input }: NodeProto): boolean {
  // Opset 10 has (x, scales), later ones (x, roi, scales, sizes).
  const scales = input.length === 2 ? input[1] : input[2]
  if (!scales) return Boolean(input[3])
  return Boolean(numbersOf(graph, scales)?.every((scale) => scale === 1))
}

/** x ∘ n for a neutral n that does not make x larger by broadcasting. */
function neutral(
  graph: Graph,
  node: NodeProto,
  element: number,
  either: boolean,
): string | undefined {
  const split = splitConstant(graph, node)
  if (split === undefined || (split.constantFirst && !either)) return undefined
  if (!numbersOf(graph, split.constant)?.every((one) => one === element)) return undefined
  const dims = graph.constantOf(split.constant)!.dims
  if (dims.length === 0) return split.other
  const before = staticShape(graph.typeOf(split.other))
  const after = staticShape(graph.typeOf(node.output[0] ?? ''))
  const same = before?.length === after?.length && before?.every((dim, at) => dim === after?.[at])
  return same ? split.other : undefined
}
