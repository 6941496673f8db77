/** Two versions of a detector for fleets that look at nothing: the second differs in a part of one layer, as after a fine-tuning. */
import { floatsOf, Graph, tensor, writeModel } from '@edgeloop/model-compiler'
import { buildNet } from '@edgeloop/model-compiler/train'
import { randomOf } from './random.ts'

const [width, height] = [96, 64]
const changedLayer = 'map.3.conv.weight'
/** Every so many weights of the layer are others. */
const changedEvery = 3

export const fleetModel = {
  name: 'parts',
  layout: 'yolox',
  description: [
    ...['layout: yolox', 'labels: [bolt, nut]', 'strides: [8]', 'input:', '  channels: rgb'],
    ...[
      '  fit: letterbox-topleft',
      '  pad: 114',
      '  mean: [0, 0, 0]',
      '  std: [255, 255, 255]',
      '',
    ],
  ].join('\n'),
} as const

/** @param scale of the net's channels: 2 makes 2.4 MB of it, and 110 KB of the difference */
export function fleetModels(scale: number): { before: Uint8Array; after: Uint8Array } {
  const net = { classes: 2, channels: 3, scale, seed: 1, width, height } as const
  const before = buildNet('relu-detector', net)
  const graph = new Graph(before)
  const layer = graph.initializers.get(changedLayer)
  if (!layer) throw new Error(`Cannot change the net: it has no "${changedLayer}"`)
  const weights = floatsOf(layer)
  const random = randomOf(2)
  for (let at = 0; at < weights.length; at += changedEvery) weights[at]! *= 1 + random() / 100
  const bytes = writeModel(before)
  graph.setInitializer(tensor(changedLayer, layer.dims.map(Number), weights))
  return { before: bytes, after: writeModel(graph.toModel()) }
}
