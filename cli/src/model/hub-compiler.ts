/** The compiler as a hub has it: the same work as `model inspect` and `model compile`, each in a child with limits. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Compiler, DescribedModel, Inspected, Prepared } from '@edgeloop/cloud-hub'
import { cocoLabels, layoutNames } from '@edgeloop/edge-agent/models'
import { targets } from '@edgeloop/model-compiler'
import {
  type ChildLimits,
  openOutputFolder,
  ownTarget,
  runInChild,
} from '@edgeloop/model-compiler/compile'
import type { Compiled, CompileOrder, InspectOrder, OrderProgress } from './compile-order.ts'
import type {
  Described,
  DescribeOrder,
  Encoded,
  EncodeOrder,
  Measured,
  MeasureOrder,
} from './publish-order.ts'
import { doing } from './tell-progress.ts'

const compileProcess = fileURLToPath(new URL('./compile-process.ts', import.meta.url))
const publishProcess = fileURLToPath(new URL('./publish-process.ts', import.meta.url))
const inspectProcess = fileURLToPath(new URL('./inspect-process.ts', import.meta.url))

/** Larger than any model it may look into, several times. */
const inspectLimits: ChildLimits = { timeoutMs: 60_000, memoryBytesMax: 3 * 1024 ** 3 }
/** Runs of a published model; the slowest box has no more patience. */
const measureLimits: ChildLimits = { timeoutMs: 10 * 60_000 }
/** The codec looks at every byte several times. */
const encodeLimits: ChildLimits = { timeoutMs: 30 * 60_000, silenceMs: Number.POSITIVE_INFINITY }
/** Orders the pictures that are split into those that calibrate and those that judge. */
const seed = 1
/**
 * @param options.limits of one compilation, instead of the compiler's own
 * @param options.measureSeconds for one measurement of a candidate against the original
 */
export function openHubCompiler(
  options: { readonly limits?: ChildLimits; readonly measureSeconds?: number } = {},
): Compiler {
  const { limits = {}, measureSeconds = 3 } = options
  return {
    layouts: layoutNames,
    cocoLabels,
    targets: Object.values(targets).map(({ name, verified }) => ({ name, verified })),
    ownTarget: ownTarget(),
    inspect: async (model, signal) => {
      await using said = await writeDown(model)
      const order: InspectOrder = { ...said.files, file: model.file, layout: model.layout }
      return await runInChild<InspectOrder, never, Inspected>({
        program: inspectProcess,
        order,
        what: 'look into the model',
        signal,
        doing: () => 'opening it',
        limits: inspectLimits,
      }).catch(inItsName(model))
    },
    compile: async (given, progress, signal) => {
      await using output = await openOutputFolder(given.out)
      await using said = await writeDown(given)
      const order: CompileOrder = {
        ...said.files,
        kind: 'compile',
        file: given.file,
        layout: given.layout,
        calibrate: given.images,
        precision: given.precision,
        maxDrop: given.maxDrop,
        keep: [],
        seed,
        measureSeconds,
        target: given.target ?? ownTarget(),
        ...(given.against !== undefined && { against: given.against }),
        // Versions of a hub follow each other.
        successors: true,
        folder: output.draft,
      }
      const { report } = await runInChild<CompileOrder, OrderProgress, Compiled>({
        program: compileProcess,
        order,
        what: 'compile the model',
        doing,
        limits,
        signal,
        onProgress: (at) => progress(at.share, doing(at)),
      }).catch(inItsName(given))
      await output.commit()
      return {
        chosen: report.chosen,
        target: report.target,
        candidates: report.candidates.map((one) => {
          const value = one.metrics[report.metric]
          return {
            name: one.name,
            sizeBytes: one.sizeBytes,
            latencyRatio: one.latencyRatio,
            metric: value === undefined ? null : { name: report.metric, value },
            sqnrDb: one.sqnrDb,
            refused: one.verdict === 'chosen' ? '' : one.why,
          }
        }),
      }
    },
    prepare: async ({ bases, out, ...model }, progress, signal) => {
      const run = async <Order extends { readonly file: string }, Result>(
        order: Order,
        what: string,
        limits: ChildLimits,
      ): Promise<Result> =>
        await runInChild<Order, never, Result>({
          program: publishProcess,
          order,
          what: `publish ${model.name}`,
          limits,
          signal,
          doing: () => what,
        }).catch(inItsName(model))
      const { file } = model
      await using said = await writeDown(model)
      progress(0, 'look into the model')
      const { opset, inputs } = await run<DescribeOrder, Described>(
        { kind: 'describe', ...said.files, file, layout: model.layout },
        'opening it as a box would',
        inspectLimits,
      )
      progress(0.2, 'run it')
      const measured = await run<MeasureOrder, Measured>(
        { kind: 'measure', file, inputs },
        'running its golden vectors',
        measureLimits,
      )
      progress(0.5, 'encode its bytes')
      const encoded = await run<EncodeOrder, Encoded>(
        { kind: 'encode', file, bases, out },
        'encoding its bytes',
        encodeLimits,
      )
      return { opset, ...measured, ...encoded } satisfies Prepared
    },
  }
}

/** Labels and description as the files that commands take. */
async function writeDown({ labels, description }: DescribedModel) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-model-'))
  const files: { labels?: string; description?: string } = {}
  if (labels.length > 0) {
    files.labels = join(folder, 'labels.txt')
    await writeFile(files.labels, `${labels.join('\n')}\n`)
  }
  if (description !== '') {
    files.description = join(folder, 'description.yaml')
    await writeFile(files.description, description)
  }
  return { files, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}

/** Errors name the file that was looked at; people know the model by its name, and need no paths of the hub. */
const inItsName =
  ({ file, name }: DescribedModel) =>
  (error: Error): never => {
    error.message = error.message.replaceAll(file, name)
    throw error
  }
