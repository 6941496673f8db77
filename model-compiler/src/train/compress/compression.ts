/** What a recipe may say of compression, and what it changes of the recipe's defaults. */
import { type Static, Type } from 'typebox'
import type { RecipePart } from '../run/recipe.ts'

/** Activations that may take the place of others. */
export const activationChanges = ['keep', 'hard-swish'] as const

export const Compression = Type.Object(
  {
    quantize: Type.Boolean({
      description: 'train for int8: round to its codes on the way forward',
    }),
    target: Type.String({ minLength: 1, description: 'of quantize: what the model will run on' }),
    pruneChannels: Type.Number({
      minimum: 0,
      maximum: 0.95,
      description: 'share of the channels between two convolutions that is taken out',
    }),
    pruneWeights: Type.Number({
      minimum: 0,
      maximum: 0.95,
      description: 'share of the weights that is set to zero and stays there',
    }),
    activations: Type.Enum(activationChanges, {
      description: 'hard-swish: in the place of SiLU, which int8 cannot compute',
    }),
    distill: Type.Number({
      minimum: 0,
      maximum: 1,
      description: 'share of the loss that is to say what the teacher says',
    }),
    temperature: Type.Number({
      exclusiveMinimum: 0,
      maximum: 100,
      description: 'of distill, for classifiers: above 1 the teacher’s doubts count as well',
    }),
  },
  { additionalProperties: false },
)
export type Compression = Static<typeof Compression>

export const compressionDefault: Compression = {
  quantize: false,
  target: 'linux-x64-vnni',
  pruneChannels: 0,
  pruneWeights: 0,
  activations: 'keep',
  distill: 0,
  temperature: 2,
}

/** Whether anything of it is asked for. */
export const compresses = (asked: Compression): boolean =>
  asked.quantize ||
  asked.pruneChannels > 0 ||
  asked.pruneWeights > 0 ||
  asked.activations !== 'keep' ||
  asked.distill > 0

/** Once BatchNorm is folded in, weights of one layer differ by orders of magnitude, and want steps of their own size. */
export const compressionDefaults = (defaults: RecipePart, { quantize }: Compression): RecipePart =>
  quantize
    ? {
        ...defaults,
        batchNorm: 'frozen',
        optimizer: {
          ...defaults.optimizer,
          relative: true,
          learningRate: 5e-4,
          weightDecay: 0,
        },
      }
    : defaults
