/** A search as runs: each trial is an order of its own, in a folder of its own, and the best one is what remains. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type {
  SearchProgress,
  SearchResult,
  TrainOrder,
  TrainResult,
} from '@edgeloop/model-compiler/train'
import { Failure } from '../failure.ts'

export type Ended = Extract<TrainResult, { kind: 'ended' }>

/** Chooses by samples that are not those of the test; a run of its own may do without them. */
const validationDefault = 0.2

export type SearchRunsOptions = {
  /** What all trials have in common; its folder is the search's. */
  readonly order: TrainOrder
  /** As the user wrote it. */
  readonly given: unknown
  readonly perform: (order: TrainOrder) => Promise<TrainResult>
  readonly tell: (progress: SearchProgress) => void
}

/** @returns undefined where it was paused; the same call goes on */
export async function searchRuns(
  options: SearchRunsOptions,
): Promise<{ readonly found: SearchResult; readonly result: Ended } | undefined> {
  const { partOf, runTrials, searchOf, recipeDefault, TrainError, trialsPage } = await import(
    '@edgeloop/model-compiler/train'
  )
  const order = withValidation(options.order)
  const search = searchOf(options.given, recipeDefault)
  const paused = new AbortController()
  const train = async (one: TrainOrder): Promise<Ended> => {
    const result = await options.perform(one).catch((error: Error) => {
      // What the process that trains could not do may be the recipe's fault; what stops us is not.
      if (error.name === 'ChildError') throw new TrainError(error.message)
      throw error
    })
    if (result.kind === 'ended') return result
    paused.abort(new Error('paused'))
    throw paused.signal.reason
  }
  const { folder, ...rest } = order
  try {
    const found = await runTrials({
      search,
      folder,
      seed: order.seed,
      onProgress: options.tell,
      signal: paused.signal,
      subject: JSON.stringify(rest),
      train: async (part, to, { share }) => {
        const { validation, seconds } = await train({
          ...order,
          folder: to,
          recipe: [...order.recipe, part],
          ...(share < 1 && { share }),
        })
        if (!validation) {
          throw new Failure(
            'Cannot search: the split has no validation samples to choose by',
            'give --validation 0.2, or a --split that names some',
          )
        }
        return { figures: validation, seconds }
      },
    })
    await writeFile(
      join(folder, 'report.html'),
      trialsPage(found.trials, found.metric, `trial-${found.best.id}/report.html`),
    )
    // It has ended, so this only reads what it came to.
    const { settings, share } = found.best
    const result = await train({
      ...order,
      folder: found.folder,
      recipe: [...order.recipe, partOf(settings)],
      ...(share < 1 && { share }),
    })
    return { found, result }
  } catch (error) {
    if (paused.signal.aborted) return undefined
    throw error
  }
}

function withValidation(order: TrainOrder): TrainOrder {
  const { split } = order
  if (split.kind === 'file' || split.validation !== undefined) return order
  return { ...order, split: { ...split, validation: validationDefault } }
}
