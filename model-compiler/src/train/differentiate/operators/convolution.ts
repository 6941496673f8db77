/** Convolutions and pooling by the runtime's own operators. */
import { intsOf, stringOf } from '../../../graph/attributes.ts'
import { OnnxError } from '../../../onnx/read.ts'
import type { Lowering, LoweringTable } from '../lowering.ts'

const convolution: Lowering = (node, context) => {
  const { tape } = context
  const x = context.read(node.input[0])
  const w = context.read(node.input[1])
  const b = context.has(node, 2) ? context.read(node.input[2]) : undefined
  if (x.shape.length !== 4) throw new OnnxError(`its input has ${x.shape.length} axes, not 4`)
  if (context.int(node, 'group', 1) !== 1) throw new OnnxError('its channels are in groups')
  if (!['NOTSET', 'VALID'].includes(stringOf(node, 'auto_pad', 'NOTSET'))) {
    throw new OnnxError('its padding is left to the runtime')
  }
  const strides = intsOf(node, 'strides', [1, 1])
  const dilations = intsOf(node, 'dilations', [1, 1])
  const pads = intsOf(node, 'pads', [0, 0, 0, 0])
  const y = tape.emit('Conv', [x, w, b], {
    strides: { ints: strides },
    dilations: { ints: dilations },
    pads: { ints: pads },
  })
  const inputs = b ? [x, w, b] : [x, w]
  const result = tape.record(inputs, y, (d) => {
    const [height, width] = [x.shape[2]!, x.shape[3]!]
    const reach = (axis: number) => dilations[axis]! * (w.shape[2 + axis]! - 1) + 1
    const rest = (axis: number, length: number) =>
      (length + pads[axis]! + pads[axis + 2]! - reach(axis)) % strides[axis]!
    const left = [rest(0, height), rest(1, width)]
    const dx = () =>
      tape.emit('ConvTranspose', [d, w], {
        strides: { ints: strides },
        dilations: { ints: dilations },
        pads: { ints: pads },
        output_padding: { ints: left },
      })
    // Each weight sees the input through the stride and steps over it by the dilation: the two change places.
    const dw = () => {
      const padded = tape.emit('Pad', [
        x,
        tape.ints([0, 0, pads[0]!, pads[1]!, 0, 0, pads[2]! - left[0]!, pads[3]! - left[1]!]),
      ])
      const swapped = tape.transpose(padded, [1, 0, 2, 3])
      const gradient = tape.emit('Conv', [swapped, tape.transpose(d, [1, 0, 2, 3])], {
        strides: { ints: dilations },
        dilations: { ints: strides },
      })
      return tape.transpose(gradient, [1, 0, 2, 3])
    }
    return [
      x.needsGradient ? dx() : undefined,
      w.needsGradient ? dw() : undefined,
      ...(b ? [b.needsGradient ? tape.reduceSum(d, [0, 2, 3]) : undefined] : []),
    ]
  })
  context.write(node.output[0], result)
}

const maxPool: Lowering = (node, context) => {
  const { tape } = context
  const x = context.read(node.input[0])
  const [y, indices] = tape.emitSeveral(
    'MaxPool',
    [x],
    2,
    Object.fromEntries(
      ['kernel_shape', 'strides', 'pads', 'dilations'].flatMap((name) => {
        const ints = intsOf(node, name, undefined)
        return ints ? [[name, { ints }]] : []
      }),
    ),
  )
  const size = x.shape.reduce((a, b) => a * b, 1)
  const result = tape.record([x], y!, (d) => {
    const flat = (sym: typeof d) => tape.reshape(sym, [sym.shape.reduce((a, b) => a * b, 1)])
    const zeros = tape.emit('Expand', [tape.scalar(0), tape.ints([size])])
    const spread = tape.emit('ScatterElements', [zeros, flat(indices!), flat(d)], {
      reduction: { string: 'add' },
    })
    return [tape.reshape(spread, x.shape)]
  })
  context.write(node.output[0], result)
}

const globalAverage: Lowering = (node, context) => {
  const layout = context.layoutOf(node.input[0])
  const x = context.read(node.input[0], layout)
  const axes = [...x.shape.keys().drop(2)]
  context.write(node.output[0], context.tape.reduceMean(x, axes, true), layout)
}

export const convolutions: LoweringTable = {
  Conv: convolution,
  MaxPool: maxPool,
  GlobalAveragePool: globalAverage,
}
