/**
 * Makes the fit's numbers into probabilities: a score of 0.7 is to be right seven times in ten. Two
 * logistic curves, fitted by Newton's method to scenes that the detector was not fitted on.
 */
import { type Detector, labelCount, runDetector, stride } from './fit.ts'
import type { Maps } from './maps.ts'
import { type Target, trainingFrames } from './training-frames.ts'

/** sigmoid(slope · value + shift) */
export type Curve = { readonly slope: number; readonly shift: number }
export type Calibration = { readonly presence: Curve; readonly label: Curve }

/** Cells below this say nothing worth calibrating. */
const presenceMin = 0.1

export function calibrate(
  detector: Detector,
  seeds: readonly number[],
  framesPerSeed: number,
): Calibration {
  const presence: Sample[] = []
  const label: Sample[] = []
  for (const seed of seeds) {
    for (const { canvas, targets } of trainingFrames(seed, framesPerSeed)) {
      const head = runDetector(detector, canvas)
      for (const peak of peaks(head)) {
        const target = match(peak, targets)
        if (target?.ignored) continue
        presence.push({ value: peak.presence, right: target !== undefined })
        if (target === undefined) continue
        for (let index = 0; index < labelCount; index++) {
          label.push({ value: peak.labels[index]!, right: index === target.label })
        }
      }
    }
  }
  return { presence: logistic(presence), label: logistic(label) }
}

type Peak = {
  readonly presence: number
  readonly labels: readonly number[]
  /** Left, top, width, height in pixels of the canvas. */
  readonly box: readonly [number, number, number, number]
}

/** The cells that none around them outdoes, as the model's graph keeps them. */
function* peaks({ width, height, data }: Maps): Generator<Peak> {
  const size = width * height
  const presenceAt = (x: number, y: number): number =>
    x < 0 || y < 0 || x >= width || y >= height
      ? Number.NEGATIVE_INFINITY
      : data[4 * size + y * width + x]!
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const presence = presenceAt(x, y)
      if (presence < presenceMin) continue
      const around = [-1, 0, 1].flatMap((dy) => [-1, 0, 1].map((dx) => presenceAt(x + dx, y + dy)))
      if (Math.max(...around) > presence) continue
      const value = (channel: number): number => data[channel * size + y * width + x]!
      const boxWidth = Math.exp(value(2)) * stride
      const boxHeight = Math.exp(value(3)) * stride
      yield {
        presence,
        labels: Array.from({ length: labelCount }, (_, index) => value(5 + index)),
        box: [
          (value(0) + x) * stride - boxWidth / 2,
          (value(1) + y) * stride - boxHeight / 2,
          boxWidth,
          boxHeight,
        ],
      }
    }
  }
}

/** The part that a box shows at an overlap of at least one half. */
function match({ box }: Peak, targets: readonly Target[]): Target | undefined {
  const [left, top, width, height] = box
  return targets.find((target) => {
    const across =
      Math.min(left + width, target.x + target.width / 2) -
      Math.max(left, target.x - target.width / 2)
    const down =
      Math.min(top + height, target.y + target.height / 2) -
      Math.max(top, target.y - target.height / 2)
    const both = Math.max(0, across) * Math.max(0, down)
    return both / (width * height + target.width * target.height - both) >= 0.5
  })
}

type Sample = { readonly value: number; readonly right: boolean }

const newtonSteps = 25

/** Logistic regression on one number. */
function logistic(samples: readonly Sample[]): Curve {
  let slope = 1
  let shift = 0
  for (let step = 0; step < newtonSteps; step++) {
    // Gradient and Hessian of the log-likelihood, held back a little so that they never blow up.
    let [gradientSlope, gradientShift] = [-1e-3 * slope, -1e-3 * shift]
    let [slopes, both, shifts] = [1e-3, 0, 1e-3]
    for (const { value, right } of samples) {
      const share = 1 / (1 + Math.exp(-(slope * value + shift)))
      const error = (right ? 1 : 0) - share
      const certainty = share * (1 - share)
      gradientSlope += error * value
      gradientShift += error
      slopes += certainty * value * value
      both += certainty * value
      shifts += certainty
    }
    const determinant = slopes * shifts - both * both
    slope += (shifts * gradientSlope - both * gradientShift) / determinant
    shift += (slopes * gradientShift - both * gradientSlope) / determinant
  }
  return { slope, shift }
}
