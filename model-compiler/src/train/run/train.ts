/**
 * One run from its first step to the model it leaves. Every step is a function of what a checkpoint holds and of the
 * step's number: batches come from (data, recipe, seed, step), the optimizer from its vectors, and nothing else is
 * remembered. That is why a run that was killed at any moment ends with the same bytes as one that was not.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { Dataset, Split } from '../../datasets/index.ts'
import type { EvaluationReport } from '../../evaluate/evaluation-report.ts'
import { type FigureName, isBetter } from '../../evaluate/figures.ts'
import { readModelFile } from '../../onnx/model-file.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { writeModel } from '../../onnx/write.ts'
import { augmentationOf } from '../batches/augmentation.ts'
import { type Batches, openBatches } from '../batches/batches.ts'
import { cardOf, type ModelCard } from '../card/card.ts'
import { cardText } from '../card/card-text.ts'
import { runPage } from '../card/run-page.ts'
import type { Step } from '../differentiate/differentiate.ts'
import { trainableParameters } from '../differentiate/freezing.ts'
import { rateShare } from '../schedules/schedule.ts'
import { sizeOf } from '../tape/sym.ts'
import type { Task } from '../tasks/task.ts'
import type { Checkpoint } from './checkpoint-folder.ts'
import { frozenPartOf, openFeatureBatches } from './frozen-part.ts'
import { PaceMeter } from './pace-meter.ts'
import {
  fittingStep,
  isDue,
  lossSettings,
  memoryOf,
  type Pace,
  type Parts,
  paceOf,
  partsOf,
  settled,
  stepOf,
  trainableOf,
} from './plan-run.ts'
import type { Figures, TrainProgress } from './progress.ts'
import type { Recipe } from './recipe.ts'
import { digestOf, RunFolder } from './run-folder.ts'
import { StepRunner, type Weights } from './step-runner.ts'
import { trainTiers } from './tiers.ts'
import { TrainError } from './train-error.ts'
import type { TrainResult } from './train-result.ts'

export type TrainOptions = {
  readonly task: Task
  readonly dataset: Dataset
  readonly split: Split
  /** How it was divided, in words for the card. */
  readonly splitText: string
  /** Digest of the teacher's file, where one was given. */
  readonly teacher?: string
  /** Older data; the recipe says which share of a batch is of them. */
  readonly replay?: Dataset
  readonly recipe: Recipe
  readonly seed: number
  /** One that holds this run already is gone on with. */
  readonly folder: string
  /** Kept with the run, to be resumed without being told anything: see `askedOf`. */
  readonly asked?: unknown
  /** For the card. */
  readonly name: string
  readonly code: { readonly version: string; readonly commit?: string }
  readonly parent?: { readonly name: string; readonly digest: string }
  readonly progress?: (progress: TrainProgress) => void
  /** Once it is aborted the run writes a checkpoint and ends as `paused`. */
  readonly pause?: AbortSignal
  readonly signal?: AbortSignal
}

/** What a checkpoint knows beside its vectors. */
type RunFacts = {
  /** Bytes of the curves up to here. */
  readonly curvesBytes: number
  readonly best: { readonly step: number; readonly figures: Figures } | null
  /** Value of the metric that the next gain is measured from, and evaluations since. */
  readonly gain: { readonly value: number; readonly evaluations: number } | null
  readonly before: Figures | null
  /** Of all processes of the run so far. */
  readonly seconds: number
}

const stepWordsEveryMs = 250
/** Curves have at most about this many points. */
const curvePoints = 2000
/** Where evaluations are rare, a checkpoint is written after so long; when it is does not change what comes out. */
const checkpointEveryMs = 60_000
/** The last part of a run sees pictures as a camera makes them. */
const mixingShare = 0.8

