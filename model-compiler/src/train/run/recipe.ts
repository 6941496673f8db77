/**
 * The recipe: everything about a run that is a choice. Data, model and seed are not in it; the three together with the
 * recipe decide the weights that come out, bit for bit on one machine. One schema gives types, checks and defaults;
 * what a user gives is a part of it, laid over the defaults of the task.
 */
import { nearestName } from '@edgeloop/protocol/nearest'
import { type Static, type TSchema, Type } from 'typebox'
import { Check, Errors } from 'typebox/value'
import { Augmentation, noAugmentation } from '../batches/augmentation.ts'
import { Compression, compressionDefault } from '../compress/compression.ts'
import { TrainError } from './train-error.ts'

const share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description })
const count = (minimum: number, maximum: number, description: string) =>
  Type.Integer({ minimum, maximum, description })

export const optimizerNames = ['sgd', 'adam', 'adamw'] as const
export const scheduleNames = ['constant', 'step', 'cosine', 'linear', 'one-cycle'] as const

const closed = { additionalProperties: false } as const

/** A group of parameters that learns at its own rate; the first whose pattern matches a name counts. */
export const ParameterGroup = Type.Object(
  {
    match: Type.String({ minLength: 1, description: 'name of parameters; * stands for anything' }),
    rate: Type.Number({ minimum: 0, maximum: 1000, description: 'times the learning rate' }),
    weightDecay: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  },
  closed,
)
export type ParameterGroup = Static<typeof ParameterGroup>

export const Recipe = Type.Object(
  {
    trainable: Type.String({
      pattern: '^(all|auto|head|blocks:[1-9][0-9]{0,3})$',
      description: 'what learns: all, head, blocks:N for the last N layers, or auto',
    }),
    gate: Type.Union([Type.Number(), Type.Null()], {
      description:
        'what validation must reach: with trainable auto, the cheapest that does is kept',
    }),
    batchNorm: Type.Union([Type.Literal('train'), Type.Literal('frozen')], {
      description: 'whether statistics of batches are learned or stay as they are',
    }),
    batch: count(1, 4096, 'pictures of one step'),
    epochs: Type.Number({ minimum: 0.01, maximum: 100_000, description: 'passes over the data' }),
    steps: Type.Union([count(1, 100_000_000, 'steps in all'), Type.Null()], {
      description: 'steps in all; null: as the epochs say',
    }),
    accumulate: count(1, 1024, 'batches whose gradients are summed for one step'),
    optimizer: Type.Object(
      {
        name: Type.Enum(optimizerNames),
        learningRate: Type.Number({ exclusiveMinimum: 0, maximum: 100 }),
        momentum: share('of sgd'),
        nesterov: Type.Boolean(),
        beta1: share('of adam: how long the mean of gradients remembers'),
        beta2: share('of adam: how long the mean of squares remembers'),
        epsilon: Type.Number({ exclusiveMinimum: 0, maximum: 1 }),
        weightDecay: Type.Number({ minimum: 0, maximum: 1 }),
        clipNorm: Type.Number({ minimum: 0, description: 'longest gradient; 0: any' }),
        relative: Type.Boolean({
          description:
            'steps are shares of each channel’s own size (for weights with BatchNorm folded in)',
        }),
        groups: Type.Array(ParameterGroup, { maxItems: 100 }),
      },
      closed,
    ),
    schedule: Type.Object(
      {
        name: Type.Enum(scheduleNames),
        warmupSteps: count(0, 1_000_000, 'steps until the full learning rate'),
        finalShare: share('of the learning rate, at the last step'),
        every: share('of the run after which `step` multiplies by `factor`'),
        factor: share('of `step`'),
      },
      closed,
    ),
    ema: share('decay of the averaged weights that are evaluated and kept; 0: none'),
    loss: Type.Object(
      {
        labelSmoothing: Type.Number({ minimum: 0, maximum: 0.5 }),
        classWeights: Type.Union([Type.Literal('none'), Type.Literal('balanced')]),
        focalGamma: Type.Number({ minimum: 0, maximum: 10, description: '0: plain cross-entropy' }),
      },
      closed,
    ),
    augment: Augmentation,
    compress: Compression,
    replayShare: Type.Number({
      minimum: 0,
      maximum: 0.9,
      description: 'of each batch, from the older data set',
    }),
    evaluateEvery: count(0, 100_000_000, 'steps between evaluations; 0: after each epoch'),
    checkpointEvery: count(0, 100_000_000, 'steps between checkpoints; 0: with each evaluation'),
    earlyStop: Type.Object(
      {
        patience: count(0, 10_000, 'evaluations without a gain after which the run ends; 0: never'),
        gainMin: Type.Number({ minimum: 0 }),
      },
      closed,
    ),
    threads: count(0, 256, 'of the runtime; 0: as many as the machine has cores'),
    workers: count(0, 64, 'threads that prepare pictures; 0: as many as fit the machine'),
    memoryMibMax: count(64, 16_777_216, 'memory of the run'),
  },
  closed,
)
export type Recipe = Static<typeof Recipe>

