/** Moments of the demo's conveyor as image files: what a camera of the demo would see. */
import { join } from 'node:path'
import sharp from 'sharp'
import { createScene } from '../../edge-agent/src/demo/scene.ts'

/** Writes `count` pictures, `step` frames apart, as PNG into `folder`. */
export async function writeConveyorPictures(
  folder: string,
  count: number,
  step: number,
): Promise<void> {
  const scene = createScene({ seed: 5, seconds: 48 })
  const { width, height } = scene
  const rgb = Buffer.alloc(width * height * 3)
  for (let n = 0; n < count; n++) {
    scene.render(40 + n * step, rgb)
    await sharp(rgb, { raw: { width, height, channels: 3 } }).toFile(join(folder, `${n}.png`))
  }
}
