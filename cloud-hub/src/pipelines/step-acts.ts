/**
 * What each step of a round does, and how it is found out what came of it. Whatever a step begins has an id that was
 * written down before, so `begin` may be called again after a hub died: what is there already is left as it is.
 */
import { randomUUID } from 'node:crypto'
import {
  type DatasetVersion,
  isOver,
  type Job,
  type ModelVersion,
  type PipelineStepName,
  Refusal,
  type RolloutDetail,
  type RunComparison,
  type RunRequest,
} from '@edgeloop/protocol'
import type { ArtifactDesk } from '../artifacts/artifacts.ts'
import { anyTarget } from '../artifacts/artifacts.ts'
import type { Audit, AuditNote } from '../audit/audit.ts'
import type { DatasetJobs } from '../datasets/dataset-jobs.ts'
import type { DatasetDesk } from '../datasets/datasets.ts'
import type { VersionDesk } from '../datasets/versions.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { ModelDesk } from '../models/models.ts'
import type { RolloutDesk } from '../rollouts/rollouts.ts'
import type { RunDesk } from '../training/runs.ts'
import type { StepFacts } from './decide.ts'
import { devicesMeant, selectionWithout, targetsMeant } from './field.ts'
import { type KeptPipeline, type KeptRound, type KeptStep, stepOf } from './pipeline-rows.ts'
import { judgeVersion } from './site-guard.ts'

/** The rooms that a pipeline works through. */
export type PipelineRooms = {
  readonly audit: Audit
  readonly queue: JobQueue
  readonly datasets: DatasetDesk
  readonly versions: VersionDesk
  readonly datasetJobs: Pick<DatasetJobs, 'freeze'>
  readonly runs: Pick<RunDesk, 'add' | 'show' | 'file' | 'cancel'>
  readonly models: ModelDesk
  readonly artifacts: Pick<ArtifactDesk, 'publish' | 'published'>
  readonly rollouts: Pick<RolloutDesk, 'create' | 'show' | 'approve' | 'abort' | 'devicesWith'>
  readonly fleet: Fleet
}

/** What became known of a round with a step. */
export type RoundPatch = Partial<
  Pick<KeptRound, 'datasetVersion' | 'version' | 'championBefore' | 'key' | 'sites'>
>
export type Seen = { readonly facts: StepFacts; readonly patch?: RoundPatch }

/** What is needed to know of a pipeline, besides the round. */
export type Place = {
  readonly pipeline: KeptPipeline
  readonly round: KeptRound
  /** The newest round before this one that froze the dataset. */
  readonly before: KeptRound | undefined
}

export type StepActs = {
  /**
   * What the step will begin, by what that is for; and what has to be known of the round before.
   * @throws {Error} where it cannot be begun
   */
  plan(
    step: PipelineStepName,
    place: Place,
  ): Promise<{
    readonly ids: Readonly<Record<string, string>>
    readonly patch?: RoundPatch
  }>
  /** Begins what the ids stand for and is not there. @throws {Error} where it cannot */
  begin(step: KeptStep, place: Place): Promise<void>
  look(step: KeptStep, place: Place): Promise<Seen>
  /** Makes the version of a round the champion, where it is not. */
  crown(round: KeptRound): Promise<void>
  /** Makes the champion before the champion again, where the round's version is. */
  uncrown(round: KeptRound): Promise<void>
  /** Ends what a step has begun and is not over. */
  end(step: KeptStep, round: KeptRound): Promise<void>
}

const jobGone = 'Its job is gone'

