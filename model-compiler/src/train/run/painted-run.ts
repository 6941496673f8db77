/**
 * A run that tests start: which quarter of a small noisy picture is bright. As a program of its own it tells its parent
 * how far it is, so that it can be killed in the middle.
 */
import { buildNet } from '../../builders/index.ts'
import { seededRandom } from '../../builders/random.ts'
import type { Split, SplitName } from '../../datasets/index.ts'
import type { CanvasSpec } from '../batches/canvas.ts'
import { rawSet } from '../batches/raw-set.ts'
import { classificationTask } from '../tasks/classification.ts'
import { type RecipePart, recipeDefault, recipeOf } from './recipe.ts'
import { type TrainOptions, train } from './train.ts'
import type { TrainResult } from './train-result.ts'

export type PaintedOrder = {
  readonly folder: string
  readonly recipe?: RecipePart
  readonly net?: string
  readonly seed?: number
}

const side = 12
const labels = ['top left', 'top right', 'bottom left', 'bottom right']
const counts = { train: 96, validation: 32, test: 48 } as const

/** @param count pictures, all different */
function painted(count: number) {
  const random = seededRandom(5)
  const pictures = Array.from({ length: count }, (_, at) => {
    const place = at % 4
    const data = Uint8Array.from({ length: side * side }, (_, pixel) => {
      const [x, y] = [pixel % side, Math.floor(pixel / side)]
      const isBright = (x >= side / 2 ? 1 : 0) + (y >= side / 2 ? 2 : 0) === place
      return Math.floor(random() * 120 + (isBright ? 60 : 0))
    })
    return { data, annotations: [{ kind: 'class', label: labels[place]! } as const] }
  })
  return rawSet({ width: side, height: side, channels: 1 }, pictures, labels)
}

/** What the run is, for tests that change a part of it. */
export function paintedRun(order: PaintedOrder): TrainOptions {
  const { train: learned, validation, test } = counts
  const dataset = painted(learned + validation + test)
  const split: Split = new Map(
    dataset.samples.map(({ digest }, at): [string, SplitName] => [
      digest,
      at < learned ? 'train' : at < learned + validation ? 'validation' : 'test',
    ]),
  )
  const seed = order.seed ?? 7
  const model = buildNet(order.net ?? 'resnet', {
    classes: labels.length,
    channels: 1,
    height: side,
    width: side,
    scale: 0.5,
    seed,
  })
  const canvas: CanvasSpec = {
    width: side,
    height: side,
    channels: 1,
    fit: 'stretch',
    order: 'rgb',
    pad: 0,
    mean: [0],
    std: [255],
  }
  const task = classificationTask({ model, dataset, canvas, seed, pretrained: false })
  const small: RecipePart = { batch: 16, epochs: 4, threads: 1, workers: 1 }
  const recipe = recipeOf(recipeDefault, task.defaults, small, order.recipe ?? {})
  return {
    task,
    dataset,
    split,
    recipe,
    seed,
    folder: order.folder,
    name: 'painted',
    splitText: 'as painted',
    code: { version: '0.0.0' },
  }
}

/** Trains as ordered. */
export const trainPainted = (
  order: PaintedOrder,
  more: Partial<TrainOptions> = {},
): Promise<TrainResult> => train({ ...paintedRun(order), ...more })

if (import.meta.main) {
  const order = JSON.parse(process.argv[2]!) as PaintedOrder
  const result = await trainPainted(order, { progress: (word) => process.send?.(word) })
  process.send?.({ kind: 'result', result }, undefined, undefined, () => process.exit(0))
}
