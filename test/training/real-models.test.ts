/** Detectors, segmenters and classifiers that were exported for serving are differentiated whole. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { readModelFile } from '../../model-compiler/src/onnx/model-file.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { sequence } from '../../model-compiler/src/passes/equivalence.ts'
import { openSession, type Value } from '../../model-compiler/src/runtime/session.ts'
import { differentiate } from '../../model-compiler/src/train/differentiate/differentiate.ts'
import { material, needs } from '../require.ts'
import { runStep } from './check-gradient.ts'

const skipped = needs('material', 'time')
const files = skipped.skip
  ? ['models']
  : readdirSync(`${material}/models`).filter((name) => name.endsWith('.onnx'))

for (const file of files) {
  test(
    `${file}: forward as served, and the gradient points where the loss rises`,
    skipped,
    async () => {
      const model = await readModelFile(`${material}/models/${file}`)
      const batch = 2
      const names = model.graph!.output.map(({ name }) => name)
      const step = differentiate(model, {
        batch,
        trainable: () => true,
        batchNorm: 'frozen',
        values: names,
        loss: (tape, outputs) => {
          const moving = Object.values(outputs).filter((one) => one.needsGradient)
          const means = moving.map((one) => tape.reduceMean(tape.mul(one, one)))
          return { total: means.reduce((a, b) => tape.add(a, b)) }
        },
      })
      const next = sequence(11)
      const feeds = Object.fromEntries(
        step.dataInputs.map(({ name, shape }): [string, Value] => {
          const dims = shape as readonly number[]
          const length = dims.reduce((a, b) => a * b, 1)
          return [name, { type: 'float32', dims, data: Float32Array.from({ length }, next) }]
        }),
      )
      const { loss, gradient, outputs } = await runStep(step, feeds)

      // Each picture alone through the file as it is.
      await using session = await openSession(writeModel(model))
      const [input] = step.dataInputs
      const { dims, data } = feeds[input!.name]!
      const length = data.length / batch
      for (let at = 0; at < batch; at++) {
        const one = (data as Float32Array).slice(at * length, (at + 1) * length)
        const served = await session.run({
          [input!.name]: { type: 'float32', dims: [1, ...dims.slice(1)], data: one },
        })
        for (const name of names) {
          const expected = served[name]!.data as Float32Array
          const all = outputs[step.outputs.values[name]!]!.data as Float32Array
          assert.equal(all.length, expected.length * batch)
          const found = all.subarray(at * expected.length, (at + 1) * expected.length)
          const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3)
          for (const [index, value] of found.entries()) {
            const off = Math.abs(value - expected[index]!)
            assert.ok(
              off < 2e-3 * largest,
              `${name}[${index}]: ${value}, served ${expected[index]}`,
            )
          }
        }
      }

      // So far along the gradient and back that the loss changes by a thousandth: it rises as steeply as the gradient is long.
      const norm = Math.sqrt(gradient.reduce((sum, one) => sum + one * one, 0))
      const lossAt = async (way: number) => {
        const moved = step.initial.parameters.map((one, at) => one + (way * gradient[at]!) / norm)
        return (await runStep(step, feeds, moved)).loss
      }
      const h = (5e-4 * loss) / norm
      const slope = ((await lossAt(h)) - (await lossAt(-h))) / (2 * h)
      assert.ok(Math.abs(slope - norm) < 0.03 * norm, `slope ${slope}, length ${norm}`)
    },
  )
}
