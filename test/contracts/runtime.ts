/**
 * What any `Runtime` must do, as a suite: every implementation runs it. The models are made here and
 * are real ONNX files.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import * as onnx from '@edgeloop/model-compiler'
import type { Runtime } from '../../edge-agent/src/runtimes/runtime.ts'
import { modelBytes, plusOne, put } from '../detection/tiny-models.ts'

const options = { threads: 1 }

const topLevel = (name: string, run: (t: TestContext) => Promise<void>): void =>
  void test(name, run)

/**
 * Runs the contract; `name` stands in front of every test.
 * @param test takes a test, where they are to be part of another one
 */
export function testRuntime(
  name: string,
  runtime: Runtime,
  test: (name: string, run: (t: TestContext) => Promise<void>) => void = topLevel,
): void {
  test(`${name}: open() says what goes in and comes out`, async (t) => {
    const file = await put(await folderFor(t), 'm.onnx', plusOne([1, 3, 'height', 4]))
    await using session = await runtime.open(file, options)
    const [input, output] = [session.inputs[0], session.outputs[0]]
    // Not every runtime hands the name of a free dimension on.
    const height = session.inputs[0]?.shape[2]
    assert(height === 'height' || height === -1, `${height} for a free height`)
    assert.deepEqual(input, { name: 'x', type: 'float32', shape: [1, 3, height, 4] })
    assert.deepEqual(output, { name: 'y', type: 'float32', shape: [1, 3, height, 4] })
    assert.equal(session.inputs.length + session.outputs.length, 2)
    const digest = createHash('sha256')
      .update(await readFile(file))
      .digest('hex')
    assert.equal(session.digest, digest)
    assert.equal(session.runtime, runtime.name)
  })

  test(`${name}: run() executes the model, again and again`, async (t) => {
    const file = await put(await folderFor(t), 'm.onnx', plusOne([1, 'n']))
    await using session = await runtime.open(file, options)
    for (let round = 0; round < 20; round++) {
      const data = Float32Array.from({ length: 1 + round * 100 }, (_, index) => index + round)
      const outputs = await session.run({ x: { type: 'float32', shape: [1, data.length], data } })
      assert.deepEqual(outputs.y?.shape, [1, data.length])
      assert.deepEqual(
        outputs.y?.data,
        data.map((number) => number + 1),
      )
    }
  })

  test(`${name}: run() takes bytes from shared memory`, async (t) => {
    const bytes = modelBytes({
      nodes: [onnx.node('Cast', ['x'], ['y'], { to: { int: onnx.tensorTypes.float32 } })],
      inputs: [onnx.value('x', 'uint8', [1, 4])],
      outputs: [onnx.value('y', 'float32', [1, 4])],
    })
    await using session = await runtime.open(
      await put(await folderFor(t), 'm.onnx', bytes),
      options,
    )
    const data = new Uint8Array(new SharedArrayBuffer(4))
    data.set([1, 2, 254, 255])
    const outputs = await session.run({ x: { type: 'uint8', shape: [1, 4], data } })
    assert.deepEqual(outputs.y?.data, Float32Array.of(1, 2, 254, 255))
  })

  test(`${name}: run() refuses tensors that do not fit, and goes on`, async (t) => {
    const file = await put(await folderFor(t), 'm.onnx', plusOne([1, 2]))
    await using session = await runtime.open(file, options)
    const data = Float32Array.of(1, 2)
    await assert.rejects(session.run({ y: { type: 'float32', shape: [1, 2], data } }), {
      message: 'Cannot run the model: there is no tensor for input "x"',
    })
    await assert.rejects(session.run({ x: { type: 'float32', shape: [2, 1], data } }), /dimension/)
    await assert.rejects(session.run({ x: { type: 'float32', shape: [1, 3], data } }))
    const outputs = await session.run({ x: { type: 'float32', shape: [1, 2], data } })
    assert.deepEqual(outputs.y?.data, Float32Array.of(2, 3))
  })

  test(`${name}: a session may be closed twice, and says so when it is used afterwards`, async (t) => {
    const file = await put(await folderFor(t), 'm.onnx', plusOne([1, 1]))
    const session = await runtime.open(file, options)
    await session[Symbol.asyncDispose]()
    await session[Symbol.asyncDispose]()
    const x = { type: 'float32', shape: [1, 1], data: Float32Array.of(1) } as const
    await assert.rejects(session.run({ x }), { message: 'Cannot run the model: it was closed' })
  })

  for (const [what, refusal] of Object.entries(refusals)) {
    test(`${name}: open() refuses ${what}`, async (t) => {
      const folder = await folderFor(t)
      const file = await refusal.file(folder)
      await assert.rejects(runtime.open(file, options), (error: Error) => {
        assert.equal(error.name, 'ModelError')
        // Between the two a runtime may say where the model is.
        assert(error.message.startsWith(`Cannot load model "${file}": `), error.message)
        assert(error.message.endsWith(refusal.reason), error.message)
        return true
      })
    })
  }
}