export function stepActs(rooms: PipelineRooms): StepActs {
  const { audit, queue, datasets, versions, runs, models, artifacts, rollouts } = rooms

  /** What a pipeline does is in the audit log in the name of whoever set it. */
  async function noted<T>(
    round: KeptRound,
    action: string,
    target: string,
    act: (note: AuditNote) => Promise<T>,
  ): Promise<T> {
    const detail = `round ${round.round} of the pipeline of ${round.model}`
    const facts = { actor: round.by, via: 'hub', address: '', action, target, detail } as const
    const note = audit.begin(facts)
    try {
      const done = await act(note)
      await note.finish('done')
      return done
    } catch (error) {
      await note.finish(error instanceof Refusal ? error.code : 'internal')
      throw error
    }
  }

  const nameOf = (round: KeptRound) => `Round ${round.round} of the pipeline of ${round.model}`
  /** Says which step of which round froze a version. */
  const freezeNote = (round: KeptRound, jobId: string) => `${nameOf(round)} (${jobId.slice(0, 8)})`

  const jobOf = async (jobId: string): Promise<Job | undefined> =>
    await queue.get(jobId).catch(unlessMissing)

  const championOf = (model: string): Promise<ModelVersion | undefined> => models.champion(model)

  const versionsOf = async (model: string): Promise<ModelVersion[]> =>
    (await models.versions(model).catch(unlessMissing)) ?? []

  /** The version whose sides stay: of the round before, of what the champion learned from, or the newest. */
  async function keptSides({ round, before }: Place): Promise<DatasetVersion | undefined> {
    const { dataset } = round.config
    const all = await versions.list(dataset)
    const whole = all.filter(({ folds }) => folds.length === 1)
    const lineage = (await championOf(round.model))?.lineage?.dataset
    const learned = lineage?.name === dataset ? lineage.version : undefined
    const wanted = before?.datasetVersion ?? learned
    return whole.find(({ version }) => version === wanted) ?? whole[0]
  }

  /** The newest version, where it is what would be frozen now. */
  async function unchanged(place: Place): Promise<DatasetVersion | undefined> {
    const { dataset } = place.round.config
    const { revision } = await datasets.show(dataset)
    const [newest] = await versions.list(dataset)
    const sides = await keptSides(place)
    if (!newest || !sides || newest.revision !== revision) return undefined
    return newest.version === sides.version || newest.split.after === sides.version
      ? newest
      : undefined
  }

  const freeze: Step = {
    plan: async (place) => {
      const same = await unchanged(place)
      return same
        ? { ids: {}, patch: { datasetVersion: same.version } }
        : { ids: { freeze: randomUUID() } }
    },
    begin: async ({ ids }, place) => {
      const { round } = place
      if (ids.freeze === undefined || (await jobOf(ids.freeze))) return
      const { config, by } = round
      const { dataset } = config
      const sides = await keptSides(place)
      const { holdout, validation, seed, by: unit } = config.freeze
      const split = {
        holdout,
        validation,
        seed,
        ...(unit !== undefined && { by: unit }),
        after: sides?.version ?? 0,
      }
      const request = { split, note: freezeNote(round, ids.freeze) }
      const jobId = ids.freeze
      await noted(round, 'datasetFreeze', dataset, (note) =>
        rooms.datasetJobs.freeze({ dataset, request, by, jobId }, note),
      )
    },
    look: async ({ ids }, { round }) => {
      const { dataset } = round.config
      const done = (version: DatasetVersion, why: string): Seen => ({
        facts: { kind: 'done', why },
        patch: { datasetVersion: version.version },
      })
      const all = await versions.list(dataset)
      if (ids.freeze === undefined) {
        const same = all.find(({ version }) => version === round.datasetVersion)
        if (!same) return failed(`Version ${round.datasetVersion} of "${dataset}" is gone`)
        return done(same, `Nothing has changed since version ${same.version}: ${sidesText(same)}`)
      }
      const note = freezeNote(round, ids.freeze)
      const made = all.find((one) => one.note === note)
      const job = await jobOf(ids.freeze)
      if (made && (!job || isOver(job))) {
        return done(made, `Version ${made.version}: ${sidesText(made)}`)
      }
      if (!job) return { facts: { kind: 'missing' } }
      return ofJob(job)
    },
  }

  const train: Step = {
    plan: async ({ round }) => ({
      ids: { run: randomUUID() },
      patch: { championBefore: (await championOf(round.model))?.version ?? null },
    }),
    begin: async ({ ids }, { pipeline, round }) => {
      const { config, model, datasetVersion, championBefore } = round
      const { recipe, seed, replayShare, layout, from } = config.train
      if (ids.run === undefined || (await runs.show(ids.run).catch(unlessMissing))) return
      if (datasetVersion === null) throw new Error('Cannot train: nothing was frozen')
      const [newest] = await versionsOf(model)
      const known = championBefore ?? newest?.version
      const parent = known === undefined ? from : `${model}/${known}`
      if (parent === undefined) {
        throw new Error(
          `Cannot train "${model}": it has no version yet; say in train.from what the first is made of`,
        )
      }
      const { split } = await versions.show(config.dataset, datasetVersion)
      const older = replayShare > 0 && split.after ? split.after : undefined
      const there = new Set((await versionsOf(model)).map(({ version }) => version))
      const behind = Object.values(pipeline.sitesBehind).filter(
        (version) => version !== null && version !== championBefore && there.has(version),
      )
      const request: RunRequest = {
        dataset: { name: config.dataset, version: datasetVersion },
        parent,
        model,
        ...(layout !== undefined && { layout }),
        recipe: { ...recipe, ...(older !== undefined && { replayShare }) },
        seed: seed + round.round - 1,
        note: nameOf(round),
        candidate: true,
        compareWith: [...new Set(behind)] as number[],
        ...(older !== undefined && { replay: older }),
      }
      await noted(round, 'runAdd', ids.run, (note) =>
        runs.add(request, round.by, note, { runId: ids.run ?? '' }),
      )
    },
    look: async ({ ids }, { round }) => {
      const detail = await runs.show(ids.run ?? '').catch(unlessMissing)
      if (!detail) return { facts: { kind: 'missing' } }
      const { run, before } = detail
      switch (run.state) {
        case 'queued': {
          const ahead = before === null || before === 0 ? '' : `, behind ${before} others`
          return going(`Waits for its turn${ahead}`, null)
        }
        case 'running': {
          const share = run.steps > 0 ? Math.min(1, run.step / run.steps) : null
          const loss = run.loss === null ? '' : `, loss ${run.loss.toFixed(4)}`
          return going(`${sentence(run.phase)}: step ${run.step} of ${run.steps}${loss}`, share)
        }
        case 'paused':
          return held('Somebody paused the run: resume it')
        case 'cancelled':
          return { facts: { kind: 'failed', why: 'Somebody cancelled the run', final: true } }
        case 'failed':
          return failed(run.error)
        case 'ended': {
          const version = run.result?.version ?? null
          if (version === null) return failed('The run made no version')
          const key = run.key ? `, ${run.key.name} ${run.key.value.toFixed(4)}` : ''
          const why = `Version ${version} of ${round.model} after ${run.steps} steps${key}`
          return { facts: { kind: 'done', why }, patch: { version } }
        }
      }
    },
  }

  const gate: Step = {
    plan: async () => ({ ids: {} }),
    begin: async () => {},
    look: async (_, { pipeline, round }) => {
      const { model, version, championBefore, config } = round
      const champion = (await championOf(model))?.version ?? null
      if (champion !== championBefore && champion !== version) {
        const why = `It was compared with version ${championBefore ?? 'none'}, and somebody made version ${champion ?? 'none'} the champion since`
        return { facts: { kind: 'ended', state: 'refused', why } }
      }
      const devices = await devicesMeant(rooms, model, config)
      const sites = [...new Set(devices.map(({ site }) => site))].sort()
      const runId = stepOf(round, 'train').ids.run ?? ''
      const file = await runs.file(runId, 'comparison').catch(unlessMissing)
      const comparison = file && (JSON.parse(new TextDecoder().decode(file)) as RunComparison)
      const {
        pass,
        why,
        key,
        sites: verdicts,
      } = judgeVersion(comparison, config.gate, pipeline.sitesBehind, sites)
      return {
        facts: pass ? { kind: 'done', why } : { kind: 'ended', state: 'refused', why },
        patch: { key, sites: verdicts },
      }
    },
  }

  async function devicesLeft(round: KeptRound) {
    const devices = await devicesMeant(rooms, round.model, round.config)
    const kept = sitesKept(round)
    return { devices, kept, left: devices.filter(({ site }) => !kept.includes(site)) }
  }

  const compile: Step = {
    plan: async ({ round }) => {
      const { config } = round
      if (config.compile === null) return { ids: {} }
      const known = models.compiler().targets.map(({ name }) => name)
      const { left } = await devicesLeft(round)
      const meant = [...targetsMeant(left, known).keys()].filter((one) => one !== '')
      const targets = config.compile.targets ?? meant.sort()
      return { ids: Object.fromEntries(targets.map((target) => [target, randomUUID()])) }
    },
    begin: async ({ ids }, { round }) => {
      const { model, version, config } = round
      const { targets: _, ...request } = config.compile ?? {}
      const { artifacts: made } = await models.show(model, version ?? 0)
      for (const [target, jobId] of Object.entries(ids)) {
        if (made.some((one) => one.jobId === jobId) || (await jobOf(jobId))) continue
        await noted(round, 'modelCompile', `${model}/${version}`, (note) =>
          models.compile(model, version ?? 0, { ...request, target }, round.by, note, jobId),
        )
      }
    },
    look: async ({ ids }, { round }) => {
      const { model, version, config } = round
      const asked = Object.entries(ids)
      if (config.compile === null) {
        return skipped('Boxes get the file as it was trained')
      }
      if (asked.length === 0) return skipped(`No device that is meant has said what it takes`)
      const { artifacts: made } = await models.show(model, version ?? 0)
      const texts: string[] = []
      let progress = 0
      let open: Job | undefined
      for (const [target, jobId] of asked) {
        const artifact = made.find((one) => one.jobId === jobId)
        if (artifact) {
          texts.push(`${target}: ${artifact.chosen}, ${sizeText(artifact.sizeBytes)}`)
          progress += 1 / asked.length
          continue
        }
        const job = await jobOf(jobId)
        if (!job) return { facts: { kind: 'missing' } }
        if (isOver(job)) {
          const { facts } = ofJob(job)
          return facts.kind === 'failed'
            ? { facts: { ...facts, why: `${target}: ${facts.why}` } }
            : failed(`${target}: its job is done and left nothing`)
        }
        progress += job.progress / asked.length
        if (!open || job.state === 'running') open = job
      }
      if (open) {
        const doing = open.state === 'queued' ? 'waits for its turn' : open.step
        return going(`${texts.length} of ${asked.length} targets; ${doing}`, Math.min(1, progress))
      }
      return { facts: { kind: 'done', why: texts.join('; ') } }
    },
  }

  const publish: Step = {
    plan: async () => ({ ids: { publish: randomUUID() } }),
    begin: async ({ ids }, { round }) => {
      const { model, version, config } = round
      const { publish: jobId = '' } = ids
      if (await jobOf(jobId)) return
      const { expiresDays } = config.publish
      const request = {
        ...(config.compile === null && { target: anyTarget }),
        ...(expiresDays !== undefined && { expiresDays }),
      }
      await noted(round, 'modelPublish', `${model}/${version}`, (note) =>
        artifacts.publish(model, version ?? 0, request, round.by, note, jobId),
      )
    },
    look: async ({ ids }, { round }) => {
      const job = await jobOf(ids.publish ?? '')
      const made = await artifacts.published(round.model, round.version ?? 0)
      if (!job && made.length === 0) return { facts: { kind: 'missing' } }
      if (job && !(isOver(job) && job.state === 'done')) return ofJob(job)
      const unsigned = made.filter(({ signed }) => !signed)
      if (unsigned.length > 0) {
        return held(
          `Waits for the targets key: ${unsigned.map(({ target }) => target).join(', ')} ${unsigned.length === 1 ? 'is' : 'are'} not signed yet`,
        )
      }
      const texts = made.map(({ target, encodings, file }) => {
        const [smallest] = encodings
        const travels = smallest
          ? `${sizeText(smallest.lengthBytes)} as ${smallest.codec} of ${sizeText(file.lengthBytes)}`
          : sizeText(file.lengthBytes)
        return `${target}: ${travels}`
      })
      return { facts: { kind: 'done', why: texts.join('; ') } }
    },
  }

  const rollout: Step = {
    plan: async ({ round }) => {
      if (round.config.rollout === null) return { ids: {} }
      const { left } = await devicesLeft(round)
      return { ids: left.length === 0 ? {} : { rollout: randomUUID() } }
    },
    begin: async ({ ids }, { round }) => {
      const { model, version, config, by } = round
      if (ids.rollout === undefined || !config.rollout) return
      if (await rollouts.show(ids.rollout).catch(unlessMissing)) return
      const { devices, kept } = await devicesLeft(round)
      const { approve: _, select, ...plan } = config.rollout
      const selected = selectionWithout(select, devices, kept)
      if (!selected) throw new Error('Cannot roll out: no device is left that it is meant for')
      const request = { ...plan, name: model, version: version ?? 0, select: selected }
      await noted(round, 'rolloutCreate', `${model}/${version}`, (note) =>
        rollouts.create({ ...request, note: nameOf(round) }, by, note, ids.rollout),
      )
    },
    look: async ({ ids }, { round }) => {
      if (round.config.rollout === null) return skipped('Nothing is rolled out by itself')
      if (ids.rollout === undefined) {
        const kept = sitesKept(round)
        return skipped(
          kept.length > 0
            ? 'No device is left but at sites that keep what they have'
            : 'No device that it is meant for is there',
        )
      }
      const detail = await rollouts.show(ids.rollout).catch(unlessMissing)
      return detail ? ofRollout(detail) : { facts: { kind: 'missing' } }
    },
  }

  const steps: Readonly<Record<PipelineStepName, Step>> = {
    freeze,
    train,
    gate,
    compile,
    publish,
    rollout,
  }
  return {
    plan: (step, place) => steps[step].plan(place),
    begin: (step, place) => steps[step.name].begin(step, place),
    look: (step, place) => steps[step.name].look(step, place),

    crown: async (round) => {
      const { model, version } = round
      if (version === null || (await championOf(model))?.version === version) return
      await noted(round, 'modelPromote', `${model}/${version}`, (note) =>
        models.promote(model, version, nameOf(round), note),
      )
    },

    uncrown: async (round) => {
      const { model, version, championBefore: before } = round
      if (version === null || (await championOf(model))?.version !== version) return
      const there =
        before !== null && (await versionsOf(model)).some((one) => one.version === before)
      if (there) {
        await noted(round, 'modelPromote', `${model}/${before}`, (note) =>
          models.promote(model, before, nameOf(round), note),
        )
      } else {
        await noted(round, 'modelDemote', `${model}/${version}`, (note) =>
          models.demote(model, version, nameOf(round), note),
        )
      }
    },

    end: async ({ name, ids }, round) => {
      for (const id of Object.values(ids)) {
        // What is over already is left as it is.
        if (name === 'train') {
          await noted(round, 'runCancel', id, (note) => runs.cancel(id, note)).catch(unlessRefused)
        } else if (name === 'rollout') {
          await noted(round, 'rolloutAbort', id, (note) =>
            rollouts.abort(id, true, round.by, note),
          ).catch(unlessRefused)
        } else {
          await noted(round, 'jobCancel', id, (note) => queue.cancel(id, note)).catch(unlessRefused)
        }
      }
    },
  }
}

