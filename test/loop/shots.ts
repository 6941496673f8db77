/** Frames of the world as cameras send them, and as a labelled set of pictures in COCO's form. */
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Truth } from '@edgeloop/model-compiler'
import sharp from 'sharp'
import {
  type BeltWorld,
  type Conditions,
  frameHeight,
  frameWidth,
  visibleShareMin,
  worldFps,
  worldLabels,
} from './world.ts'

/** As good as the cameras' own JPEGs. */
const quality = 88

export type Shot = {
  /** Digest of the bytes. */
  readonly image: string
  readonly jpeg: Uint8Array
  readonly truths: readonly Truth[]
  /** Which parts are to be found in it: one part has the same number in every frame of its belt. */
  readonly parts: readonly number[]
}

/** A frame as its camera sends it. */
export async function jpegOf(
  world: BeltWorld,
  frame: number,
  conditions: Conditions,
): Promise<Uint8Array> {
  const rgb = new Uint8Array(frameWidth * frameHeight * 3)
  world.render(frame, conditions, rgb)
  const raw = { width: frameWidth, height: frameHeight, channels: 3 } as const
  return await sharp(rgb, { raw }).jpeg({ quality }).toBuffer()
}

/** A frame with what is true in it; what can hardly be seen is a crowd, neither right nor wrong to find. */
export async function takeShot(
  world: BeltWorld,
  frame: number,
  conditions: Conditions,
): Promise<Shot> {
  const jpeg = await jpegOf(world, frame, conditions)
  const image = createHash('sha256').update(jpeg).digest('hex')
  const things = world.truth(frame, conditions)
  const truths = things.map(({ label, box, visibleShare }) => {
    const [left = 0, top = 0, width = 0, height = 0] = box
    const crowd = visibleShare < visibleShareMin
    return { image, label, box: [left, top, width, height] as const, crowd }
  })
  const found = things.filter(({ visibleShare }) => visibleShare >= visibleShareMin)
  return { image, jpeg, truths, parts: found.map(({ slot }) => slot) }
}

export type StreamShots = {
  readonly site: string
  readonly stream: string
  /** Frame 0 was at this time. */
  readonly startAt: number
  readonly shots: readonly { readonly frame: number; readonly shot: Shot }[]
}

/** Writes a folder that `dataset import` reads, sites, streams and times included. */
export async function writeShots(folder: string, streams: readonly StreamShots[]): Promise<void> {
  await mkdir(join(folder, 'images'), { recursive: true })
  const images: unknown[] = []
  const annotations: unknown[] = []
  for (const { site, stream, startAt, shots } of streams) {
    for (const { frame, shot } of shots) {
      const id = images.length + 1
      const name = `images/${shot.image.slice(0, 16)}.jpg`
      await writeFile(join(folder, name), shot.jpeg)
      const at = new Date(startAt + (frame * 1000) / worldFps)
      images.push({
        id,
        file_name: name,
        width: frameWidth,
        height: frameHeight,
        date_captured: at.toISOString(),
        edgeloop: { site, stream },
      })
      for (const { label, box, crowd } of shot.truths) {
        const [x, y, w, h] = box
        const bbox = [x * frameWidth, y * frameHeight, w * frameWidth, h * frameHeight]
        annotations.push({
          id: annotations.length + 1,
          image_id: id,
          bbox,
          category_id: (worldLabels as readonly string[]).indexOf(label) + 1,
          area: w * frameWidth * h * frameHeight,
          iscrowd: crowd ? 1 : 0,
        })
      }
    }
  }
  const categories = worldLabels.map((name, at) => ({ id: at + 1, name }))
  const content = JSON.stringify({ images, annotations, categories })
  await writeFile(join(folder, 'instances.json'), content)
}
