/** The nets that `npm run bench -- train` trains: as the builders make them, as a step, and as what PyTorch is told. */
import { buildNet } from '../../model-compiler/src/builders/index.ts'
import { floatOf, intOf, intsOf } from '../../model-compiler/src/graph/attributes.ts'
import { Graph } from '../../model-compiler/src/graph/graph.ts'
import type { NodeProto } from '../../model-compiler/src/onnx/schema.ts'
import { inferTypes } from '../../model-compiler/src/shapes/infer-types.ts'
import { setInputShapes } from '../../model-compiler/src/shapes/input-shapes.ts'
import {
  differentiate,
  type Step,
} from '../../model-compiler/src/train/differentiate/differentiate.ts'
import { chooseConvolution } from '../../model-compiler/src/train/differentiate/operators/choose-convolution.ts'
import { convolutionShapeOf } from '../../model-compiler/src/train/differentiate/operators/convolution-shape.ts'
import { crossEntropy } from '../../model-compiler/src/train/losses/cross-entropy.ts'

export type NetOrder = {
  readonly net: string
  readonly channels: 1 | 3
  readonly size: number
  readonly batch: number
}

const classes = 10

export const netOf = ({ net, channels, size }: NetOrder) =>
  buildNet(net, { classes, channels, height: size, width: size, scale: 1, seed: 1 })

/** Everything trained, softmax cross-entropy, BatchNorm by the batch. */
export function inTraining(order: NetOrder): Step {
  return differentiate(netOf(order), {
    batch: order.batch,
    trainable: () => true,
    batchNorm: 'train',
    loss: (tape, outputs) => {
      const logits = Object.values(outputs)[0]!
      const target = tape.input('target', 'float32', logits.shape)
      const count = tape.constant([1], [order.batch])
      return { total: crossEntropy(tape, logits, target, count) }
    },
  })
}

/** The net as PyTorch's side reads it, one line of JSON. */
export function forTorch(order: NetOrder, threads: number): string {
  const model = netOf(order)
  const graph = new Graph(model)
  const running = new Set(
    graph.nodes
      .filter(({ opType }) => opType === 'BatchNormalization')
      .flatMap(({ input }) => input.slice(3)),
  )
  const read = new Set(graph.nodes.flatMap(({ opType, input }) => (opType === 'Clip' ? [] : input)))
  const shapes = [...graph.initializers.values()]
    .filter(({ name }) => read.has(name))
    .map(({ name, dims }) => [name, dims.map(Number)] as const)
  return JSON.stringify({
    threads,
    classes,
    input: [order.batch, order.channels, order.size, order.size],
    parameters: Object.fromEntries(shapes.filter(([name]) => !running.has(name))),
    state: Object.fromEntries(shapes.filter(([name]) => running.has(name))),
    nodes: graph.nodes.map((node) => ({
      op: node.opType,
      inputs: node.input,
      output: node.output[0],
      attributes: {
        kernel_shape: intsOf(node, 'kernel_shape', []),
        pads: intsOf(node, 'pads', [0, 0, 0, 0]),
        strides: intsOf(node, 'strides', [1, 1]),
        group: intOf(node, 'group', 1),
        epsilon: floatOf(node, 'epsilon', 1e-5),
        transB: intOf(node, 'transB', 0),
      },
    })),
  })
}

/** How each convolution of a net is written down (decision 31). */
export function choicesOf(order: NetOrder) {
  const graph = sized(order)
  const exchanged = ([batch, channels, ...map]: readonly number[]) => [channels!, batch!, ...map]
  return graph.nodes
    .filter(({ opType }) => opType === 'Conv')
    .map((node) => {
      const weights = graph.initializers.get(node.input[1]!)!.dims.map(Number)
      const input = exchanged(lengthsOf(node.input[0]!, graph))
      const shape = convolutionShapeOf(node, input, weights)
      const { channels, outputs, group, kernel, strides } = shape
      const formulations = chooseConvolution(shape)
      return {
        net: order.net,
        convolution: node.output[0]!,
        window: `${kernel.join('×')} by ${strides[0]}${group > 1 ? `, ${group} groups` : ''}`,
        channels: `${channels} → ${outputs}`,
        map: `${shape.input.join('×')} → ${shape.output.join('×')}`,
        ...formulations,
      }
    })
}

/**
 * Operations of one step, a multiplication and an addition being two: those of convolutions and dense layers, once forward
 * and once for each gradient; the first layer's input needs none.
 */
export function operationsOf(order: NetOrder): number {
  const graph = sized(order)
  const input = graph.requiredInputs[0]!.name
  return graph.nodes.reduce((sum, node) => {
    const passes = node.input[0] === input ? 2 : 3
    return sum + 2 * passes * multiplicationsOf(node, graph)
  }, 0)
}

/** The net with the shape of every value. */
function sized(order: NetOrder): Graph {
  const graph = new Graph(netOf(order))
  const { batch, channels, size } = order
  setInputShapes(graph, { [graph.requiredInputs[0]!.name]: [batch, channels, size, size] })
  inferTypes(graph)
  return graph
}

const lengthsOf = (name: string, graph: Graph): number[] =>
  (graph.typeOf(name)?.shape ?? []).map(Number)

function multiplicationsOf(node: NodeProto, graph: Graph): number {
  if (node.opType !== 'Conv' && node.opType !== 'Gemm') return 0
  const results = lengthsOf(node.output[0]!, graph).reduce((product, one) => product * one, 1)
  const weights = graph.initializers.get(node.input[1]!)!.dims.map(Number)
  const perResult =
    node.opType === 'Conv'
      ? weights.slice(1).reduce((product, one) => product * one, 1)
      : weights[intOf(node, 'transB', 0) === 0 ? 0 : 1]!
  return results * perResult
}
