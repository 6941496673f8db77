/** RGB to what a video encoder takes. */

/** Bytes of a picture in YUV 4:2:0. */
export const yuvBytes = (width: number, height: number): number => (width * height * 3) / 2

/**
 * Writes RGB as planar YUV 4:2:0 (ITU-R BT.601, 16–235), what cameras of this size send.
 * @param rgb height × width × 3 bytes; both sides even
 * @param yuv the Y plane, then U and V at half size
 */
export function toYuv420(rgb: Uint8Array, width: number, height: number, yuv: Uint8Array): void {
  let u = width * height
  let v = u + u / 4
  for (let y = 0; y < height; y += 2) {
    let at = y * width
    for (let x = 0; x < width; x += 2, at += 2, u++, v++) {
      const a = at * 3
      const b = a + width * 3
      const r0 = rgb[a]!
      const g0 = rgb[a + 1]!
      const b0 = rgb[a + 2]!
      const r1 = rgb[a + 3]!
      const g1 = rgb[a + 4]!
      const b1 = rgb[a + 5]!
      const r2 = rgb[b]!
      const g2 = rgb[b + 1]!
      const b2 = rgb[b + 2]!
      const r3 = rgb[b + 3]!
      const g3 = rgb[b + 4]!
      const b3 = rgb[b + 5]!
      yuv[at] = (66 * r0 + 129 * g0 + 25 * b0 + 4224) >> 8
      yuv[at + 1] = (66 * r1 + 129 * g1 + 25 * b1 + 4224) >> 8
      yuv[at + width] = (66 * r2 + 129 * g2 + 25 * b2 + 4224) >> 8
      yuv[at + width + 1] = (66 * r3 + 129 * g3 + 25 * b3 + 4224) >> 8
      const red = r0 + r1 + r2 + r3
      const green = g0 + g1 + g2 + g3
      const blue = b0 + b1 + b2 + b3
      yuv[u] = (-38 * red - 74 * green + 112 * blue + 131584) >> 10
      yuv[v] = (112 * red - 94 * green - 18 * blue + 131584) >> 10
    }
  }
}
