/**
 * "Focus", with which YOLOv5 and YOLOX begin: every second row and column, four pictures of a quarter, stacked as
 * channels for a convolution. That is a convolution of the whole picture with a window and steps of double size, and
 * the picture need not be copied twice.
 */
import { intOf, intsOf, setAttribute, stringOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { floatsOf, tensor } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import { isOp, numbersOf, onlyUserOf, producerAs } from './matching.ts'
import type { Pass } from './pass.ts'

export const foldFocus: Pass = {
  name: 'fold-focus',
  about:
    'Makes one convolution with double steps of slices of every second pixel and a convolution.',
  run(graph) {
    let changes = 0
    for (const node of [...graph.nodes]) if (isOp(node, 'Conv') && fold(graph, node)) changes++
    return changes
  },
}

/** Which of two rows and of two columns a quarter of the picture has. */
type Quarter = { readonly source: string; readonly row: number; readonly column: number }

function fold(graph: Graph, conv: NodeProto): boolean {
  const concat = producerAs(graph, conv.input[0], 'Concat')
  if (!concat || intOf(concat, 'axis', 0) !== 1 || onlyUserOf(graph, conv.input[0]) !== conv) {
    return false
  }
  const quarters = concat.input.map((value) => quarterOf(graph, value))
  const source = quarters[0]?.source
  const [, channels, height, width] = graph.typeOf(source ?? '')?.shape ?? []
  const isEven = Number(height) % 2 === 0 && Number(width) % 2 === 0
  if (!source || typeof channels !== 'number' || !isEven || quarters.length !== 4) return false
  if (!quarters.every((one) => one?.source === source)) return false
  const weights = graph.constantOf(conv.input[1])
  if (!isPlainConv(conv) || weights?.dataType !== tensorTypes.float32) return false
  const dims = weights.dims.map(Number)
  if (weights.externalData.length > 0 || dims.length !== 4 || dims[1] !== 4 * channels) return false

  const [outputs, , rows, columns] = dims as [number, number, number, number]
  const before = floatsOf(weights)
  const shape = [outputs, channels, 2 * rows, 2 * columns]
  const after = new Float32Array(outputs * channels * 4 * rows * columns)
  for (let output = 0; output < outputs; output++) {
    for (const [at, quarter] of quarters.entries()) {
      for (let channel = 0; channel < channels; channel++) {
        for (let y = 0; y < rows; y++) {
          for (let x = 0; x < columns; x++) {
            const from =
              ((output * 4 * channels + at * channels + channel) * rows + y) * columns + x
            const row = (output * channels + channel) * 2 * rows + 2 * y + quarter!.row
            // Added, for a quarter may be there twice.
            const to = row * 2 * columns + 2 * x + quarter!.column
            after[to] = after[to]! + before[from]!
          }
        }
      }
    }
  }
  const name = weights.name || conv.input[1]!
  graph.setInput(conv, 1, graph.addInitializer(tensor(name, shape, after)))
  graph.setInput(conv, 0, source)
  const doubled = (attribute: string, otherwise: number[]) =>
    setAttribute(conv, attribute, {
      ints: intsOf(conv, attribute, otherwise).map((one) => 2 * one),
    })
  doubled('pads', [0, 0, 0, 0])
  doubled('strides', [1, 1])
  setAttribute(conv, 'kernel_shape', { ints: shape.slice(2) })
  return true
}

function isPlainConv(conv: NodeProto): boolean {
  const dilations = intsOf(conv, 'dilations', [1, 1])
  const padsItself = !['NOTSET', ''].includes(stringOf(conv, 'auto_pad', 'NOTSET'))
  return intOf(conv, 'group', 1) === 1 && !padsItself && dilations.every((one) => one === 1)
}

/** Follows slices of every second element back to the whole picture. */
function quarterOf(graph: Graph, value: string): Quarter | undefined {
  const starts = new Map<number, number>()
  let from = value
  for (
    let slice = producerAs(graph, from, 'Slice');
    slice;
    slice = producerAs(graph, from, 'Slice')
  ) {
    const taken = startsOf(graph, slice)
    if (!taken) return undefined
    for (const [axis, start] of taken) {
      if (starts.has(axis)) return undefined
      starts.set(axis, start)
    }
    from = slice.input[0]!
  }
  const [row, column] = [starts.get(2), starts.get(3)]
  if (row === undefined || column === undefined || starts.size !== 2) return undefined
  return { source: from, row, column }
}

/** Axis and first element of a Slice that takes every second one to the end (opset 10 and later). */
function startsOf(graph: Graph, slice: NodeProto): [number, number][] | undefined {
  const lists = [1, 2, 3, 4].map((at) => numbersOf(graph, slice.input[at]))
  const [starts, ends, axes, steps] = lists
  if (graph.opset < 10 || !starts || !ends || !axes || !steps) return undefined
  const shape = graph.typeOf(slice.input[0]!)?.shape
  const found: [number, number][] = []
  for (const [at, axis] of axes.entries()) {
    const size = shape?.[axis]
    const isWhole = typeof size === 'number' && (ends[at] ?? 0) >= size
    if (!isWhole || steps[at] !== 2 || (starts[at] !== 0 && starts[at] !== 1)) return undefined
    found.push([axis, starts[at]!])
  }
  return found
}