/**
 * Trains, or goes on training.
 * @throws {TrainError | OnnxError | DatasetError} saying what of model, data, recipe or folder does not fit, at which
 * step the loss stopped being a number, or that the disk is full; the signal's reason when it is aborted
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  if (options.recipe.trainable !== 'auto') return await trainOnce(options)
  const { length } = partsOf(options.dataset, options.split).train
  await using folder = await openFolder(options, settled(options.recipe, length))
  return (await folder.result()) ?? (await trainTiers(options, folder, trainOnce))
}

async function trainOnce(options: TrainOptions): Promise<TrainResult> {
  const { task, dataset, split, replay, seed, signal } = options
  signal?.throwIfAborted()
  const parts = partsOf(dataset, split)
  const recipe = settled(options.recipe, parts.train.length)
  refuseReplay(replay, recipe)
  const trainable = trainableOf(task, recipe)
  const frozen = frozenPartOf(task, recipe, trainable, parts.train.length)
  const step = fittingStep(frozen?.task ?? task, recipe, trainable)
  await using folder = await openFolder(options, recipe)
  const ended = await folder.result()
  if (ended) return ended
  const pace = paceOf(recipe, parts.train.length)
  const batchesInAll = pace.steps * recipe.accumulate
  const drawn = { dataset, digests: parts.train, batch: recipe.batch, seed }
  const { threads } = recipe
  await using batches = frozen
    ? await openFeatureBatches(frozen, { ...drawn, threads, ...(signal && { signal }) })
    : openBatches({
        ...drawn,
        canvas: task.canvas,
        augment: augmentationOf(recipe.augment),
        ...(replay && { replay: replayOf(replay, recipe.replayShare, split) }),
        ...(task.maskLabels && { maskLabels: task.maskLabels }),
        mixingEndsAt: Math.round(mixingShare * batchesInAll),
        steps: batchesInAll,
        workers: recipe.workers,
        ...(signal && { signal }),
      })
  await using runner = await StepRunner.open(step, recipe)
  const run = new Run({
    options,
    parts,
    recipe,
    step,
    folder,
    batches,
    pace,
    runner,
    feeds: (frozen?.task ?? task).feeds,
    write: frozen ? writerOf(task, recipe, step, trainable) : step.write,
  })
  return await run.go()
}

/** The folder of this run, and of no other. */
async function openFolder(options: TrainOptions, recipe: Recipe): Promise<RunFolder<RunFacts>> {
  const { task, dataset, split, replay, teacher, seed, asked } = options
  const dealt = [...split].map((entry) => entry.join(' ')).sort()
  const identity = {
    data: dataset.digest,
    replay: replay?.digest ?? null,
    split: digestOf(dealt.join('\n')),
    model: digestOf(writeModel(task.model)),
    recipe: decisive(recipe),
    seed,
    ...(teacher !== undefined && { teacher }),
  }
  return await RunFolder.open<RunFacts>(options.folder, identity, asked ?? null)
}

/** What of a recipe decides the weights: how many threads prepare pictures, and what it may take, do not. */
function decisive(recipe: Recipe): Partial<Recipe> {
  const { workers: _, memoryMibMax: __, checkpointEvery: ___, ...rest } = recipe
  return rest
}

/** Puts the weights of the part that learned into the whole model. */
function writerOf(
  task: Task,
  recipe: Recipe,
  part: Step,
  trainable: (parameter: string) => boolean,
): Step['write'] {
  const whole = stepOf(task, { ...recipe, batch: 1 }, trainable)
  const names = ({ parameters, state }: Step) => [...parameters, ...state].map(({ name }) => name)
  assert.deepEqual(names(part), names(whole))
  return whole.write
}

/** Older samples that are learned from again; one that tests or chooses here is not. */
const replayOf = (dataset: Dataset, share: number, split: Split) => ({
  dataset,
  share,
  digests: dataset.samples.flatMap(({ digest }) =>
    (split.get(digest) ?? 'train') === 'train' ? [digest] : [],
  ),
})

/** @throws {TrainError} when older data are given and not asked for, or the other way round */
function refuseReplay(replay: Dataset | undefined, { replayShare }: Recipe): void {
  if (replay && replayShare === 0) {
    throw new TrainError(
      `Cannot replay "${replay.name}": the recipe gives it no share of a batch`,
      'for example --set replayShare=0.25',
    )
  }
  if (!replay && replayShare > 0) {
    throw new TrainError(
      `Cannot fill ${replayShare} of each batch with older data: none are given`,
      'name them with --replay-dir, or set replayShare=0',
    )
  }
}

type RunParts = {
  readonly options: TrainOptions
  readonly parts: Parts
  readonly recipe: Recipe
  readonly step: Step
  readonly folder: RunFolder<RunFacts>
  readonly batches: Batches
  readonly pace: Pace
  readonly runner: StepRunner
  readonly feeds: Task['feeds']
  /** Weights as the whole model. */
  readonly write: Step['write']
}

