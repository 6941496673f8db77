/** Products of matrices: axes as the model has them. */
import type { LoweringTable } from '../lowering.ts'

export const matrices: LoweringTable = {
  MatMul: (node, context) => {
    const [a, b] = [context.read(node.input[0]), context.read(node.input[1])]
    context.write(node.output[0], context.tape.matMul(a, b))
  },
  Gemm: (node, context) => {
    const [a, b] = [context.read(node.input[0]), context.read(node.input[1])]
    const c = context.has(node, 2) ? context.read(node.input[2]) : undefined
    const product = context.tape.gemm(a, b, c, {
      alpha: context.float(node, 'alpha', 1),
      beta: context.float(node, 'beta', 1),
      transA: context.int(node, 'transA', 0) !== 0,
      transB: context.int(node, 'transB', 0) !== 0,
    })
    context.write(node.output[0], product)
  },
}
