import assert from 'node:assert/strict'
import { test } from 'node:test'
import { repository } from './bundle.ts'
import { stripModule, stripProgram } from './strip.ts'

test('types go, lines stay, and .ts in specifiers becomes .js', () => {
  const source = [
    "import { a, type B } from './a.ts'",
    "import type { C } from './types-only.ts'",
    "import data from './data.json' with { type: 'json' }",
    "import { join } from 'node:path'",
    "export * from '../b.ts'",
    'export const x: number = a(join)',
    "const late = await import('./late.ts')",
    "new Worker(new URL('./worker.ts', import.meta.url))",
    "const model = new URL('../../demo/m.onnx', import.meta.url)",
    "const text: string = 'a sentence about ./a.ts'",
  ].join('\n')
  const { code, specifiers } = stripModule(source, 'test.ts')
  assert.deepEqual(specifiers, [
    ...['./a.ts', './data.json', 'node:path', '../b.ts', './late.ts', './worker.ts'],
    '../../demo/m.onnx',
  ])
  const lines = code.split('\n')
  assert.equal(lines.length, 10)
  assert.match(lines[0]!, /^import \{ a, +\} from '\.\/a\.js'$/)
  assert.equal(lines[1]!.trim(), '')
  assert.equal(lines[4], "export * from '../b.js'")
  assert.match(lines[5]!, /^export const x +=/)
  assert.equal(lines[6], "const late = await import('./late.js')")
  assert.equal(lines[7], "new Worker(new URL('./worker.js', import.meta.url))")
  assert.equal(lines[8], "const model = new URL('../../demo/m.onnx', import.meta.url)")
  assert.match(lines[9]!, /a sentence about \.\/a\.ts/)
})

test('the program of a box holds the agent with its threads and processes, and nothing of the hub', async () => {
  const { files, packages } = await stripProgram(repository, ['cli/src/box.ts'])
  const names = [...files.keys()]
  for (const name of [
    'cli/src/box.js',
    'edge-agent/src/media/media-process.js',
    'edge-agent/src/media/inference-worker.js',
    'edge-agent/src/outbox/outbox-worker.js',
    'edge-agent/demo/conveyor.onnx',
    'edge-agent/src/update/rebuild-worker.js',
    'model-compiler/src/artifact/index.js',
    'protocol/package.json',
    'package.json',
  ]) {
    assert.ok(files.has(name), `${name} is missing`)
  }
  assert.deepEqual(
    names.filter((name) => /^(?:cloud-hub|dashboard|test)\/|\.ts$/.test(name)),
    [],
  )
  // Of the compiler only what reads artifacts.
  assert.deepEqual(
    names.filter((name) => /^model-compiler\/(?!src\/artifact\/|package\.json$)/.test(name)),
    [],
  )
  const needed = new Set([...packages.values()].flatMap((set) => [...set]))
  assert.ok(needed.has('onnxruntime-node') && needed.has('mqtt') && needed.has('sharp'))
})

test('an import of nothing stops the bundle', async () => {
  await assert.rejects(stripProgram(repository, ['cli/src/not-there.ts']), /ENOENT/)
})
