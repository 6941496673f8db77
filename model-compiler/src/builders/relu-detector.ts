/**
 * A small detector made for int8: 3×3 convolutions, BatchNorm and ReLU, one map of stride 8, nothing that a kernel for
 * bytes does not know. It says what the layout `yolox` reads with `strides: [8]`: centre, size, objectness and classes of
 * every cell. Cells around the middle of a box answer for it (CenterNet's idea: Zhou et al. 2019, arXiv:1904.07850), so
 * it is for things of about one size.
 */
import type { ModelProto } from '../onnx/schema.ts'
import { TrainError } from '../train/run/train-error.ts'
import type { BuildSettings } from './index.ts'
import { type Layer, Net } from './net.ts'

/** Pixels per cell. */
export const reluDetectorStride = 8
/** Channels of the first layer at scale 1; the map has four times as many. */
const channelsFirst = 16
/** Layers at the map's own size. */
const depth = 3
/** How sure an untrained cell is that something is there: one in a hundred, so that the first steps are not spent on it. */
const priorLogit = -Math.log(99)
/** An untrained box is this many strides wide. */
const priorSize = 3

/** @throws {TrainError} when the canvas is no multiple of the stride */
export function reluDetector(settings: BuildSettings): ModelProto {
  const { classes, channels, height, width, scale, seed } = settings
  if (width % reluDetectorStride !== 0 || height % reluDetectorStride !== 0) {
    throw new TrainError(
      `Cannot build a detector for ${width}×${height}: both have to be multiples of ${reluDetectorStride}`,
      'ask for another size: new:relu-detector?size=320',
    )
  }
  const net = new Net('relu-detector', [channels, height, width], seed)
  // Multiples of 8 fill the blocks of vector kernels.
  const first = Math.max(8, Math.round((channelsFirst * scale) / 8) * 8)
  let seen = net.block('half', net.input, first, { stride: 2 })
  seen = net.block('quarter', seen, 2 * first, { stride: 2 })
  seen = net.block('quarter.more', seen, 2 * first)
  seen = net.block('map', seen, 4 * first, { stride: 2 })
  for (let layer = 1; layer <= depth; layer++) seen = net.block(`map.${layer}`, seen, 4 * first)
  const head = (name: string, numbers: number, bias: boolean | readonly number[]) =>
    net.convolution(name, seen, numbers, { kernel: 1, bias, gain: 0.1 })
  const box = head('box', 4, [0.5, 0.5, Math.log(priorSize), Math.log(priorSize)])
  const share = (name: string, layer: Layer) =>
    net.operator('Sigmoid', `${name}.share`, [layer], layer.shape)
  const objectness = share('objectness', head('objectness', 1, [priorLogit]))
  const kinds = share('classes', head('classes', classes, true))
  const [, rows = 0, columns = 0] = box.shape
  const numbers = 5 + classes
  const cells = net.operator(
    'Concat',
    'cells',
    [box, objectness, kinds],
    [numbers, rows, columns],
    {
      axis: { int: 1 },
    },
  )
  const flat = net.reshape('flat', cells, [numbers, rows * columns])
  const detections = net.operator('Transpose', 'rows', [flat], [rows * columns, numbers], {
    perm: { ints: [0, 2, 1] },
  })
  return net.toModel({ detections })
}
