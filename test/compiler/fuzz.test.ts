/**
 * Damaged ONNX files: whatever comes in, the compiler refuses it with an OnnxError or bears it, soon, and reads
 * nothing outside the model's folder.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { model, node, tensor, value, writeModel } from '@edgeloop/model-compiler'
import { needs } from '../require.ts'
import type { FuzzResult, FuzzWork } from './fuzz-worker.ts'
import { readNodeSuite } from './node-suite.ts'

/** One mutation takes milliseconds; a machine under load may take its time. */
const hungAfterMs = 60_000

const longs = (name: string, ...values: number[]) =>
  tensor(name, [values.length], BigInt64Array.from(values, BigInt))

/** A small net with what exporters write: shapes computed in the graph, old and new forms, a body, data elsewhere. */
function netOf(opset: number): Uint8Array {
  const old = opset < 11
  const body = model({
    name: 'b',
    inputs: [],
    outputs: [value('z', 'float32', [1, 8])],
    nodes: [node('Neg', ['flat'], ['z'])],
  }).graph!
  const branch = node('If', ['yes'], ['chosen'], {
    then_branch: { int: 0 },
    else_branch: { int: 0 },
  })
  for (const attribute of branch.attribute) Object.assign(attribute, { g: body, type: 5 })
  const parts = {
    name: 'net',
    opset,
    inputs: [value('x', 'float32', [1, 3, 'h', 'w'])],
    outputs: [value('y', 'float32', [1, 8])],
    initializers: [
      tensor('k', [8, 3, 3, 3], new Float32Array(216).fill(0.1)),
      tensor('zero', [], BigInt64Array.of(0n)),
      tensor('yes', [], new Uint8Array([1]), 'bool'),
      longs('rest', -1),
      longs('from', 0),
      longs('to', 1),
      tensor('scales', [4], new Float32Array([1, 1, 2, 2])),
      tensor('w', [8, 8], new Float32Array(64)),
    ],
    nodes: [
      node('Conv', ['x', 'k'], ['c'], { pads: { ints: [1, 1, 1, 1] }, strides: { ints: [2, 2] } }),
      old ? node('Clip', ['c'], ['r'], { max: { float: 6 } }) : node('Relu', ['c'], ['r']),
      old
        ? node('Upsample', ['r'], ['u'], { scales: { floats: [1, 1, 2, 2] } })
        : node('Resize', ['r', '', 'scales'], ['u']),
      node('MaxPool', ['u'], ['m'], { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } }),
      node('GlobalAveragePool', ['m'], ['g']),
      node('Shape', ['g'], ['s']),
      node('Gather', ['s', 'zero'], ['n']),
      opset < 13
        ? node('Unsqueeze', ['n'], ['n1'], { axes: { ints: [0] } })
        : node('Unsqueeze', ['n', 'from'], ['n1']),
      node('Concat', ['n1', 'rest'], ['shape'], { axis: { int: 0 } }),
      node('Reshape', ['g', 'shape'], ['flat']),
      branch,
      node('Gemm', ['chosen', 'w'], ['d'], { alpha: { float: 0.5 } }),
      node('Softmax', ['d'], ['y'], { axis: { int: 1 } }),
    ],
  }
  const elsewhere = tensor('elsewhere', [0], new Float32Array(0))
  const entries = { location: 'w.bin', offset: '64', length: '64' }
  // Metadata and places are pairs of the same kind.
  const externalData = model({ ...parts, metadata: entries }).metadataProps
  Object.assign(elsewhere, { dims: [16n], dataLocation: 1, externalData })
  return writeModel(model({ ...parts, initializers: [...parts.initializers, elsewhere] }))
}

async function fuzz(
  files: readonly Uint8Array[],
  rounds: number,
  seed: number,
): Promise<FuzzResult> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-fuzz-'))
  const counter = new SharedArrayBuffer(4)
  const workerData: FuzzWork = { seed, rounds, files, counter, folder }
  const worker = new Worker(new URL('./fuzz-worker.ts', import.meta.url), { workerData })
  const count = new Int32Array(counter)
  let seen = -1
  try {
    return await new Promise<FuzzResult>((resolve, reject) => {
      const watch = setInterval(() => {
        const now = Atomics.load(count, 0)
        if (now === seen) reject(new Error(`round ${now - 1} hangs`))
        seen = now
      }, hungAfterMs)
      const end = (settle: () => void) => () => {
        clearInterval(watch)
        settle()
      }
      worker.once('message', (result: FuzzResult) => end(() => resolve(result))())
      worker.once('error', (error) => end(() => reject(error))())
      worker.once(
        'exit',
        end(() => reject(new Error(`the worker ended in round ${count[0]! - 1}`))),
      )
    })
  } finally {
    await worker.terminate()
    await rm(folder, { recursive: true })
  }
}

/** As many as find what there is to find, in CI; by a stranger as many as that takes seconds. */
const rounds = needs('time').skip === undefined ? 5000 : 1000

test(`${rounds} damaged models are refused or borne, none crashes or hangs`, async (t) => {
  const seed = Number(process.env.EDGELOOP_SEED ?? Date.now() % 2 ** 31)
  t.diagnostic(`seed ${seed} (EDGELOOP_SEED)`)
  const files = [9, 10, 12, 13, 17].map(netOf)
  const { crashes, read, verified, slowestMs } = await fuzz(files, rounds, seed)
  t.diagnostic(
    `${read} read, ${verified} without a fault, the slowest took ${slowestMs.toFixed(0)} ms`,
  )
  assert.deepEqual(crashes, [])
  assert.ok(
    read > 0.4 * rounds &&
      read < 0.98 * rounds &&
      verified > 0.06 * rounds &&
      verified < 0.5 * rounds,
    'neither too light nor too heavy',
  )
})

test(
  '3,000 damaged cases of the node suite are refused or borne',
  needs('material', 'time'),
  async (t) => {
    const seed = Number(process.env.EDGELOOP_SEED ?? Date.now() % 2 ** 31)
    t.diagnostic(`seed ${seed} (EDGELOOP_SEED)`)
    const files = (await readNodeSuite()).map(({ model }) => model)
    const { crashes, read, verified, slowestMs } = await fuzz(files, 3000, seed)
    t.diagnostic(
      `${read} read, ${verified} without a fault, the slowest took ${slowestMs.toFixed(0)} ms`,
    )
    assert.deepEqual(crashes, [])
  },
)
