/**
 * HardSwish, x · clip(x/6 + ½, 0, 1), is exported in half a dozen ways, and two of them are fast.
 *
 * As float: x · HardSigmoid(x). ONNX Runtime fuses HardSigmoid into the convolution before it and stays in its
 * blocked layout; Add and Clip leave it (measured on 32×80×80 behind a 1×1 convolution: 0.47 against 0.51 ms).
 * For int8: Add, Clip, Mul. There is a quantized kernel for Add and Mul, Clip vanishes in the range of what is
 * before it, and there is none for HardSigmoid.
 */
import { floatOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import { node as makeNode } from '../onnx/build.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import {
  isFloat32,
  isOp,
  isScalar,
  onlyUserOf,
  producerAs,
  scalarOf,
  splitConstant,
} from './matching.ts'
import type { Pass } from './pass.ts'

const sixth = 1 / 6

export const hardSigmoid: Pass = {
  name: 'hard-sigmoid',
  about:
    'Makes x · HardSigmoid(x) of every form of HardSwish, which the runtime does best in float.',
  run(graph) {
    let changes = 0
    for (const node of [...graph.nodes]) {
      if (graph.producerOf(node.output[0] ?? '') !== node) continue
      if (expandHardSwish(graph, node) || fromClip(graph, node)) changes++
    }
    return changes
  },
}

export const hardSigmoidAsArithmetic: Pass = {
  name: 'hard-sigmoid-as-arithmetic',
  about: 'Makes Add, Clip and Mul of HardSigmoid and HardSwish, which have no quantized kernel.',
  run(graph) {
    let changes = 0
    for (const node of [...graph.nodes]) {
      if (expandHardSwish(graph, node) || toClip(graph, node)) changes++
    }
    return changes
  },
}

/** HardSwish → x · HardSigmoid(x). */
function expandHardSwish(graph: Graph, node: NodeProto): boolean {
  if (!isOp(node, 'HardSwish')) return false
  const [x = ''] = node.input
  const [y = ''] = node.output
  const gate = graph.freshName(`${y}_gate`)
  const type = graph.typeOf(y)
  graph.replace(node, [gateNode(x, gate), makeNode('Mul', [x, gate], [y])])
  if (type) graph.setType(gate, type)
  return true
}

const gateNode = (x: string, gate: string): NodeProto =>
  makeNode('HardSigmoid', [x], [gate], { alpha: { float: sixth }, beta: { float: 0.5 } })

/** clip(x + 3, 0, 6), and x. */
function clipOf(graph: Graph, value: string | undefined) {
  const clip = producerAs(graph, value, 'Clip')
  if (clip === undefined || !isRelu6(graph, clip)) return undefined
  const add = producerAs(graph, clip.input[0], 'Add')
  const split = add && splitConstant(graph, add)
  if (!split || !isScalar(graph, split.constant, 3)) return undefined
  return graph.constantOf(split.constant)!.dims.length <= 1 ? { clip, x: split.other } : undefined
}

function isRelu6(graph: Graph, clip: NodeProto): boolean {
  // Bounds are attributes before opset 11.
  const low = graph.opset < 11 ? floatOf(clip, 'min', undefined) : scalarOf(graph, clip.input[1])
  const high = graph.opset < 11 ? floatOf(clip, 'max', undefined) : scalarOf(graph, clip.input[2])
  return low === 0 && high === 6
}

/** What a node divides by 6. */
function sixthOf(graph: Graph, node: NodeProto): string | undefined {
  const split = splitConstant(graph, node)
  if (!split || graph.constantOf(split.constant)!.dims.length > 1) return undefined
  const divides = isOp(node, 'Div') && !split.constantFirst && isScalar(graph, split.constant, 6)
  const multiplies = isOp(node, 'Mul') && isScalar(graph, split.constant, sixth)
  return divides || multiplies ? split.other : undefined
}

/** clip(x + 3, 0, 6) / 6 → HardSigmoid(x), and x · clip(x + 3, 0, 6) / 6 → x · HardSigmoid(x). */
function fromClip(graph: Graph, node: NodeProto): boolean {
  const before = sixthOf(graph, node)
  const [y = ''] = node.output
  if (before === undefined || !isFloat32(graph, before)) return false
  const whole = clipOf(graph, before)
  if (whole) {
    if (onlyUserOf(graph, before) !== node) return false
    graph.replace(node, [gateNode(whole.x, y)])
    return true
  }
  const product = producerAs(graph, before, 'Mul')
  if (!product || onlyUserOf(graph, before) !== node) return false
  for (const at of [0, 1]) {
    const found = clipOf(graph, product.input[at])
    if (found?.x === undefined || found.x !== product.input[1 - at]) continue
    const gate = graph.freshName(`${y}_gate`)
    const type = graph.typeOf(y)
    graph.replace(node, [gateNode(found.x, gate), makeNode('Mul', [found.x, gate], [y])])
    if (type) graph.setType(gate, type)
    return true
  }
  return false
}

/** HardSigmoid(x) → clip(x + 3, 0, 6) · 1/6. */
function toClip(graph: Graph, node: NodeProto): boolean {
  if (!isOp(node, 'HardSigmoid') || graph.opset < 11) return false
  const [alpha, beta] = [floatOf(node, 'alpha', 0.2), floatOf(node, 'beta', 0.5)]
  const [x = ''] = node.input
  const [y = ''] = node.output
  if (Math.abs(alpha - sixth) > 1e-6 || beta !== 0.5 || !isFloat32(graph, x)) return false
  const number = (name: string, of: number) =>
    graph.addInitializer(tensor(`${y}_${name}`, [], Float32Array.of(of)))
  const [sum, clipped] = ['sum', 'clipped'].map((name) => graph.freshName(`${y}_${name}`))
  const type = graph.typeOf(y)
  if (type) for (const made of [sum!, clipped!]) graph.setType(made, type)
  graph.replace(node, [
    makeNode('Add', [x, number('three', 3)], [sum!]),
    makeNode('Clip', [sum!, number('zero', 0), number('six', 6)], [clipped!]),
    makeNode('Mul', [clipped!, number('sixth', sixth)], [y]),
  ])
  return true
}
