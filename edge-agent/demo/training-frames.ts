/** The demo's scenes as a labelled set of pictures: COCO's form, at the size in which the detector sees them. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { demoLabels } from '../src/demo/parts.ts'
import { createScene, sceneHeight, sceneWidth, type TruePart } from '../src/demo/scene.ts'

/** Half the scene, and four rows below so that the stride divides it. */
export const canvasWidth = 320
export const canvasHeight = 184
/** Byte value of the rows below the frame (letterbox of the layout). */
export const canvasPad = 114

/** Parts that show less of themselves are neither right nor wrong to find. */
export const visibleShareMin = 0.25

const width = sceneWidth / 2
const height = sceneHeight / 2

export type TrainingFrame = {
  readonly seed: number
  /** 180 × 320 × 3 bytes. */
  readonly rgb: Uint8Array
  readonly parts: readonly TruePart[]
}

/** `count` frames of one seed, spread over its loop. */
export function* trainingFrames(seed: number, count: number): Generator<TrainingFrame> {
  const scene = createScene({ seed, seconds: 48 })
  const rgb = new Uint8Array(sceneWidth * sceneHeight * 3)
  for (let k = 0; k < count; k++) {
    // The seed shifts the grid of moments, so that not every scene is seen at the same ones.
    const frame = Math.floor(((k + (seed % 10) / 10) * scene.frameCount) / count)
    scene.render(frame, rgb)
    yield { seed, rgb: halved(rgb), parts: scene.truth(frame) }
  }
}

/** Means of 2×2 pixels, what every scaler makes of an exact half. */
function halved(rgb: Uint8Array): Uint8Array {
  const half = new Uint8Array(width * height * 3)
  const row = sceneWidth * 3
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++, to++) {
        const at = 2 * y * row + 6 * x + c
        half[to] = (rgb[at]! + rgb[at + 3]! + rgb[at + row]! + rgb[at + row + 3]! + 2) >> 2
      }
    }
  }
  return half
}

/** Writes frames into a folder that `openDataset` reads; seeds are streams, so none is on both sides of a split. */
export async function writeTrainingFrames(
  folder: string,
  seeds: readonly number[],
  framesPerSeed: number,
): Promise<void> {
  await mkdir(join(folder, 'images'), { recursive: true })
  const images: unknown[] = []
  const annotations: unknown[] = []
  for (const seed of seeds) {
    for (const { rgb, parts } of trainingFrames(seed, framesPerSeed)) {
      const id = images.length + 1
      const name = `${String(id).padStart(5, '0')}.png`
      // Nothing is lost: what H.264 makes of a picture is the augmentation's to imitate.
      const raw = { width, height, channels: 3 } as const
      await sharp(rgb, { raw })
        .png({ compressionLevel: 1 })
        .toFile(join(folder, 'images', name))
      const edgeloop = { stream: `seed-${seed}` }
      images.push({ id, file_name: `images/${name}`, width, height, edgeloop })
      for (const { label, box, visibleShare } of parts) {
        const [x, y, w, h] = box
        annotations.push({
          id: annotations.length + 1,
          image_id: id,
          category_id: demoLabels.indexOf(label) + 1,
          bbox: [x * width, y * height, w * width, h * height],
          area: w * width * h * height,
          iscrowd: visibleShare < visibleShareMin ? 1 : 0,
        })
      }
    }
  }
  const categories = demoLabels.map((name, at) => ({ id: at + 1, name }))
  const content = JSON.stringify({ images, annotations, categories })
  await writeFile(join(folder, 'instances.json'), content)
}
