/**
 * Pictures with known rectangles in them, as a camera over a conveyor might see it: for tests that
 * compare what a page draws with what is true, and for pages that should look like something.
 */
import sharp from 'sharp'

export type Part = {
  readonly label: string
  readonly score: number
  /** Left, top, width, height as shares of the picture. */
  readonly box: readonly [number, number, number, number]
  readonly colour: string
}

const width = 640
const height = 360
export const sceneSize = { width, height } as const

const kinds = [
  { label: 'gear', colour: '#b9772c' },
  { label: 'bracket', colour: '#8d99a6' },
  { label: 'washer', colour: '#6b7f4e' },
  { label: 'nut', colour: '#a2a9ad' },
] as const

/** Where parts are on a belt that has moved `shift` picture widths. */
export function partsAt(shift: number, seed: number): Part[] {
  return Array.from({ length: 5 }, (_, n) => {
    const kind = kinds[(n + seed) % kinds.length] ?? kinds[0]
    const left = ((((n * 0.27 + seed * 0.11 + shift) % 1.35) + 1.35) % 1.35) - 0.2
    const size = 0.1 + 0.02 * ((n * 7 + seed) % 3)
    const top = 0.34 + 0.13 * ((n * 5 + seed) % 3)
    return {
      label: kind.label,
      score: 0.72 + 0.05 * ((n + seed) % 5),
      box: [left, top, size, size * 1.6] as const,
      colour: kind.colour,
    }
  }).filter(({ box }) => box[0] >= 0.01 && box[0] + box[2] <= 0.99)
}

/** A JPEG of 640×360 that shows the parts. */
export async function pictureOf(parts: readonly Part[]): Promise<Buffer> {
  const shapes = parts.map(({ box: [left, top, w, h], colour, label }) => {
    const [x, y, wide, high] = [left * width, top * height, w * width, h * height]
    const cx = x + wide / 2
    const cy = y + high / 2
    const shadow = `<rect x="${x + 5}" y="${y + 7}" width="${wide}" height="${high}" rx="8" fill="#000" opacity=".35"/>`
    if (label === 'bracket') {
      return `${shadow}<rect x="${x}" y="${y}" width="${wide}" height="${high}" rx="4" fill="${colour}"/>`
    }
    const hole = `<ellipse cx="${cx}" cy="${cy}" rx="${wide / 4}" ry="${high / 4}" fill="#33383b"/>`
    return `${shadow}<ellipse cx="${cx}" cy="${cy}" rx="${wide / 2}" ry="${high / 2}" fill="${colour}"/>${hole}`
  })
  return await svg(`
    <defs><linearGradient id="light" x1="0" y1="0" x2="1" y2="1">
      <stop offset="0" stop-color="#fff" stop-opacity=".22"/><stop offset="1" stop-color="#000" stop-opacity=".35"/>
    </linearGradient></defs>
    <rect width="100%" height="100%" fill="#4c5357"/>
    <rect y="86" width="100%" height="206" fill="#33383b"/>
    <rect y="80" width="100%" height="8" fill="#c9a227"/><rect y="290" width="100%" height="8" fill="#c9a227"/>
    ${shapes.join('')}
    <rect width="100%" height="100%" fill="url(#light)"/>`)
}

/** A black JPEG with one white rectangle: what is drawn around it can be measured. */
export async function whiteRectangle(
  box: readonly [number, number, number, number],
  size = { width, height },
): Promise<Buffer> {
  const [left, top, w, h] = box
  const rectangle = `x="${left * size.width}" y="${top * size.height}" width="${w * size.width}" height="${h * size.height}"`
  return await svg(
    `<rect width="100%" height="100%" fill="#000"/><rect ${rectangle} fill="#fff"/>`,
    size,
  )
}

const svg = (content: string, size = { width, height }): Promise<Buffer> =>
  sharp(
    Buffer.from(
      `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}">${content}</svg>`,
    ),
  )
    .jpeg({ quality: 90, chromaSubsampling: '4:4:4' })
    .toBuffer()
