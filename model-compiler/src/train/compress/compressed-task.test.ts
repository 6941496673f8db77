/** A net that has learned is compressed and trained on: each way by itself, and held against what it was. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { trainedRangesOf } from '../../calibrate/trained-ranges.ts'
import { checkFusion } from '../../fusion/check-fusion.ts'
import { Graph } from '../../graph/graph.ts'
import { readModelFile } from '../../onnx/model-file.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { floatsOf } from '../../onnx/tensor.ts'
import { quantize } from '../../quantize/quantize.ts'
import { targets } from '../../targets/index.ts'
import { paintedRun } from '../run/painted-run.ts'
import { partsOf } from '../run/plan-run.ts'
import { type RecipePart, recipeDefault, recipeOf } from '../run/recipe.ts'
import { train } from '../run/train.ts'
import { compressedTask } from './compressed-task.ts'
import { type Compression, compressionDefault } from './compression.ts'

let folder = ''
let learned: ModelProto
let accuracy = 0

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edgeloop-compress-'))
  const result = await train(paintedRun({ folder: join(folder, 'float'), recipe: { epochs: 40 } }))
  assert(result.kind === 'ended')
  learned = await readModelFile(result.modelFile)
  accuracy = result.test!.accuracy!
  assert.ok(accuracy > 0.85, `accuracy ${accuracy}`)
})
after(() => rm(folder, { recursive: true }))

/** Trains on with a part of the compression; gives the model, its figures and what was said of it. */
async function compress(part: Partial<Compression>, more: RecipePart = {}) {
  const run = paintedRun({ folder: join(folder, Object.keys(part).join('-')) })
  const plain = { ...run.task, model: learned }
  const compression = { ...compressionDefault, ...part }
  const said: string[] = []
  await using task = await compressedTask(plain, {
    compression,
    dataset: run.dataset,
    digests: partsOf(run.dataset, run.split).train,
    batch: 16,
    threads: 1,
    tell: (text) => said.push(text),
  })
  const small: RecipePart = { batch: 16, epochs: 6, threads: 1, workers: 1, compress: part }
  const recipe = recipeOf(recipeDefault, task.defaults, small, more)
  const result = await train({ ...run, task, recipe })
  assert(result.kind === 'ended')
  // Every run says what the model was worth before.
  assert.equal(result.before!.accuracy, accuracy)
  return { result, said, model: await readModelFile(result.modelFile) }
}

test('for int8: the file carries its ranges, and compiled with them it is as good as the run says', async () => {
  const { result, said, model } = await compress({ quantize: true })
  assert.match(said[0]!, /^\d+ values are rounded as linux-x64-vnni rounds them$/)
  const ranges = trainedRangesOf(model)!
  const target = targets['linux-x64-vnni']
  const compiled = quantize(model, ranges, { target })
  const { fused, unfused } = await checkFusion(compiled, target)
  assert.ok(fused > 0)
  assert.deepEqual(unfused, [])
  const { task, dataset, split } = paintedRun({ folder })
  const report = await task.evaluate(compiled, partsOf(dataset, split).test, {
    threads: 1,
    rounds: 0,
  })
  assert.equal(report.figures.accuracy, result.test!.accuracy)
  assert.ok(report.figures.accuracy! >= accuracy - 0.05, `${report.figures.accuracy}`)
})

test('channels: a third of them is gone, the file is smaller, and the net still knows', async () => {
  const { result, said, model } = await compress({ pruneChannels: 0.4 })
  assert.match(said[0]!, /^\d+ of \d+ channels between convolutions were taken out$/)
  const elements = (one: ModelProto) =>
    one.graph!.initializer.reduce(
      (sum, tensor) => sum + tensor.dims.reduce((a, b) => a * Number(b), 1),
      0,
    )
  assert.ok(elements(model) < elements(learned))
  assert.ok(result.test!.accuracy! >= accuracy - 0.1, `${result.test!.accuracy}`)
})

test('weights: half of them are zero when it begins, and when it ends', async () => {
  const { result, model } = await compress({ pruneWeights: 0.5 })
  const graph = new Graph(model)
  const weights = graph.nodes
    .filter(({ opType }) => opType === 'Conv' || opType === 'Gemm')
    .flatMap(({ input }) => [...floatsOf(graph.constantOf(input[1])!)])
  const zeros = weights.filter((one) => one === 0).length / weights.length
  assert.ok(Math.abs(zeros - 0.5) < 0.01, `${zeros}`)
  assert.ok(result.test!.accuracy! >= accuracy - 0.1, `${result.test!.accuracy}`)
})

test('a teacher: with all of the loss being what it says, the student comes to say the same', async () => {
  const { result } = await compress({ distill: 1, pruneChannels: 0.4 })
  assert.ok(result.test!.accuracy! >= accuracy - 0.1, `${result.test!.accuracy}`)
})

test('what cannot be is refused: no SiLU to replace, no such target', async () => {
  await assert.rejects(compress({ activations: 'hard-swish' }), /the model has no x·sigmoid\(x\)/)
  await assert.rejects(compress({ quantize: true, target: 'abacus' }), /no such target/)
})
