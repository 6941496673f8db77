/** The demo's detector in int8: what the compiler makes of its float form with pictures of the scene. */
import {
  Graph,
  type ModelProto,
  readModelFile,
  samplesFrom,
  targets,
} from '@edgeloop/model-compiler'
import { Workshop } from '../../model-compiler/src/compile/recipes.ts'
import { demoFloatModel } from './float-model.ts'
import { canvasHeight, canvasPad, canvasWidth, trainingFrames } from './training-frames.ts'

/**
 * The compiler's int8 candidate for every x86-64 and ARM box: weights of 7 bits are right on each.
 * @param pictures RGB, as wide as the canvas and not higher, that it is calibrated with
 * @param measureSeconds time for one measurement
 */
export async function int8Form(
  float: ModelProto,
  pictures: readonly Uint8Array[],
  measureSeconds: number,
): Promise<ModelProto> {
  const input = new Graph(float).requiredInputs[0]!.name
  const feeds = pictures.map((picture) => {
    const bytes = new Uint8Array(canvasWidth * canvasHeight * 3).fill(canvasPad)
    bytes.set(picture)
    const dims = [1, canvasHeight, canvasWidth, 3]
    return { [input]: { type: 'uint8', dims, data: bytes } as const }
  })
  const workshop = new Workshop({
    original: float,
    samples: samplesFrom(feeds),
    first: feeds[0]!,
    target: targets['linux-x64'],
    measureSeconds,
    onCalibrate: () => {},
    onSearch: () => {},
  })
  return (await workshop.int8()).model
}

/** The demo's detector compiled once more, for other scenes than it was calibrated with before. Some seconds. */
export async function compiledAgain(firstSeed: number): Promise<ModelProto> {
  const pictures = Array.from({ length: 4 }, (_, k) => [...trainingFrames(firstSeed + k, 4)])
  const float = await readModelFile(demoFloatModel.file)
  return await int8Form(
    float,
    pictures.flat().map(({ rgb }) => rgb),
    0.1,
  )
}
