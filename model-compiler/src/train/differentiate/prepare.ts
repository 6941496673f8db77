/**
 * A model in the form that is trained: one operator set, static shapes, constants as initializers, nothing that only
 * an exporter wanted, and nothing behind the values where the loss is put on.
 */
import { nearestName } from '@edgeloop/protocol/nearest'
import { intOf, intsOf, setAttribute } from '../../graph/attributes.ts'
import { Graph } from '../../graph/graph.ts'
import { staticShape } from '../../graph/value-type.ts'
import { altered } from '../../onnx/altered.ts'
import { node as makeNode } from '../../onnx/build.ts'
import { OnnxError } from '../../onnx/read.ts'
import { type ModelProto, type NodeProto, TensorProtoSchema } from '../../onnx/schema.ts'
import { tensor } from '../../onnx/tensor.ts'
import { upgradeOpset } from '../../opset/upgrade.ts'
import { foldShapes } from '../../passes/fold-shapes.ts'
import { hardSigmoid } from '../../passes/hard-sigmoid.ts'
import { listConstants } from '../../passes/list-constants.ts'
import { isOp, numbersOf, onlyUserOf, producerAs } from '../../passes/matching.ts'
import { removeDead } from '../../passes/remove-dead.ts'
import { removeIdentities } from '../../passes/remove-identities.ts'
import { silu } from '../../passes/silu.ts'
import { shapeText } from '../../shapes/dimensions.ts'
import { inferTypes } from '../../shapes/infer-types.ts'
import { dropInitializerInputs, setInputShapes } from '../../shapes/input-shapes.ts'
import { sizeOf } from '../tape/sym.ts'
import { stepOpset } from '../tape/tape.ts'
import { candidatesOf } from './parameters.ts'

export type Preparation = {
  /** First dimension of every input. */
  readonly batch: number
  /** Whole shapes of inputs by name, batch included, where the file leaves more free than the batch. */
  readonly inputShapes?: Readonly<Record<string, readonly number[]>>
  /** Values where the graph ends (default: its outputs). What only later nodes need is dropped. */
  readonly cut?: readonly string[]
}

/**
 * @throws {OnnxError} when a cut is not there, a shape stays unknown, or the model cannot be brought to the operator set
 */
export function prepare(model: ModelProto, options: Preparation): Graph {
  const graph = prepareConstants(model, options.cut)
  leaveTraining(graph)
  upgradeOpset(graph, stepOpset)
  setBatch(graph, options)
  // What is trained is no constant to the passes, or a bias that begins with zeros would be dropped.
  const trained = candidatesOf(graph)
  for (const { name } of trained) graph.addInput(name, graph.typeOf(name)!)
  settle(graph)
  for (const { name } of trained) graph.removeInput(name)
  return graph
}

/** A model that ends at `cut`, whose constants are all initializers, each parameter under a name of its own. */
export function prepareConstants(model: ModelProto, cut?: readonly string[]): Graph {
  const graph = new Graph(model)
  dropInitializerInputs(graph)
  graph.irVersion = Math.max(4, graph.irVersion)
  ownParameters(graph)
  listConstants.run(graph)
  if (cut) cutAt(graph, cut)
  removeDead.run(graph)
  return graph
}

/**
 * Exporters keep weights of equal values once, and give the others out through Identity. Equal is not tied: each gets its
 * own, under the name that it has in the model. What two nodes read under one name stays one.
 */
function ownParameters(graph: Graph): void {
  graph.sort()
  for (const node of [...graph.nodes]) {
    const [name] = node.output
    const source = isOp(node, 'Identity') ? graph.initializers.get(node.input[0] ?? '') : undefined
    if (!source || !name || graph.isOutput(name)) continue
    graph.remove(node)
    graph.setInitializer(altered(TensorProtoSchema, source, { name }))
  }
}

/**
 * Takes back what an export in training mode has said: how BatchNorm is trained is asked for, and Dropout lets everything
 * through (its masks would have to be fed to be the same again after a pause; augmentation and weight decay do its work).
 */
