/**
 * Another list of labels for a detector: the class rows of its head's convolutions are made anew, and everything
 * behind them that counts classes (constants of Reshape, Split and Slice, the outputs, the labels) follows.
 */
import { intOf, intsOf, setAttribute } from '../../graph/attributes.ts'
import { Graph } from '../../graph/graph.ts'
import { verify } from '../../graph/verify.ts'
import { node as makeNode } from '../../onnx/build.ts'
import { OnnxError } from '../../onnx/read.ts'
import type { ModelProto, NodeProto } from '../../onnx/schema.ts'
import { floatsOf, tensor } from '../../onnx/tensor.ts'
import { isOp, numbersOf } from '../../passes/matching.ts'
import { inferTypes } from '../../shapes/infer-types.ts'
import { dropInitializerInputs } from '../../shapes/input-shapes.ts'
import { type Head, type HeadPiece, recognizeHead } from './head.ts'

/**
 * Old classes with their shares (which sum to 1) that a new class begins as. Where nothing is known it is the mean of all
 * of them: weights of the size that the layer has, because steps are shares of it.
 */
export type ClassOrigin = readonly { readonly index: number; readonly share: number }[]

/** The bias of a class that begins from nothing: it is seldom there. */
const freshBias = -Math.log((1 - 0.01) / 0.01)

/**
 * The model with other classes. Its outputs keep their form.
 * @param labels names of the new classes, in order
 * @param origins what each of them begins as
 * @throws {OnnxError} when a node behind the head counts classes in a way that is not known
 */
export function relabel(
  model: ModelProto,
  labels: readonly string[],
  origins: readonly ClassOrigin[],
): ModelProto {
  const head = recognizeHead(model)
  const graph = new Graph(model)
  dropInitializerInputs(graph)
  inferTypes(graph)
  const grown = labels.length - head.classes
  for (const level of head.levels) {
    replaceRows(graph, level.classes, origins)
    if (grown !== 0) follow(graph, level.classes, grown)
  }
  graph.setMetadata('labels', labels.join(','))
  if (graph.metadata('names') !== undefined) graph.setMetadata('names', namesText(labels))
  settleTypes(graph)
  const changed = graph.toModel()
  verify(changed)
  return changed
}

/**
 * The model as it is, asked in new words: each new class scores as the best of the old ones it begins as. What it finds
 * is what the old training was worth for the new task.
 */
export function asked(
  model: ModelProto,
  labels: readonly string[],
  origins: readonly ClassOrigin[],
): ModelProto {
  const head = recognizeHead(model)
  const deepest = Math.max(1, ...origins.map(({ length }) => length))
  // A class for each old one that a new one may be, side by side; a missing one never scores.
  const rows = origins.flatMap((origin) =>
    Array.from({ length: deepest }, (_, place): ClassOrigin => {
      const one = origin[place] ?? origin[0]
      return one ? [{ index: one.index, share: 1 }] : []
    }),
  )
  const wide = relabel(
    model,
    rows.map((_, at) => `${labels[Math.floor(at / deepest)]} ${at % deepest}`),
    rows,
  )
  if (deepest === 1) return wide
  return takeBest(wide, head, labels, deepest)
}

