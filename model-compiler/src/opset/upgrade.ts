/**
 * A graph in a newer operator set, computing the same: version by version, each node by what changed in that
 * version (`adapters.ts`). Bodies (If, Loop, Scan) are brought along.
 */
import { clone } from '@bufbuild/protobuf'
import { bodiesOf, type Graph } from '../graph/graph.ts'
import { opsetMax, opsetMin } from '../graph/verify.ts'
import { OnnxError } from '../onnx/read.ts'
import { type GraphProto, type NodeProto, NodeProtoSchema } from '../onnx/schema.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import { dropInitializerInputs } from '../shapes/input-shapes.ts'
import { adapters } from './adapters.ts'
import type { Place } from './place.ts'

/** The IR version that came with each operator set; files with an older one are refused by some readers. */
const irVersions: Readonly<Record<number, number>> = {
  7: 3,
  8: 3,
  9: 4,
  10: 5,
  11: 6,
  12: 7,
  13: 7,
  14: 7,
  15: 8,
  16: 8,
  17: 8,
  18: 8,
  19: 9,
  20: 9,
  21: 10,
}
const depthMax = 16

/**
 * Brings a graph to a newer operator set of ONNX (other domains stay). Infers types first; constants that are
 * listed as inputs become plain constants.
 * @param to 7 to 21; the graph's own version changes nothing
 * @returns how many nodes have changed
 * @throws {OnnxError} when the graph or `to` is outside 7…21, `to` is older than the graph, or a node cannot be
 * said in the newer set (it is named; the graph is then not to be used)
 */
export function upgradeOpset(graph: Graph, to: number): number {
  const from = graph.opset
  const refuse = (why: string): never => {
    throw new OnnxError(`Cannot bring the model from operator set ${from} to ${to}: ${why}`)
  }
  if (!Number.isInteger(to) || to < opsetMin || to > opsetMax) {
    refuse(`sets ${opsetMin} to ${opsetMax} are known`)
  }
  if (from < opsetMin || from > opsetMax) refuse(`its own is outside ${opsetMin} to ${opsetMax}`)
  if (to < from) refuse('it would have to become older')
  if (to === from) return 0
  dropInitializerInputs(graph)
  inferTypes(graph)
  let changed = 0
  for (let version = from + 1; version <= to; version++) {
    const place = placeIn(graph)
    for (const node of [...graph.nodes]) {
      const by = adapted(node, version, place, refuse)
      if (by) {
        graph.replace(node, by)
        changed += 1
      } else if (bodiesOf(node).length > 0) {
        graph.edit(node, () => {
          for (const body of bodiesOf(node)) changed += adaptBody(body, version, graph, refuse, 0)
        })
      }
    }
  }
  graph.setOpset('', to)
  if (graph.irVersion < irVersions[to]!) graph.irVersion = irVersions[to]!
  return changed
}

/** The nodes in place of one, or undefined where the version did not change it. */
function adapted(
  node: NodeProto,
  version: number,
  place: Place,
  refuse: (why: string) => never,
): readonly NodeProto[] | undefined {
  const table = adapters[version]
  if (!table || !Object.hasOwn(table, node.opType)) return undefined
  if (node.domain !== '' && node.domain !== 'ai.onnx') return undefined
  const copy = clone(NodeProtoSchema, node)
  try {
    // The first input of Scan 8 may be left out; of all others that change it is the data.
    if (node.opType !== 'Scan' && !(node.input[0] && node.output[0])) {
      throw new OnnxError('it lacks its input or its output')
    }
    return table[node.opType]!(copy, place) ?? [copy]
  } catch (error) {
    if (!(error instanceof OnnxError)) throw error
    return refuse(`"${node.name || node.output[0]}" (${node.opType}): ${error.message}`)
  }
}

function placeIn(graph: Graph): Place {
  return {
    constant: (tensor) => graph.addInitializer(tensor),
    fresh: (base) => graph.freshName(base),
    typeOf: (value) => graph.typeOf(value),
    constantOf: (value) => graph.constantOf(value),
    isRead: (value) => graph.usersOf(value).length > 0 || graph.isOutput(value),
  }
}

function adaptBody(
  body: GraphProto,
  version: number,
  graph: Graph,
  refuse: (why: string) => never,
  depth: number,
): number {
  if (depth > depthMax) return refuse(`its bodies lie more than ${depthMax} deep`)
  const place: Place = {
    constant: (tensor) => {
      tensor.name = graph.freshName(tensor.name)
      body.initializer.push(tensor)
      return tensor.name
    },
    fresh: (base) => graph.freshName(base),
    // A value of the graph around may be read here, under its name; one of the body hides it.
    typeOf: (value) => (isLocal(body, value) ? undefined : graph.typeOf(value)),
    constantOf: (value) =>
      body.initializer.find(({ name }) => name === value) ??
      (isLocal(body, value) ? undefined : graph.constantOf(value)),
    isRead: (value) =>
      body.output.some(({ name }) => name === value) ||
      body.node.some(({ input }) => input.includes(value)),
  }
  let changed = 0
  body.node = body.node.flatMap((node) => {
    const by = adapted(node, version, place, refuse)
    if (by) {
      changed += 1
      return [...by]
    }
    for (const inner of bodiesOf(node))
      changed += adaptBody(inner, version, graph, refuse, depth + 1)
    return [node]
  })
  return changed
}

const isLocal = (body: GraphProto, value: string): boolean =>
  body.input.some(({ name }) => name === value) ||
  body.node.some(({ output }) => output.includes(value))
