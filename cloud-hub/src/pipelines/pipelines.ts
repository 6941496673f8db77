/** Pipelines as people set them, see them and step in. What follows by itself is the keeper's (keeper.ts). */
import {
  isRoundOver,
  type PipelineConfig,
  type PipelineDryRun,
  type PipelineRequest,
  type PipelineRound,
  type PipelineRow,
  type PipelineStepName,
  pipelineOf,
  pipelineSteps,
  pipelinesMax,
  Refusal,
} from '@edgeloop/protocol'
import type { Transaction } from 'kysely'
import { validate } from 'node-cron'
import type { AuditNote } from '../audit/audit.ts'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import type { Trainer } from '../training/trainer.ts'
import { checksOf, decide } from './decide.ts'
import { devicesMeant, targetsMeant } from './field.ts'
import type { PipelineKeeper } from './keeper.ts'
import {
  cellsOfPipeline,
  currentStep,
  findPipeline,
  findRound,
  type KeptPipeline,
  type KeptRound,
  pipelineOfRow,
  replacePipeline,
  replaceRound,
  roundsOf,
  shownRound,
  stepAhead,
  stepOf,
  withStep,
} from './pipeline-rows.ts'
import { type PipelineRooms, stepActs } from './step-acts.ts'

/** How often a change is tried again that the keeper was faster with. */
const triesMax = 10
const lookedBack = 20
const listedMax = 50

export type PipelineDesk = {
  list(): Promise<PipelineRow[]>
  /** @throws {Refusal} notFound; so all of the following */
  show(model: string): Promise<PipelineRow>
  /** @throws {Refusal} badRequest for what cannot be; notFound for the dataset; conflict for too many */
  put(model: string, request: PipelineRequest, by: string, note: AuditNote): Promise<PipelineRow>
  /** @throws {Refusal} conflict while a round is open */
  remove(model: string, note: AuditNote): Promise<void>
  dryRun(model: string): Promise<PipelineDryRun>
  /** @throws {Refusal} conflict while a round is open, or it is parked */
  start(model: string, by: string, note: AuditNote): Promise<PipelineRow>
  rounds(model: string, limit?: number): Promise<PipelineRound[]>
  round(model: string, round: number): Promise<PipelineRound>
  /** @throws {Refusal} conflict for a round that is not the newest, or a step that cannot be done again */
  retry(
    model: string,
    round: number,
    step: PipelineStepName | undefined,
    by: string,
    note: AuditNote,
  ): Promise<PipelineRound>
  /** @throws {Refusal} conflict where it waits for nobody */
  approve(model: string, round: number, by: string, note: AuditNote): Promise<PipelineRound>
  /** @throws {Refusal} conflict where it is over */
  cancel(model: string, round: number, by: string, note: AuditNote): Promise<PipelineRound>
  /** @throws {Refusal} conflict where it does not wait for a time */
  skipWait(model: string, note: AuditNote): Promise<PipelineRow>
  /** @throws {Refusal} conflict where it is parked already */
  park(model: string, by: string, note: AuditNote): Promise<PipelineRow>
  /** @throws {Refusal} conflict where nobody has parked it */
  resume(model: string, note: AuditNote): Promise<PipelineRow>
}

