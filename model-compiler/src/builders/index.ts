/**
 * Nets to train from scratch, by name: `new:mobilenet-v2?width=0.5`. All take float32 pictures [N, channels, height, width]
 * with values from 0 to 1 and give one number for each class. To add one: a file and a row here.
 */
import { nearestName } from '@edgeloop/protocol/nearest'
import type { ModelProto } from '../onnx/schema.ts'
import { TrainError } from '../train/run/train-error.ts'
import { lenet, mnistCnn } from './mnist.ts'
import { mobilenetV2, mobilenetV3Small } from './mobilenet.ts'
import { reluDetector } from './relu-detector.ts'
import { resnet18, smallResnet } from './resnet.ts'
import { unet } from './unet.ts'

export type BuildSettings = {
  readonly classes: number
  readonly channels: 1 | 3
  /** Pixels. */
  readonly height: number
  readonly width: number
  /** Times the channels of the net as published. */
  readonly scale: number
  readonly seed: number
}

type Builder = {
  readonly about: string
  /** What it is for, where it is not to tell classes of pictures apart. */
  readonly task?: 'detection' | 'segmentation'
  /** Pixels of a side where nothing says it. */
  readonly size: number
  /** Sides must be multiples of so many pixels. */
  readonly multiple?: number
  readonly build: (settings: BuildSettings) => ModelProto
}

export const builders: Readonly<Record<string, Builder>> = {
  'mnist-cnn': { about: 'two convolutions, two dense layers', size: 28, build: mnistCnn },
  lenet: { about: 'LeNet-5', size: 28, build: lenet },
  resnet: {
    about: 'residual, 8 thin layers for small pictures',
    size: 32,
    build: (settings) => smallResnet({ ...settings, blocks: 1 }),
  },
  'resnet-20': {
    about: 'residual, 20 thin layers for small pictures',
    size: 32,
    build: (settings) => smallResnet({ ...settings, blocks: 3 }),
  },
  'resnet-18': { about: 'residual, 18 layers for photographs', size: 96, build: resnet18 },
  'mobilenet-v2': { about: 'MobileNetV2', size: 96, build: mobilenetV2 },
  'relu-detector': {
    about: 'small detector made for int8, layout yolox with strides: [8]',
    task: 'detection',
    size: 320,
    build: reluDetector,
  },
  unet: {
    about: 'small net for maps of classes',
    task: 'segmentation',
    size: 96,
    multiple: 8,
    build: unet,
  },
  'mobilenet-v3-small': { about: 'MobileNetV3-small', size: 96, build: mobilenetV3Small },
}

/** What a name asks for; size and colours are those of the data where it does not say them. */
export type Wanted = {
  readonly name: string
  readonly scale: number
  /** Pixels. */
  readonly size: { readonly width: number; readonly height: number } | undefined
  readonly channels: 1 | 3 | undefined
}

const settingNames = ['width', 'size', 'channels'] as const

/**
 * Reads `new:NAME?width=0.5&size=96&channels=1`; `size=256x144` is one that is wider than high.
 * @returns undefined where `text` does not begin with `new:`
 * @throws {TrainError} when there is no such net or setting
 */
export function wantedNet(text: string): Wanted | undefined {
  if (!text.startsWith('new:')) return undefined
  const [name = '', query = ''] = text.slice('new:'.length).split('?', 2)
  if (!Object.hasOwn(builders, name)) {
    const near = nearestName(name, Object.keys(builders))
    throw new TrainError(
      `Cannot build a net "${name}": there is none of that name`,
      near === undefined
        ? `nets are ${Object.keys(builders).join(', ')}`
        : `did you mean "${near}"?`,
    )
  }
  const settings = new URLSearchParams(query)
  for (const key of settings.keys()) {
    if (settingNames.some((known) => known === key)) continue
    const near = nearestName(key, settingNames)
    throw new TrainError(
      `Cannot build a net "${name}": it has no setting "${key}"`,
      near === undefined ? `settings are ${settingNames.join(', ')}` : `did you mean "${near}"?`,
    )
  }
  if (settings.get('channels') === '2')
    throw new TrainError(`Cannot build a net "${name}": pictures have 1 channel or 3, not 2`)
  const number = (key: string, least: number, most: number): number | undefined => {
    const given = settings.get(key)
    if (given === null) return undefined
    const read = Number(given)
    if (given.trim() !== '' && read >= least && read <= most) return read
    throw new TrainError(
      `Cannot build a net "${name}": ${key} is "${given}", not a number from ${least} to ${most}`,
    )
  }
  return {
    name,
    scale: number('width', 0.05, 4) ?? 1,
    size: sizeOf(name, settings.get('size')),
    channels: number('channels', 1, 3) as 1 | 3 | undefined,
  }
}

const sideMin = 8
const sideMax = 2048

/** One number for a square, or width and height. */
function sizeOf(name: string, given: string | null): Wanted['size'] {
  if (given === null) return undefined
  const [, width = '', height = width] = /^(\d{1,5})(?:x(\d{1,5}))?$/.exec(given) ?? []
  const isSide = (side: string): boolean => Number(side) >= sideMin && Number(side) <= sideMax
  if (isSide(width) && isSide(height)) return { width: Number(width), height: Number(height) }
  throw new TrainError(
    `Cannot build a net "${name}": size is "${given}", not a number from ${sideMin} to ${sideMax}, nor two of them`,
    'for example size=96, or size=256x144 for pictures that are wider than high',
  )
}

/**
 * Builds a net with weights that the seed decides.
 * @throws {TrainError} when a picture of this size has nothing left at its end
 */
export function buildNet(name: string, settings: BuildSettings): ModelProto {
  const { build, multiple = 1 } = builders[name]!
  const { width, height } = settings
  if (width % multiple !== 0 || height % multiple !== 0) {
    throw new TrainError(
      `Cannot build a net "${name}" for pictures of ${width}×${height}: its sides are multiples of ${multiple}`,
      `ask for new:${name}?size=${Math.ceil(Math.max(width, height) / multiple) * multiple}`,
    )
  }
  const built = build(settings)
  const empty = built.graph!.initializer.find(({ dims }) => dims.some((dim) => dim < 1n))
  if (empty) {
    throw new TrainError(
      `Cannot build a net "${name}" for pictures of ${width}×${height}: nothing is left of them before "${empty.name}"`,
      'ask for a larger size: new:NAME?size=32',
    )
  }
  return built
}
