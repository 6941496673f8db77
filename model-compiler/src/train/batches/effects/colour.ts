/** Brightness, contrast, saturation and hue as one matrix: each colour becomes a mixture of the three, and a constant. */
import type { Augmentation } from '../augmentation.ts'
import { type Draws, uniform } from '../draws.ts'

/** Three rows of four numbers: shares of red, green and blue, and what is added in steps of a byte. */
export type ColourMatrix = readonly number[]

/** ITU-R BT.601: how bright red, green and blue seem. */
const luma = [0.299, 0.587, 0.114] as const

type Amounts = Pick<Augmentation, 'brightness' | 'contrast' | 'saturation' | 'hue'>

/** @returns undefined where nothing is to change */
export function drawColour(draws: Draws, amounts: Amounts): ColourMatrix | undefined {
  const { brightness, contrast, saturation, hue } = amounts
  if (brightness === 0 && contrast === 0 && saturation === 0 && hue === 0) return undefined
  return colourMatrix({
    brightness: uniform(draws, -brightness, brightness),
    contrast: uniform(draws, -contrast, contrast),
    saturation: uniform(draws, -saturation, saturation),
    hue: uniform(draws, -hue, hue),
  })
}

/** @param amounts 0: as it is; brightness 1: twice as bright; hue 0.5: the opposite colour */
export function colourMatrix({ brightness, contrast, saturation, hue }: Amounts): ColourMatrix {
  const [cos, sin] = [Math.cos(hue * 2 * Math.PI), Math.sin(hue * 2 * Math.PI)]
  // A turn around the grey axis, which every mixture with equal rows keeps.
  const third = (1 - cos) / 3
  const side = sin / Math.sqrt(3)
  const turn = [0, 1, 2].map((row) =>
    [0, 1, 2].map((column) => {
      if (row === column) return cos + third
      return (column - row + 3) % 3 === 1 ? third - side : third + side
    }),
  )
  const strong = 1 + saturation
  const gain = (1 + brightness) * (1 + contrast)
  return turn.flatMap((shares) => {
    const sum = shares.reduce((all, share) => all + share, 0)
    const mixed = shares.map(
      (share, column) => gain * (strong * share + (1 - strong) * luma[column]! * sum),
    )
    // Contrast moves colours away from the middle grey.
    return [...mixed, -127.5 * contrast * (1 + brightness)]
  })
}

/** @param canvas RGB, or grey, which has but brightness and contrast */
export function applyColour(canvas: Uint8Array, channels: 1 | 3, matrix: ColourMatrix): void {
  const [a, b, c, d, e, f, g, h, i, j, k, l] = matrix as unknown as readonly [
    ...[number, number, number, number, number, number],
    ...[number, number, number, number, number, number],
  ]
  if (channels === 1) {
    const table = Uint8Array.from({ length: 256 }, (_, byte) => byteOf((a + b + c) * byte + d))
    for (let at = 0; at < canvas.length; at++) canvas[at] = table[canvas[at]!]!
    return
  }
  for (let at = 0; at < canvas.length; at += 3) {
    const red = canvas[at]!
    const green = canvas[at + 1]!
    const blue = canvas[at + 2]!
    canvas[at] = byteOf(a * red + b * green + c * blue + d)
    canvas[at + 1] = byteOf(e * red + f * green + g * blue + h)
    canvas[at + 2] = byteOf(i * red + j * green + k * blue + l)
  }
}

const byteOf = (value: number): number => (value <= 0 ? 0 : value >= 255 ? 255 : (value + 0.5) | 0)
