/**
 * Searches: runs of one recipe with other values, of which the best becomes a model version. A search is rows, one for
 * itself and one for each trial; which trial is next follows from them alone. So a hub that dies leaves the search to the
 * next one, which begins no trial again that has begun.
 */
import { randomUUID } from 'node:crypto'
import type { Trial, TriedTrial } from '@edgeloop/model-compiler/train'
import {
  isRunOver,
  isSearchOver,
  Refusal,
  type Run,
  type RunRequest,
  type Search,
  type SearchDetail,
  type SearchPlan,
  type SearchRequest,
  type SearchState,
  type SearchTrial,
} from '@edgeloop/protocol'
import type { Selectable } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { VersionDesk } from '../datasets/versions.ts'
import type { Store } from '../store/store.ts'
import type { RunSearchTable, RunTrialTable } from '../store/tables.ts'
import { type RunDesk, unwritten } from './runs.ts'
import type { Trainer } from './trainer.ts'

/** Trials of a search that wait or run at once: hubs of one store share them, and other runs wait for no more. */
export const openTrialsMax = 2
/** Searches that go on at once. */
export const openSearchesMax = 20
/** Searches that are kept; the oldest that are over give way. Their runs stay. */
export const searchesMax = 500
/** How often it is looked without a reason: another hub may have died between two writes. */
const lookIntervalMs = 10_000
/** A trial whose run is not there after so long lost its hub between the two writes. */
const orphanMs = 10_000

export type SearchDesk = AsyncDisposable & {
  /** Newest first. */
  list(): Promise<Search[]>
  /** @throws {Refusal} notFound */
  show(searchId: string): Promise<SearchDetail>
  /**
   * Asks for a search.
   * @throws {Refusal} badRequest for plan, recipe or an external trainer, or where the dataset has no validation samples; notFound; unavailable
   * without a trainer; conflict where too many go on
   */
  add(request: SearchRequest, by: string, note: AuditNote): Promise<Search>
  /** @throws {Refusal} notFound; conflict where it is over */
  cancel(searchId: string, note: AuditNote): Promise<Search>
  /** Removes one that is over with its runs. @throws {Refusal} notFound; conflict */
  remove(searchId: string, note: AuditNote): Promise<void>
  /** A run is another one now. */
  heard(run: Run): void
  /** Begins to look after searches that go on. */
  begin(): void
}

type SearchRow = Selectable<RunSearchTable>
type TrialRow = Selectable<RunTrialTable>