/** Puts the largest of each group of `deepest` classes in place of all of them. */
function takeBest(
  wide: ModelProto,
  head: Head,
  labels: readonly string[],
  deepest: number,
): ModelProto {
  const graph = new Graph(wide)
  inferTypes(graph)
  for (const { classes, rows, columns } of head.levels) {
    const { value, from } = classes
    const channels = graph.typeOf(value)?.shape?.[1]
    if (typeof channels !== 'number') throw new OnnxError(`Cannot ask "${value}": no known shape`)
    const count = labels.length * deepest
    const ints = (name: string, values: readonly number[]) =>
      graph.addInitializer(
        tensor(`${value}_${name}`, [values.length], BigInt64Array.from(values, BigInt)),
      )
    const fresh = (name: string) => graph.freshName(`${value}_${name}`)
    const [groups, best, joined] = [fresh('groups'), fresh('best'), fresh('asked')]
    const users = graph.usersOf(value)
    // As long as nothing behind has been changed, this is what stands in its place.
    graph.setType(joined, graph.typeOf(value)!)
    const part = (name: string, start: number, end: number): string[] => {
      if (start === end) return []
      const output = fresh(name)
      const bounds = [
        ints(`${name}_from`, [start]),
        ints(`${name}_to`, [end]),
        ints(`${name}_axis`, [1]),
      ]
      graph.insert([makeNode('Slice', [value, ...bounds], [output])])
      return [output]
    }
    const before = part('before', 0, from)
    const [own = value] = channels === count ? [value] : part('own', from, from + count)
    const after = part('after', from + count, channels)
    graph.insert([
      makeNode(
        'Reshape',
        [own, ints('shape', [-1, labels.length, deepest, rows * columns])],
        [groups],
      ),
      graph.opset < 18
        ? makeNode('ReduceMax', [groups], [best], { axes: { ints: [2] }, keepdims: { int: 0 } })
        : makeNode('ReduceMax', [groups, ints('axis', [2])], [best], { keepdims: { int: 0 } }),
    ])
    const flat = fresh('map')
    graph.insert([
      makeNode('Reshape', [best, ints('map_shape', [-1, labels.length, rows, columns])], [flat]),
    ])
    graph.insert([makeNode('Concat', [...before, flat, ...after], [joined], { axis: { int: 1 } })])
    for (const user of users) {
      graph.edit(user, (one) => {
        one.input = one.input.map((input) => (input === value ? joined : input))
      })
    }
    follow(graph, { value: joined, from, channels: count }, labels.length - count)
  }
  graph.setMetadata('labels', labels.join(','))
  settleTypes(graph)
  const changed = graph.toModel()
  verify(changed)
  return changed
}

const namesText = (labels: readonly string[]): string =>
  `{${labels.map((label, at) => `${at}: '${label.replaceAll("'", "\\'")}'`).join(', ')}}`

/** Makes the rows of a convolution that stand for classes anew; the others stay. */
function replaceRows(
  graph: Graph,
  { value, from, channels }: HeadPiece,
  origins: readonly ClassOrigin[],
): void {
  const conv = graph.producerOf(value)!
  const weights = graph.constantOf(conv.input[1])!
  const dims = weights.dims.map(Number)
  const rowSize = dims.slice(1).reduce((product, one) => product * one, 1)
  const old = floatsOf(weights)
  const bias = graph.constantOf(conv.input[2])
  const oldBias = bias ? floatsOf(bias) : new Float32Array(dims[0]!)
  const rowOf = (origin: ClassOrigin): { row: Float32Array; bias: number } => {
    const row = new Float32Array(rowSize)
    const all = Array.from({ length: channels }, (_, index) => ({ index, share: 1 / channels }))
    const isFresh = origin.length === 0
    let sum = 0
    for (const { index, share } of isFresh ? all : origin) {
      const start = (from + index) * rowSize
      for (let i = 0; i < rowSize; i++) row[i]! += share * old[start + i]!
      sum += share * oldBias[from + index]!
    }
    return { row, bias: isFresh ? freshBias : sum }
  }
  const rows = origins.map(rowOf)
  const outputs = dims[0]! + rows.length - channels
  const newWeights = new Float32Array(outputs * rowSize)
  const newBias = new Float32Array(outputs)
  const end = from + channels
  newWeights.set(old.subarray(0, from * rowSize))
  newBias.set(oldBias.subarray(0, from))
  for (const [at, one] of rows.entries()) {
    newWeights.set(one.row, (from + at) * rowSize)
    newBias[from + at] = one.bias
  }
  newWeights.set(old.subarray(end * rowSize), (from + rows.length) * rowSize)
  newBias.set(oldBias.subarray(end), from + rows.length)
  const put = (at: number, name: string, shape: readonly number[], values: Float32Array) => {
    // The name stays where nobody else reads it: a run's parameters keep theirs.
    const alone = graph.initializers.has(name) && graph.usersOf(name).length === 1
    const named = tensor(name === '' ? `${value}_${at}` : name, shape, values)
    graph.setInput(conv, at, alone ? graph.setInitializer(named) : graph.addInitializer(named))
  }
  put(1, conv.input[1]!, [outputs, ...dims.slice(1)], newWeights)
  put(2, conv.input[2] ?? '', [outputs], newBias)
}

