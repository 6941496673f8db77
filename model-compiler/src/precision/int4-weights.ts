/**
 * Weights of matrix products as int4 codes with a scale for each block of a column: an eighth of the size, for
 * networks that are mostly large matrices. ONNX Runtime multiplies with such weights as they are (MatMulNBits, an operator of
 * its own), so the memory stays small as well. Convolutions have no such form, and four bits are too few for small ones.
 */
import { floatOf, intOf } from '../graph/attributes.ts'
import { Graph } from '../graph/graph.ts'
import { node as makeNode } from '../onnx/build.ts'
import type { ModelProto, NodeProto } from '../onnx/schema.ts'
import { floatsOf, tensor } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import { nameless } from './conversion-nodes.ts'
import { weightCodes } from './weight-codes.ts'

export type Int4WeightsOptions = {
  /** Names of weights that stay as they are. */
  readonly keepFloat?: ReadonlySet<string>
  /** Weights of one column that share a scale (default 32); a power of two, at least 16. */
  readonly blockSize?: 16 | 32 | 64 | 128 | 256
}

const microsoft = 'com.microsoft'
/** Codes are stored from 0 to 15, and 8 is zero where no other zero point is said. */
const zeroCode = 8

/**
 * The same model with the weights of its MatMul and Gemm as int4, where a column has at least one block. All
 * others stay; a model without any comes back as it is.
 * @throws {OnnxError} when a weight is infinite or not a number
 */
export function toInt4Weights(model: ModelProto, options: Int4WeightsOptions = {}): ModelProto {
  const { keepFloat = new Set<string>(), blockSize = 32 } = options
  const graph = new Graph(model)
  let changes = 0
  for (const node of [...graph.nodes]) {
    const weights = node.input[1] ?? ''
    const matrix = keepFloat.has(weights) ? undefined : matrixOf(graph, node)
    if (matrix === undefined || matrix.rows < blockSize) continue
    replace(graph, node, matrix, blockSize)
    changes++
  }
  if (changes > 0) graph.setOpset(microsoft, 1)
  graph.sort()
  return graph.toModel()
}

/** Weights with the column after the column, as the operator wants them. */
type Matrix = { readonly rows: number; readonly columns: number; readonly byColumn: Float32Array }

function matrixOf(graph: Graph, node: NodeProto): Matrix | undefined {
  if (node.domain !== '' && node.domain !== 'ai.onnx') return undefined
  const isGemm = node.opType === 'Gemm'
  if (!isGemm && node.opType !== 'MatMul') return undefined
  if (isGemm && (floatOf(node, 'alpha', 1) !== 1 || floatOf(node, 'beta', 1) !== 1))
    return undefined
  if (intOf(node, 'transA', 0) !== 0) return undefined
  const constant = graph.constantOf(node.input[1])
  if (constant?.dataType !== tensorTypes.float32 || constant.dims.length !== 2) return undefined
  const values = floatsOf(constant)
  const [first, second] = constant.dims.map(Number) as [number, number]
  if (intOf(node, 'transB', 0) === 1) return { rows: second, columns: first, byColumn: values }
  const byColumn = new Float32Array(values.length)
  for (let row = 0; row < first; row++) {
    for (let column = 0; column < second; column++) {
      byColumn[column * first + row] = values[row * second + column]!
    }
  }
  return { rows: first, columns: second, byColumn }
}

function replace(graph: Graph, node: NodeProto, matrix: Matrix, blockSize: number): void {
  const [input = '', weights = '', bias = ''] = node.input
  const output = node.output[0]!
  const { rows, columns } = matrix
  const { packed, scales, blocks } = pack(weights, matrix, blockSize)
  const codes = graph.addInitializer(
    tensor(`${weights}_int4`, [columns, blocks, blockSize / 2], packed),
  )
  const scale = graph.addInitializer(tensor(`${weights}_scale`, [columns * blocks], scales))
  const product = bias === '' ? output : graph.freshName(`${output}_product`)
  const by = makeNode('MatMulNBits', [input, codes, scale], [product], {
    K: { int: rows },
    N: { int: columns },
    bits: { int: 4 },
    block_size: { int: blockSize },
  })
  by.name = node.name
  by.domain = microsoft
  const added = bias === '' ? [] : [nameless(makeNode('Add', [product, bias], [output]))]
  graph.replace(node, [by, ...added])
  const isRead = graph.usersOf(weights).length > 0 || graph.isOutput(weights)
  if (!isRead) graph.removeInitializer(weights)
}

/** Two codes a byte, the earlier one in the low half; columns are filled up to whole blocks. */
function pack(name: string, { rows, columns, byColumn }: Matrix, blockSize: number) {
  const blocks = Math.ceil(rows / blockSize)
  const filled = new Float32Array(columns * blocks * blockSize)
  for (let column = 0; column < columns; column++) {
    const values = byColumn.subarray(column * rows, (column + 1) * rows)
    filled.set(values, column * blocks * blockSize)
  }
  const { codes, scales } = weightCodes(name, filled, [columns * blocks, blockSize], 0, 7)
  const packed = new Uint8Array(codes.length / 2)
  for (let at = 0; at < packed.length; at++) {
    packed[at] = (codes[2 * at]! + zeroCode) | ((codes[2 * at + 1]! + zeroCode) << 4)
  }
  return { packed, scales, blocks }
}
