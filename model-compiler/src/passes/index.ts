/** The passes in the order in which they run. To add one: write it, test it, put it where it belongs here. */
import { foldConstants } from './fold-constants.ts'
import { foldShapes } from './fold-shapes.ts'
import { listConstants } from './list-constants.ts'
import type { Pass } from './pass.ts'
import { removeDead } from './remove-dead.ts'
import { removeIdentities } from './remove-identities.ts'
import { shareInitializers } from './share-initializers.ts'
import { shareSubexpressions } from './share-subexpressions.ts'

/** What makes a float model smaller and faster without changing what it computes. */
export const floatPasses: readonly Pass[] = [
  // What is constant, and what nobody needs.
  ...[listConstants, foldShapes, foldConstants, removeIdentities],
  ...[shareInitializers, shareSubexpressions],
  removeDead,
]
