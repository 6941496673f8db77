/**
 * Carries out what `decide` says: one hub of several does it, under a lease. What a step will begin is written down with
 * an id before it is begun, and what came of it is looked up by that id, so a hub that dies at any point repeats nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  isRoundOver,
  type PipelineStepName,
  pipelineRoundsMax,
  pipelineSteps,
} from '@edgeloop/protocol'
import type { Logger } from 'pino'
import { openLease } from '../rollouts/lease.ts'
import type { Store } from '../store/store.ts'
import { type Calendar, machineCalendar } from '../training/schedules.ts'
import { type Decision, decide, type Facts } from './decide.ts'
import { hearAlarms } from './hear-alarms.ts'
import {
  currentStep,
  type KeptPipeline,
  type KeptRound,
  type KeptStep,
  pipelineOfRow,
  putRound,
  replacePipeline,
  replaceRound,
  roundsOf,
  stepAhead,
  stepOf,
  withStep,
} from './pipeline-rows.ts'
import {
  type PipelineRooms,
  type Place,
  type RoundPatch,
  sitesKept,
  stepActs,
} from './step-acts.ts'

/** How often it is looked without a reason: jobs go on, time goes by, other hubs change something. */
const lookIntervalMs = 1000
/** Changes that come within this time are looked at together. */
const gatherMs = 100
/** How often what is newly said is counted where nobody here has heard of a change. */
const countIntervalMs = 30_000
/** Decisions after decisions in one look; the next look goes on. */
const decisionsMax = 20
/** Rounds that are looked back for the one that froze the dataset. */
const lookedBack = 20
const whyCharactersMax = 1000

export type PipelineKeeper = AsyncDisposable & {
  begin(): void
  /** Something has changed that decisions may depend on. */
  wake(): void
  /** What is in a dataset has changed. */
  datasetChanged(dataset: string): void
  /** Resolves when it was looked at everything that is there now. */
  look(): Promise<void>
  /** Samples that something is newly said of since the dataset was frozen for the last round. */
  annotations(pipeline: KeptPipeline, rounds: readonly KeptRound[]): Promise<number>
  /** When the cron expression of a pipeline is due next; null where it has none. */
  nextAt(model: string): Date | null
}

