/** onnxruntime-node keeps the contract of a runtime, and its own refusals are put into words. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { node, tensor, value } from '@edgeloop/model-compiler'
import * as onnxruntime from 'onnxruntime-node'
import { testRuntime } from '../../../test/contracts/runtime.ts'
import { modelBytes, put } from '../../../test/detection/tiny-models.ts'
import { ortRuntime, ortRuntimeOn } from './ort.ts'

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

test('ortRuntimeOn() refuses a provider that gave everything to the CPU without a word', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-ort-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = await put(
    folder,
    'm.onnx',
    modelBytes({ inputs, outputs, nodes: [node('Relu', ['x'], ['y'])] }),
  )
  // ONNX Runtime itself, on a platform where the provider takes no operator.
  const { InferenceSession, Tensor, env } = onnxruntime
  const create = (bytes: Uint8Array, options: object) =>
    InferenceSession.create(bytes, { ...options, executionProviders: ['cpu'] })
  const runtime = ortRuntimeOn('webgpu', async () => ({
    InferenceSession: { create } as typeof InferenceSession,
    Tensor,
    env,
  }))
  await using session = await runtime.open(file, { threads: 1 })
  const x = { type: 'float32', shape: [1, 3], data: Float32Array.of(-1, 0, 1) } as const
  for (let round = 0; round < 2; round++) {
    await assert.rejects(session.run({ x }), {
      name: 'ModelError',
      message:
        'Cannot run the model on ort:webgpu: ONNX Runtime ran all of its 1 operators elsewhere; use ort:cpu',
    })
  }
  assert.deepEqual(session.placement, { operators: 1, onProvider: 0 })
})

test('ortRuntimeOn() says why a provider is not there', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-ort-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = await put(
    folder,
    'm.onnx',
    modelBytes({ inputs, outputs, nodes: [node('Relu', ['x'], ['y'])] }),
  )
  const missing = process.platform === 'darwin' ? 'dml' : 'coreml'
  await assert.rejects(ortRuntimeOn(missing).open(file, { threads: 1 }), {
    name: 'ModelError',
    message: `Cannot load model "${file}": ONNX Runtime has no ${missing} on this platform`,
  })
})
