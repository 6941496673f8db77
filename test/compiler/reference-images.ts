/** The images that ONNX Runtime's own quantizer was given, and those that it was measured on, as samples. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { type SampleSource, samplesFrom } from '../../model-compiler/src/calibrate/samples.ts'
import { material } from '../require.ts'

const suite = join(material, 'suites/ort-quantization-reference')

export type Reference = {
  readonly model: string
  readonly input: string
  readonly preprocessing: {
    readonly w: number
    readonly h: number
    readonly bgr: boolean
    readonly mean: readonly number[]
    readonly std: readonly number[]
  }
  readonly methods: Readonly<
    Record<
      'minmax' | 'percentile',
      {
        /** Scale and zero point by value. */
        readonly activations: Readonly<Record<string, readonly [number, number]>>
        readonly weightScales: Readonly<Record<string, readonly number[]>>
        readonly sqnrDbMedian: number
        readonly speedUpMedian: number
        readonly sizeBytes: number
      }
    >
  >
}

export const referenceOf = (name: string): Reference =>
  JSON.parse(readFileSync(join(suite, `${name}.json`), 'utf8'))

/** The 20 images at input size. */
export const calibrationOf = (name: string): Promise<SampleSource> => {
  const folder = join(suite, 'calibration', name)
  return samplesOf(referenceOf(name), inFolder(folder))
}

/**
 * The other 80 images of coco128, of which every fifth was calibrated with. The suite does not say what its SQNR is
 * the median of; over all outputs of these it is met to 0.01 dB for fastestdet and ultraface.
 */
export const heldOutOf = (name: string): Promise<SampleSource> => {
  const all = inFolder(join(material, 'datasets/coco128/images/train2017'))
  return samplesOf(
    referenceOf(name),
    all.filter((_, i) => i % 5 !== 0),
  )
}

const inFolder = (folder: string) =>
  readdirSync(folder)
    .sort()
    .map((file) => join(folder, file))

async function samplesOf({ input, preprocessing }: Reference, files: readonly string[]) {
  const { w, h, bgr, mean, std } = preprocessing
  const area = w * h
  return samplesFrom(
    await Promise.all(
      files.map(async (file) => {
        // One of them carries a colour profile, which the reference did not look at.
        const bytes = await sharp(file, { ignoreIcc: true })
          .removeAlpha()
          .toColourspace('srgb')
          .resize(w, h, { fit: 'fill' })
          .raw()
          .toBuffer()
        const data = new Float32Array(3 * area)
        for (let channel = 0; channel < 3; channel++) {
          const from = bgr ? 2 - channel : channel
          for (let i = 0; i < area; i++) {
            data[channel * area + i] = (bytes[i * 3 + from]! - mean[channel]!) / std[channel]!
          }
        }
        return { [input]: { type: 'float32', dims: [1, 3, h, w], data } as const }
      }),
    ),
  )
}
