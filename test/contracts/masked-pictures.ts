/**
 * Two pictures that differ in nothing but what lies under a mask: a checkerboard and its negative. If
 * anything made of them differs, something masked has survived. JPEG codes 16×16 pixels by themselves,
 * so squares that lie wholly under the mask leave no trace outside it before we come.
 */
import sharp from 'sharp'
import type { MaskPolygon } from '../../edge-agent/src/cameras/picture-mask.ts'

export const maskedSize = { width: 640, height: 368 } as const

/** A hollow area with straight sides along the squares, and a triangle across them. */
export const maskPolygons: readonly MaskPolygon[] = [
  [
    [0.1, 4 / 23],
    [0.4, 4 / 23],
    [0.4, 16 / 23],
    [0.25, 16 / 23],
    [0.25, 10 / 23],
    [0.1, 10 / 23],
  ],
  [
    [0.55, 0.95],
    [0.98, 0.6],
    [0.75, 0.08],
  ],
]

const square = 16

/** @param negative black for white, under the mask only */
export async function maskedPicture(negative: boolean): Promise<Buffer> {
  const { width, height } = maskedSize
  const pixels = Buffer.alloc(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3
      const corners = [0, square].flatMap((dx) =>
        [0, square].map((dy) => [
          Math.floor(x / square) * square + dx,
          Math.floor(y / square) * square + dy,
        ]),
      )
      const covered = maskPolygons.some((polygon) =>
        corners.every(([cx, cy]) => isInside(polygon, cx! / width, cy! / height)),
      )
      // Coarse and fine, so that it survives any scaling; in colour, which is stored at half size.
      const on = ((x >> 3) + (y >> 3)) % 2 === 0 ? 255 : 0
      const level = negative ? 255 - on : on
      const colour = covered ? [level, 255 - level, level] : [90 + (x % 64), 120, 90 + (y % 64)]
      pixels.set(colour, at)
    }
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 100, chromaSubsampling: '4:2:0' })
    .toBuffer()
}

/** Whether a point lies within a polygon or on its edge. */
function isInside(polygon: MaskPolygon, x: number, y: number): boolean {
  let inside = false
  for (const [i, [ax, ay]] of polygon.entries()) {
    const [bx, by] = polygon[(i + 1) % polygon.length]!
    const cross = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    const between = (x - ax) * (x - bx) + (y - ay) * (y - by) <= 1e-12
    if (Math.abs(cross) < 1e-12 && between) return true
    if (ay > y !== by > y && x < ax + ((bx - ax) * (y - ay)) / (by - ay)) inside = !inside
  }
  return inside
}
