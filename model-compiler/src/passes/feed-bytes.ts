/**
 * In a quantized model whose input is bytes, the bytes are the quantized tensor: where QuantizeLinear gives every
 * byte back as its code, nothing has to be computed before the first DequantizeLinear reads them.
 */
import type { Graph } from '../graph/graph.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { tensorTypes } from '../onnx/types.ts'
import { bytesBehind } from './fold-preprocessing.ts'
import { isOp, producerAs, scalarOf } from './matching.ts'
import type { Pass } from './pass.ts'

export const feedBytes: Pass = {
  name: 'feed-bytes',
  about:
    'Lets the first operators of a quantized model read the bytes of the input as their codes.',
  run(graph) {
    let changes = 0
    for (const { name } of graph.requiredInputs) {
      if (graph.typeOf(name)?.elementType !== tensorTypes.uint8) continue
      for (const [value, { at }] of bytesBehind(graph, name)) {
        for (const user of graph.usersOf(value)) {
          if (givesBytesBack(graph, user, value, at) && skip(graph, user)) changes++
        }
      }
    }
    return changes
  },
}

function givesBytesBack(
  graph: Graph,
  node: NodeProto,
  value: string,
  at: (byte: number) => number,
): boolean {
  if (!isOp(node, 'QuantizeLinear') || node.input[0] !== value) return false
  const zeroPoint = graph.constantOf(node.input[2])
  const scale = scalarOf(graph, node.input[1])
  // Without a zero point the codes are uint8, and 0 is its code.
  if (zeroPoint && zeroPoint.dataType !== tensorTypes.uint8) return false
  const zero = node.input[2] ? scalarOf(graph, node.input[2]) : 0
  if (scale === undefined || zero === undefined) return false
  for (let byte = 0; byte < 256; byte++) {
    const exact = Math.fround(at(byte)) / scale + zero
    // Far enough from a half that no way of rounding gives another code.
    if (Math.abs(exact - byte) > 0.25) return false
  }
  return true
}

/** Whoever reads the codes reads what the picture was before it became floats. */
function skip(graph: Graph, quantize: NodeProto): boolean {
  let value = quantize.input[0]!
  while (graph.typeOf(value)?.elementType !== tensorTypes.uint8) {
    const maker = producerAs(graph, value, 'Cast', 'Sub', 'Mul')
    // What is moved about as floats would have to be moved as bytes.
    if (!maker) return false
    value = maker.input[0]!
  }
  return graph.bypass(quantize, value)
}
