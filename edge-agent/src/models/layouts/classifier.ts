/** A classifier: one number per class, as probabilities or as logits. */
import {
  type Expectation,
  floats,
  type Layout,
  type ModelShape,
  type Reader,
  shapeFits,
} from './layout.ts'
import { asImageNetRgb } from './presets.ts'

export const classifier: Layout = {
  name: 'classifier',
  task: 'classification',
  preset: { channels: 'rgb', fit: 'stretch', pad: 0, ...asImageNetRgb },
  check: checkClassifier,
}

function checkClassifier({ outputs }: ModelShape): Reader | Expectation {
  const [output] = outputs
  const shape = output?.shape ?? []
  const flat = shapeFits(shape, [1, undefined]) || shapeFits(shape, [1, undefined, 1, 1])
  const classes = Number(shape[1])
  if (!output || outputs.length !== 1 || !flat || !(classes >= 2)) {
    return { expected: 'one output [1, classes] with at least 2 classes, probabilities or logits' }
  }
  return {
    classes,
    read(tensors, { labels, scoreMin, keepMax, wanted }) {
      const shares = probabilities(floats(tensors, output.name))
      const classes = [...shares]
        .map((score, index) => ({ label: labels[index] ?? '', score, index }))
        .filter(({ score, index }) => score >= scoreMin && (wanted?.has(index) ?? true))
        .sort((a, b) => b.score - a.score)
        .slice(0, keepMax)
      return { classes: classes.map(({ label, score }) => ({ label, score: rounded(score) })) }
    },
  }
}

/** How far a sum of probabilities may be from 1: networks of small numbers round. */
const sumSlack = 0.01

/**
 * Probabilities as they are; anything else is logits and goes through a softmax.
 * @throws {Error} when they are no numbers
 */
export function probabilities(values: Float32Array): Float32Array {
  let highest = Number.NEGATIVE_INFINITY
  let lowest = Number.POSITIVE_INFINITY
  let sum = 0
  for (const value of values) {
    if (!Number.isFinite(value)) throw new Error(`Cannot read the classes: one of them is ${value}`)
    highest = Math.max(highest, value)
    lowest = Math.min(lowest, value)
    sum += value
  }
  if (lowest >= 0 && Math.abs(sum - 1) <= sumSlack) return values
  const powers = values.map((value) => Math.exp(value - highest))
  const total = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / total)
}

const rounded = (score: number): number => Math.round(Math.min(1, score) * 1e4) / 1e4
