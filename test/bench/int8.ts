/**
 * What int8 gains in time, on one thread, in turns with the float model at ONNX Runtime's level `all`: networks of plain
 * Relu with the shapes of ResNet-50 and MobileNetV2 (random weights, so only time means something), and nanodet where
 * ../shared/material is there. Says also how many products the runtime computes with codes.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { comparePairs } from '../../model-compiler/src/benchmark/compare-pairs.ts'
import { calibrate } from '../../model-compiler/src/calibrate/calibrate.ts'
import { type Sample, samplesFrom } from '../../model-compiler/src/calibrate/samples.ts'
import { checkFusion } from '../../model-compiler/src/fusion/check-fusion.ts'
import { Graph } from '../../model-compiler/src/graph/graph.ts'
import { readModel } from '../../model-compiler/src/onnx/read.ts'
import type { ModelProto } from '../../model-compiler/src/onnx/schema.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { upgradeOpset } from '../../model-compiler/src/opset/upgrade.ts'
import { inBlocks } from '../../model-compiler/src/quantize/in-blocks.ts'
import { quantize } from '../../model-compiler/src/quantize/quantize.ts'
import { targets } from '../../model-compiler/src/targets/index.ts'
import { mobileNetV2Shaped, noise, resNet50Shaped } from '../compiler/shaped-models.ts'
import { material, needs } from '../require.ts'
import type { BenchResult } from './bench.ts'

/** What `npm run bench -- int8` measures; see the head of the file. */
export async function bench(options: {
  args: string[]
  signal: AbortSignal
}): Promise<BenchResult> {
  const { values } = parseArgs({
    args: options.args,
    options: { seconds: { type: 'string', default: '10' } },
  })
  const target = targets['linux-x64-vnni']
  const subjects: [name: string, model: ModelProto, sample: Sample][] = [
    ['resnet50-shaped', resNet50Shaped(), noise(224, 1)],
    ['mobilenetv2-shaped', mobileNetV2Shaped(), noise(224, 1)],
  ]
  if (needs('material').skip === undefined) {
    const graph = new Graph(readModel(await readFile(join(material, 'models/nanodet_m_320.onnx'))))
    upgradeOpset(graph, 13)
    const { x } = noise(320, 1)
    subjects.push(['nanodet_m_320', graph.toModel(), { 'input.1': x }])
  }
  const rows: Record<string, string | number>[] = []
  const results: object[] = []
  for (const [name, model, sample] of subjects) {
    options.signal.throwIfAborted()
    console.error(`measuring ${name}`)
    const blocks = await inBlocks(model, target)
    const ranges = await calibrate(blocks, samplesFrom([sample]), { method: 'minmax' })
    const made = quantize(blocks, ranges, { target })
    const { fused, unfused } = await checkFusion(made, target)
    const [float, codes] = [writeModel(model), writeModel(made)]
    const { medianRatio, ratioQuartiles, aMs, bMs } = await comparePairs(float, codes, sample, {
      seconds: Number(values.seconds),
      signal: options.signal,
    })
    const rounded = (one: number) => Math.round(one * 100) / 100
    rows.push({
      model: name,
      'float ms': rounded(aMs),
      'int8 ms': rounded(bMs),
      'times as fast': `${rounded(medianRatio)} (${ratioQuartiles.map(rounded).join(' to ')})`,
      'with codes': `${fused} of ${fused + unfused.length}`,
      'size MB': `${rounded(float.length / 1e6)} → ${rounded(codes.length / 1e6)}`,
    })
    results.push({ model: name, medianRatio, ratioQuartiles, aMs, bMs, fused, unfused })
  }
  return { name: 'int8', rows, json: { models: results } }
}