export function openPipelineKeeper(
  deps: PipelineRooms & {
    store: Store
    clock: () => number
    log: Logger
    /** No other hub can work on this store. */
    alone: boolean
    calendar?: Calendar
    /** Samples of a dataset that something is said of, and was not said at a time (ms). */
    annotatedSince: (dataset: string, since: number) => Promise<number>
    /** A pipeline, or a round of it, is another. */
    tell: (model: string) => void
    failed: (error: unknown) => void
  },
): PipelineKeeper {
  const { store, clock, log, tell, failed, calendar = machineCalendar } = deps
  const acts = stepActs(deps)
  const lease = openLease({ store, name: 'pipelines', clock, alone: deps.alone })
  const closing = new AbortController()
  let woken = new AbortController()
  let running = Promise.resolve()
  let looking = Promise.resolve()
  let holds = false
  /** What pages of this hub were told of while another one carries out. */
  const told = new Map<string, string>()
  /** Of calendars, by model; with the expression that each was made of. */
  const tasks = new Map<string, { cron: string; task: ReturnType<Calendar> }>()
  /** What was newly said, when it was counted, and since when. */
  const counts = new Map<string, { dataset: string; since: number; count: number; at: number }>()

  const pipelines = async (): Promise<KeptPipeline[]> =>
    (await store.writer.selectFrom('pipeline').selectAll().orderBy('model').execute()).map(
      pipelineOfRow,
    )

  /** Makes the calendars of this hub those of the store. */
  async function arrange(all: readonly KeptPipeline[]): Promise<void> {
    const wanted = new Map<string, string>()
    for (const { model, config } of all) {
      if (config.trigger.cron !== null) wanted.set(model, config.trigger.cron)
    }
    for (const [model, { cron, task }] of tasks) {
      if (wanted.get(model) === cron) continue
      await task.end()
      tasks.delete(model)
    }
    for (const [model, cron] of wanted) {
      if (tasks.has(model)) continue
      const due = () => {
        // Of several hubs one remembers it.
        if (holds) void remember(model).then(wake, failed)
      }
      tasks.set(model, { cron, task: calendar(cron, due) })
    }
  }

  /** Its time has come. */
  async function remember(model: string): Promise<void> {
    await store.writer
      .updateTable('pipeline')
      .set((e) => ({ due_at: clock(), revision: e('revision', '+', 1) }))
      .where('model', '=', model)
      .where('due_at', 'is', null)
      .execute()
  }

  async function newlySaid(
    { model, config: { dataset } }: KeptPipeline,
    rounds: readonly KeptRound[],
  ): Promise<number> {
    const now = clock()
    const frozen = rounds.find(
      (one) => one.datasetVersion !== null && one.config.dataset === dataset,
    )
    let since = 0
    if (frozen?.datasetVersion) {
      const version = await deps.versions
        .show(dataset, frozen.datasetVersion)
        .catch(() => undefined)
      since = version ? Date.parse(version.createdAt) : (stepOf(frozen, 'freeze').startedAt ?? 0)
    }
    const known = counts.get(model)
    const isFresh = known && known.dataset === dataset && known.since === since
    if (isFresh && Math.abs(now - known.at) < countIntervalMs) return known.count
    const count = await deps.annotatedSince(dataset, since)
    counts.set(model, { dataset, since, count, at: now })
    return count
  }

  async function settle(model: string): Promise<void> {
    for (let n = 0; n < decisionsMax && !closing.signal.aborted; n++) {
      const row = await store.writer
        .selectFrom('pipeline')
        .selectAll()
        .where('model', '=', model)
        .executeTakeFirst()
      if (!row) return
      const pipeline = pipelineOfRow(row)
      const rounds = await roundsOf(store.writer, model, lookedBack)
      const [round] = rounds
      const place = round && placeOf(pipeline, round, rounds)
      const step = place && !isRoundOver(place.round) ? currentStep(place.round) : undefined
      const isBegun =
        step?.state === 'running' ||
        (step?.state === 'waiting' && step.retryAt === null && step.attempt > 0)
      const seen =
        place && step && isBegun && place.round.state === 'running'
          ? await acts.look(step, place).catch((error: Error) => {
              log.warn({ err: error, model, step: step.name }, 'a step could not be looked at')
              return { facts: { kind: 'failed' as const, why: error.message }, patch: undefined }
            })
          : undefined
      const isOpen = round !== undefined && !isRoundOver(round)
      const facts: Facts = {
        annotations: isOpen ? 0 : await newlySaid(pipeline, rounds),
        step: seen?.facts,
      }
      const decision = decide(pipeline, round, facts, clock())
      if (!(await carryOut(decision, pipeline, rounds, facts, seen?.patch))) return
    }
  }

  const placeOf = (
    pipeline: KeptPipeline,
    round: KeptRound,
    rounds: readonly KeptRound[],
  ): Place => ({
    pipeline,
    round,
    before: rounds.find((one) => one.round < round.round && one.datasetVersion !== null),
  })

  /** @returns whether something may be left to decide */
  async function carryOut(
    decision: Decision,
    pipeline: KeptPipeline,
    rounds: readonly KeptRound[],
    facts: Facts,
    patch: RoundPatch = {},
  ): Promise<boolean> {
    const { model } = pipeline
    const now = clock()
    const [round] = rounds
    if (decision.act === 'wait') return false
    if (decision.act === 'begin') {
      const next: KeptRound = {
        model,
        round: (round?.round ?? 0) + 1,
        state: 'running',
        why: '',
        cause: decision.cause,
        config: pipeline.config,
        annotations: facts.annotations,
        datasetVersion: null,
        version: null,
        championBefore: null,
        crowned: false,
        key: null,
        sites: [],
        by: pipeline.asked?.by ?? pipeline.by,
        startedAt: now,
        endedAt: null,
        revision: 1,
        steps: pipelineSteps.map(stepAhead),
      }
      const begun = await store.writer.transaction().execute(async (tx) => {
        const answered = { asked: null, alarms: [], dueAt: null, hurry: false }
        if (!(await replacePipeline(tx, { ...pipeline, ...answered }))) return false
        await putRound(tx, next)
        return true
      })
      if (begun) {
        await forget(model)
        tell(model)
      }
      return true
    }
    if (!round) return false
    const place = placeOf(pipeline, { ...round, ...patch }, rounds)
    switch (decision.act) {
      case 'start':
        return await start(decision.step, place)
      case 'begin-again': {
        const step = stepOf(place.round, decision.step)
        await beginStep(step, place)
        return false
      }
      case 'note': {
        const step = stepOf(round, decision.step)
        const { state, progress } = decision
        const why = short(decision.why)
        if (step.state === state && step.why === why && step.progress === progress) return false
        const noted: KeptStep = { ...step, state, why, progress }
        await write(withStep({ ...place.round, why }, noted))
        return false
      }
      case 'finish': {
        // The alias moves before the step is done: who comes after finds it moved.
        const step = stepOf(round, decision.step)
        if (decision.step === 'gate') {
          try {
            await acts.crown(place.round)
          } catch (error) {
            await fail(place, step, (error as Error).message)
            return true
          }
        }
        const { state } = decision
        const why = short(decision.why)
        const ended: KeptStep = { ...step, state, why, progress: null, endedAt: now }
        const crowned = round.crowned || decision.step === 'gate'
        return await write(withStep({ ...place.round, crowned, why }, ended))
      }
      case 'retry': {
        const why = short(`${decision.why} (try ${stepOf(round, decision.step).attempt})`)
        const waits: KeptStep = {
          ...stepOf(round, decision.step),
          state: 'waiting',
          why,
          progress: null,
          retryAt: decision.at,
        }
        return await write(withStep({ ...place.round, why }, waits))
      }
      case 'park': {
        const why = short(decision.why)
        const stuck: KeptStep = {
          ...stepOf(round, decision.step),
          state: 'failed',
          why,
          progress: null,
          endedAt: now,
        }
        log.warn({ model, round: round.round, step: decision.step, why }, 'a pipeline is stuck')
        return await write(withStep({ ...place.round, state: 'parked', why }, stuck))
      }
      case 'end':
        return await endRound(place, decision, now)
    }
  }

  /** What is meant to be begun is written down, and then begun. */
  async function start(name: PipelineStepName, place: Place): Promise<boolean> {
    const { round, pipeline } = place
    const now = clock()
    const before = stepOf(round, name)
    let planned: Awaited<ReturnType<typeof acts.plan>>
    let problem = ''
    try {
      planned = await acts.plan(name, place)
    } catch (error) {
      planned = { ids: {} }
      problem = (error as Error).message
    }
    const step: KeptStep = {
      ...before,
      state: 'running',
      why: '',
      progress: null,
      attempt: before.attempt + 1,
      retryAt: null,
      ids: planned.ids,
      startedAt: before.startedAt ?? now,
      endedAt: null,
    }
    const begun = withStep({ ...round, ...planned.patch, why: '' }, step)
    if (!(await write(begun))) return true
    if (pipeline.hurry) await replacePipeline(store.writer, { ...pipeline, hurry: false })
    const there = { ...place, round: { ...begun, revision: begun.revision + 1 } }
    if (problem !== '') await fail(there, step, problem)
    else await beginStep(step, there)
    return true
  }

  async function beginStep(step: KeptStep, place: Place): Promise<void> {
    try {
      await acts.begin(step, place)
    } catch (error) {
      await fail(place, step, (error as Error).message)
    }
  }

  /** A step that could not even be begun. */
  async function fail(place: Place, step: KeptStep, why: string): Promise<void> {
    const facts: Facts = { annotations: 0, step: { kind: 'failed', why } }
    const decision = decide(place.pipeline, place.round, facts, clock())
    if (decision.act !== 'retry' && decision.act !== 'park') return
    log.warn({ model: place.round.model, step: step.name, why }, 'a step could not be begun')
    await carryOut(decision, place.pipeline, [place.round], facts)
  }

  async function endRound(
    { pipeline, round }: Place,
    { state, why }: Extract<Decision, { act: 'end' }>,
    now: number,
  ): Promise<boolean> {
    // What the field did not want is not what the next round begins from.
    if (state === 'stopped') await acts.uncrown(round)
    const step = currentStep(round)
    const text = short(why)
    const ended: KeptRound = { ...round, state, why: text, endedAt: now }
    const whole = step
      ? withStep(ended, { ...step, state: 'failed', why: text, progress: null, endedAt: now })
      : ended
    const done = await store.writer.transaction().execute(async (tx) => {
      if (!(await replaceRound(tx, whole))) return false
      if (state !== 'done' || round.config.rollout === null) return true
      const sitesBehind = behindAfter(pipeline, round)
      return await replacePipeline(tx, { ...pipeline, sitesBehind })
    })
    if (done) tell(round.model)
    log.info({ model: round.model, round: round.round, state, why }, 'a round of a pipeline ended')
    return true
  }

  /** @returns false where somebody else has changed the round since it was read */
  async function write(round: KeptRound): Promise<boolean> {
    const done = await store.writer.transaction().execute((tx) => replaceRound(tx, round))
    if (done) tell(round.model)
    return done
  }

  async function forget(model: string): Promise<void> {
    const oldest = await store.writer
      .selectFrom('pipeline_round')
      .select('round')
      .where('model', '=', model)
      .orderBy('round', 'desc')
      .offset(pipelineRoundsMax)
      .limit(1)
      .executeTakeFirst()
    if (!oldest) return
    for (const table of ['pipeline_step', 'pipeline_round'] as const) {
      await store.writer
        .deleteFrom(table)
        .where('model', '=', model)
        .where('round', '<=', oldest.round)
        .execute()
    }
  }

  /** Another hub carries out: pages here hear what it wrote. */
  async function tellOthers(all: readonly KeptPipeline[]): Promise<void> {
    for (const { model, revision } of all) {
      const [round] = await roundsOf(store.reader, model, 1)
      const now = `${revision} ${round?.round ?? 0} ${round?.revision ?? 0}`
      if (told.get(model) !== now) tell(model)
      told.set(model, now)
    }
  }

  /** Takes in what was raised since the last look; where somebody was faster, the next look does. */
  async function hear(pipeline: KeptPipeline): Promise<void> {
    const { models, fleet } = deps
    const heard = await hearAlarms(pipeline, { store, clock, fleet, digests: models.digests })
    if (heard && (await replacePipeline(store.writer, heard))) tell(pipeline.model)
  }

  async function lookAll(): Promise<void> {
    const all = await pipelines()
    await arrange(all)
    holds = await lease.hold()
    if (!holds) {
      await tellOthers(all)
      return
    }
    for (const pipeline of all) {
      if (closing.signal.aborted) return
      // One that cannot be read holds up no other.
      await hear(pipeline).catch(failed)
      await settle(pipeline.model).catch(failed)
    }
  }

  function look(): Promise<void> {
    looking = looking.then(() => (closing.signal.aborted ? undefined : lookAll())).catch(failed)
    return looking
  }

  function wake(): void {
    woken.abort()
  }

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      await look()
      const signal = AbortSignal.any([closing.signal, woken.signal])
      await sleep(lookIntervalMs, undefined, { signal }).catch(() => {})
      if (!woken.signal.aborted) continue
      await sleep(gatherMs, undefined, { signal: closing.signal }).catch(() => {})
      woken = new AbortController()
    }
  }

  return {
    begin: () => {
      running = run()
    },
    wake,
    datasetChanged: (dataset) => {
      for (const [model, one] of counts) if (one.dataset === dataset) counts.delete(model)
      wake()
    },
    look,
    annotations: newlySaid,
    nextAt: (model) => tasks.get(model)?.task.next() ?? null,

    async [Symbol.asyncDispose]() {
      closing.abort()
      for (const { task } of tasks.values()) await task.end()
      await running
      await looking
      await lease.release().catch(failed)
    },
  }
}

/** Which version each site is left with that did not get the newest. */
export function behindAfter(
  { sitesBehind }: Pick<KeptPipeline, 'sitesBehind'>,
  round: Pick<KeptRound, 'sites' | 'championBefore'>,
): Record<string, number | null> {
  const kept = new Set(sitesKept(round))
  const judged = new Set(round.sites.flatMap(({ by, name }) => (by === 'site' ? [name] : [])))
  const still = Object.entries(sitesBehind).filter(([site]) => !judged.has(site))
  return {
    ...Object.fromEntries(still),
    ...Object.fromEntries(
      [...kept].map((site) => [
        site,
        site in sitesBehind ? (sitesBehind[site] ?? null) : round.championBefore,
      ]),
    ),
  }
}

const short = (text: string): string => text.slice(0, whyCharactersMax)
