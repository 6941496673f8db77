/** What a run is asked, as options of the command line say it. */
import type { RunRequest } from '@edgeloop/protocol'
import type { Command } from 'commander'
import { Failure } from '../failure.ts'
import type { HubClient } from '../hub-client.ts'
import { gather, integer } from '../options.ts'

/** What a run is asked, as options say it. */
export type RunOptions = {
  readonly dataset: string
  readonly model: string
  readonly as?: string
  readonly layout?: string
  readonly fold?: number
  readonly set?: readonly string[]
  readonly seed?: number
  readonly note?: string
  readonly compile?: true
  readonly teacher?: string
  readonly external?: true
}

/** The options that say what a run is asked. */
export const withAsked = (command: Command): Command =>
  command
    .requiredOption('--dataset <name>', 'NAME for its newest frozen version, or NAME/VERSION')
    .requiredOption(
      '--model <name>',
      'what is trained: NAME for its champion, NAME/VERSION, or new:BUILDER',
    )
    .option('--as <name>', "model whose next version the result becomes (default: --model's)")
    .option('--layout <name>', "how the result is fed and read (default: the model's)")
    .option('--fold <n>', 'which fold is the test, from 0', integer(0, 19))
    .option('--set <key=value>', 'a setting of the recipe, such as epochs=5', gather)
    .option('--seed <n>', 'of everything drawn at random (default: 1)', integer(0, 4_294_967_295))
    .option('--note <text>', 'what is to be known about it')
    .option('--compile', 'compile the result when it becomes the champion')
    .option(
      '--teacher <name>',
      'model in the hub that compress.distill follows: NAME/VERSION, or NAME for its champion',
    )
    .option('--external', 'let the external trainer that the hub was started with take the steps')

/** @throws {Failure} where a name stands for nothing */
export async function requestOf(hub: HubClient, options: RunOptions): Promise<RunRequest> {
  const [dataset = '', given] = options.dataset.split('/')
  const version = given === undefined ? await newestFrozen(hub, dataset) : Number(given)
  if (!Number.isInteger(version)) {
    throw new Failure(`Cannot use dataset "${options.dataset}"`, 'write NAME or NAME/VERSION')
  }
  const parent = await parentOf(hub, options.model)
  const teacher =
    options.teacher === undefined ? {} : { teacher: await parentOf(hub, options.teacher) }
  return { ...(await partsOf(options)), ...teacher, dataset: { name: dataset, version }, parent }
}

export async function partsOf(
  options: RunOptions,
): Promise<Omit<RunRequest, 'dataset' | 'parent'>> {
  const { as, layout, fold, set = [], seed, note, compile, teacher, external } = options
  const { partOfSetting } = await import('@edgeloop/model-compiler/train')
  return {
    ...(as === undefined ? {} : { model: as }),
    ...(layout === undefined ? {} : { layout }),
    ...(fold === undefined ? {} : { fold }),
    ...(set.length === 0 ? {} : { recipe: set.map(partOfSetting).reduce<Part>(merged, {}) }),
    ...(seed === undefined ? {} : { seed }),
    ...(note === undefined ? {} : { note }),
    ...(compile ? { compile: {} } : {}),
    ...(teacher === undefined ? {} : { teacher }),
    ...(external ? { external } : {}),
  }
}

type Part = Record<string, unknown>

/** Two parts of a recipe, the second over the first. */
function merged(before: Part, part: unknown): Part {
  const whole = { ...before }
  for (const [key, value] of Object.entries(part as Part)) {
    const inner = whole[key]
    const both = [inner, value].every((one) => typeof one === 'object' && one !== null)
    whole[key] = both && !Array.isArray(value) ? merged(inner as Part, value) : value
  }
  return whole
}

async function newestFrozen(hub: HubClient, dataset: string): Promise<number> {
  const [newest] = await hub.call('datasetVersionList', { params: { dataset } })
  if (newest) return newest.version
  throw new Failure(
    `Cannot train on "${dataset}": it was never frozen`,
    `freeze it: ./edgeloop dataset split ${dataset}`,
  )
}

async function parentOf(hub: HubClient, model: string): Promise<string> {
  if (model.startsWith('new:') || model.includes('/')) return model
  const versions = await hub.call('modelVersionList', { params: { name: model } })
  const champion = versions.find((one) => one.champion) ?? versions[0]
  return `${model}/${champion?.version ?? 1}`
}

/** A figure with as many digits as tell anything. */
export const sayFigure = (value: number): string => String(Number(value.toPrecision(4)))