type Refusal = { readonly file: (folder: string) => Promise<string>; readonly reason: string }

/** Every file people hand over by accident or by malice, with the reason they are told. */
const refusals: Readonly<Record<string, Refusal>> = {
  'a file that is not there': {
    file: async (folder) => join(folder, 'none.onnx'),
    reason: 'there is no such file',
  },
  'a folder': {
    file: async (folder) => {
      await mkdir(join(folder, 'd.onnx'))
      return join(folder, 'd.onnx')
    },
    reason: 'it is a folder; name the .onnx file in it',
  },
  'an empty file': { file: (folder) => put(folder, 'm.onnx', ''), reason: 'the file is empty' },
  'an HTML page': {
    file: (folder) => put(folder, 'm.onnx', '\n<!DOCTYPE html>\n<html><body>404</body></html>'),
    reason: 'it is an HTML page; the download may have needed a sign-in or another address',
  },
  'a Git LFS pointer': {
    file: (folder) =>
      put(folder, 'm.onnx', 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n'),
    reason: 'it is a Git LFS pointer; fetch the real file with `git lfs pull`',
  },
  text: {
    file: (folder) => put(folder, 'm.onnx', 'model: yolox\n'),
    reason: 'it is no ONNX model: it does not begin like one',
  },
  'a model that was cut short': {
    file: (folder) => put(folder, 'm.onnx', plusOne([1, 3]).slice(0, -20)),
    reason: 'it is cut short: at least 14 bytes are missing at its end',
  },
  'a model without a graph': {
    file: (folder) => put(folder, 'm.onnx', Uint8Array.of(8, 8)),
    reason: 'it is no ONNX model: there is no graph in it',
  },
  'an unknown operator': {
    file: (folder) => put(folder, 'm.onnx', oneNode('Frobnicate')),
    reason: 'it needs operator "Frobnicate" of opset 17, which this runtime does not know',
  },
  'an operator of an unknown domain': {
    file: (folder) => put(folder, 'm.onnx', oneNode('Relu', 'com.acme', true)),
    reason: 'it needs operator "com.acme:Relu", which this runtime does not know',
  },
  'an operator of a domain it does not import': {
    file: (folder) => put(folder, 'm.onnx', oneNode('Relu', 'com.acme')),
    reason: 'it needs operator "com.acme:Relu", whose domain the file does not import',
  },
  'data in another file': {
    file: (folder) => put(folder, 'm.onnx', withExternalData()),
    reason:
      'tensor "one" keeps its data in another file, which is not allowed; save the model with all data inside',
  },
}

function oneNode(opType: string, domain = '', imported = false): Uint8Array {
  const parts = onnx.model({
    name: 'tiny',
    nodes: [onnx.node(opType, ['x'], ['y'])],
    inputs: [onnx.value('x', 'float32', [1, 3])],
    outputs: [onnx.value('y', 'float32', [1, 3])],
  })
  const [first] = parts.graph?.node ?? []
  const [standard] = parts.opsetImport
  assert(first && standard)
  first.domain = domain
  if (imported) parts.opsetImport.push({ ...standard, domain, version: 1n })
  return onnx.writeModel(parts)
}

/** The tensor points to a file that exists on every machine: it must not be read all the same. */
function withExternalData(): Uint8Array {
  const one = onnx.tensor('one', [1], Float32Array.of(1))
  const parts = onnx.model({
    name: 'tiny',
    nodes: [onnx.node('Add', ['x', 'one'], ['y'])],
    inputs: [onnx.value('x', 'float32', [1])],
    outputs: [onnx.value('y', 'float32', [1])],
    initializers: [one],
  })
  one.rawData = new Uint8Array(0)
  one.dataLocation = 1
  return onnx.writeModel(parts)
}

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-runtime-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}