function leaveTraining(graph: Graph): void {
  for (const node of [...graph.nodes]) {
    if (isOp(node, 'Dropout')) {
      const [x = ''] = node.input
      graph.edit(node, () => {
        node.input = [x]
        node.output = node.output.slice(0, 1)
      })
    }
    if (isOp(node, 'BatchNormalization')) {
      graph.edit(node, () => {
        node.output = node.output.slice(0, 1)
        setAttribute(node, 'training_mode', undefined)
      })
    }
  }
}

function cutAt(graph: Graph, cut: readonly string[]): void {
  const made = graph.nodes.flatMap(({ output }) => output)
  for (const name of cut) {
    if (made.includes(name)) continue
    const near = nearestName(name, made)
    throw new OnnxError(
      `Cannot end the model at "${name}": no node makes it${near === undefined ? '' : `; did you mean "${near}"?`}`,
    )
  }
  for (const { name } of [...graph.outputs]) graph.removeOutput(name)
  for (const name of new Set(cut)) graph.addOutput(name)
}

/**
 * Gives the inputs their shapes. A model that was exported for one batch size says so again in its reshapes and resizes, and
 * often multiplied with something: wherever a target no longer holds what comes in, the length that counts the batch is found
 * by its place among the elements, and grows along.
 */
function setBatch(graph: Graph, options: Preparation): void {
  inferTypes(graph)
  const before = new Map<string, readonly number[] | undefined>()
  for (const node of graph.nodes) {
    if (isOp(node, 'Resize')) spareBatch(graph, node)
    const [from = ''] = node.input
    if (isOp(node, 'Reshape')) before.set(from, staticShape(graph.typeOf(from)))
  }
  const shapes = shapesFor(graph, options)
  for (const [name, shape] of Object.entries(shapes)) {
    const type = graph.typeOf(name)
    if (graph.isInput(name) && type) graph.setInterface(name, { ...type, shape })
  }
  const right = new Set<NodeProto>()
  // What lies behind a reshape is known only once that is right.
  for (let round = 0; round < roundsMax; round++) {
    graph.forgetShapes()
    inferTypes(graph)
    const wrong = graph.nodes.filter(
      (node) => isOp(node, 'Reshape') && !right.has(node) && widen(graph, node, before),
    )
    for (const node of wrong) right.add(node)
    if (wrong.length === 0) break
  }
  setInputShapes(graph, shapes)
}
/** Reshapes behind each other that are put right one after another. */
const roundsMax = 200

/** Puts the target of one Reshape right. @param before shapes as they were @returns whether it was wrong */
function widen(
  graph: Graph,
  node: NodeProto,
  before: ReadonlyMap<string, readonly number[] | undefined>,
): boolean {
  const [from = '', to = ''] = node.input
  const target = numbersOf(graph, to)
  const old = before.get(from)
  const now = staticShape(graph.typeOf(from))
  if (!target || !old || !now || old.length !== now.length) return false
  if (intOf(node, 'allowzero', 0) !== 0 || target.includes(0)) return false
  const grown = now.findIndex((length, axis) => length !== old[axis])
  if (grown < 0) return false
  const outer = sizeOf(old.slice(0, grown))
  const open = target.indexOf(-1)
  const whole = open < 0 ? target : target.with(open, sizeOf(old) / -sizeOf(target))
  const at = whole.findIndex((_, axis) => sizeOf(whole.slice(0, axis)) === outer)
  // What is left open grows by itself.
  if (at < 0 || at === open || sizeOf(whole) !== sizeOf(old)) return false
  const first = whole.findIndex(
    (length, axis) => axis >= at && (length * now[grown]!) % old[grown]! === 0,
  )
  const wider = target.with(first, (whole[first]! * now[grown]!) / old[grown]!)
  if (first < 0 || first === open || wider[first] === target[first]) return false
  const name = graph.freshName(`${to}_batch`)
  graph.setInitializer(tensor(name, [wider.length], BigInt64Array.from(wider, BigInt)))
  graph.setInput(node, 1, name)
  return true
}

/** Lengths of a Resize that repeat batch and channels are said of the axes behind them only. */
function spareBatch(graph: Graph, node: NodeProto): void {
  const shape = graph.typeOf(node.input[0] ?? '')?.shape
  const sizes = numbersOf(graph, node.input[3])
  if (!shape || sizes?.length !== shape.length || shape.length <= 2) return
  if (node.attribute.some(({ name }) => name === 'axes')) return
  if (sizes[0] !== shape[0] || sizes[1] !== shape[1]) return
  const rest = sizes.slice(2)
  const name = graph.freshName(`${node.input[3]}_any_batch`)
  graph.setInitializer(tensor(name, [rest.length], BigInt64Array.from(rest, BigInt)))
  graph.setInput(node, 3, name)
  setAttribute(node, 'axes', { ints: rest.map((_, at) => at + 2) })
}

