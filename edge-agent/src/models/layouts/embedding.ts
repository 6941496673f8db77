/** An embedding: a vector whose direction says what a picture looks like. */
import { embeddingMax } from '@edgeloop/protocol'
import {
  type Expectation,
  floats,
  type Layout,
  type ModelShape,
  type Reader,
  shapeFits,
} from './layout.ts'
import { asBytes } from './presets.ts'

export const embedding: Layout = {
  name: 'embedding',
  task: 'embedding',
  preset: { channels: 'bgr', fit: 'stretch', pad: 0, ...asBytes },
  check: checkEmbedding,
}

function checkEmbedding({ outputs }: ModelShape): Reader | Expectation {
  const [output] = outputs
  const shape = output?.shape ?? []
  const flat = shapeFits(shape, [1, undefined]) || shapeFits(shape, [1, undefined, 1, 1])
  const size = Number(shape[1])
  if (!output || outputs.length !== 1 || !flat || !(size >= 2 && size <= embeddingMax)) {
    return { expected: `one output [1, numbers] with 2 to ${embeddingMax} numbers` }
  }
  return {
    classes: 0,
    read: (tensors) => ({ embedding: unitVector(floats(tensors, output.name)) }),
  }
}

/**
 * The vector at length 1, so that a product of two is the cosine between them.
 * @throws {Error} when it has no direction
 */
export function unitVector(values: Float32Array): number[] {
  const length = Math.hypot(...values)
  if (!(length > 0 && Number.isFinite(length))) {
    throw new Error(`Cannot read the embedding: its length is ${length}, it has no direction`)
  }
  return Array.from(values, (value) => Math.round((value / length) * 1e5) / 1e5)
}
