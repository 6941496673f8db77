/**
 * Ours beside ONNX Runtime's own quantizer (Python, 1.30): at its settings the same scales and zero points, at
 * ours nearer to the float model.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { calibrate } from '../../model-compiler/src/calibrate/calibrate.ts'
import { Graph } from '../../model-compiler/src/graph/graph.ts'
import { readModel } from '../../model-compiler/src/onnx/read.ts'
import type { ModelProto } from '../../model-compiler/src/onnx/schema.ts'
import { valuesOf } from '../../model-compiler/src/onnx/tensor.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { upgradeOpset } from '../../model-compiler/src/opset/upgrade.ts'
import { quantize } from '../../model-compiler/src/quantize/quantize.ts'
import { medianSqnrDb } from '../../model-compiler/src/quantize/sqnr.ts'
import { toInt8 } from '../../model-compiler/src/quantize/to-int8.ts'
import { openSession } from '../../model-compiler/src/runtime/session.ts'
import { type TargetProfile, targets } from '../../model-compiler/src/targets/index.ts'
import { material, needs } from '../require.ts'
import { calibrationOf, heldOutOf, referenceOf } from './reference-images.ts'

const target = targets['linux-x64-vnni']

/** It quantizes to the very ends, gives every Concat's input its own scale, and an average pool that of its input. */
const likeReference: TargetProfile = {
  ...target,
  ends: true,
  operators: { ...target.operators, AveragePool: 'same' },
}

/** Values that the reference's version converter or optimizer has other names for. */
const otherNames: Readonly<Record<string, string>> = {
  _v_532: '459',
  scores_intermediate: 'scores_float',
  Softmax_262: 'onnx::Transpose_756',
}

/** As the reference took it: operator set 13, then what ONNX Runtime itself optimizes at its basic level. */
async function prepared(name: string): Promise<ModelProto> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-reference-'))
  try {
    const graph = new Graph(readModel(await readFile(join(material, 'models', `${name}.onnx`))))
    upgradeOpset(graph, 13)
    const dumpTo = join(folder, 'basic.onnx')
    const session = await openSession(writeModel(graph.toModel()), { level: 'basic', dumpTo })
    await session[Symbol.asyncDispose]()
    return readModel(await readFile(dumpTo))
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Scale and zero point of each quantized activation, scales of each weight. */
function parametersIn(model: ModelProto) {
  const graph = new Graph(model)
  const number = (name = '') => Number(valuesOf(graph.initializers.get(name)!)[0])
  const activations = new Map<string, readonly [number, number]>()
  const weights = new Map<string, readonly number[]>()
  for (const { opType, input } of graph.nodes) {
    const [from = '', scale, zero] = input
    if (opType === 'QuantizeLinear') activations.set(from, [number(scale), number(zero)])
    if (opType === 'DequantizeLinear' && graph.initializers.has(from)) {
      const scales = valuesOf(graph.initializers.get(scale!)!) as Float32Array
      weights.set(from.replace(/_quantized$/, ''), [...scales])
    }
  }
  return { activations, weights }
}

const near = (a: number, b: number, relative: number) => Math.abs(a - b) <= relative * Math.abs(b)

for (const name of ['nanodet_m_320', 'fastestdet_352', 'ultraface_rfb_320']) {
  test(
    `${name}: at ONNX Runtime's settings, its scales, zero points and nearness`,
    needs('material', 'time'),
    async () => {
      const model = await prepared(name)
      const reference = referenceOf(name).methods.minmax
      const ranges = await calibrate(model, await calibrationOf(name), { method: 'minmax' })
      const made = quantize(model, ranges, { target: likeReference })
      const { activations, weights } = parametersIn(made)
      const theirs = Object.entries(reference.activations)
      const missed: string[] = []
      let scales = 0
      let zeros = 0
      for (const [value, [scale, zero]] of theirs) {
        const graphs = value.replace(/_QuantizeLinear_Input$/, '_float')
        const ours = activations.get(graphs) ?? activations.get(otherNames[value] ?? '')
        if (ours && near(ours[0], scale, 1e-5)) scales++
        else missed.push(`${value}: ${scale}, ours ${ours?.[0]}`)
        if (ours?.[1] === zero) zeros++
      }
      assert.ok(
        scales >= theirs.length * 0.995,
        `${scales} of ${theirs.length}: ${missed.join('; ')}`,
      )
      assert.ok(zeros >= theirs.length * 0.995, `${zeros} of ${theirs.length} zero points`)
      for (const [weight, list] of Object.entries(reference.weightScales)) {
        const ours = weights.get(weight)
        // The reference is written with ten decimals.
        const differ = list.findIndex(
          (one, i) => !near(ours?.[i] ?? Number.NaN, one, 1e-5) && Math.abs(ours![i]! - one) > 1e-9,
        )
        assert.equal(
          differ,
          -1,
          `${weight}, channel ${differ}: ${list[differ]}, ours ${ours?.[differ]}`,
        )
      }
      const ratio = await medianSqnrDb(model, made, await heldOutOf(name))
      assert.ok(
        ratio >= reference.sqnrDbMedian - 0.2,
        `${ratio} dB, theirs ${reference.sqnrDbMedian}`,
      )
    },
  )
}

for (const name of ['nanodet_m_320', 'fastestdet_352']) {
  test(
    `${name}: as we quantize by default, 3 dB nearer to float than ONNX Runtime does`,
    needs('material', 'time'),
    async () => {
      const model = await prepared(name)
      const theirs = referenceOf(name).methods.minmax.sqnrDbMedian
      // Of the strengths that are tried, the one that wins for both: the others would only cost time here.
      const options = { target, strengths: [0.75] }
      const { model: made, chosen } = await toInt8(model, await calibrationOf(name), options)
      const ratio = await medianSqnrDb(model, made, await heldOutOf(name))
      assert.ok(
        ratio >= theirs + 3,
        `${ratio} dB with ${JSON.stringify(chosen)}, theirs ${theirs} dB`,
      )
    },
  )
}