function shapesFor(graph: Graph, { batch, inputShapes = {} }: Preparation) {
  const shapes: Record<string, readonly number[]> = { ...inputShapes }
  for (const { name } of graph.requiredInputs) {
    if (Object.hasOwn(shapes, name)) continue
    const shape = graph.typeOf(name)?.shape
    const [, ...rest] = shape ?? []
    if (!shape || rest.some((one) => typeof one !== 'number')) {
      throw new OnnxError(
        `Cannot train the model: its input "${name}" has the shape ${shapeText(shape)}; say which lengths it is to have (inputShapes)`,
      )
    }
    shapes[name] = shape.length === 0 ? [] : [batch, ...(rest as number[])]
  }
  return shapes
}

/** Folds what shapes make constant and drops what changes nothing, until nothing is found. */
function settle(graph: Graph): void {
  for (let round = 0; round < 20; round++) {
    const inferred = inferTypes(graph)
    let changes = foldKnown(graph, inferred.values) + gatherShuffles(graph)
    for (const pass of [foldShapes, removeIdentities, hardSigmoid, silu, removeDead]) {
      changes += pass.run(graph) as number
      graph.sort()
    }
    if (changes === 0) break
  }
  const { faults } = inferTypes(graph)
  if (faults.length > 0) throw new OnnxError(`Cannot train the model: ${faults[0]}`)
}

/** Values whose elements inference knows become constants: shapes, and what is computed from them. */
function foldKnown(
  graph: Graph,
  values: ReadonlyMap<string, readonly (number | string | undefined)[]>,
): number {
  let changes = 0
  for (const node of [...graph.nodes]) {
    const [name] = node.output
    if (name === undefined || node.output.length !== 1 || graph.isOutput(name)) continue
    const known = values.get(name)
    const type = graph.typeOf(name)
    const shape = staticShape(type)
    // Floats are weights as often as they are figures of shapes, and the tape keeps their way back.
    if (!known?.every((one) => typeof one === 'number') || type?.elementType !== 7 || !shape)
      continue
    graph.remove(node)
    graph.setInitializer(tensor(name, shape, BigInt64Array.from(known, BigInt)))
    changes++
  }
  return changes
}

/** Channels taken apart into groups, turned, and put together again are channels picked in another order. */
function gatherShuffles(graph: Graph): number {
  let changes = 0
  for (const last of [...graph.nodes]) {
    const turn = isOp(last, 'Reshape') ? producerAs(graph, last.input[0], 'Transpose') : undefined
    const apart = producerAs(graph, turn?.input[0], 'Reshape')
    const from = staticShape(graph.typeOf(apart?.input[0] ?? ''))
    const split = staticShape(graph.typeOf(apart?.output[0] ?? ''))
    const to = staticShape(graph.typeOf(last.output[0] ?? ''))
    if (!turn || !apart || !from || !split || !to || from.join() !== to.join()) continue
    const [groups, each] = [split[1] ?? 0, split[2] ?? 0]
    const whole = split.length === from.length + 1 && groups * each === from[1]
    if (!whole || split.toSpliced(1, 2, groups * each).join() !== from.join()) continue
    if (intsOf(turn, 'perm', []).join() !== [0, 2, 1, ...split.keys().drop(3)].join()) continue
    if (onlyUserOf(graph, apart.output[0]) !== turn) continue
    if (onlyUserOf(graph, turn.output[0]) !== last) continue
    const order = Array.from({ length: groups * each }, (_, at) =>
      BigInt((at % groups) * each + Math.floor(at / groups)),
    )
    const name = graph.freshName(`${last.output[0]}_order`)
    graph.setInitializer(tensor(name, [order.length], BigInt64Array.from(order)))
    graph.replace(last, [
      makeNode('Gather', [apart.input[0]!, name], [last.output[0]!], { axis: { int: 1 } }),
    ])
    changes++
  }
  return changes
}