export function openSearches(deps: {
  store: Store
  runs: Pick<RunDesk, 'check' | 'add' | 'show' | 'cancel' | 'remove' | 'keepTrial'>
  datasets: Pick<VersionDesk, 'show'>
  trainer: Trainer | undefined
  clock: () => number
  dropCheckpoints: (runId: string) => Promise<void>
  tell: (search: Search) => void
  removed: (searchId: string) => void
  failed: (error: unknown) => void
}): SearchDesk {
  const { store, runs, datasets, trainer, clock, tell, failed } = deps
  let closed = false
  let working = Promise.resolve()

  async function find(searchId: string): Promise<SearchRow> {
    const row = await store.writer
      .selectFrom('run_search')
      .selectAll()
      .where('search_id', '=', searchId)
      .executeTakeFirst()
    if (row) return row
    throw new Refusal('notFound', `Cannot find search "${searchId}"`)
  }

  const trialsOf = (searchId: string): Promise<TrialRow[]> =>
    store.writer
      .selectFrom('run_trial')
      .selectAll()
      .where('search_id', '=', searchId)
      .orderBy('created_at')
      .orderBy('trial')
      .execute()

  async function change(searchId: string, values: Partial<SearchRow>): Promise<SearchRow> {
    await store.writer
      .updateTable('run_search')
      .set(values)
      .where('search_id', '=', searchId)
      .execute()
    const row = await find(searchId)
    tell(searchOf(row))
    return row
  }

  /** One after the other: a search is looked at by one of this hub at a time. */
  function work(act: () => Promise<void>): Promise<void> {
    working = working.then(async () => {
      if (!closed) await act().catch(failed)
    })
    return working
  }

  async function lookAtAll(): Promise<void> {
    const open = await store.writer
      .selectFrom('run_search')
      .select('search_id')
      .where('state', 'in', ['running', 'keeping'])
      .execute()
    for (const { search_id } of open) await advance(search_id).catch(failed)
  }

  /** Writes down what has ended, and begins what is next. */
  async function advance(searchId: string): Promise<void> {
    if (!trainer) return
    let row = await find(searchId)
    if (row.state === 'keeping' || row.state === 'failed') return await followKept(row)
    if (row.state === 'cancelled') return await endRuns(searchId)
    if (row.state !== 'running') return
    await writeEnds(row)
    const plan = JSON.parse(row.plan) as SearchPlan
    for (;;) {
      const trials = await trialsOf(searchId)
      const open = trials.filter((one) => one.ended_at === null)
      const over = trials.filter((one) => one.ended_at !== null)
      const tried = over.toSorted((a, b) => (a.ended_at ?? 0) - (b.ended_at ?? 0)).map(triedOf)
      const looked = trainer.trials.look(plan, row.seed, tried, open.map(trialOf))
      const best = looked.ranked.find(({ value }) => value !== null)
      const standing = {
        metric: over.length > 0 ? looked.metric : '',
        better: looked.better,
        best_trial: best?.id ?? '',
        best_value: best?.value ?? null,
        ended: over.length,
      }
      if (row.ended !== standing.ended || row.best_trial !== standing.best_trial) {
        row = await change(searchId, standing)
        await forgetWeights(over, standing.best_trial)
      }
      if (looked.hopeless !== undefined) {
        await fail(searchId, `Cannot search: ${looked.hopeless}`)
        return
      }
      if (looked.next && open.length < openTrialsMax) {
        if (!(await beginTrial(row, looked.next))) return
        continue
      }
      if (open.length > 0 || looked.next) return
      const kept = over.find(({ trial }) => trial === best?.id)
      if (!kept) {
        const why = looked.ranked[0]?.failure ?? ''
        return await fail(
          searchId,
          `Cannot search: none of the ${over.length} trials could be trained; one says: ${why}`,
        )
      }
      row = await change(searchId, { state: 'keeping' })
      return await followKept(row)
    }
  }

  async function fail(searchId: string, error: string): Promise<void> {
    await store.writer
      .updateTable('run_search')
      .set({ state: 'failed', error, ended_at: clock() })
      .where('search_id', '=', searchId)
      .where('state', 'in', ['running', 'keeping'])
      .execute()
    tell(searchOf(await find(searchId)))
    await endRuns(searchId)
  }

  async function runOfTrial({ run_id }: TrialRow): Promise<Run | undefined> {
    try {
      return (await runs.show(run_id)).run
    } catch (error) {
      if (error instanceof Refusal && error.code === 'notFound') return undefined
      throw error
    }
  }

  /** Trials whose runs ended otherwise than with a figure; and those that lost their hub before they had a run. */
  async function writeEnds(row: SearchRow): Promise<void> {
    for (const one of await trialsOf(row.search_id)) {
      if (one.ended_at !== null) continue
      const run = await runOfTrial(one)
      if (!run) {
        if (clock() - one.created_at > orphanMs) await addRun(row, one)
        continue
      }
      if (run.state !== 'failed' && run.state !== 'cancelled') continue
      await store.writer
        .updateTable('run_trial')
        .set({
          failure: run.error === '' ? `Its run was ${run.state}` : run.error,
          seconds: run.activeMs / 1000,
          ended_at: clock(),
        })
        .where('run_id', '=', one.run_id)
        .where('ended_at', 'is', null)
        .execute()
    }
  }

  /** @returns false where another hub has begun it, or none can begin now */
  async function beginTrial(row: SearchRow, trial: Trial): Promise<boolean> {
    const one: TrialRow = {
      search_id: row.search_id,
      trial: trial.id,
      run_id: randomUUID(),
      candidate: trial.candidate,
      round: trial.round,
      share: trial.share,
      settings: JSON.stringify(trial.settings),
      figures: '{}',
      seconds: 0,
      failure: '',
      created_at: clock(),
      ended_at: null,
    }
    const { numInsertedOrUpdatedRows } = await store.writer
      .insertInto('run_trial')
      .values(one)
      .onConflict((on) => on.columns(['search_id', 'trial']).doNothing())
      .executeTakeFirst()
    if (Number(numInsertedOrUpdatedRows ?? 0) === 0) return false
    return await addRun(row, one)
  }

  async function addRun(row: SearchRow, one: TrialRow): Promise<boolean> {
    const request = JSON.parse(row.request) as RunRequest
    const settings = JSON.parse(one.settings) as SearchTrial['settings']
    const says = Object.entries(settings).map((pair) => pair.join('='))
    const trial = { searchId: row.search_id, share: one.share }
    try {
      await runs.add(
        {
          ...request,
          recipe: { ...trainer?.trials.recipeWith(request.recipe ?? {}, settings) },
          note: `trial ${one.trial}: ${says.join(' ')}`.slice(0, noteCharactersMax),
        },
        row.author,
        unwritten,
        { runId: one.run_id, trial },
      )
      return true
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      // The queue is full: it is tried again with the next look.
      if (error.code === 'tooManyRequests') {
        await store.writer.deleteFrom('run_trial').where('run_id', '=', one.run_id).execute()
        return false
      }
      await fail(row.search_id, error.message)
      return false
    }
  }

  /** Only of the best the weights are wanted. */
  async function forgetWeights(over: readonly TrialRow[], best: string): Promise<void> {
    const held = await store.writer
      .selectFrom('run_file')
      .innerJoin('run_trial', 'run_trial.run_id', 'run_file.run_id')
      .select('run_file.run_id')
      .distinct()
      .where('run_trial.search_id', '=', over[0]?.search_id ?? '')
      .where('run_file.kind', '=', 'checkpoint')
      .execute()
    const has = new Set(held.map(({ run_id }) => run_id))
    for (const { trial, run_id } of over) {
      if (trial !== best && has.has(run_id)) await deps.dropCheckpoints(run_id)
    }
  }

  /** The best is being kept: begins that where nobody has, and hears what it came to. */
  async function followKept(row: SearchRow): Promise<void> {
    const { search_id: searchId } = row
    const best = (await trialsOf(searchId)).find(({ trial }) => trial === row.best_trial)
    const run = best && (await runOfTrial(best))
    if (run?.result) {
      await change(searchId, {
        state: 'ended',
        error: '',
        result: JSON.stringify(run.result),
        ended_at: clock(),
      })
      await deps.dropCheckpoints(run.runId)
      return
    }
    if (row.state !== 'keeping') return
    if (!run) return await fail(searchId, 'Cannot keep the best trial: its run is gone')
    if (run.state === 'failed' || run.state === 'cancelled') {
      const why = run.error === '' ? `its run was ${run.state}` : run.error
      return await fail(searchId, `Cannot keep the best trial: ${why}`)
    }
    if (run.state !== 'ended') return
    await runs.keepTrial(run.runId, row.author).catch((error: unknown) => {
      // Another hub was quicker, or the queue is full: the next look sees.
      if (!(error instanceof Refusal)) throw error
    })
  }

  /** Ends the runs of a search that is over. */
  async function endRuns(searchId: string): Promise<void> {
    for (const one of await trialsOf(searchId)) {
      const run = await runOfTrial(one)
      if (!run || (isRunOver(run) && run.state !== 'paused')) continue
      await runs.cancel(one.run_id, unwritten).catch((error: unknown) => {
        // It has ended meanwhile.
        if (!(error instanceof Refusal)) throw error
      })
    }
    await store.writer
      .updateTable('run_trial')
      .set({ failure: 'Its search was ended', ended_at: clock() })
      .where('search_id', '=', searchId)
      .where('ended_at', 'is', null)
      .execute()
  }

  /** @throws {Refusal} badRequest where nothing can be chosen by */
  async function needValidation({ dataset: { name, version }, fold = 0 }: RunRequest) {
    const { folds } = await datasets.show(name, version)
    if ((folds[fold]?.validation ?? 0) > 0) return
    throw new Refusal(
      'badRequest',
      `Cannot search on ${name}/${version}: it was frozen without validation samples to choose by; freeze it with a share of 0.2 for them`,
    )
  }

  async function forget(): Promise<void> {
    const old = await store.writer
      .selectFrom('run_search')
      .select('search_id')
      .where('state', 'not in', ['running', 'keeping'])
      .orderBy('created_at', 'desc')
      .offset(searchesMax)
      .limit(20)
      .execute()
    for (const { search_id } of old) {
      await erase(search_id, async () => {})
      deps.removed(search_id)
    }
  }

  async function erase(
    searchId: string,
    within: (tx: Parameters<AuditNote['within']>[0]) => Promise<void>,
  ): Promise<void> {
    await store.writer.transaction().execute(async (tx) => {
      for (const table of ['run_trial', 'run_search'] as const) {
        await tx.deleteFrom(table).where('search_id', '=', searchId).execute()
      }
      await within(tx)
    })
  }

  let timer: NodeJS.Timeout | undefined
  return {
    list: async () => {
      const rows = await store.reader
        .selectFrom('run_search')
        .selectAll()
        .orderBy('created_at', 'desc')
        .orderBy('search_id')
        .limit(searchesMax)
        .execute()
      return rows.map(searchOf)
    },

    show: async (searchId) => {
      const row = await find(searchId)
      const trials = await trialsOf(searchId)
      const plan = JSON.parse(row.plan) as SearchPlan
      const over = trials.filter((one) => one.ended_at !== null)
      const looked = trainer?.trials.look(plan, row.seed, over.map(triedOf), [])
      const places = new Map(looked?.ranked.map(({ id }, place) => [id, place]))
      const ended = new Map(looked?.ranked.map((one) => [one.id, one]))
      return {
        search: searchOf(row),
        plan,
        better: row.better as SearchDetail['better'],
        trials: trials
          .toSorted(
            (a, b) =>
              (places.get(a.trial) ?? trials.length) - (places.get(b.trial) ?? trials.length),
          )
          .map((one) => ({
            trial: one.trial,
            runId: one.run_id,
            round: one.round,
            share: one.share,
            settings: JSON.parse(one.settings) as SearchTrial['settings'],
            over: one.ended_at !== null,
            value: ended.get(one.trial)?.value ?? null,
            seconds: one.seconds,
            failure: ended.get(one.trial)?.failure ?? one.failure,
          })),
      }
    },

    add: async ({ run, plan }, by, note) => {
      if (!trainer) {
        throw new Refusal('unavailable', 'Cannot search: this hub was started without a trainer')
      }
      if (run.external) {
        throw new Refusal(
          'badRequest',
          'Cannot search with an external trainer: it leaves no checkpoint that the best trial could go on from',
        )
      }
      const { model } = await runs.check(run)
      let trials: number
      try {
        trials = trainer.trials.check(plan, run.recipe ?? {})
      } catch (cause) {
        const { message, hint } = cause as Error & { hint?: string }
        throw new Refusal('badRequest', hint ? `${message}; ${hint}` : message, { cause })
      }
      await needValidation(run)
      const searchId = randomUUID()
      note.about({ target: searchId, detail: `${trials} trials for ${model}` })
      await store.writer.transaction().execute(async (tx) => {
        const { open } = await tx
          .selectFrom('run_search')
          .select(({ fn }) => fn.countAll<number>().as('open'))
          .where('state', 'in', ['running', 'keeping'])
          .executeTakeFirstOrThrow()
        if (Number(open) >= openSearchesMax) {
          throw new Refusal(
            'conflict',
            `Cannot begin another search: ${openSearchesMax} go on already; cancel one or come back later`,
          )
        }
        await tx
          .insertInto('run_search')
          .values({
            search_id: searchId,
            state: 'running',
            request: JSON.stringify(run),
            plan: JSON.stringify(plan),
            seed: run.seed ?? 1,
            trials,
            dataset: run.dataset.name,
            dataset_version: run.dataset.version,
            parent: run.parent,
            model,
            note: run.note ?? '',
            metric: '',
            better: '',
            best_trial: '',
            best_value: null,
            ended: 0,
            result: '',
            error: '',
            author: by,
            created_at: clock(),
            ended_at: null,
          })
          .execute()
        await note.within(tx)
      })
      await forget()
      const row = await find(searchId)
      tell(searchOf(row))
      void work(() => advance(searchId))
      return searchOf(row)
    },

    cancel: async (searchId, note) => {
      const row = await find(searchId)
      await store.writer.transaction().execute(async (tx) => {
        const { numUpdatedRows } = await tx
          .updateTable('run_search')
          .set({ state: 'cancelled', ended_at: clock() })
          .where('search_id', '=', searchId)
          .where('state', 'in', ['running', 'keeping'])
          .executeTakeFirst()
        if (Number(numUpdatedRows) === 0) {
          throw new Refusal('conflict', `Cannot cancel the search: it is ${row.state}`)
        }
        await note.within(tx)
      })
      await work(() => endRuns(searchId))
      const cancelled = searchOf(await find(searchId))
      tell(cancelled)
      return cancelled
    },

    remove: async (searchId, note) => {
      const { state } = await find(searchId)
      if (!isSearchOver({ state: state as SearchState })) {
        throw new Refusal('conflict', `Cannot remove the search: it is ${state}; cancel it first`)
      }
      const trials = await trialsOf(searchId)
      const going = await Promise.all(trials.map(runOfTrial))
      if (going.some((run) => run && !isRunOver(run))) {
        throw new Refusal('conflict', 'Cannot remove the search: its last run is still ending')
      }
      await erase(searchId, (tx) => note.within(tx))
      for (const run of going) if (run) await runs.remove(run.runId, unwritten)
      deps.removed(searchId)
    },

    heard: ({ runId, searchId, state }) => {
      if (searchId === '' || !['ended', 'failed', 'cancelled'].includes(state)) return
      void work(() => advance(searchId).catch(forgotten(runId)))
    },

    begin: () => {
      void work(lookAtAll)
      timer = setInterval(() => void work(lookAtAll), lookIntervalMs)
      timer.unref()
    },

    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      closed = true
      await working
    },
  }
}