type Step = {
  plan(place: Place): ReturnType<StepActs['plan']>
  begin(step: KeptStep, place: Place): Promise<void>
  look(step: KeptStep, place: Place): Promise<Seen>
}

/** Sites that keep what they have. */
export const sitesKept = ({ sites }: Pick<KeptRound, 'sites'>): string[] =>
  sites.flatMap(({ by, name, ships }) => (by === 'site' && !ships ? [name] : []))

const failed = (why: string): Seen => ({ facts: { kind: 'failed', why } })
const skipped = (why: string): Seen => ({ facts: { kind: 'skipped', why } })
const held = (why: string): Seen => ({ facts: { kind: 'held', why } })
const going = (why: string, progress: number | null): Seen => ({
  facts: { kind: 'going', why, progress },
})

function ofJob(job: Job): Seen {
  switch (job.state) {
    case 'queued':
      return going('Waits for its turn', null)
    case 'running':
      return going(sentence(job.step), job.progress)
    case 'cancelled':
      return { facts: { kind: 'failed', why: 'Somebody cancelled its job', final: true } }
    default:
      return failed(job.error || jobGone)
  }
}

function ofRollout({ rollout }: RolloutDetail): Seen {
  const { state, why, counts, stageName } = rollout
  const through = `${counts.confirmed} of ${counts.devices} devices run it`
  switch (state) {
    case 'complete':
      return { facts: { kind: 'done', why: `Complete: ${through}` } }
    case 'held':
      return held(`Waits for approval: ${why}`)
    case 'paused':
      return held(`${why}: resume the rollout`)
    case 'stopped':
    case 'aborted':
    case 'superseded':
      return { facts: { kind: 'ended', state: 'stopped', why: `The rollout was ${state}: ${why}` } }
    default: {
      const share = counts.devices > 0 ? counts.confirmed / counts.devices : null
      return going(`Stage "${stageName}": ${through}`, share)
    }
  }
}

function sidesText({ samples, folds }: DatasetVersion): string {
  const [sides] = folds
  return `${samples} samples, ${sides?.train ?? 0} to learn from, ${sides?.validation ?? 0} to choose by, ${sides?.test ?? 0} to test on`
}

const sentence = (text: string): string =>
  text === '' ? 'Begins' : text.slice(0, 1).toUpperCase() + text.slice(1)

const sizeText = (bytes: number): string =>
  bytes < 1e6 ? `${Math.max(0.1, bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`

function unlessMissing(error: unknown): undefined {
  if (error instanceof Refusal && error.code === 'notFound') return undefined
  throw error
}

function unlessRefused(error: unknown): void {
  if (!(error instanceof Refusal)) throw error
}
