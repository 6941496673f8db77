/** The passes in the order in which they run. To add one: write it, test it, put it where it belongs here. */
import { feedBytes } from './feed-bytes.ts'
import { foldArithmetic } from './fold-arithmetic.ts'
import { foldBatchNorm } from './fold-batch-norm.ts'
import { foldChannelOrder } from './fold-channel-order.ts'
import { foldConstants } from './fold-constants.ts'
import { foldFocus } from './fold-focus.ts'
import { foldPads } from './fold-pads.ts'
import { foldShapes } from './fold-shapes.ts'
import { freeInitializers } from './free-initializers.ts'
import { hardSigmoid, hardSigmoidAsArithmetic } from './hard-sigmoid.ts'
import { listConstants } from './list-constants.ts'
import { mergeReshapes } from './merge-reshapes.ts'
import { mergeTransposes } from './merge-transposes.ts'
import type { Pass } from './pass.ts'
import { poolMeans } from './pool-means.ts'
import { raiseTransposes } from './raise-transposes.ts'
import { removeDead } from './remove-dead.ts'
import { removeIdentities } from './remove-identities.ts'
import { shareInitializers } from './share-initializers.ts'
import { shareSubexpressions } from './share-subexpressions.ts'
import { silu } from './silu.ts'

/** What makes a float model smaller and faster without changing what it computes. */
export const floatPasses: readonly Pass[] = passesWith(hardSigmoid)

/** The same, with the activations in the form that quantizes best. Slower while the model is float. */
export const int8Passes: readonly Pass[] = passesWith(hardSigmoidAsArithmetic)

/** What may be done to a model that is quantized already: nothing that moves a Q or DQ away from its operator. */
export const quantizedPasses: readonly Pass[] = [
  ...[removeIdentities, shareInitializers, feedBytes],
  removeDead,
]

function passesWith(gates: Pass): readonly Pass[] {
  return [
    // What is constant, and what nobody needs.
    ...[freeInitializers, listConstants, foldShapes, foldConstants, removeIdentities],
    ...[shareInitializers, shareSubexpressions],
    // Moving data, once instead of twice; before the weights, as it brings neighbours together.
    ...[mergeReshapes, mergeTransposes, raiseTransposes],
    // Arithmetic that the weights can do.
    ...[foldBatchNorm, foldChannelOrder, foldArithmetic, foldPads, foldFocus],
    // What the runtime has one fast operator for.
    ...[gates, silu, poolMeans],
    removeDead,
  ]
}
