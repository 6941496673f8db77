/** A model that nobody changed comes back as the same file: all of ONNX's node suite, all real models. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Graph } from '../../model-compiler/src/graph/graph.ts'
import { model, node, value } from '../../model-compiler/src/onnx/build.ts'
import { readModel } from '../../model-compiler/src/onnx/read.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { material, needs } from '../require.ts'
import { readNodeSuite } from './node-suite.ts'

function comesBack(name: string, bytes: Uint8Array): void {
  const model = readModel(bytes, { name })
  const written = writeModel(model)
  assert.ok(Buffer.from(bytes).equals(written), name)
  assert.ok(
    Buffer.from(bytes).equals(writeModel(new Graph(model).toModel())),
    `${name}, by a graph`,
  )
}

test('every model of the node suite comes back byte for byte', needs('material'), async () => {
  const cases = await readNodeSuite()
  assert.equal(cases.length, 1473)
  for (const { name, model } of cases) comesBack(name, model)
})

test('every real model comes back byte for byte', needs('material'), () => {
  const files = globSync('{models,suites}/**/*.onnx', { cwd: material })
  assert.ok(files.length >= 9, `${files.length} models`)
  for (const file of files) comesBack(file, readFileSync(`${material}/${file}`))
})

test('a model whose encoding is not the canonical one comes back field for field', () => {
  const graph = {
    name: 'g',
    inputs: [value('x', 'float32', [1])],
    outputs: [value('y', 'float32', [1])],
  }
  const canonical = writeModel(model({ ...graph, nodes: [node('Relu', ['x'], ['y'])], opset: 13 }))
  // The IR version, which comes first, at the end, its number in three bytes instead of one, and a default written out.
  const irVersion = [0x08, 0x88, 0x80, 0x00]
  const noVersion = [0x28, 0x00]
  assert.deepEqual([...canonical.subarray(0, 2)], [0x08, 0x08])
  const odd = Buffer.from([...canonical.subarray(2), ...noVersion, ...irVersion])
  const read = readModel(odd)
  const written = writeModel(read)
  assert.equal(read.irVersion, 8n)
  assert.ok(read.modelVersion === 0n)
  assert.deepEqual(readModel(written), read)
  assert.deepEqual([...written.subarray(0, 2)], [0x08, 0x08])
  assert.equal(written.length, canonical.length + noVersion.length)
})
