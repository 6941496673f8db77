/** Labelled pictures that are drawn: discs, squares and crosses in any colour on a restless ground, few or crowded. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { numbersFrom } from './tiny-detectors.ts'

export const drawnLabels = ['disc', 'square', 'cross'] as const

export type DrawnSet = {
  readonly pictures: number
  /** Pixels of a picture. */
  readonly width: number
  readonly height: number
  /** Things in a picture. */
  readonly least: number
  readonly most: number
  /** Sizes of things, in pixels. */
  readonly sizes: readonly [number, number]
  readonly seed: number
}

/** Writes a set in COCO's form. Things may hide up to a third of each other. */
export async function writeDrawnSet(folder: string, set: DrawnSet): Promise<void> {
  const { width, height, sizes } = set
  const random = numbersFrom(set.seed)
  const between = (least: number, most: number) => least + random() * (most - least)
  await mkdir(join(folder, 'images'), { recursive: true })
  const images: unknown[] = []
  const annotations: unknown[] = []
  for (let picture = 1; picture <= set.pictures; picture++) {
    const wanted = Math.round(between(set.least, set.most))
    const boxes: { x: number; y: number; size: number; label: number }[] = []
    for (let tries = 0; boxes.length < wanted && tries < wanted * 20; tries++) {
      const size = between(...sizes)
      const box = {
        x: between(0, width - size),
        y: between(0, height - size),
        size,
        label: Math.floor(random() * drawnLabels.length),
      }
      if (boxes.every((other) => hidden(box, other) < 1 / 3)) boxes.push(box)
    }
    const hue = () => Math.floor(random() * 360)
    const stripes = Array.from({ length: 12 }, () => {
      const [x, y, w] = [between(-0.2, 1) * width, between(-0.2, 1) * height, between(4, 60)]
      return `<rect x="${x}" y="${y}" width="${w * 2}" height="${w}" fill="hsl(${hue()} 25% ${between(25, 60)}%)"/>`
    })
    const things = boxes.map(({ x, y, size, label }) => {
      const fill = `fill="hsl(${hue()} 80% ${between(45, 75)}%)"`
      const [cx, cy, arm] = [x + size / 2, y + size / 2, size / 3]
      if (label === 0) return `<circle cx="${cx}" cy="${cy}" r="${size / 2}" ${fill}/>`
      if (label === 1) return `<rect x="${x}" y="${y}" width="${size}" height="${size}" ${fill}/>`
      return `<path d="M${x} ${cy - arm / 2}h${size}v${arm}h${-size}z M${cx - arm / 2} ${y}h${arm}v${size}h${-arm}z" ${fill}/>`
    })
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><rect width="100%" height="100%" fill="hsl(${hue()} 20% 40%)"/>${stripes.join('')}${things.join('')}</svg>`
    const name = `images/${String(picture).padStart(4, '0')}.png`
    await sharp(Buffer.from(svg)).removeAlpha().png().toFile(join(folder, name))
    images.push({ id: picture, file_name: name, width, height })
    for (const { x, y, size, label } of boxes) {
      annotations.push({
        id: annotations.length + 1,
        image_id: picture,
        category_id: label + 1,
        bbox: [x, y, size, size],
        area: size * size,
        iscrowd: 0,
      })
    }
  }
  const categories = drawnLabels.map((name, at) => ({ id: at + 1, name }))
  await writeFile(
    join(folder, 'instances.json'),
    JSON.stringify({ images, annotations, categories }),
  )
}

type Square = { readonly x: number; readonly y: number; readonly size: number }

/** Share of the smaller of two that both cover. */
function hidden(a: Square, b: Square): number {
  const side = (from: number, fromSize: number, to: number, toSize: number) =>
    Math.max(0, Math.min(from + fromSize, to + toSize) - Math.max(from, to))
  const shared = side(a.x, a.size, b.x, b.size) * side(a.y, a.size, b.y, b.size)
  return shared / Math.min(a.size, b.size) ** 2
}