export function openPipelineDesk(
  deps: PipelineRooms & {
    store: Store
    keeper: PipelineKeeper
    trainer: Trainer | undefined
    clock: () => number
    tell: (model: string) => void
  },
): PipelineDesk {
  const { store, keeper, clock, tell, models, datasets, versions, trainer } = deps
  const acts = stepActs(deps)

  /** Changes a pipeline and its newest round as they are now, with the audit entry. */
  async function change(
    model: string,
    note: AuditNote,
    act: (
      pipeline: KeptPipeline,
      round: KeptRound | undefined,
      tx: Transaction<Tables>,
    ) =>
      | Promise<{ pipeline?: KeptPipeline; round?: KeptRound }>
      | { pipeline?: KeptPipeline; round?: KeptRound },
  ): Promise<void> {
    for (let tries = 1; ; tries++) {
      const done = await store.writer
        .transaction()
        .execute(async (tx) => {
          const pipeline = await findPipeline(tx, model)
          const [round] = await roundsOf(tx, model, 1)
          const after = await act(pipeline, round, tx)
          // Nothing of a change that was overtaken may stay.
          if (after.pipeline && !(await replacePipeline(tx, after.pipeline))) return false
          if (after.round && !(await replaceRound(tx, after.round))) throw new Overtaken()
          await note.within(tx)
          return true
        })
        .catch((error: unknown) => {
          if (error instanceof Overtaken) return false
          throw error
        })
      if (done) break
      if (tries === triesMax) {
        throw new Refusal(
          'conflict',
          'Cannot change the pipeline: it changes all the time; try again',
        )
      }
    }
    tell(model)
    await keeper.look()
  }

  async function shown(pipeline: KeptPipeline): Promise<PipelineRow> {
    const { model, config } = pipeline
    const rounds = await roundsOf(store.reader, model, lookedBack)
    const [round] = rounds
    const annotations = await keeper.annotations(pipeline, rounds).catch(unlessMissing)
    const now = clock()
    const said = annotations ?? 0
    const open = round !== undefined && !isRoundOver(round)
    const decision = decide(pipeline, round, { annotations: said }, now)
    const why = open
      ? round.why
      : decision.act === 'wait'
        ? decision.why
        : decision.act === 'begin'
          ? `Begins: ${decision.cause.text}`
          : ''
    return {
      model,
      config,
      annotations: said,
      alarms: [...pipeline.alarms],
      state: pipeline.parked
        ? 'parked'
        : !open
          ? 'waiting'
          : round.state === 'parked'
            ? 'stuck'
            : 'running',
      why: annotations === undefined ? `The dataset "${config.dataset}" is gone` : why,
      checks: checksOf(pipeline, round, said, now),
      nextAt: keeper.nextAt(model)?.toISOString() ?? null,
      rounds: round?.round ?? 0,
      last: round ? shownRound(round) : null,
      by: pipeline.by,
      createdAt: new Date(pipeline.createdAt).toISOString(),
      changedAt: new Date(pipeline.changedAt).toISOString(),
      revision: pipeline.revision,
    }
  }

  const show = async (model: string): Promise<PipelineRow> =>
    await shown(await findPipeline(store.writer, model))

  /** @throws {Refusal} where it could never go through */
  async function check(model: string, config: PipelineConfig): Promise<void> {
    const { trigger, train, compile, rollout, freeze } = config
    const cannot = (why: string) => new Refusal('badRequest', `Cannot set the pipeline: ${why}`)
    if (trigger.cron !== null && !isCron(trigger.cron)) {
      throw cannot(
        `"${trigger.cron}" is no time; write minute, hour, day, month and weekday, such as "17 3 * * 1"`,
      )
    }
    await datasets.show(config.dataset)
    if (freeze.holdout + freeze.validation >= 1) {
      throw cannot(
        `${freeze.holdout} for the test and ${freeze.validation} to choose by leave nothing to learn from`,
      )
    }
    const known = await models.versions(model).catch(unlessMissing)
    if (!known && train.from === undefined) {
      throw cannot(
        `"${model}" has no version yet; say in train.from what the first is made of, such as new:mobilenet-v2`,
      )
    }
    if ('replayShare' in train.recipe) {
      throw cannot('the share of what is replayed is train.replayShare, not part of the recipe')
    }
    try {
      trainer?.check({ parent: train.from ?? `${model}/1`, recipe: train.recipe })
    } catch (cause) {
      const { message, hint } = cause as Error & { hint?: string }
      throw new Refusal('badRequest', hint ? `${message}; ${hint}` : message, { cause })
    }
    const targets = models.compiler().targets.map(({ name }) => name)
    const unknown = compile?.targets?.find((one) => !targets.includes(one))
    if (unknown !== undefined) {
      throw cannot(`nothing can be compiled for "${unknown}"; known are ${targets.join(', ')}`)
    }
    const shares = rollout?.stages?.map(({ share }) => share) ?? [1]
    if (shares.some((share, at) => share <= (shares[at - 1] ?? 0)) || shares.at(-1) !== 1) {
      throw cannot('the stages of its rollout do not grow to all devices, with share 1')
    }
    if (rollout?.select?.all && Object.keys(rollout.select).length > 1) {
      throw cannot('its rollout selects all devices and some at once')
    }
  }

  const newestIs = (round: KeptRound | undefined, number: number): KeptRound => {
    if (round?.round === number) return round
    throw new Refusal(
      'conflict',
      `Cannot change round ${number}: ${round ? `the newest is ${round.round}` : 'there is none'}`,
    )
  }

  return {
    list: async () => {
      const rows = await store.reader.selectFrom('pipeline').selectAll().orderBy('model').execute()
      return await Promise.all(rows.map((row) => shown(pipelineOfRow(row))))
    },
    show,

    put: async (model, request, by, note) => {
      const config = pipelineOf(request)
      note.about({ target: model, detail: `on ${config.dataset}` })
      await check(model, config)
      const now = clock()
      await store.writer.transaction().execute(async (tx) => {
        const rows = await tx.selectFrom('pipeline').selectAll().execute()
        const known = rows.find((one) => one.model === model)
        if (!known && rows.length >= pipelinesMax) {
          throw new Refusal('conflict', `Cannot keep another pipeline: there are ${pipelinesMax}`)
        }
        const before = known && pipelineOfRow(known)
        const next: KeptPipeline = {
          parked: null,
          asked: null,
          alarms: [],
          dueAt: null,
          hurry: false,
          sitesBehind: {},
          alarmsThrough: await newestAlarm(tx),
          createdAt: now,
          revision: 1,
          ...before,
          model,
          config,
          by,
          changedAt: now,
          ...(before && before.config.trigger.cron !== config.trigger.cron && { dueAt: null }),
        }
        if (before) await replacePipeline(tx, next)
        else await tx.insertInto('pipeline').values(cellsOfPipeline(next)).execute()
        await note.within(tx)
      })
      tell(model)
      await keeper.look()
      return await show(model)
    },

    remove: async (model, note) => {
      await store.writer.transaction().execute(async (tx) => {
        await findPipeline(tx, model)
        const [round] = await roundsOf(tx, model, 1)
        if (round && !isRoundOver(round)) {
          throw new Refusal(
            'conflict',
            `Cannot remove the pipeline of "${model}": round ${round.round} is open; cancel it first`,
          )
        }
        for (const table of ['pipeline_step', 'pipeline_round', 'pipeline'] as const) {
          await tx.deleteFrom(table).where('model', '=', model).execute()
        }
        await note.within(tx)
      })
      tell(model)
    },

    dryRun: async (model) => {
      const pipeline = await findPipeline(store.writer, model)
      const { config } = pipeline
      const rounds = await roundsOf(store.reader, model, lookedBack)
      const [round] = rounds
      const now = clock()
      const said = (await keeper.annotations(pipeline, rounds).catch(unlessMissing)) ?? 0
      const decision = decide(pipeline, round, { annotations: said }, now)
      const open = round !== undefined && !isRoundOver(round)
      const devices = await devicesMeant(deps, model, config)
      const known = models.compiler().targets.map(({ name }) => name)
      const byTarget = targetsMeant(devices, config.compile === null ? [] : known)
      const champion = await models.champion(model)
      const [newest] = (await models.versions(model).catch(unlessMissing)) ?? []
      const all = (await versions.list(config.dataset).catch(unlessMissing)) ?? []
      const dataset = await datasets.show(config.dataset).catch(unlessMissing)
      const behind = Object.keys(pipeline.sitesBehind)
      const parent = champion
        ? `the champion, version ${champion.version}`
        : newest
          ? `version ${newest.version}, as there is no champion`
          : (config.train.from ?? 'nothing')
      const step = (name: PipelineStepName, text: string, problem = '') => ({ name, text, problem })
      const reached = [...byTarget].map(([target, those]) => ({ target, devices: those.length }))
      const nothingFor = byTarget.get('')?.length ?? 0
      return {
        begins: decision.act === 'begin',
        why: open
          ? `Round ${round.round} is open: ${round.why}`
          : decision.act === 'begin'
            ? decision.cause.text
            : decision.act === 'wait'
              ? decision.why
              : '',
        checks: checksOf(pipeline, round, said, now),
        steps: [
          step(
            'freeze',
            all[0]?.revision === dataset?.revision && all[0]
              ? `Takes version ${all[0].version} of ${config.dataset}: nothing has changed since`
              : `Freezes ${config.dataset} with ${dataset?.samples ?? 0} samples, ${said} of them newly said; what was a test stays one`,
            !dataset
              ? `The dataset "${config.dataset}" is gone`
              : dataset.samples === 0
                ? 'It has no sample'
                : '',
          ),
          step(
            'train',
            `Trains ${parent}${config.train.replayShare > 0 ? `, with ${Math.round(config.train.replayShare * 100)} % of each batch from the rounds before` : ''}`,
            trainer ? '' : 'This hub was started without a trainer',
          ),
          step(
            'gate',
            `Asks for ${config.gate.gainMin > 0 ? `${config.gate.gainMin} more than the champion has` : 'no worse than the champion'}, and for no more than ${config.gate.siteDropMax} less at each site${behind.length > 0 ? `; ${behind.join(', ')} ${behind.length === 1 ? 'has' : 'have'} an older version, and ${behind.length === 1 ? 'is' : 'are'} compared with that` : ''}`,
          ),
          step(
            'compile',
            config.compile === null
              ? 'Compiles nothing: boxes get the file as it was trained'
              : `Compiles for ${(config.compile.targets ?? [...byTarget.keys()].filter((one) => one !== '')).join(', ') || 'nothing'}`,
            models.compiler().available ? '' : 'This hub was started without a compiler',
          ),
          step('publish', 'Signs it, with the differences from what boxes run'),
          step(
            'rollout',
            config.rollout === null
              ? 'Rolls nothing out by itself'
              : `${config.rollout.approve ? 'Waits for approval, then offers' : 'Offers'} it to ${devices.length} device${devices.length === 1 ? '' : 's'}`,
            config.rollout !== null && devices.length === 0
              ? `No device runs "${model}"`
              : config.compile !== null && nothingFor > 0
                ? `${nothingFor} of them take nothing that can be compiled`
                : '',
          ),
        ],
        sites: [...Map.groupBy(devices, ({ site }) => site)]
          .map(([site, those]) => ({ site, devices: those.length }))
          .sort((a, b) => (a.site < b.site ? -1 : 1)),
        targets: reached.sort((a, b) => (a.target < b.target ? -1 : 1)),
      }
    },

    start: async (model, by, note) => {
      await change(model, note, (pipeline, round) => {
        const cannot = (why: string) =>
          new Refusal('conflict', `Cannot begin a round of "${model}": ${why}`)
        if (round && !isRoundOver(round)) throw cannot(`round ${round.round} is not over`)
        if (pipeline.parked) throw cannot(`${pipeline.parked.by} parked it; resume it first`)
        return { pipeline: { ...pipeline, asked: { by, at: clock() } } }
      })
      return await show(model)
    },

    rounds: async (model, limit = listedMax) => {
      await findPipeline(store.reader, model)
      return (await roundsOf(store.reader, model, limit)).map(shownRound)
    },
    round: async (model, round) => shownRound(await findRound(store.writer, model, round)),

    retry: async (model, number, asked, by, note) => {
      /** @throws {Refusal} conflict where it cannot be done again */
      const planned = (round: KeptRound): { name: PipelineStepName; at: number } => {
        const cannot = (why: string) =>
          new Refusal('conflict', `Cannot do a step of round ${number} again: ${why}`)
        if (round.state === 'done') throw cannot('it is done; start the next one')
        const name = asked ?? currentStep(round)?.name
        if (!name) throw cannot('none failed')
        const at = pipelineSteps.indexOf(name)
        const reached = currentStep(round)
        if (reached && pipelineSteps.indexOf(reached.name) < at) {
          throw cannot(`it has not come to "${name}" yet`)
        }
        const rollout = stepOf(round, 'rollout')
        if (rollout.state === 'running' || (rollout.state === 'waiting' && rollout.attempt > 0)) {
          throw cannot('its rollout goes on; abort that first')
        }
        if (reached?.state === 'running')
          throw cannot(`"${reached.name}" is being done; cancel the round, or wait`)
        return { name, at }
      }
      const before = newestIs((await roundsOf(store.writer, model, 1))[0], number)
      const { name, at } = planned(before)
      const gateAt = pipelineSteps.indexOf('gate')
      note.about({ detail: `round ${number}, from "${name}"` })
      // The champion is the one that it was when that step was done first.
      if (at <= gateAt) await acts.uncrown(before)
      else await acts.crown(before)
      await change(model, note, (_, newest) => {
        const round = newestIs(newest, number)
        planned(round)
        const steps = round.steps.map((one, index) =>
          index < at
            ? one
            : { ...stepAhead(one.name), approvedBy: index === at ? one.approvedBy : '' },
        )
        const again: KeptRound = {
          ...round,
          steps,
          state: 'running',
          why: `Done again by ${by}`,
          endedAt: null,
          ...(at <= gateAt && { crowned: false, key: null, sites: [] }),
          ...(at <= pipelineSteps.indexOf('train') && { version: null }),
          ...(at === 0 && { datasetVersion: null }),
        }
        return { round: again }
      })
      return shownRound(await findRound(store.writer, model, number))
    },

    approve: async (model, number, by, note) => {
      const before = newestIs((await roundsOf(store.writer, model, 1))[0], number)
      const step = currentStep(before)
      const cannot = () =>
        new Refusal('conflict', `Cannot approve round ${number}: it waits for nobody`)
      if (before.state !== 'running' || step?.name !== 'rollout' || step.state !== 'waiting') {
        throw cannot()
      }
      const { rollout: rolloutId } = step.ids
      if (step.attempt > 0 && rolloutId !== undefined) {
        const { rollout, stages } = await deps.rollouts.show(rolloutId)
        if (rollout.state !== 'held') throw cannot()
        const begun = stages[rollout.stage]?.startedAt !== null
        await deps.rollouts.approve(rolloutId, begun ? rollout.stage + 1 : rollout.stage, by, note)
        await keeper.look()
      } else {
        await change(model, note, (_, newest) => {
          const round = newestIs(newest, number)
          const now = currentStep(round)
          if (now?.name !== 'rollout' || now.state !== 'waiting' || now.attempt > 0) throw cannot()
          const why = `Approved by ${by}`
          return { round: withStep({ ...round, why }, { ...now, approvedBy: by, why }) }
        })
      }
      return shownRound(await findRound(store.writer, model, number))
    },

    cancel: async (model, number, by, note) => {
      const before = newestIs((await roundsOf(store.writer, model, 1))[0], number)
      if (isRoundOver(before)) {
        throw new Refusal('conflict', `Cannot cancel round ${number}: it is ${before.state}`)
      }
      const reached = currentStep(before)
      if (reached) await acts.end(reached, before)
      await acts.uncrown(before)
      // The keeper may have seen what that ended, and made its own of it.
      await change(model, note, (_, newest) => {
        const round = newestIs(newest, number)
        const step = currentStep(round)
        const why = `Cancelled by ${by}`
        const over: KeptRound = { ...round, state: 'cancelled', why, endedAt: clock() }
        const last = step && {
          ...step,
          state: 'failed' as const,
          why,
          endedAt: clock(),
          retryAt: null,
        }
        return { round: last ? withStep(over, last) : over }
      })
      return shownRound(await findRound(store.writer, model, number))
    },

    skipWait: async (model, note) => {
      await change(model, note, (pipeline, round) => {
        const open = round && !isRoundOver(round)
        const waits = open
          ? (currentStep(round)?.retryAt ?? null) !== null
          : checksOf(pipeline, round, 0, clock()).some(
              ({ kind, met }) => kind === 'interval' && !met,
            )
        if (!waits) {
          throw new Refusal('conflict', `Cannot skip the wait of "${model}": it waits for no time`)
        }
        return { pipeline: { ...pipeline, hurry: true } }
      })
      return await show(model)
    },

    park: async (model, by, note) => {
      await change(model, note, (pipeline) => {
        if (pipeline.parked) {
          throw new Refusal('conflict', `Cannot park "${model}": ${pipeline.parked.by} has already`)
        }
        return { pipeline: { ...pipeline, parked: { by, at: clock() } } }
      })
      return await show(model)
    },

    resume: async (model, note) => {
      await change(model, note, (pipeline) => {
        if (!pipeline.parked) {
          throw new Refusal('conflict', `Cannot resume "${model}": nobody has parked it`)
        }
        return { pipeline: { ...pipeline, parked: null } }
      })
      return await show(model)
    },
  }
}

/** Somebody else has changed a round since it was read. */
class Overtaken extends Error {}

/** Alarms up to here were raised before there was a pipeline to answer them. */
async function newestAlarm(tx: Transaction<Tables>): Promise<number> {
  const row = await tx
    .selectFrom('drift_alarm')
    .select('alarm_id')
    .orderBy('alarm_id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.alarm_id ?? 0
}

const isCron = (cron: string): boolean => validate(cron) && cron.trim().split(/\s+/).length === 5

function unlessMissing(error: unknown): undefined {
  if (error instanceof Refusal && error.code === 'notFound') return undefined
  throw error
}
