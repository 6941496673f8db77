/**
 * Which values of a graph are quantized, and which share their parameters: a decision, made from the graph,
 * the ranges and the target's profile, and carried out by `quantize`.
 *
 * The rules, each of which cost somebody days: an operator runs with codes only if every float input comes from
 * codes and its result goes to codes; whoever reads a quantized value reads it dequantized, float operators too,
 * or the operator before it has two results and does not fuse; a Relu or Clip that the ends of the codes
 * make redundant goes; what only moves elements has the parameters of its input, or it is computed in float.
 */
import type { Range } from '../calibrate/range.ts'
import { floatOf, intOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import type { NodeProto, TensorProto } from '../onnx/schema.ts'
import { valuesOf } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import type { TargetProfile, Treatment } from '../targets/target.ts'
import { codeTypes, type Parameters, parametersFor } from './parameters.ts'

export type Placement = {
  /** Quantized values with their parameters. */
  readonly values: ReadonlyMap<string, Parameters>
  /** Operators that compute with codes: their constants become codes too. */
  readonly nodes: ReadonlyMap<NodeProto, Treatment>
  /** Relu and Clip that the codes of the value they make stand for. */
  readonly folded: ReadonlySet<NodeProto>
}

/** @param keepFloat values that are not quantized, whatever speaks for it */
export function place(
  graph: Graph,
  ranges: ReadonlyMap<string, Range>,
  target: TargetProfile,
  keepFloat: ReadonlySet<string>,
): Placement {
  const isFree = (value: string) => ranges.has(value) && !keepFloat.has(value)
  const folded = target.foldsClipping
    ? foldable(graph, ranges, target, isFree)
    : new Map<NodeProto, Range>()
  const after = new Map([...folded.keys()].map((clip) => [clip.input[0]!, clip.output[0]!]))
  /** The value as it is called once Relu and Clip are gone. */
  const named = (value: string) => after.get(value) ?? value
  const nodes = chooseNodes(graph, target, folded, (value) => isFree(named(value)))
  const values = new Set<string>()
  for (const [node, treatment] of nodes) {
    for (const value of activationsOf(graph, node, treatment)) values.add(value)
    if (target.outputs) for (const value of node.output) if (value !== '') values.add(named(value))
  }
  // Only where there are codes do their ends stand for a Relu.
  const gone = [...folded].filter(([clip]) => values.has(clip.output[0]!))
  const limits = new Map(gone.map(([clip, limit]) => [clip.output[0]!, limit]))
  const parameters = shareParameters(graph, ranges, target, nodes, values, named, limits)
  return { values: parameters, nodes, folded: new Set(gone.map(([clip]) => clip)) }
}

/** Inputs of a node that are activations and have to be quantized for it. */
export function activationsOf(graph: Graph, node: NodeProto, treatment: Treatment): string[] {
  const inputs =
    treatment === 'weights' || treatment === 'same'
      ? node.input.slice(0, 1)
      : node.input.filter((value) => value !== '')
  return inputs.filter((value) => graph.constantOf(value) === undefined)
}

/** Relu and Clip behind an operator that can run with codes, which are seen nowhere else, with what they cut at. */
function foldable(
  graph: Graph,
  ranges: ReadonlyMap<string, Range>,
  target: TargetProfile,
  isFree: (value: string) => boolean,
): Map<NodeProto, Range> {
  const found = new Map<NodeProto, Range>()
  for (const node of graph.nodes) {
    const [input = '', output = ''] = [node.input[0], node.output[0]]
    const limits = clippingOf(graph, node)
    const producer = graph.producerOf(input)
    const treatment = producer && target.operators[producer.opType]
    if (limits === undefined || producer === undefined) continue
    if (treatment === undefined || treatment === 'same' || producer.output.length !== 1) continue
    if (!isRunnable(graph, producer, treatment, isFree, () => true)) continue
    if (!isFree(output) || !graph.isReadOnlyBy(input, node)) continue
    const range = ranges.get(output)!
    // Zero is always a code; where it is outside of the limits, the codes would let through what they cut.
    if (limits.min > 0 || limits.max < 0 || range.min < limits.min || range.max > limits.max)
      continue
    // Symmetric codes reach as far below zero as above it.
    if (target.activations.symmetric && limits.min > -range.max) continue
    found.set(node, limits)
  }
  return found
}

function clippingOf(graph: Graph, node: NodeProto): Range | undefined {
  if (node.domain !== '' && node.domain !== 'ai.onnx') return undefined
  if (node.opType === 'Relu') return { min: 0, max: Infinity }
  if (node.opType !== 'Clip') return undefined
  const limit = (at: number, name: string, otherwise: number): number | undefined => {
    const input = node.input[at] ?? ''
    if (input === '') return floatOf(node, name, otherwise)
    const tensor = graph.constantOf(input)
    return tensor && Number(valuesOf(tensor)[0])
  }
  const [min, max] = [limit(1, 'min', -Infinity), limit(2, 'max', Infinity)]
  return min === undefined || max === undefined ? undefined : { min, max }
}

function chooseNodes(
  graph: Graph,
  target: TargetProfile,
  folded: ReadonlyMap<NodeProto, Range>,
  isFree: (value: string) => boolean,
): Map<NodeProto, Treatment> {
  const possible = new Map<NodeProto, Treatment>()
  const quantized = new Set<string>()
  for (const node of graph.nodes) {
    const treatment =
      node.domain === '' || node.domain === 'ai.onnx' ? target.operators[node.opType] : undefined
    if (folded.has(node)) {
      if (quantized.has(node.input[0]!)) quantized.add(node.output[0]!)
      continue
    }
    if (treatment === undefined) continue
    // What moves elements runs with codes where they are there already; making them for it is no gain.
    const isThere = (value: string) => treatment !== 'same' || quantized.has(value)
    if (!isRunnable(graph, node, treatment, isFree, isThere)) continue
    possible.set(node, treatment)
    for (const value of activationsOf(graph, node, treatment)) quantized.add(value)
    if (target.outputs) for (const value of node.output) quantized.add(value)
  }
  return target.ends ? possible : withoutEnds(graph, possible, folded)
}

/**
 * Leaves out what stands before the first and behind the last operator with weights on every path: sums with
 * preprocessing and the last sigmoid are cheap in float, and in codes they are what costs precision most.
 */
function withoutEnds(
  graph: Graph,
  possible: ReadonlyMap<NodeProto, Treatment>,
  folded: ReadonlyMap<NodeProto, Range>,
): Map<NodeProto, Treatment> {
  const isInner = (node: NodeProto) => possible.has(node) || folded.has(node)
  const leads = new Set<string>()
  for (const node of graph.nodes.toReversed()) {
    const treatment = possible.get(node)
    if (treatment === 'weights' || (isInner(node) && node.output.some((one) => leads.has(one)))) {
      for (const value of node.input) leads.add(value)
    }
  }
  const follows = new Set<string>()
  const kept = new Map<NodeProto, Treatment>()
  for (const node of graph.nodes) {
    const treatment = possible.get(node)
    const inputs = node.input.some((one) => follows.has(one))
    if (treatment === 'weights' || (isInner(node) && inputs)) {
      for (const value of node.output) follows.add(value)
    }
    if (treatment === undefined) continue
    const outputs = node.output.some((one) => leads.has(one))
    // What only moves elements loses nothing in codes, so before the first weights it may stay there.
    const harmless = treatment === 'same' || treatment === 'join'
    if (treatment === 'weights' || (outputs && (inputs || harmless))) kept.set(node, treatment)
  }
  return kept
}

function isRunnable(
  graph: Graph,
  node: NodeProto,
  treatment: Treatment,
  isFree: (value: string) => boolean,
  isThere: (value: string) => boolean,
): boolean {
  if (node.output.length === 0 || !node.output.every((value) => value === '' || isFree(value))) {
    return false
  }
  const activations = activationsOf(graph, node, treatment)
  if (activations.length === 0 || !activations.every((one) => isFree(one) && isThere(one))) {
    return false
  }
  if (treatment === 'weights') return hasWeights(graph, node)
  if (treatment === 'same') return true
  return node.input.every((value) => {
    const constant = graph.constantOf(value)
    return constant === undefined || constant.dataType === tensorTypes.float32
  })
}

/** Constant weights, a constant bias or none, and nothing that the kernels with codes do not know. */
function hasWeights(graph: Graph, node: NodeProto): boolean {
  const isFloat = (tensor: TensorProto | undefined) => tensor?.dataType === tensorTypes.float32
  const [, weights = '', bias = ''] = node.input
  if (!isFloat(graph.constantOf(weights))) return false
  if (bias !== '' && !isFloat(graph.constantOf(bias))) return false
  if (node.opType !== 'Gemm') return true
  return (
    floatOf(node, 'alpha', 1) === 1 &&
    floatOf(node, 'beta', 1) === 1 &&
    intOf(node, 'transA', 0) === 0
  )
}

/** Values that have to share, or had better share, take the parameters of one of them. */
function shareParameters(
  graph: Graph,
  ranges: ReadonlyMap<string, Range>,
  target: TargetProfile,
  nodes: ReadonlyMap<NodeProto, Treatment>,
  values: ReadonlySet<string>,
  named: (value: string) => string,
  limits: ReadonlyMap<string, Range>,
): Map<string, Parameters> {
  const codes = codeTypes[target.activations.codes]
  const leader = new Map<string, string>()
  const leaderOf = (value: string): string => {
    const next = leader.get(value)
    return next === undefined ? value : leaderOf(next)
  }
  for (const [node, treatment] of nodes) {
    if (treatment !== 'same') continue
    const from = leaderOf(node.input[0]!)
    for (const output of node.output) {
      if (output !== '' && values.has(named(output))) leader.set(named(output), from)
    }
  }
  for (const [node, treatment] of [...nodes].toReversed()) {
    if (treatment !== 'join' || target.ends) continue
    const output = named(node.output[0]!)
    for (const input of node.input) {
      if (input === '' || !values.has(input) || !graph.isReadOnlyBy(input, node)) continue
      const first = leaderOf(output)
      // Codes that reach beyond what a Relu cut at would no longer stand for it.
      const limit = limits.get(input)
      const { min, max } = ranges.get(first)!
      if (limit && (Math.min(min, 0) < limit.min || Math.max(max, 0) > limit.max)) continue
      if (leaderOf(input) === input) leader.set(input, first)
    }
  }
  const found = new Map<string, Parameters>()
  for (const value of values) {
    const first = leaderOf(value)
    const range = fixedRangeOf(graph, first) ?? ranges.get(first)!
    found.set(value, parametersFor(range, codes, target.activations.symmetric))
  }
  return found
}

/** A softmax can be nothing else. */
function fixedRangeOf(graph: Graph, value: string): Range | undefined {
  return graph.producerOf(value)?.opType === 'Softmax' ? { min: 0, max: 1 } : undefined
}