class Run {
  readonly #parts: RunParts
  readonly #meter = new PaceMeter()
  readonly #startedAt = performance.now()
  /** Steps behind it. */
  #done = 0
  #curvesBytes = 0
  #best: RunFacts['best'] = null
  #bestWeights: Weights | undefined
  #gain: RunFacts['gain'] = null
  #before: Figures | null = null
  #secondsBefore = 0
  #why: Extract<TrainResult, { kind: 'ended' }>['why'] = 'all steps done'

  constructor(parts: RunParts) {
    this.#parts = parts
  }

  async go(): Promise<TrainResult> {
    const { options, folder, pace, recipe, parts } = this.#parts
    const checkpoint = await folder.checkpoints.newest((file) =>
      this.#tell({ kind: 'warning', text: `"${file}" is torn; an older checkpoint is taken` }),
    )
    if (checkpoint) this.#restore(checkpoint)
    await folder.cutWords(this.#curvesBytes)
    this.#tellStart()
    if (!checkpoint && parts.validation.length === 0 && recipe.earlyStop.patience > 0) {
      const text = 'there are no validation samples: the run ends with its last step'
      this.#tell({ kind: 'warning', text })
    }
    if (!checkpoint && options.task.before && parts.test.length > 0) {
      this.#before = figuresOf(await options.task.before(parts.test, this.#evaluation(0)))
    }
    if (!checkpoint) await this.#checkpoint()
    const isOver = this.#done === pace.steps || this.#isOver()
    if (!isOver && (await this.#steps()) === 'paused') {
      this.#tell({ kind: 'paused', step: this.#done })
      return { kind: 'paused', step: this.#done, steps: pace.steps }
    }
    return await this.#end()
  }

  async #steps(): Promise<'done' | 'paused'> {
    const { options, pace, recipe } = this.#parts
    const lineEvery = Math.max(1, Math.floor(pace.steps / curvePoints))
    const lines = new CurveLine()
    let toldAt = 0
    let keptAt = performance.now()
    while (this.#done < pace.steps) {
      options.signal?.throwIfAborted()
      const word = await this.#oneStep()
      lines.add(word)
      const now = performance.now()
      const isLast = this.#done === pace.steps
      if (isLast || now - toldAt >= stepWordsEveryMs) {
        toldAt = now
        options.progress?.(word)
      }
      if (isLast || this.#done % lineEvery === 0) {
        this.#curvesBytes = await this.#parts.folder.addWords([lines.take()])
      }
      let isOver = false
      if (isDue(this.#done, recipe.evaluateEvery, pace)) isOver = await this.#evaluate()
      const every = recipe.checkpointEvery === 0 ? recipe.evaluateEvery : recipe.checkpointEvery
      const isPaused = options.pause?.aborted === true
      const isLate = performance.now() - keptAt >= checkpointEveryMs
      if (isOver || isPaused || isLate || isDue(this.#done, every, pace)) {
        await this.#checkpoint()
        keptAt = performance.now()
      }
      if (isOver) {
        this.#why = 'no gain any more'
        return 'done'
      }
      if (isPaused && this.#done < pace.steps) return 'paused'
    }
    return 'done'
  }

  async #oneStep(): Promise<Extract<TrainProgress, { kind: 'step' }>> {
    const { pace, recipe, batches, runner, feeds } = this.#parts
    const { accumulate } = recipe
    const settings = lossSettings(recipe)
    const startedAt = performance.now()
    let [loss, waited, ran] = [0, 0, 0]
    const terms: Record<string, number> = {}
    for (let part = 0; part < accumulate; part += 1) {
      const batch = await batches.batch(this.#done * accumulate + part)
      const outcome = await runner.run(await feeds(batch, settings), part > 0)
      waited += batch.waitedMs
      ran += outcome.runMs
      loss += outcome.loss / accumulate
      for (const [name, value] of Object.entries(outcome.terms)) {
        terms[name] = (terms[name] ?? 0) + value / accumulate
      }
    }
    if (!Number.isFinite(loss)) throw await this.#notFinite(loss)
    runner.move(this.#done, pace.steps)
    this.#meter.add({ all: performance.now() - startedAt, waited, ran })
    const { optimizer, schedule } = recipe
    const learningRate = optimizer.learningRate * rateShare(schedule, this.#done, pace.steps)
    this.#done += 1
    return {
      kind: 'step',
      step: this.#done,
      steps: pace.steps,
      epoch: this.#done / pace.stepsPerEpoch,
      loss,
      terms,
      learningRate,
      ...this.#meter.latest(recipe.batch * accumulate),
      etaMs: this.#meter.etaMs(pace.steps - this.#done),
    }
  }

  async #notFinite(loss: number): Promise<TrainError> {
    const kept = await this.#parts.folder.checkpoints.newest()
    return new TrainError(
      `Cannot go on training: the loss is ${loss} at step ${this.#done + 1}`,
      `the checkpoint of step ${kept?.step ?? 0} is kept; try a lower optimizer.learningRate, or optimizer.clipNorm=1, in a new folder`,
    )
  }

  /** @returns whether the run has stopped to gain */
  async #evaluate(): Promise<boolean> {
    const { options, parts, recipe, runner, pace } = this.#parts
    if (parts.validation.length === 0) return false
    const weights = runner.weights()
    const model = this.#model(weights)
    const report = await options.task.evaluate(model, parts.validation, this.#evaluation(0))
    const figures = figuresOf(report)
    const value = figures[report.metric] ?? Number.NaN
    const isBest =
      this.#best === null ||
      isBetter(report.metric, value, this.#best.figures[report.metric] ?? Number.NaN)
    if (isBest) {
      this.#best = { step: this.#done, figures }
      this.#bestWeights = copied(weights)
    }
    this.#countGain(report.metric, value)
    const word = { kind: 'evaluation', step: this.#done, on: 'validation', figures } as const
    await this.#record({ ...word, best: isBest })
    const { patience } = recipe.earlyStop
    return patience > 0 && this.#gain!.evaluations >= patience && this.#done < pace.steps
  }

  #countGain(metric: FigureName, value: number): void {
    const { gainMin } = this.#parts.recipe.earlyStop
    const since = this.#gain
    const isGain =
      since === null ||
      (isBetter(metric, value, since.value) && Math.abs(value - since.value) > gainMin)
    this.#gain = isGain
      ? { value, evaluations: 0 }
      : { ...since, evaluations: since.evaluations + 1 }
  }

  async #checkpoint(): Promise<void> {
    const { folder, runner } = this.#parts
    if (!runner.isFinite()) throw await this.#notFinite(Number.NaN)
    const facts: RunFacts = {
      curvesBytes: this.#curvesBytes,
      best: this.#best,
      gain: this.#gain,
      before: this.#before,
      seconds: this.#seconds(),
    }
    const best = this.#bestWeights
    const digest = await folder.checkpoints.write(this.#done, facts, {
      ...runner.vectors(),
      ...(best && { bestParameters: best.parameters, bestState: best.state }),
    })
    this.#tell({ kind: 'checkpoint', step: this.#done, digest })
  }

  #restore({ step, facts, vectors }: Checkpoint<RunFacts>): void {
    this.#parts.runner.restore(vectors, step)
    this.#done = step
    this.#curvesBytes = facts.curvesBytes
    this.#best = facts.best
    this.#gain = facts.gain
    this.#before = facts.before
    this.#secondsBefore = facts.seconds
    const { bestParameters: parameters, bestState: state } = vectors
    if (parameters && state) this.#bestWeights = { parameters, state }
    if (this.#isOver()) this.#why = 'no gain any more'
  }

  /** A checkpoint that was the last of a run which stopped early is not gone on from. */
  #isOver(): boolean {
    const { patience } = this.#parts.recipe.earlyStop
    return patience > 0 && (this.#gain?.evaluations ?? 0) >= patience
  }

  /** Writes the model and what is to be known of it; the result comes last. */
  async #end(): Promise<TrainResult> {
    const { options, parts, recipe, folder, pace } = this.#parts
    const { task, dataset, seed } = options
    const master = this.#model(this.#bestWeights ?? this.#parts.runner.weights())
    const bytes = writeModel(task.finish?.(master) ?? master)
    await folder.write('model.onnx', bytes)
    const modelFile = join(folder.path, 'model.onnx')
    // What counts is the file as it lies there.
    const written = await readModelFile(modelFile)
    const evaluate = async (on: 'validation' | 'test'): Promise<EvaluationReport | undefined> => {
      if (parts[on].length === 0) return undefined
      const report = await task.evaluate(written, parts[on], this.#evaluation(undefined))
      await this.#record({
        kind: 'evaluation',
        step: this.#bestStep(),
        on,
        figures: figuresOf(report),
        best: true,
      })
      return report
    }
    const validation = await evaluate('validation')
    const test = await evaluate('test')
    const { imagesPerSecond, dataWaitShare, outsideShare } = this.#meter.whole(
      recipe.batch * recipe.accumulate,
    )
    const result: TrainResult = {
      kind: 'ended',
      why: this.#why,
      modelFile,
      digest: digestOf(bytes),
      step: this.#done,
      steps: pace.steps,
      bestStep: this.#bestStep(),
      ...(validation && { validation: figuresOf(validation) }),
      ...(test && { test: figuresOf(test) }),
      ...(this.#before && { before: this.#before }),
      imagesPerSecond,
      dataWaitShare,
      outsideShare,
      seconds: this.#seconds(),
      peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
      recipe,
    }
    const card = cardOf({
      name: options.name,
      digest: result.digest,
      createdAt: new Date().toISOString(),
      task: task.name,
      labels: task.labels,
      code: options.code,
      recipe,
      seed,
      data: {
        name: dataset.name,
        digest: dataset.digest,
        split: options.splitText,
        samples: countsOf(parts),
      },
      ...(options.parent && { parent: options.parent }),
      training: {
        trainer: 'edgeloop',
        steps: this.#done,
        bestStep: this.#bestStep(),
        seconds: this.#seconds(),
      },
      ...(test && { evaluation: test }),
      ...(this.#before && { before: this.#before }),
    })
    await this.#report(card, { validation, test })
    await folder.write('result.json', `${JSON.stringify(result, null, 2)}\n`)
    return result
  }

  async #report(
    card: ModelCard,
    reports: Readonly<Record<'validation' | 'test', EvaluationReport | undefined>>,
  ): Promise<void> {
    const { folder } = this.#parts
    const report = { schemaVersion: 1, card, ...reports }
    await folder.write('report.json', `${JSON.stringify(report, null, 2)}\n`)
    await folder.write('report.html', runPage(card, await folder.words()))
    await folder.write('card.md', cardText(card))
  }

  #model(weights: Weights): ModelProto {
    return this.#parts.write(weights.parameters, weights.state)
  }

  #bestStep(): number {
    return this.#best?.step ?? this.#done
  }

  /** @param rounds for intervals; 0: none, undefined: as many as the task needs */
  #evaluation(rounds: 0 | undefined) {
    const { options, recipe } = this.#parts
    return {
      threads: recipe.threads,
      seed: options.seed,
      ...(rounds === 0 && { rounds, worst: 0 }),
      ...(options.signal && { signal: options.signal }),
    }
  }

  #tellStart(): void {
    const { options, parts, recipe, step, pace } = this.#parts
    const { task } = options
    const parameters = trainableParameters(task.model, task.cut ? { cut: task.cut } : {})
    const elements = parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
    this.#tell({
      kind: 'started',
      steps: pace.steps,
      step: this.#done,
      stepsPerEpoch: pace.stepsPerEpoch,
      batch: recipe.batch,
      parameters: elements,
      trainable: step.initial.parameters.length,
      memoryBytes: memoryOf(step, recipe),
      samples: countsOf(parts),
    })
  }

  async #record(word: TrainProgress): Promise<void> {
    this.#curvesBytes = await this.#parts.folder.addWords([word])
    this.#tell(word)
  }

  #tell(word: TrainProgress): void {
    this.#parts.options.progress?.(word)
  }

  #seconds(): number {
    return this.#secondsBefore + (performance.now() - this.#startedAt) / 1000
  }
}

/** Steps between two points of a curve become one, with the mean of their losses. */
class CurveLine {
  #steps: Extract<TrainProgress, { kind: 'step' }>[] = []

  add(step: Extract<TrainProgress, { kind: 'step' }>): void {
    this.#steps.push(step)
  }

  take(): TrainProgress {
    const steps = this.#steps
    this.#steps = []
    const last = steps.at(-1)!
    const mean = (of: (step: (typeof steps)[number]) => number): number =>
      steps.reduce((sum, step) => sum + of(step), 0) / steps.length
    const terms = Object.keys(last.terms).map((name) => [name, mean((step) => step.terms[name]!)])
    return { ...last, loss: mean(({ loss }) => loss), terms: Object.fromEntries(terms) }
  }
}

const figuresOf = ({ figures }: EvaluationReport): Figures => ({ ...figures })

const countsOf = ({ train, validation, test }: Parts) => ({
  train: train.length,
  validation: validation.length,
  test: test.length,
})

const copied = ({ parameters, state }: Weights): Weights => ({
  parameters: parameters.slice(),
  state: state.slice(),
})
