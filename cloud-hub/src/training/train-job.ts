/**
 * Works on a run: lays out its dataset, its parent and its newest checkpoint, lets the trainer work in a process of its
 * own, keeps each checkpoint where any hub finds it, and takes what comes out into the registry. A hub that dies leaves
 * the run to the next one, which goes on from the checkpoint and comes to the same weights.
 */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Figures, TrainOrder, TrainResult } from '@edgeloop/model-compiler/train'
import type {
  ComparedModel,
  CompileRequest,
  Lineage,
  ModelVersion,
  RunComparison,
  RunFileKind,
  SplitName,
} from '@edgeloop/protocol'
import type { LaidOut } from '../datasets/versions.ts'
import type { EndReason, JobAct } from '../jobs/job-worker.ts'
import type { Compiler, DescribedModel, Inspected } from '../models/compiler.ts'
import type { ModelDesk } from '../models/models.ts'
import { judge, type Rival } from './judge.ts'
import type { RunRecord } from './run-record.ts'
import type { FrozenDatasets, RunDesk } from './runs.ts'
import type { Compared, Judged, Trainer } from './trainer.ts'

const flushIntervalMs = 1000
/** How long a run may take to write a checkpoint when its hub closes; then it is ended where it is. */
const closeGraceMs = 10_000
const inspectMs = 60_000

/** Files that the trainer leaves, and as what they are kept. */
const leaves: readonly (readonly [RunFileKind, string])[] = [
  ['model', 'model.onnx'],
  ['report', 'report.html'],
  ['data', 'report.json'],
  ['card', 'card.md'],
]

