/**
 * A float model in, the fastest model that is still right out. The candidates are made one after the other, each is
 * evaluated and timed against the original in turns, and `choose` decides by the figures alone.
 */
import { createHash } from 'node:crypto'
import { appendFileSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { nearestName } from '@edgeloop/protocol/nearest'
import { comparePairs } from '../benchmark/compare-pairs.ts'
import { profileOperators } from '../benchmark/profile.ts'
import { type Sample, type SampleSource, samplesFrom } from '../calibrate/samples.ts'
import { type Evaluation, figuresOf } from '../evaluate/metric.ts'
import { checkFusion, type FusionReport } from '../fusion/check-fusion.ts'
import { Graph } from '../graph/graph.ts'
import { graphLines } from '../graph/text.ts'
import { verify } from '../graph/verify.ts'
import { OnnxError, readModel } from '../onnx/read.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { writeModel } from '../onnx/write.ts'
import { median, medianSqnrDb, sqnrByValue } from '../quantize/sqnr.ts'
import { reportPage } from '../report/page.ts'
import { openSession } from '../runtime/session.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import { type TargetName, type TargetProfile, targets } from '../targets/index.ts'
import {
  type CandidateName,
  candidatesFor,
  choose,
  type Judged,
  type Precision,
  type Verdict,
} from './choose.ts'
import type { CandidateResult, CompileReport, TensorError } from './compile-report.ts'
import type { Champion } from './keep-scales.ts'
import type { Manifest, StatedFile } from './manifest.ts'
import { manifestName } from './output-folder.ts'
import { ownTarget } from './own-target.ts'
import { type Planned, type Progress, ProgressTeller } from './progress.ts'
import { recipes, Workshop } from './recipes.ts'

export type CompileOptions = {
  /** The file's bytes. */
  readonly model: Uint8Array
  /** How errors and results call it. */
  readonly name: string
  /** What the original is fed while ranges are taken; none of it may be evaluated with. */
  readonly samples: SampleSource
  /** How right a model is, by its task's own metric; the original is asked first. */
  readonly evaluate: (model: Uint8Array, signal?: AbortSignal) => Promise<Evaluation>
  /** Name of a target; what is measured here is measured on this machine all the same. */
  readonly target: string
  readonly precision: Precision
  /** Largest loss of the metric that is accepted, absolute. */
  readonly maxDrop: number
  /** The int8 file that runs in the field: its scales are kept where they fit, so that the delta from it is small. */
  readonly against?: Uint8Array
  /** With `against`: codes change only where that matters to the metric. */
  readonly deltaAware?: boolean
  /** Versions will follow this one: where int8 is right without equalizing it stays so, as they can then keep its scales. */
  readonly successors?: boolean
  /** Candidates that are kept beside the chosen one. */
  readonly keep?: readonly CandidateName[]
  /** What the agent has to know to feed and read the model; goes into the manifest as it is. */
  readonly description?: unknown
  /** A folder to write into; see `openOutputFolder`. */
  readonly folder: string
  /** Time for one measurement of a candidate against the original (default 3); the search takes 22 of them. */
  readonly measureSeconds?: number
  /** Writes `trace.txt` into `folder`: the float graph as it is, and after each pass that has changed something. */
  readonly trace?: boolean
  readonly onProgress?: (progress: Progress) => void
  readonly signal?: AbortSignal
}

/** A candidate with what was measured of it. */
type Measured = {
  readonly name: CandidateName
  readonly about: string
  readonly bytes?: Uint8Array
  readonly failure?: string
  readonly evaluation?: Evaluation
  readonly ratios: readonly number[]
  /** Of the original only: the others were timed at other moments of a busy machine. */
  readonly latencyMs?: number
  readonly sqnrDb?: number
  readonly fusion?: FusionReport
}

const measureSecondsDefault = 3

/**
 * Compiles a model and writes `model.onnx`, `manifest.json` and what is kept into `options.folder`.
 * @throws {OnnxError} when the model is none, the samples do not fit it, or nothing of a precision that was asked
 * for may be shipped; what `evaluate` throws for the original; the signal's reason when it is aborted
 */
export async function compileModel(
  options: CompileOptions,
): Promise<{ readonly report: CompileReport; readonly manifest: Manifest }> {
  const { model: bytes, name, samples, precision, maxDrop, signal } = options
  const names = candidatesFor(precision).filter((one) => one === 'original' || recipes[one])
  const teller = new ProgressTeller(planOf(names), options.onProgress ?? (() => {}))
  teller.at('read')
  const target = targetNamed(options.target)
  const original = readModel(bytes, { name })
  verify(original, { name })
  const [feeds] = await Array.fromAsync(firstOf(samples))
  if (!feeds) throw new OnnxError('Cannot compile: there is no sample to calibrate with')
  await checkSample(bytes, feeds, name)
  const trace = options.trace ? tracing(join(options.folder, 'trace.txt')) : undefined
  const measured: Measured[] = []
  const workshop = new Workshop({
    original,
    samples,
    first: feeds,
    target,
    signal,
    ...(trace && { trace }),
    isRight: async (made) => {
      const { value } = await options.evaluate(writeModel(made), signal)
      return measured[0]!.evaluation!.value - value <= maxDrop
    },
    ...(options.against && { champion: championOf(options, measured) }),
    ...(options.successors && { successors: true }),
    onCalibrate: (done, total) => teller.at('calibrate', 'int8', done, total),
    onSearch: (done, total) => teller.at('search', 'int8-search', done, total),
    measureSeconds: options.measureSeconds ?? measureSecondsDefault,
  })

  for (const candidate of names) {
    signal?.throwIfAborted()
    measured.push(await measure(candidate, { options, original, workshop, feeds, teller }))
  }
  const before = measured[0]!.evaluation!
  const { chosen, verdicts } = await settle(measured, before, { options, feeds, teller })
  const best = measured.find((one) => one.name === chosen)!

  teller.at('write')
  const shipped = best.bytes!
  const profile = async (of: Uint8Array) =>
    (await profileOperators(of, feeds, signalOf(signal))).operators
  const report: CompileReport = {
    chosen,
    why: verdicts.get(chosen)!.why,
    metric: before.metric,
    maxDrop,
    precision,
    target: options.target,
    candidates: measured.map((one) =>
      candidateOf(one, measured[0]!, before, verdicts.get(one.name)!),
    ),
    unfused: best.fusion?.unfused.filter(({ onPurpose }) => !onPurpose) ?? [],
    fusionChecked: best.fusion !== undefined,
    source: { name, digest: digestOf(bytes), sizeBytes: bytes.length },
    machine: { cpu: cpus()[0]?.model.trim() ?? 'unknown', threads: 1 },
    calibrationSamples: samples.count,
    passes: workshop.passes,
    kept: workshop.searched?.kept ?? [],
    tensors: await tensorErrors(measured, workshop, signal),
    operators: { before: await profile(bytes), after: await profile(shipped) },
    ...(workshop.scales && withCodes.has(chosen) && { scales: workshop.scales }),
  }
  const kept = measured.filter((one) => one.bytes && options.keep?.includes(one.name))
  const manifest = await manifestOf(options, report, best, kept)
  await writeFile(join(options.folder, manifest.model.file), shipped)
  for (const one of kept) await writeFile(join(options.folder, `${one.name}.onnx`), one.bytes!)
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`
  await writeFile(join(options.folder, manifestName), json(manifest))
  await writeFile(join(options.folder, 'report.json'), json(report))
  await writeFile(join(options.folder, 'report.html'), reportPage(report))
  teller.at('write', undefined, 1, 1)
  return { report, manifest }
}

/** Candidates whose scales are those of `Workshop.int8`. */
const withCodes = new Set<CandidateName>(['int8', 'int8-qoperator', 'int8-search'])

function championOf(options: CompileOptions, measured: readonly Measured[]): Champion {
  return {
    model: readModel(options.against!, { name: 'the champion' }),
    deltaAware: options.deltaAware ?? false,
    valueOf: async (made) => (await options.evaluate(writeModel(made), options.signal)).value,
    original: () => measured[0]!.evaluation!.value,
  }
}

/** Writes graphs as text, one after the other, as they come: all of them together are large. */
function tracing(file: string): (step: string, graph: Graph) => void {
  writeFileSync(file, '')
  return (step, graph) => {
    inferTypes(graph)
    appendFileSync(file, `== ${step}\n${[...graphLines(graph)].join('\n')}\n\n`)
  }
}

/** Samples and activations that the error of each is measured with: it is for people to look at. */
const errorSamples = 4
const errorTensorsMax = 600

/** How much of each activation the int8 candidate leaves over. */
async function tensorErrors(
  measured: readonly Measured[],
  workshop: Workshop,
  signal: AbortSignal | undefined,
): Promise<TensorError[]> {
  const int8 = measured.find(({ name, bytes }) => name === 'int8' && bytes)?.bytes
  if (!int8 || !workshop.made) return []
  const { float, ranges } = workshop.made
  const made = readModel(int8)
  const there = new Set(made.graph?.node.flatMap(({ output }) => output))
  const names = [...ranges.keys()].slice(0, errorTensorsMax)
  const samples: Sample[] = []
  for await (const sample of workshop.samples.read()) {
    if (samples.push(sample) >= errorSamples) break
  }
  const found = await sqnrByValue(
    float,
    made,
    names.filter((name) => there.has(name)),
    samplesFrom(samples),
    signal,
  )
  return names.map((name) => {
    const { min, max } = ranges.get(name)!
    const ratios = found.get(name)
    return { name, min, max, sqnrDb: ratios ? rounded(median(ratios), 2) : null }
  })
}

async function manifestOf(
  options: CompileOptions,
  report: CompileReport,
  best: Measured,
  kept: readonly Measured[],
): Promise<Manifest> {
  const stated = (file: string, { name, bytes }: Measured): StatedFile => ({
    file,
    candidate: name,
    digest: digestOf(bytes!),
    sizeBytes: bytes!.length,
  })
  await using session = await openSession(best.bytes!)
  const value = (of: CandidateName) =>
    report.candidates.find(({ name }) => name === of)?.metrics[report.metric] ?? Number.NaN
  return {
    format: 'edgeloop-model',
    formatVersion: 1,
    name: options.name,
    model: stated('model.onnx', best),
    kept: kept.map((one) => stated(`${one.name}.onnx`, one)),
    source: report.source,
    target: report.target,
    opset: new Graph(readModel(best.bytes!)).opset,
    inputs: session.inputs,
    outputs: session.outputs,
    evaluation: {
      metric: report.metric,
      original: value('original'),
      value: value(report.chosen),
      maxDrop: report.maxDrop,
    },
    latencyRatio: report.candidates.find(({ name }) => name === report.chosen)?.latencyRatio ?? 1,
    ...(report.scales && {
      scales: { ...report.scales, championDigest: digestOf(options.against!) },
    }),
    ...(options.description !== undefined && { description: options.description }),
  }
}

type Bench = {
  readonly options: CompileOptions
  readonly feeds: Sample
  readonly teller: ProgressTeller
}

/** Makes a candidate and finds out what there is to know of it; only the original may fail altogether. */
async function measure(
  name: CandidateName,
  {
    options,
    original,
    workshop,
    feeds,
    teller,
  }: Bench & { readonly original: ModelProto; readonly workshop: Workshop },
): Promise<Measured> {
  const about = recipes[name]?.about ?? 'as it was handed in'
  const isOriginal = name === 'original'
  try {
    teller.at('make', name)
    const made = (await recipes[name]?.make(workshop)) ?? original
    const bytes = isOriginal ? options.model : writeModel(made)
    teller.at('evaluate', name)
    const evaluation = await options.evaluate(bytes, options.signal)
    teller.at('measure', name)
    const { ratios, bMs } = await time(options.model, bytes, feeds, options)
    if (isOriginal) {
      // It is as fast as itself, whatever the clock says.
      return { name, about, bytes, evaluation, ratios: [1], latencyMs: bMs }
    }
    const sqnrDb = await medianSqnrDb(original, made, options.samples, options.signal)
    const fusion =
      (name === 'int8' || name === 'int8-search') && runsHere(options.target)
        ? await checkFusion(made, workshop.target, {
            ...(name === 'int8-search' && { keptFloat: workshop.searched?.keepFloat ?? new Set() }),
          })
        : undefined
    return {
      name,
      about,
      bytes,
      evaluation,
      ratios,
      sqnrDb,
      ...(fusion && { fusion }),
    }
  } catch (error) {
    options.signal?.throwIfAborted()
    if (isOriginal) throw error
    return { name, about, failure: (error as Error).message, ratios: [] }
  }
}

const time = (
  original: Uint8Array,
  candidate: Uint8Array,
  feeds: Sample,
  options: CompileOptions,
) =>
  comparePairs(original, candidate, feeds, {
    seconds: options.measureSeconds ?? measureSecondsDefault,
    ...signalOf(options.signal),
  })

/**
 * Chooses, and times what was chosen once more: of several that were measured once, the best has been lucky. What is
 * slower than the original in all turns together is not shipped, and the choice begins anew.
 */
async function settle(measured: Measured[], before: Evaluation, { options, feeds, teller }: Bench) {
  const { precision, maxDrop } = options
  const confirmed = new Set<CandidateName>(['original'])
  while (true) {
    const choice = choose(
      measured.map((one) => judged(one, before)),
      { precision, maxDrop },
    )
    const at = measured.findIndex(({ name }) => name === choice.chosen)
    const best = measured[at]
    if (choice.chosen === undefined || !best?.bytes) {
      const reasons = [...choice.verdicts]
        .filter(([name]) => name !== 'original')
        .map(([name, { why }]) => `${name} ${why}`)
      throw new OnnxError(
        `Cannot compile "${options.name}" to ${precision}: ${reasons.join('; ')}; allow more with --max-drop, or take --precision auto`,
      )
    }
    if (confirmed.has(choice.chosen)) return choice
    confirmed.add(choice.chosen)
    teller.at('measure', 'chosen')
    const again = await time(options.model, best.bytes, feeds, options)
    measured[at] = { ...best, ratios: [...best.ratios, ...again.ratios] }
  }
}

function judged(
  { name, failure, bytes, evaluation, ratios }: Measured,
  before: Evaluation,
): Judged {
  return {
    name,
    ...(failure !== undefined && { failure }),
    sizeBytes: bytes?.length ?? Number.POSITIVE_INFINITY,
    latencyRatio: median(ratios),
    drop: evaluation ? before.value - evaluation.value : Number.NaN,
  }
}

function candidateOf(
  one: Measured,
  original: Measured,
  before: Evaluation,
  { verdict, why }: Verdict,
): CandidateResult {
  const { name, about, bytes, evaluation, ratios } = one
  const ratio = ratios.length > 0 ? median(ratios) : undefined
  const metrics = evaluation ? figuresOf(evaluation) : {}
  return {
    name,
    about,
    sizeBytes: bytes?.length ?? null,
    latencyRatio: ratio === undefined ? null : rounded(ratio, 4),
    latencyMs: ratio === undefined ? null : rounded(original.latencyMs! / ratio, 3),
    ap50: metrics.ap50 ?? null,
    sqnrDb: one.sqnrDb === undefined ? null : rounded(one.sqnrDb, 2),
    metrics,
    drop: evaluation ? rounded(before.value - evaluation.value, 6) : null,
    verdict,
    why,
  }
}

/** What the runtime of this machine fuses says nothing of another kind of machine. */
const runsHere = (target: string): boolean =>
  target === ownTarget() || (target === 'linux-x64' && ownTarget() === 'linux-x64-vnni')

/** @throws {OnnxError} naming the nearest target */
function targetNamed(name: string): TargetProfile {
  const target = Object.hasOwn(targets, name) ? targets[name as TargetName] : undefined
  if (target) return target
  const names = Object.keys(targets)
  const near = nearestName(name, names)
  const hint = near ? `did you mean "${near}"?` : `there are ${names.join(', ')}`
  throw new OnnxError(`Cannot compile for target "${name}": there is no such target; ${hint}`)
}

/** @throws {OnnxError} naming the input that a sample does not fit */
async function checkSample(model: Uint8Array, sample: Sample, name: string): Promise<void> {
  await using session = await openSession(model)
  for (const { name: input, type, shape } of session.inputs) {
    const given = sample[input]
    const wanted = `input "${input}" is ${type} [${shape.map((size) => (size === -1 ? '?' : size)).join(', ')}]`
    if (!given) throw new OnnxError(`Cannot compile "${name}": ${wanted}, and samples have none`)
    const fits =
      given.type === type &&
      given.dims.length === shape.length &&
      shape.every((size, at) => typeof size === 'string' || size === -1 || size === given.dims[at])
    if (!fits) {
      throw new OnnxError(
        `Cannot compile "${name}": ${wanted}, and a sample is ${given.type} [${given.dims.join(', ')}]`,
      )
    }
  }
}

async function* firstOf(samples: SampleSource): AsyncGenerator<Sample> {
  for await (const sample of samples.read()) {
    yield sample
    return
  }
}

/** Weights as they are on a small detector; only their proportions matter. */
function planOf(names: readonly CandidateName[]): Planned[] {
  return [
    { step: 'read', weight: 0.5 },
    ...names.flatMap((candidate): Planned[] => [
      { step: 'make', candidate, weight: 1 },
      ...(candidate === 'int8' || candidate === 'int8-qoperator'
        ? [{ step: 'calibrate' as const, candidate: 'int8' as const, weight: 10 }]
        : []),
      ...(candidate === 'int8-search' ? [{ step: 'search' as const, candidate, weight: 30 }] : []),
      { step: 'evaluate', candidate, weight: 5 },
      { step: 'measure', candidate, weight: 3 },
    ]),
    { step: 'measure', candidate: 'chosen', weight: 3 },
    { step: 'write', weight: 1 },
  ]
}

const signalOf = (signal: AbortSignal | undefined) => (signal ? { signal } : {})
const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const rounded = (value: number, digits: number): number => Number(value.toFixed(digits))
