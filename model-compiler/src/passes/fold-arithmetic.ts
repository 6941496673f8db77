/** A constant per channel that is added or multiplied goes into the weights beside it. */
import { arithmeticOf } from './channel-affine.ts'
import { foldBeside } from './fold-batch-norm.ts'
import type { Pass } from './pass.ts'

export const foldArithmetic: Pass = {
  name: 'fold-arithmetic',
  about: 'Folds + − × ÷ with a constant per channel into the weights of the convolution beside it.',
  run: (graph) =>
    foldBeside(graph, (node, channels, rank) => arithmeticOf(graph, node, channels, rank)),
}
