/**
 * Runs a search: one trial after another, each in a folder of its own, and a table that is written whole after each. Killed
 * at any point, the same folder goes on where it stood.
 */
import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SearchPlan } from '@edgeloop/protocol'
import type { FigureName } from '../../evaluate/figures.ts'
import type { Figures } from '../run/progress.ts'
import { TrainError } from '../run/train-error.ts'
import {
  type EndedTrial,
  hopelessness,
  metricOf,
  nextTrial,
  ranked,
  type Trial,
  trialCount,
} from './plan-trials.ts'
import { partOf } from './search.ts'

/** What one trial comes to. */
export type TrialOutcome = {
  /** Of the validation samples. */
  readonly figures: Figures
  readonly seconds: number
}

export type SearchProgress =
  | {
      readonly kind: 'trial'
      readonly trial: Trial
      readonly ended: number
      readonly trials: number
    }
  | { readonly kind: 'ended'; readonly trial: EndedTrial; readonly best: boolean }

export type SearchResult = {
  readonly metric: FigureName
  /** Best first. */
  readonly trials: readonly EndedTrial[]
  readonly best: EndedTrial
  /** Its folder. */
  readonly folder: string
}

export type SearchOptions = {
  readonly search: SearchPlan
  readonly seed: number
  /** What else decides over the outcome (data, model, split, recipe): a table made with others is not gone on with. */
  readonly subject: string
  readonly folder: string
  /**
   * Trains one candidate. A failure of the world (no disk) is thrown; that this recipe cannot be trained (a loss that is no
   * number, too much memory) is a `TrainError`, and the search goes on without it.
   * @param part laid over the recipe; `trial.share` of its epochs are wanted
   */
  readonly train: (part: unknown, folder: string, trial: Trial) => Promise<TrialOutcome>
  readonly onProgress?: (progress: SearchProgress) => void
  readonly signal?: AbortSignal
}

const tableName = 'trials.json'
/** Most bytes of a table that is read. */
const tableBytesMax = 64 * 1024 * 1024

type Table = { readonly digest: string; readonly trials: readonly EndedTrial[] }

/**
 * @throws {TrainError} when the folder holds another search, no trial succeeds, or no trial gives the figure that decides
 */
export async function runTrials(options: SearchOptions): Promise<SearchResult> {
  const { search, seed, folder, signal, onProgress } = options
  const digest = digestOf(options)
  await mkdir(folder, { recursive: true })
  const ended = [...(await readTable(folder, digest))]
  for (;;) {
    signal?.throwIfAborted()
    const metric = metricOf(search, ended)
    const trial = nextTrial(search, seed, metric, ended)
    if (!trial) break
    onProgress?.({ kind: 'trial', trial, ended: ended.length, trials: trialCount(search) })
    const before = ranked(ended, metric)[0]
    const one = await outcomeOf(options, trial)
    ended.push(one)
    refuseHopeless(ended)
    await writeTable(folder, { digest, trials: ended })
    const best = ranked(ended, metricOf(search, ended))[0]!
    onProgress?.({ kind: 'ended', trial: one, best: best === one })
    // Only the best one's weights are wanted; curves of the others stay in the table.
    for (const other of [one, before]) {
      if (other && other !== best) await removeTrial(folder, other)
    }
  }
  const metric = metricOf(search, ended)
  const trials = ranked(ended, metric)
  const best = trials.find(({ value }) => value !== null)
  if (!best) {
    throw new TrainError(
      `Cannot search: none of the ${trials.length} trials could be trained; the first says: ${trials[0]?.failure}`,
    )
  }
  // A kill between a trial's last line and the removal of its folder leaves it there.
  for (const one of trials) if (one !== best) await removeTrial(folder, one)
  return { metric, trials, best, folder: folderOf(folder, best) }
}

async function outcomeOf(
  { search, folder, train, signal }: SearchOptions,
  trial: Trial,
): Promise<EndedTrial> {
  try {
    const { figures: found, seconds } = await train(
      partOf(trial.settings),
      folderOf(folder, trial),
      trial,
    )
    const one = { ...trial, value: null, figures: found, seconds }
    const metric = metricOf(search, [one])
    const value = found[metric]
    if (value === undefined) {
      throw new Error(
        `Cannot search by ${metric}: the validation samples gave ${Object.keys(found).join(', ') || 'no figure'}`,
      )
    }
    return { ...one, value: Number.isFinite(value) ? value : null }
  } catch (error) {
    signal?.throwIfAborted()
    if (!(error instanceof TrainError)) throw error
    return { ...trial, value: null, figures: {}, seconds: 0, failure: error.message }
  }
}

function refuseHopeless(ended: readonly EndedTrial[]): void {
  const why = hopelessness(ended)
  if (why !== undefined) throw new TrainError(`Cannot search: ${why}`)
}

const folderOf = (folder: string, { id }: Trial): string => join(folder, `trial-${id}`)

const removeTrial = (folder: string, trial: Trial): Promise<void> =>
  rm(folderOf(folder, trial), { recursive: true, force: true })

function digestOf({ search, seed, subject }: SearchOptions): string {
  return createHash('sha256')
    .update(JSON.stringify([search, seed, subject]))
    .digest('hex')
}

async function readTable(folder: string, digest: string): Promise<readonly EndedTrial[]> {
  const file = join(folder, tableName)
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return []
  if (text.length > tableBytesMax) throw notOurs(file, `it has ${text.length} bytes`)
  let table: Table
  try {
    table = JSON.parse(text) as Table
  } catch (cause) {
    throw notOurs(file, (cause as Error).message)
  }
  if (table.digest !== digest) {
    throw notOurs(file, 'it was made with another search, recipe, seed, data set or model')
  }
  return table.trials
}

const notOurs = (file: string, why: string): TrainError =>
  new TrainError(`Cannot go on with the search of "${file}": ${why}`, 'give another folder (--out)')

/** Appears whole or not at all. */
async function writeTable(folder: string, table: Table): Promise<void> {
  const draft = join(folder, `${tableName}.draft`)
  const handle = await open(draft, 'w')
  try {
    await handle.writeFile(`${JSON.stringify(table, null, 2)}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(draft, join(folder, tableName))
}
