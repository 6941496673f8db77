/** `edgeloop model`: a person and a script see what a model is, and what is wrong with a file. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { model, node, tensor, value, writeModel } from '@edgeloop/model-compiler'

const main = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url))
let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edgeloop-model-command-'))
  const parts = {
    name: 'g',
    inputs: [value('x', 'float32', ['n', 2])],
    outputs: [value('y', 'float32', ['n', 3])],
    initializers: [tensor('w', [2, 3], new Float32Array(6))],
    nodes: [node('MatMul', ['x', 'w'], ['h']), node('Relu', ['h'], ['y'])],
  }
  await writeFile(join(folder, 'good.onnx'), writeModel(model(parts)))
  const odd = { ...parts, nodes: [node('MatMull', ['x', 'w'], ['y'])] }
  await writeFile(join(folder, 'odd.onnx'), writeModel(model(odd)))
  const idle = [node('Identity', ['x'], ['i']), node('MatMul', ['i', 'w'], ['y'])]
  await writeFile(join(folder, 'idle.onnx'), writeModel(model({ ...parts, nodes: idle })))
  await writeFile(join(folder, 'page.onnx'), '<!doctype html><html></html>')
  return () => rm(folder, { recursive: true })
})

const run = (...words: string[]) =>
  new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(
      process.execPath,
      [main, 'model', ...words],
      { cwd: folder },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })

test('model inspect says what a model is, for people and for scripts', async () => {
  const [text, json] = await Promise.all([
    run('inspect', 'good.onnx'),
    run('inspect', 'good.onnx', '--json'),
  ])
  assert.equal(text.code, 0, text.stderr)
  assert.match(text.stdout, /2 nodes · 6 parameters \(24 B\)/)
  assert.match(text.stderr, /warning: input "x" has free dimensions/)
  const found = JSON.parse(json.stdout)
  assert.deepEqual(found.operators, { MatMul: 1, Relu: 1 })
  assert.deepEqual(found.inputs, [{ name: 'x', type: 'float32', shape: ['n', 2] }])
  assert.equal(found.file, 'good.onnx')
})

test('model graph prints the graph with types', async () => {
  const [text, json] = await Promise.all([
    run('graph', 'good.onnx'),
    run('graph', 'good.onnx', '--json'),
  ])
  assert.match(text.stdout, /^ {2}h {2}float32 n×3 {2}MatMul\(x, w: float32 2×3\)$/m)
  const { nodes } = JSON.parse(json.stdout)
  assert.deepEqual(nodes[0].outputs, [{ name: 'h', type: 'float32', shape: ['n', 3] }])
})

test('model graph --trace prints the graph after each pass', async () => {
  const { code, stdout, stderr } = await run('graph', 'idle.onnx', '--trace')
  assert.equal(code, 0, stderr)
  const steps = stdout.match(/^== .*$/gm)
  assert.equal(steps?.[0], '== as it is in the file')
  assert.ok(steps!.length >= 2 && /^== \S+, round 1: \d+ places$/.test(steps![1]!), stdout)
  const last = stdout.slice(stdout.lastIndexOf('== '))
  assert.doesNotMatch(last, /Identity/)
})

test('what is no model, or has faults, is said and fails', async () => {
  const [odd, page, nothing, folderItself] = await Promise.all(
    ['odd.onnx', 'page.onnx', 'nothing.onnx', '.'].map((file) => run('inspect', file)),
  )
  assert.match(odd!.stderr, /fault: operator "MatMull" .*did you mean "MatMul"\?/)
  assert.match(odd!.stderr, /error: "odd.onnx" has faults and cannot be compiled/)
  assert.match(page!.stderr, /Cannot read "page.onnx" as an ONNX model: it is a web page/)
  assert.match(nothing!.stderr, /Cannot read "nothing.onnx": there is no such file/)
  assert.match(folderItself!.stderr, /Cannot read ".": it is no file/)
  for (const { code } of [odd!, page!, nothing!, folderItself!]) assert.equal(code, 1)
})
