/** Which operators have a gradient, by family. To add one: README.md, "Adding a gradient". */
import type { Lowering, LoweringTable } from '../lowering.ts'
import { activations } from './activations.ts'
import { arithmetic } from './arithmetic.ts'
import { normalizations } from './batch-norm.ts'
import { convolutions } from './convolution.ts'
import { matrices } from './matrices.ts'
import { pooling } from './pooling.ts'
import { reductions } from './reductions.ts'
import { resizing } from './resizing.ts'
import { sampleNorms } from './sample-norm.ts'
import { shaping } from './shaping.ts'

const table: LoweringTable = {
  ...activations,
  ...arithmetic,
  ...convolutions,
  ...matrices,
  ...normalizations,
  ...pooling,
  ...sampleNorms,
  ...reductions,
  ...resizing,
  ...shaping,
}

/** undefined where nothing is known of an operator's gradient. */
export function loweringOf(domain: string, opType: string): Lowering | undefined {
  const plain = domain === '' || domain === 'ai.onnx'
  const key = plain ? opType : `${domain}.${opType}`
  return Object.hasOwn(table, key) ? table[key] : undefined
}