/** Of a run's note. */
const noteCharactersMax = 500

/** A search that was removed while its last run ended. */
const forgotten = (runId: string) => (error: unknown) => {
  if (error instanceof Refusal && error.code === 'notFound') return
  throw new Error(`Cannot go on with the search of run ${runId}`, { cause: error })
}

const trialOf = (row: TrialRow): Trial => ({
  id: row.trial,
  candidate: row.candidate,
  round: row.round,
  share: row.share,
  settings: JSON.parse(row.settings) as Trial['settings'],
})

const triedOf = (row: TrialRow): TriedTrial => ({
  ...trialOf(row),
  figures: JSON.parse(row.figures) as TriedTrial['figures'],
  seconds: row.seconds,
  ...(row.failure !== '' && { failure: row.failure }),
})

const searchOf = (row: SearchRow): Search => ({
  searchId: row.search_id,
  state: row.state as SearchState,
  method: (JSON.parse(row.plan) as SearchPlan).method,
  dataset: { name: row.dataset, version: row.dataset_version },
  parent: row.parent,
  model: row.model,
  note: row.note,
  metric: row.metric,
  trials: row.trials,
  ended: row.ended,
  best: row.best_value === null ? null : { trial: row.best_trial, value: row.best_value },
  result: row.result === '' ? null : (JSON.parse(row.result) as Search['result']),
  error: row.error,
  by: row.author,
  createdAt: new Date(row.created_at).toISOString(),
  endedAt: row.ended_at === null ? null : new Date(row.ended_at).toISOString(),
})