/** Where a value keeps the classes: elements `from` to before `from + count` of an axis. */
type Place = { readonly axis: number; readonly from: number; readonly count: number }

/** Operators that leave the classes where they are. */
const elementwise = new Set([
  ...['Sigmoid', 'HardSigmoid', 'Identity', 'Cast', 'Clip', 'Sqrt', 'Exp', 'Log', 'Softmax'],
  ...['Mul', 'Add', 'Sub', 'Div', 'Pow', 'Neg'],
])
/** Operators behind which nobody counts classes. */
const ending = new Set(['ReduceMax', 'ArgMax', 'TopK', 'Shape', 'NonMaxSuppression'])

/** Walks from the class channels to the outputs and changes every constant that counts them. */
function follow(graph: Graph, piece: HeadPiece, grown: number): void {
  const places = new Map<string, Place>([
    [piece.value, { axis: 1, from: piece.from, count: piece.channels }],
  ])
  graph.sort()
  for (const node of [...graph.nodes]) {
    const at = node.input.findIndex((value) => places.has(value))
    if (at < 0 || node.output.some((value) => value === piece.value)) continue
    const result = through(graph, node, at, places.get(node.input[at]!)!, grown)
    if (result) places.set(result.value, result.place)
  }
}

type Passed = { readonly value: string; readonly place: Place } | undefined

/** Adapts one node, and says where its output has the classes. */
function through(graph: Graph, node: NodeProto, at: number, place: Place, grown: number): Passed {
  const [value = ''] = node.output
  const shape = graph.typeOf(node.input[at]!)?.shape
  if (isOp(node, ...elementwise)) return { value, place }
  if (isOp(node, ...ending)) return undefined
  if (isOp(node, 'Concat') && shape) {
    const axis = intOf(node, 'axis', 0)
    if ((axis < 0 ? axis + shape.length : axis) !== place.axis) return { value, place }
    const before = node.input.slice(0, at).map((one) => graph.typeOf(one)?.shape?.[place.axis])
    if (before.every((one) => typeof one === 'number')) {
      const skipped = (before as number[]).reduce((sum, one) => sum + one, 0)
      return { value, place: { ...place, from: place.from + skipped } }
    }
  }
  if (isOp(node, 'Transpose') && shape) {
    const reversed = shape.map((_, axis) => shape.length - 1 - axis)
    const axis = intsOf(node, 'perm', reversed).indexOf(place.axis)
    return { value, place: { ...place, axis } }
  }
  if (isOp(node, 'Reshape')) {
    const passed = throughReshape(graph, node, place, grown)
    if (passed) return passed
  }
  if (isOp(node, 'Split')) {
    const passed = throughSplit(graph, node, place, grown)
    if (passed) return passed
  }
  if (isOp(node, 'Slice')) return throughSlice(graph, node, place, grown)
  throw new OnnxError(
    `Cannot give the detector other labels: how "${node.name || value}" (${node.opType}) would take another number of classes is not known`,
  )
}

/** Finds the axis with as many elements behind as much, and changes its length where the constant names it. */
function throughReshape(graph: Graph, node: NodeProto, place: Place, grown: number): Passed {
  const [value = ''] = node.output
  const before = graph.typeOf(node.input[0]!)?.shape
  const after = graph.typeOf(value)?.shape
  const wanted = numbersOf(graph, node.input[1])
  const length = before?.[place.axis]
  if (!before || !after || !wanted || typeof length !== 'number') return undefined
  // A free batch counts as one, on both sides.
  const sizeTo = (dims: typeof before, axis: number) =>
    dims.slice(0, axis).reduce<number>((product, one) => product * (Number(one) || 1), 1)
  const axis = after.findIndex(
    (one, place_) => one === length && sizeTo(after, place_) === sizeTo(before, place.axis),
  )
  // A length of 1 may stand in front as well; then it is the last of those that fit.
  const last = after.findLastIndex(
    (one, place_) => one === length && sizeTo(after, place_) === sizeTo(before, place.axis),
  )
  if (axis < 0) return undefined
  const chosen = length === 1 && place.axis > 0 ? Math.max(axis, Math.min(last, place.axis)) : axis
  if (wanted[chosen]! > 0) {
    const dims = wanted.map((one, i) => (i === chosen ? one + grown : one))
    graph.setInput(node, 1, intsNamed(graph, `${value}_shape`, dims))
  }
  return { value, place: { ...place, axis: chosen } }
}

