/**
 * Correcting biases on other samples moves every one of them a little, and each costs bits on its way to a box. What moved by less than a
 * quarter of a step of the codes that come out cannot be seen there, and stays as it is in the field.
 */
import { Graph } from '../graph/graph.ts'
import type { ModelProto, NodeProto } from '../onnx/schema.ts'
import { floatsOf, tensor, valuesOf } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'

/** Of a step of the output's codes. */
const shareMax = 0.25

/** The model with the biases of `champion` where they are as good; both have the same scales where that happens. */
export function keepBiases(made: ModelProto, champion: ModelProto): ModelProto {
  const graph = new Graph(made)
  const before = new Graph(champion)
  for (const node of graph.nodes) {
    const output = node.output[0] ?? ''
    const other = before.producerOf(output)
    const quantizer = graph.usersOf(output).find(({ opType }) => opType === 'QuantizeLinear')
    const step = quantizer && graph.constantOf(quantizer.input[1] ?? '')
    const bias = biasOf(graph, node)
    const held = other?.opType === node.opType ? biasOf(before, other) : undefined
    if (step === undefined || bias === undefined || held === undefined) continue
    const isSame =
      bias.codes.length === held.codes.length &&
      bias.scales.length === held.scales.length &&
      bias.scales.every((one, i) => one === held.scales[i])
    if (!isSame || graph.usersOf(bias.name).length > 1) continue
    const most = shareMax * floatsOf(step)[0]!
    const codes = bias.codes.map((code, i) => {
      const scale = bias.scales[bias.scales.length === 1 ? 0 : i]!
      return Math.abs(code - held.codes[i]!) * scale <= most ? held.codes[i]! : code
    })
    graph.setInitializer(tensor(bias.name, [codes.length], codes))
  }
  return graph.toModel()
}

/** A bias in codes of 32 bits, with the scale of each. */
function biasOf(graph: Graph, { input }: NodeProto) {
  const dequantize = input[2] ? graph.producerOf(input[2]) : undefined
  if (dequantize?.opType !== 'DequantizeLinear') return undefined
  const [name = '', scale = ''] = dequantize.input
  const [codes, scales] = [graph.constantOf(name), graph.constantOf(scale)]
  if (codes?.dataType !== tensorTypes.int32 || scales === undefined) return undefined
  return { name, codes: valuesOf(codes) as Int32Array, scales: floatsOf(scales) }
}