export function trainAct(deps: {
  runs: RunDesk
  models: ModelDesk
  datasets: FrozenDatasets
  trainer: Trainer
  /** Looks into the result. */
  compiler: Compiler
  dropCheckpoints: (runId: string) => Promise<void>
  /** Queues a compilation in the name of whoever asked for the run. */
  compile: (model: ModelVersion, request: CompileRequest, by: string) => Promise<void>
  /** Work is done in a new folder below this one. */
  folder: string
  /** Of a run whose steps an external trainer takes: that one goes on in what it left there. */
  externalFolder: (runId: string) => string
}): JobAct {
  const { runs, models, datasets, trainer, compiler } = deps

  return async ({ job }, progress, signal, kept) => {
    const runId = job.subject.replace(/^run\//, '')
    const record = await runs.begin(runId, job.jobId)
    const { row } = record
    await mkdir(deps.folder, { recursive: true })
    const work = await mkdtemp(join(deps.folder, 'train-'))
    const pause = new AbortController()
    const end = new AbortController()
    /** Both what is heard and what is asked go through here, one after the other. */
    let flushing = Promise.resolve()
    const flush = (): Promise<void> => {
      flushing = flushing.then(async () => {
        if ((await record.flush()) === 'pause') pause.abort()
      })
      return flushing
    }
    const beat = setInterval(() => {
      // A store that is away must not end hours of work: what was heard is written with the next beat.
      flush().catch(() => {
        flushing = Promise.resolve()
      })
    }, flushIntervalMs)
    const ended = (): void => {
      if ((signal.reason as EndReason) !== 'closing') {
        end.abort(signal.reason)
        return
      }
      pause.abort()
      void sleep(closeGraceMs, undefined, { ref: false }).then(() => end.abort(signal.reason))
    }
    signal.addEventListener('abort', ended, { once: true })
    try {
      record.phase('laying out the dataset')
      const { labels } = await datasets.show(row.dataset, row.dataset_version)
      const { dataset: name, dataset_version: version, fold } = row
      const data = await datasets.layOut({ name, version, fold }, work, signal)
      const external = row.external === 1
      const folder = external ? deps.externalFolder(runId) : join(work, 'run')
      if (external) await mkdir(folder, { recursive: true })
      else await layOutCheckpoint(record, folder)
      const teacher = await layOutTeacher(row.teacher, work)
      const parent = await layOutParent(row.parent, work)
      signal.throwIfAborted()
      record.phase('starting')
      const replayed = await layOutReplay(data, work)
      const result = await train(parent.model, data, folder, replayed, teacher)
      await flush()
      if (result.kind === 'paused') {
        // The hub closes: the next one goes on.
        signal.throwIfAborted()
        return await record.paused()
      }
      if (row.keeps === 1) await keepResult(result, parent, data, labels, folder, teacher)
      else await keepTrial(result, folder)
    } catch (error) {
      if (!signal.aborted) record.say('error', (error as Error).message)
      throw error
    } finally {
      clearInterval(beat)
      signal.removeEventListener('abort', ended)
      end.abort()
      // Who took the run over writes of it now.
      if ((signal.reason as EndReason) !== 'lost') await flush().catch(() => {})
      await rm(work, { recursive: true, force: true })
    }

    /** What is learned from again, and a split in which it is on no side; undefined where nothing is. */
    async function layOutReplay(data: LaidOut, work: string): Promise<Replayed | undefined> {
      const { dataset: name, dataset_version: version, fold } = row
      const { replay } = row
      if (replay === null) return undefined
      const before = await datasets.sides(name, replay)
      const split = JSON.parse(await readFile(data.splitFile, 'utf8')) as Record<string, SplitName>
      const learned = Object.keys(split).filter((digest) => split[digest] === 'train')
      const again = learned.filter((digest) => before.get(digest) === 'train')
      const fresh = learned.length - again.length
      record.say(
        'info',
        `${fresh} samples are new since version ${replay}, ${again.length} are not`,
      )
      if (fresh === 0 || again.length === 0) return undefined
      for (const digest of again) delete split[digest]
      const folder = join(work, 'replayed')
      await mkdir(folder)
      const only = new Set(again)
      const laid = await datasets.layOut({ name, version, fold, only }, folder, signal)
      const splitFile = join(folder, 'fresh.json')
      await writeFile(splitFile, JSON.stringify(split))
      return { folder: laid.folder, splitFile }
    }

    async function train(
      model: string,
      data: LaidOut,
      folder: string,
      replayed: Replayed | undefined,
      teacher: Teacher | undefined,
    ): Promise<TrainResult> {
      let keeping = Promise.resolve()
      let next: number | undefined
      /** The newest checkpoint is kept; those that come meanwhile give way to it. */
      const keepNext = async (): Promise<void> => {
        const step = next
        next = undefined
        if (step === undefined) return
        const checkpoint = await newestCheckpoint(folder)
        if (!checkpoint) return
        const [identity, words] = [join(folder, identityName), join(folder, wordsName)]
        await record.keepCheckpoint(step, { checkpoint, identity, words })
        await kept()
      }
      const order: TrainOrder = {
        kind: 'train',
        data: { folder: data.folder, format: 'frozen' },
        ...(replayed && { replay: { folder: replayed.folder, format: 'frozen' as const } }),
        split: { kind: 'file', file: replayed?.splitFile ?? data.splitFile },
        model,
        ...(row.layout === '' ? {} : { layout: row.layout }),
        recipe: [
          JSON.parse(row.recipe),
          // All is new, or nothing is.
          ...(row.replay !== null && !replayed ? [{ replayShare: 0 }] : []),
        ],
        ...(row.share < 1 && { share: row.share }),
        ...(teacher && { teacher: teacher.file }),
        seed: row.seed,
        folder,
      }
      const result = await trainer.train(order, {
        told: (word) => {
          record.hear(word)
          if (word.kind === 'step') {
            progress(word.step / Math.max(1, word.steps), `step ${word.step} of ${word.steps}`)
          }
          if (word.kind !== 'checkpoint') return
          next = word.step
          keeping = keeping.then(keepNext).catch((error: Error) => {
            record.say('warn', `A checkpoint could not be kept: ${error.message}`)
          })
        },
        external: row.external === 1,
        pause: pause.signal,
        signal: end.signal,
      })
      await keeping
      if (result.kind === 'paused') {
        next = result.step
        await keepNext()
      }
      return result
    }

    /** What a search chooses by, and what people look at; the weights stay in the last checkpoint. */
    async function keepTrial(
      result: Extract<TrainResult, { kind: 'ended' }>,
      folder: string,
    ): Promise<void> {
      const { validation, seconds, step } = result
      if (!validation) throw new Error('There are no validation samples to choose by')
      await record.evaluated('validation', step, validation)
      for (const [kind, name] of leaves) {
        const file = join(folder, name)
        if (kind !== 'model' && (await isFile(file))) await record.keep(kind, file)
      }
      await record.tried({ figures: validation, seconds })
    }

    async function keepResult(
      result: Extract<TrainResult, { kind: 'ended' }>,
      parent: Parent,
      data: LaidOut,
      labels: readonly string[],
      folder: string,
      teacher: Teacher | undefined,
    ): Promise<void> {
      const { test = {}, validation, before } = result
      for (const [on, figures] of Object.entries({ validation, test: result.test, before })) {
        if (figures) await record.evaluated(on, result.step, figures)
      }
      record.phase('comparing with the champion')
      const said = await trainer.described(folder)
      const described: DescribedModel = {
        file: result.modelFile,
        name: row.model,
        labels,
        layout: row.layout || (said?.layout ?? ''),
        description: said?.description ?? parent.description,
      }
      const champion = await models.champion(row.model)
      const compared = await compare(champion, described, result, parent, data)
      const { figures = test, rival, metric } = compared
      const judged = judge(figures, rival, metric)
      const verdict =
        row.candidate === 1
          ? { champion: false, why: `who asked for it decides: ${judged.why}` }
          : judged
      record.phase('keeping the result')
      if (compared.comparison) {
        const file = join(work, 'comparison.json')
        await writeFile(file, JSON.stringify(compared.comparison))
        await record.keep('comparison', file)
      }
      for (const [kind, name] of leaves) {
        const file = join(folder, name)
        if (await isFile(file)) await record.keep(kind, file)
      }
      const inspected = await inspect(described, signal)
      const lineage: Lineage = {
        runId,
        dataset: { name: row.dataset, version: row.dataset_version, digest: row.dataset_digest },
        parent: row.parent,
        parentDigest: parent.digest,
        ...(teacher && { teacher: { name: row.teacher, digest: teacher.digest } }),
        ...(row.external === 1 && { external: true }),
        recipeDigest: createHash('sha256').update(canonical(result.recipe)).digest('hex'),
        seed: row.seed,
        codeVersion: row.code_version,
        figures: { ...test },
      }
      const model = await models.keepTrained(
        {
          name: row.model,
          layout: described.layout,
          description: described.description,
          note: row.note,
          file: result.modelFile,
          inspected,
          lineage,
          verdict,
          by: row.author,
          comparedWith: champion?.version ?? null,
        },
        async (tx, { version, champion, standing }) => {
          const became = { version, champion, why: standing }
          await record.ended(tx, { result: became, figures: test, recipe: result.recipe })
        },
      )
      record.say('info', `${row.model}/${model.version}: ${model.standing}`)
      await deps.dropCheckpoints(runId)
      if (row.external === 1) await rm(folder, { recursive: true, force: true })
      if (model.champion && row.compile !== '') {
        await deps.compile(model, JSON.parse(row.compile) as CompileRequest, row.author)
      }
    }

    /** How the result does beside the champion, and beside the other versions that were named. */
    async function compare(
      champion: ModelVersion | undefined,
      trained: DescribedModel,
      result: Extract<TrainResult, { kind: 'ended' }>,
      parent: Parent,
      data: LaidOut,
    ): Promise<{
      figures?: Figures
      rival?: Rival | undefined
      metric?: string
      comparison?: RunComparison
    }> {
      const others = JSON.parse(row.compare_with) as number[]
      const isPlain = row.candidate === 0 && others.length === 0
      if (isPlain && !champion) return {}
      if (isPlain && champion?.digest === parent.digest && result.before) {
        return { rival: { version: champion.version, figures: result.before } }
      }
      const versions = [
        ...(champion ? [champion] : []),
        ...(await Promise.all(
          others
            .filter((version) => version !== champion?.version)
            .map(async (version) => (await models.show(row.model, version)).model),
        )),
      ]
      let compared: Compared
      try {
        const rivals: DescribedModel[] = []
        for (const { name, version, layout, labels, description } of versions) {
          const file = join(work, `version-${version}.onnx`)
          await writeFile(file, await models.file(name, version))
          rivals.push({ file, name, layout, labels, description })
        }
        compared = await trainer.compare({ data, trained, rivals, folder: work }, signal)
      } catch (error) {
        signal.throwIfAborted()
        const problem = (error as Error).message
        record.say('warn', `It cannot be compared: ${problem}`)
        return champion ? { rival: { version: champion.version, problem } } : {}
      }
      const { metric, better } = compared
      const comparison: RunComparison = {
        metric,
        better,
        trained: shared(compared.trained),
        others: versions.map(({ version, champion: is }, at) => {
          const one = compared.rivals[at]
          const facts = { version, champion: is }
          return !one || 'problem' in one
            ? { ...facts, model: null, problem: one?.problem ?? '' }
            : { ...facts, model: shared(one), problem: '' }
        }),
      }
      const { figures } = compared.trained
      const one = compared.rivals[0]
      if (!champion || !one) return { figures, metric, comparison }
      const { version } = champion
      if ('problem' in one) return { figures, metric, comparison, rival: { version, ...one } }
      await record.evaluated('champion', result.step, one.figures)
      return { figures, metric, comparison, rival: { version, ...one } }
    }

    async function inspect(model: DescribedModel, signal: AbortSignal): Promise<Inspected> {
      const limit = () => AbortSignal.any([signal, AbortSignal.timeout(inspectMs)])
      if (model.layout === '') return await compiler.inspect(model, limit())
      try {
        return await compiler.inspect(model, limit())
      } catch (error) {
        signal.throwIfAborted()
        // It is kept all the same: it may be trained further, or run elsewhere.
        const looked = await compiler.inspect({ ...model, layout: '' }, limit())
        const why = `No box can run it as ${model.layout}: ${(error as Error).message}`
        record.say('warn', why)
        const { inspection } = looked
        return { ...looked, inspection: { ...inspection, warnings: [...inspection.warnings, why] } }
      }
    }
  }

  async function layOutTeacher(teacher: string, work: string): Promise<Teacher | undefined> {
    if (teacher === '') return undefined
    const [name = '', version = ''] = teacher.split('/')
    const { model } = await models.show(name, Number(version))
    const file = join(work, 'teacher.onnx')
    await writeFile(file, await models.file(name, Number(version)))
    return { file, digest: model.digest }
  }

  type Parent = {
    /** A file, or `new:…`. */
    readonly model: string
    readonly digest: string | null
    readonly description: string
  }

  async function layOutParent(parent: string, work: string): Promise<Parent> {
    if (parent.startsWith('new:')) {
      return { model: parent, digest: null, description: '' }
    }
    const [name = '', version = ''] = parent.split('/')
    const { model } = await models.show(name, Number(version))
    const file = join(work, 'parent.onnx')
    await writeFile(file, await models.file(name, Number(version)))
    const { layout, labels, description } = model
    await trainer.describe({ file, name, layout, labels, description })
    return { model: file, digest: model.digest, description }
  }
}

/** Whom a run follows. */
type Teacher = { readonly file: string; readonly digest: string }

type Replayed = {
  /** In the form `frozen`. */
  readonly folder: string
  readonly splitFile: string
}

const shared = ({ value, interval, groups }: Judged): ComparedModel => ({
  value,
  groups,
  ...(interval && { interval }),
})

/** Of the folder of a run: see model-compiler's `train/run/run-folder.ts`. */
const checkpointFolder = 'checkpoints'
const identityName = 'run.json'
const wordsName = 'curves.jsonl'

async function layOutCheckpoint(record: RunRecord, folder: string): Promise<void> {
  const found = await record.checkpoint()
  await mkdir(folder, { recursive: true })
  if (!found) return
  const { step, parts } = found
  await mkdir(join(folder, checkpointFolder))
  const name = `step-${String(step).padStart(9, '0')}.checkpoint`
  await writeFile(join(folder, checkpointFolder, name), parts.checkpoint)
  await writeFile(join(folder, identityName), parts.identity)
  await writeFile(join(folder, wordsName), parts.words)
  record.say('info', `Goes on from the checkpoint after step ${step}`)
}

async function newestCheckpoint(folder: string): Promise<string | undefined> {
  const names = await readdir(join(folder, checkpointFolder)).catch(() => [])
  const newest = names
    .filter((name) => /^step-\d{9}\.checkpoint$/.test(name))
    .sort()
    .at(-1)
  return newest === undefined ? undefined : join(folder, checkpointFolder, newest)
}

const isFile = async (file: string): Promise<boolean> =>
  await stat(file).then(
    (found) => found.isFile(),
    () => false,
  )

/** JSON with keys in their order, so that equal recipes have equal digests. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
