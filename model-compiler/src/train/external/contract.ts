/**
 * What an external trainer is told and what it gives back: docs/external-trainer.md in schemas. The trainer is any program;
 * what it says and leaves is checked as if somebody meant us harm.
 */
import { type Static, Type } from 'typebox'

export const contractVersion = 1

/** Names within the folder of an order. */
export const names = {
  order: 'order.json',
  dataset: 'dataset',
  split: 'split.json',
  start: 'start.onnx',
  output: 'output',
  model: 'model.onnx',
  metrics: 'metrics.jsonl',
  result: 'result.json',
  log: 'log.txt',
} as const

/** How a trainer ends. */
export const exitCodes = {
  /** `output/model.onnx` and `output/result.json` are there. */
  done: 0,
  /** It failed; the last line of standard error says why. */
  failed: 1,
  /** It cannot do what the order asks, and never will. */
  refused: 2,
  /** It was told to stop and has kept what it needs to go on from in the same folder (EX_TEMPFAIL). */
  paused: 75,
} as const

/** Lengths of a tensor; null is free. */
export type Shape = readonly (number | null)[]
export type TensorPort = { readonly name: string; readonly shape: Shape }

/** `order.json`. Paths are relative to the folder it lies in, which may be mounted anywhere. */
export type ExternalOrder = {
  readonly contract: typeof contractVersion
  readonly task: 'classification' | 'regression' | 'segmentation' | 'detection'
  /** In the order of the model's outputs. */
  readonly labels: readonly string[]
  /** A frozen data set: samples to learn from and to choose by. Those of the test stay here. */
  readonly dataset: string
  /** Digest of each sample to `train` or `validation`. */
  readonly split: string
  /** The model to begin with. */
  readonly start: string
  /** What the model has to take and give; the batch is free. */
  readonly inputs: readonly TensorPort[]
  readonly outputs: readonly TensorPort[]
  /** How a picture becomes the input: see docs. */
  readonly canvas: unknown
  readonly recipe: unknown
  readonly seed: number
  /** Where results go. */
  readonly output: string
  readonly limits: ExternalLimits
}

export type ExternalLimits = {
  readonly seconds: number
  /** Of all its processes; watched where the system says it (Linux). */
  readonly memoryBytes: number
  readonly modelBytes: number
  /** Of all files in `output`. */
  readonly outputBytes: number
}

export const externalLimitsDefault: ExternalLimits = {
  seconds: 24 * 3600,
  memoryBytes: 64 * 1024 ** 3,
  modelBytes: 1024 ** 3,
  outputBytes: 32 * 1024 ** 3,
}

const Figure = Type.Number({ minimum: -1e30, maximum: 1e30 })

/** A line of `metrics.jsonl`. What it says of figures is shown as the trainer's own words. */
export const MetricLine = Type.Object({
  step: Type.Integer({ minimum: 0, maximum: 1e12 }),
  steps: Type.Optional(Type.Integer({ minimum: 0, maximum: 1e12 })),
  epoch: Type.Optional(Figure),
  loss: Type.Optional(Figure),
  learningRate: Type.Optional(Figure),
  imagesPerSecond: Type.Optional(Figure),
  /** Of the validation samples. */
  figures: Type.Optional(
    Type.Record(Type.String({ minLength: 1, maxLength: 40 }), Figure, { maxProperties: 50 }),
  ),
})
export type MetricLine = Static<typeof MetricLine>

/** `result.json`. */
export const ExternalResult = Type.Object({
  contract: Type.Literal(contractVersion),
  /** Name and version of the trainer: `pytorch 2.13`. */
  trainer: Type.String({ minLength: 1, maxLength: 200 }),
  steps: Type.Integer({ minimum: 0, maximum: 1e12 }),
  /** The step whose weights were kept. */
  bestStep: Type.Optional(Type.Integer({ minimum: 0, maximum: 1e12 })),
  seconds: Type.Number({ minimum: 0, maximum: 1e12 }),
})
export type ExternalResult = Static<typeof ExternalResult>

/** Most bytes of `result.json`, and of a line of `metrics.jsonl`. */
export const resultBytesMax = 1024 * 1024
export const lineBytesMax = 64 * 1024
