/**
 * The first layer of the demo detector: fixed filters for edges in all directions, thin lines, colours
 * and levels of brightness. Nothing in it was learned.
 */
import type { Convolution } from './maps.ts'

const kernel = 5
const taps = kernel * kernel
/** Shares of red, green and blue in brightness (ITU-R BT.601). */
const brightness = [0.299, 0.587, 0.114] as const

type Filter = { readonly bias: number; readonly weights: readonly (readonly number[])[] }

/** 5×5 filters on RGB bytes with stride 2; a Relu follows, so each bias is a threshold. */
export function fixedFilters(): Convolution {
  const filters = [...edges(), ...lines(), ...colours(), ...levels()]
  const weights = filters.flatMap((filter) => filter.weights.flat().map((weight) => weight / 255))
  return {
    outputs: filters.length,
    inputs: 3,
    kernel,
    stride: 2,
    dilation: 1,
    weights: Float32Array.from(weights),
    biases: Float32Array.from(filters, ({ bias }) => bias),
  }
}

/** From dark to bright in eight directions. */
function edges(): Filter[] {
  return directions(8, 2 * Math.PI).map(({ cosine, sine }) => {
    const slope = grid((x, y) => (x * cosine + y * sine) * bell(x, y, 1.1))
    return onBrightness(scaled(slope, 2), -0.06)
  })
}

/** Bright on dark and dark on bright, in four directions. */
function lines(): Filter[] {
  return directions(4, Math.PI).flatMap(({ cosine, sine }) => {
    const ridge = grid((x, y) => {
      const across = x * cosine + y * sine
      return (1 - across * across) * bell(x, y, 1.25)
    })
    const balanced = scaled(centred(ridge), 2)
    return [
      onBrightness(balanced, -0.06),
      onBrightness(
        balanced.map((w) => -w),
        -0.06,
      ),
    ]
  })
}

/** Opponent colours, blurred: red against green, blue against yellow, both ways. */
function colours(): Filter[] {
  const opponents = [
    [1, -1, 0],
    [-1, 1, 0],
    [-0.5, -0.5, 1],
    [0.5, 0.5, -1],
  ]
  return opponents.flatMap((mix) =>
    [-0.03, -0.15].map((bias) => ({
      bias,
      weights: mix.map((share) => blur.map((w) => 2 * w * share)),
    })),
  )
}

/** How bright above three levels, how dark below one. */
function levels(): Filter[] {
  const above = [0.2, 0.4, 0.6].map((level) => onBrightness(blur, -level))
  return [
    ...above,
    onBrightness(
      blur.map((w) => -w),
      0.2,
    ),
  ]
}

const bell = (x: number, y: number, deviation: number): number =>
  Math.exp(-(x * x + y * y) / (2 * deviation * deviation))

const blur = scaled(
  grid((x, y) => bell(x, y, 1)),
  1,
)

function grid(value: (x: number, y: number) => number): number[] {
  return Array.from({ length: taps }, (_, at) =>
    value((at % kernel) - 2, Math.floor(at / kernel) - 2),
  )
}

function centred(weights: readonly number[]): number[] {
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length
  return weights.map((weight) => weight - mean)
}

/** Scaled so that the absolute weights add up to `sum`. */
function scaled(weights: readonly number[], sum: number): number[] {
  const total = weights.reduce((total, weight) => total + Math.abs(weight), 0)
  return weights.map((weight) => (weight * sum) / total)
}

function onBrightness(weights: readonly number[], bias: number): Filter {
  return { bias, weights: brightness.map((share) => weights.map((weight) => weight * share)) }
}

function directions(count: number, turn: number): { cosine: number; sine: number }[] {
  return Array.from({ length: count }, (_, k) => {
    const angle = (turn * k) / count
    return { cosine: Math.cos(angle), sine: Math.sin(angle) }
  })
}