type DeepPartial<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { [K in keyof T]?: DeepPartial<T[K]> }
    : T

/** What a user gives: any part of a recipe. */
export type RecipePart = DeepPartial<Recipe>

export const recipeDefault: Recipe = {
  trainable: 'all',
  gate: null,
  batchNorm: 'train',
  batch: 64,
  epochs: 10,
  steps: null,
  accumulate: 1,
  optimizer: {
    name: 'adamw',
    learningRate: 1e-3,
    momentum: 0.9,
    nesterov: true,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0,
    clipNorm: 0,
    relative: false,
    groups: [],
  },
  schedule: { name: 'cosine', warmupSteps: 0, finalShare: 0, every: 0.3, factor: 0.1 },
  ema: 0.99,
  loss: { labelSmoothing: 0, classWeights: 'none', focalGamma: 0 },
  augment: noAugmentation,
  compress: compressionDefault,
  replayShare: 0,
  evaluateEvery: 0,
  checkpointEvery: 0,
  earlyStop: { patience: 0, gainMin: 0 },
  threads: 0,
  workers: 0,
  memoryMibMax: 4096,
}

/**
 * Lays parts over a recipe, the later over the earlier. Objects are merged, everything else is replaced.
 * @throws {TrainError} naming the first key that is unknown, with the nearest known one, or the value that does not fit
 */
export function recipeOf(base: Recipe, ...parts: readonly unknown[]): Recipe {
  const whole = parts.reduce((before, part) => merged(before, part, ''), base as unknown)
  if (Check(Recipe, whole)) return whole
  const { instancePath, message } = Errors(Recipe, whole)[0]!
  const key = instancePath.slice(1).replaceAll('/', '.')
  throw new TrainError(
    `Cannot use the recipe: ${key} ${message}, it is ${JSON.stringify(at(whole, key))}`,
    hintOf(key),
  )
}

/**
 * A setting as `--set` takes it: `optimizer.learningRate=0.01`.
 * @returns the part of a recipe that it stands for
 * @throws {TrainError} when it is none
 */
export function partOfSetting(text: string): unknown {
  const cut = text.indexOf('=')
  if (cut < 1) {
    throw new TrainError(
      `Cannot use setting "${text}": it is no KEY=VALUE`,
      'for example --set optimizer.learningRate=0.01',
    )
  }
  const path = text.slice(0, cut).trim().split('.')
  return path.reduceRight<unknown>(
    (value, key) => ({ [key]: value }),
    settingValue(text.slice(cut + 1)),
  )
}

/** JSON where it is, else the text itself, so that names need no quotes. */
function settingValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text.trim()
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function merged(base: unknown, part: unknown, path: string): unknown {
  if (part === undefined) return base
  if (!isObject(base)) return part
  if (!isObject(part)) {
    const where = path === '' ? 'it' : path
    throw new TrainError(
      `Cannot use the recipe: ${where} is ${JSON.stringify(part)}, not an object`,
    )
  }
  const whole: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(part)) {
    if (!Object.hasOwn(base, key)) throw unknownKey(key, path, Object.keys(base))
    whole[key] = merged(base[key], value, path === '' ? key : `${path}.${key}`)
  }
  return whole
}

function unknownKey(key: string, path: string, known: readonly string[]): TrainError {
  const near = nearestName(key, known)
  const where = path === '' ? 'there is' : `"${path}" has`
  return new TrainError(
    `Cannot use the recipe: ${where} no key "${key}"`,
    near === undefined ? `it knows ${known.join(', ')}` : `did you mean "${near}"?`,
  )
}

function at(whole: unknown, key: string): unknown {
  return key.split('.').reduce((value, step) => (value as Record<string, unknown>)?.[step], whole)
}

function hintOf(key: string): string | undefined {
  type Node = {
    readonly properties?: Readonly<Record<string, Node>>
    readonly description?: string
    readonly enum?: readonly string[]
  }
  const node = key
    .split('.')
    .reduce<Node | undefined>((one, step) => one?.properties?.[step], Recipe as TSchema as Node)
  return node?.enum ? `it is one of ${node.enum.join(', ')}` : node?.description
}
