/** onnxruntime-node keeps the contract of a runtime, and its own refusals are put into words. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { node, tensor, value } from '@edgeloop/model-compiler'
import { testRuntime } from '../../../test/contracts/runtime.ts'
import { modelBytes, put } from '../../../test/detection/tiny-models.ts'
import { ortRuntime } from './ort.ts'

testRuntime('ortRuntime', ortRuntime)

const inputs = [value('x', 'float32', [1, 3])]
const outputs = [value('y', 'float32', [1, 3])]

/** A weight whose bytes are fewer than its dimensions say. */
function shortWeight() {
  const weight = tensor('w', [3], Float32Array.of(1, 2, 3))
  weight.rawData = weight.rawData.subarray(0, 5)
  return weight
}

const refusals = {
  'it needs opset 99 of ai.onnx, ONNX Runtime knows up to 26; export it with an older opset': {
    nodes: [node('Relu', ['x'], ['y'])],
    opset: 99,
  },
  'ONNX Runtime refused it: Node (Add:y) Op (Add) [ShapeInferenceError] Incompatible dimensions': {
    nodes: [node('Add', ['x', 'w'], ['y'])],
    initializers: [tensor('w', [7], new Float32Array(7))],
  },
  "ONNX Runtime refused it: Invalid model. Node input 'z' is not a graph input, initializer, or output of a previous node":
    { nodes: [node('Relu', ['z'], ['y'])] },
  "ONNX Runtime refused it: Initializer 'w': raw_data size (5 bytes) does not match expected size from shape and data type (12 bytes)":
    { nodes: [node('Add', ['x', 'w'], ['y'])], initializers: [shortWeight()] },
} as const

test('ortRuntime.open() says why ONNX Runtime refused a model', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-ort-'))
  t.after(() => rm(folder, { recursive: true }))
  for (const [reason, parts] of Object.entries(refusals)) {
    const file = await put(folder, 'm.onnx', modelBytes({ inputs, outputs, ...parts }))
    await assert.rejects(ortRuntime.open(file, { threads: 1 }), {
      name: 'ModelError',
      message: `Cannot load model "${file}": ${reason}`,
    })
  }
})
