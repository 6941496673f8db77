/** Elementwise functions of one value: they do not care how it lies. */
import { OnnxError } from '../../../onnx/read.ts'
import type { NodeProto } from '../../../onnx/schema.ts'
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'
import { axisIn, type Lowering, type LoweringContext, type LoweringTable } from '../lowering.ts'

const unary =
  (compute: (tape: Tape, x: Sym, node: NodeProto, context: LoweringContext) => Sym): Lowering =>
  (node, context) => {
    const layout = context.layoutOf(node.input[0])
    const x = context.read(node.input[0], layout)
    context.write(node.output[0], compute(context.tape, x, node, context), layout)
  }

/** A bound given as an input; undefined where there is none. */
function boundOf(context: LoweringContext, node: NodeProto, at: number): number | undefined {
  if (!context.has(node, at)) return undefined
  const numbers = context.numbersOf(node.input[at])
  if (numbers?.length !== 1) throw new OnnxError(`its bound "${node.input[at]}" is computed`)
  return numbers[0]
}

const alongAxis =
  (operator: 'softmax' | 'logSoftmax'): Lowering =>
  (node, context) => {
    const rank = context.shapeOf(node.input[0]).length
    const said = context.int(node, 'axis', -1)
    const layout = context.layoutOf(node.input[0])
    const axis = axisIn(layout, said < 0 ? said + rank : said)
    const x = context.read(node.input[0], layout)
    context.write(node.output[0], context.tape[operator](x, axis), layout)
  }

export const activations: LoweringTable = {
  Relu: unary((tape, x) => tape.relu(x)),
  Clip: unary((tape, x, node, context) =>
    tape.clip(x, boundOf(context, node, 1), boundOf(context, node, 2)),
  ),
  LeakyRelu: unary((tape, x, node, context) =>
    tape.leakyRelu(x, context.float(node, 'alpha', 0.01)),
  ),
  PRelu: (node, context) => {
    const layout = context.layoutOf(node.input[0])
    const x = context.read(node.input[0], layout)
    const slope = context.readStretched(node.input[1], layout, x.shape.length)
    context.write(node.output[0], context.tape.prelu(x, slope), layout)
  },
  Sigmoid: unary((tape, x) => tape.sigmoid(x)),
  HardSigmoid: unary((tape, x, node, context) =>
    tape.hardSigmoid(x, context.float(node, 'alpha', 0.2), context.float(node, 'beta', 0.5)),
  ),
  HardSwish: unary((tape, x) => tape.hardSwish(x)),
  Softplus: unary((tape, x) => tape.softplus(x)),
  Tanh: unary((tape, x) => tape.tanh(x)),
  Gelu: unary((tape, x, node, context) =>
    tape.gelu(x, context.string(node, 'approximate', 'none') === 'tanh' ? 'tanh' : 'none'),
  ),
  'com.microsoft.Gelu': unary((tape, x) => tape.gelu(x)),
  'com.microsoft.QuickGelu': unary((tape, x, node, context) => {
    const alpha = context.float(node, 'alpha', 1.702)
    return alpha === 1 ? tape.silu(x) : tape.mul(x, tape.sigmoid(tape.mul(x, alpha)))
  }),
  Softmax: alongAxis('softmax'),
  LogSoftmax: alongAxis('logSoftmax'),
  Identity: unary((_, x) => x),
  // Training is regularized by augmentation and weight decay; masks would have to be fed to be the same again after a pause.
  Dropout: unary((_, x) => x),
  Neg: unary((tape, x) => tape.neg(x)),
  Abs: unary((tape, x) => tape.abs(x)),
  Exp: unary((tape, x) => tape.exp(x)),
  Log: unary((tape, x) => tape.log(x)),
  Sqrt: unary((tape, x) => tape.sqrt(x)),
  Reciprocal: unary((tape, x) => tape.reciprocal(x)),
  Erf: unary((tape, x) => tape.erf(x)),
  Atan: unary((tape, x) => tape.atan(x)),
}