/** Lets the part that holds the classes grow. */
function throughSplit(graph: Graph, node: NodeProto, place: Place, grown: number): Passed {
  const shape = graph.typeOf(node.input[0]!)?.shape
  const axis = intOf(node, 'axis', 0)
  if (!shape || (axis < 0 ? axis + shape.length : axis) !== place.axis) return undefined
  const attribute = intsOf(node, 'split', undefined)
  const sizes =
    attribute ?? node.output.map((output) => Number(graph.typeOf(output)?.shape?.[place.axis]))
  let start = 0
  for (const [part, size] of sizes.entries()) {
    if (place.from >= start && place.from + place.count <= start + size) {
      const changed = sizes.map((one, i) => (i === part ? one + grown : one))
      if (attribute) setAttribute(node, 'split', { ints: changed })
      else graph.setInput(node, 1, intsNamed(graph, `${node.output[part]}_split`, changed))
      return { value: node.output[part]!, place: { ...place, from: place.from - start } }
    }
    start += size
  }
  return undefined
}

/** Moves the bounds that lie behind the classes. */
function throughSlice(graph: Graph, node: NodeProto, place: Place, grown: number): Passed {
  const [value = ''] = node.output
  const [, starts, ends, axes, steps] = node.input.map((input) => numbersOf(graph, input))
  const shape = graph.typeOf(node.input[0]!)?.shape
  const length = shape?.[place.axis]
  const refuse = (why: string): never => {
    throw new OnnxError(
      `Cannot give the detector other labels: "${node.name || value}" (Slice) ${why}`,
    )
  }
  if (!starts || !ends || !shape || typeof length !== 'number') {
    return refuse('takes its bounds from something that is not constant')
  }
  const named = axes ?? starts.map((_, i) => i)
  const at = named.findIndex((axis) => (axis < 0 ? axis + shape.length : axis) === place.axis)
  if (at < 0) return { value, place }
  if ((steps?.[at] ?? 1) !== 1) return refuse('takes only some of the classes')
  const bound = (one: number) => Math.min(length, one < 0 ? one + length : one)
  const [start, end] = [bound(starts[at]!), bound(ends[at]!)]
  const classEnd = place.from + place.count
  const moved = (one: number) => (one >= classEnd ? one + grown : one)
  const setBounds = (from: number, to: number) => {
    const put = (input: number, values: readonly number[], one: number) =>
      graph.setInput(
        node,
        input,
        intsNamed(
          graph,
          `${value}_bound`,
          values.map((old, i) => (i === at ? one : old)),
        ),
      )
    put(1, starts, from)
    put(2, ends, to)
  }
  if (start <= place.from && end >= classEnd) {
    setBounds(start, moved(end))
    return { value, place: { ...place, from: place.from - start } }
  }
  if (end <= place.from) return undefined
  if (start >= classEnd) {
    setBounds(moved(start), moved(end))
    return undefined
  }
  return refuse('takes only some of the classes')
}

const intsNamed = (graph: Graph, name: string, values: readonly number[]): string =>
  graph.addInitializer(tensor(name, [values.length], BigInt64Array.from(values, BigInt)))

/** Infers all shapes anew, and has the outputs say theirs. */
function settleTypes(graph: Graph): void {
  const ranks = new Map(graph.outputs.map(({ name }) => [name, graph.typeOf(name)?.shape?.length]))
  graph.forgetShapes()
  const { faults } = inferTypes(graph)
  if (faults[0] !== undefined) {
    throw new OnnxError(`Cannot give the detector other labels: ${faults[0]}`)
  }
  for (const { name } of graph.outputs) {
    const type = graph.typeOf(name)
    if (type && type.elementType !== 0 && type.shape?.length === ranks.get(name)) {
      graph.setInterface(name, type)
    }
  }
}
