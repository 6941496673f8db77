/** Elementwise functions of several values that stretch to each other. */
import { intOf } from '../../../graph/attributes.ts'
import { OnnxError } from '../../../onnx/read.ts'
import type { NodeProto } from '../../../onnx/schema.ts'
import { tensorTypeName, tensorTypes } from '../../../onnx/types.ts'
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'
import type { Layout, Lowering, LoweringContext, LoweringTable } from '../lowering.ts'

/** The operands in one layout: that of whoever has the axes of the result and lies exchanged. */
function operandsOf(
  context: LoweringContext,
  names: readonly string[],
): { readonly operands: readonly Sym[]; readonly layout: Layout } {
  const rank = Math.max(...names.map((name) => context.shapeOf(name).length))
  const exchanged = names.some(
    (name) => context.layoutOf(name) === 'CN' && context.shapeOf(name).length === rank,
  )
  const layout = exchanged ? 'CN' : 'NC'
  return { operands: names.map((name) => context.readStretched(name, layout, rank)), layout }
}

const binary =
  (compute: (tape: Tape, a: Sym, b: Sym) => Sym): Lowering =>
  (node, context) => {
    const { operands, layout } = operandsOf(context, node.input)
    const [first, ...rest] = operands
    const result = rest.reduce((a, b) => compute(context.tape, a, b), first!)
    context.write(node.output[0], result, layout)
  }

const compared = (node: NodeProto, context: LoweringContext): void => {
  const { operands, layout } = operandsOf(context, node.input)
  context.write(node.output[0], context.tape.emit(node.opType, operands), layout)
}

export const arithmetic: LoweringTable = {
  Add: binary((tape, a, b) => tape.add(a, b)),
  Sub: binary((tape, a, b) => tape.sub(a, b)),
  Mul: (node, context) => {
    const gated = siluOf(node, context)
    if (gated === undefined) return binary((tape, a, b) => tape.mul(a, b))(node, context)
    const layout = context.layoutOf(gated)
    context.write(node.output[0], context.tape.silu(context.read(gated, layout)), layout)
  },
  Div: binary((tape, a, b) => tape.div(a, b)),
  Max: binary((tape, a, b) => tape.max(a, b)),
  Min: binary((tape, a, b) => tape.min(a, b)),
  Sum: binary((tape, a, b) => tape.add(a, b)),
  Mean: (node, context) => {
    binary((tape, a, b) => tape.add(a, b))(node, context)
    const layout = context.layoutOf(node.output[0])
    const sum = context.read(node.output[0], layout)
    context.write(node.output[0], context.tape.mul(sum, 1 / node.input.length), layout)
  },
  Pow: binary((tape, a, b) => tape.pow(a, b)),
  Where: (node, context) => {
    const { operands, layout } = operandsOf(context, node.input)
    const [condition, yes, no] = operands
    context.write(node.output[0], context.tape.where(condition!, yes!, no!), layout)
  },
  Cast: (node, context) => {
    const layout = context.layoutOf(node.input[0])
    const x = context.read(node.input[0], layout)
    const to = intOf(node, 'to', 0)
    if (x.needsGradient && to !== tensorTypes.float32) {
      throw new OnnxError(`it makes ${tensorTypeName(to)} of what is trained`)
    }
    const same = tensorTypes[x.type] === to
    context.write(
      node.output[0],
      same ? x : context.tape.emit('Cast', [x], { to: { int: to } }),
      layout,
    )
  },
  ...Object.fromEntries(
    ['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'And', 'Or', 'Xor', 'Not'].map(
      (name) => [name, compared],
    ),
  ),
}

/** The x of x · Sigmoid(x), which is one operator with a gradient of its own. */
function siluOf(node: NodeProto, context: LoweringContext): string | undefined {
  const [a = '', b = ''] = node.input
  if (context.sigmoidOf(b) === a) return a
  return context.sigmoidOf(a) === b ? b : undefined
}
