/**
 * How pictures are changed before a model sees them, so that it does not learn them by heart. Part of a recipe; what is
 * left out does not happen.
 */
import { nearestName } from '@edgeloop/protocol/nearest'
import { type Static, Type } from 'typebox'
import { Check, Errors } from 'typebox/value'
import { TrainError } from '../run/train-error.ts'

const closed = { additionalProperties: false } as const
const share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description })

export const Augmentation = Type.Object(
  {
    flip: share('how often a picture is mirrored, left and right'),
    flipVertical: share('how often it is turned upside down'),
    crop: Type.Number({
      minimum: 0,
      maximum: 0.9,
      description: 'most that is cut off each side length',
    }),
    scale: Type.Tuple(
      [Type.Number({ minimum: 0.1, maximum: 10 }), Type.Number({ minimum: 0.1, maximum: 10 })],
      {
        description: 'least and largest size on the canvas; 1: as without',
      },
    ),
    aspect: Type.Number({
      minimum: 0,
      maximum: 3,
      description: 'most by which it is stretched one way',
    }),
    shift: share('most that it is moved, as a share of the canvas'),
    mosaic: share('how often four pictures share a canvas; for boxes and outlines'),
    mixup: share('how often two pictures are laid over each other'),
    mixupAlpha: Type.Number({
      exclusiveMinimum: 0,
      maximum: 100,
      description: 'of the beta distribution of their shares',
    }),
    brightness: share('most by which all is lighter or darker'),
    contrast: share('most by which contrast is more or less'),
    saturation: share('most by which colours are stronger or weaker'),
    hue: Type.Number({
      minimum: 0,
      maximum: 0.5,
      description: 'most that colours turn, as a share of the circle',
    }),
    blur: share('how often it is blurred'),
    blurSigma: Type.Number({
      minimum: 0.1,
      maximum: 10,
      description: 'most, in pixels of the canvas',
    }),
    noise: share('how often it becomes noisy'),
    noiseSigma: Type.Number({ minimum: 0, maximum: 100, description: 'most, in steps of a byte' }),
    jpeg: share('how often it is compressed once more'),
    jpegQuality: Type.Integer({ minimum: 5, maximum: 100, description: 'worst' }),
    cutout: share('how often rectangles of it are blanked'),
    cutoutCount: Type.Integer({ minimum: 1, maximum: 50, description: 'most rectangles' }),
    cutoutSize: Type.Number({
      minimum: 0.01,
      maximum: 0.9,
      description: 'largest, as a share of each side',
    }),
  },
  closed,
)
export type Augmentation = Static<typeof Augmentation>

export const noAugmentation: Augmentation = {
  flip: 0,
  flipVertical: 0,
  crop: 0,
  scale: [1, 1],
  aspect: 0,
  shift: 0,
  mosaic: 0,
  mixup: 0,
  mixupAlpha: 0.4,
  brightness: 0,
  contrast: 0,
  saturation: 0,
  hue: 0,
  blur: 0,
  blurSigma: 1.5,
  noise: 0,
  noiseSigma: 12,
  jpeg: 0,
  jpegQuality: 40,
  cutout: 0,
  cutoutCount: 3,
  cutoutSize: 0.3,
}

/**
 * An augmentation of the parts that are given.
 * @throws {TrainError} naming the key that is unknown, with the nearest known one, or the value that does not fit
 */
export function augmentationOf(given: unknown): Augmentation {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TrainError(`Cannot augment: ${JSON.stringify(given)?.slice(0, 60)} is no set of keys`)
  }
  for (const key of Object.keys(given)) {
    if (key in noAugmentation) continue
    const nearest = nearestName(key, Object.keys(noAugmentation))
    throw new TrainError(
      `Cannot augment: there is no augment.${key}`,
      nearest === undefined
        ? `known are ${Object.keys(noAugmentation).join(', ')}`
        : `did you mean augment.${nearest}?`,
    )
  }
  const whole = { ...noAugmentation, ...given }
  if (!Check(Augmentation, whole)) {
    const { instancePath, message } = Errors(Augmentation, whole)[0]!
    const key = instancePath.slice(1).split('/')[0] ?? ''
    throw new TrainError(
      `Cannot augment: augment.${key} ${message}, it is ${JSON.stringify(whole[key as keyof typeof whole])}`,
    )
  }
  if (whole.scale[0] > whole.scale[1]) {
    throw new TrainError(
      `Cannot augment: augment.scale goes from ${whole.scale[0]} down to ${whole.scale[1]}`,
    )
  }
  return whole
}
