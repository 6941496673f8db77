/** `edgeloop delta` as somebody types it, on files of any kind. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const edgeloop = fileURLToPath(new URL('../../edgeloop', import.meta.url))
const fixture = (name: string) =>
  fileURLToPath(
    new URL(`../../model-compiler/src/artifact/delta/fixtures/${name}`, import.meta.url),
  )

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [edgeloop, 'delta', ...args], {
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

test('delta make, apply and stat on two models; a wrong base is refused and nothing is written', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-delta-test-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [patch, out] = [join(folder, 'p.delta'), join(folder, 'next.onnx')]
  const [base, next] = [fixture('base.onnx'), fixture('next.onnx')]

  const made = run('make', base, next, '-o', patch, '--json')
  assert.equal(made.status, 0, made.stderr)
  assert.ok(JSON.parse(made.stdout).sizeBytes < 700)

  const wrong = run('apply', next, patch, '-o', out)
  assert.equal(wrong.status, 1)
  assert.match(wrong.stderr, /Cannot apply .* it was made against [0-9a-f]{64}/)
  assert.match(wrong.stderr, /hint: take the file/)
  assert.deepEqual(await readdir(folder), ['p.delta'])

  const applied = run('apply', base, patch, '-o', out)
  assert.equal(applied.status, 0, applied.stderr)
  assert.deepEqual(await readFile(out), await readFile(next))

  const told = JSON.parse(run('stat', base, next, '--tensors', '--json').stdout)
  assert.equal(told.method, 'tensors')
  assert.ok(
    told.sizes.every(
      (one: { bytes: number | null }) => one.bytes === null || one.bytes >= told.sizes[0].bytes,
    ),
  )
  assert.ok(told.tensors.some((one: { mode: string }) => one.mode === 'product'))
})

test('delta takes files that are no models', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-delta-test-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = (name: string) => join(folder, name)
  await writeFile(file('a'), 'the quick brown fox\n'.repeat(50))
  await writeFile(
    file('b'),
    `${'the quick brown fox\n'.repeat(20)}jumps${'the quick brown fox\n'.repeat(30)}`,
  )
  assert.equal(run('make', file('a'), file('b'), '-o', file('p')).status, 0)
  assert.equal(run('apply', file('a'), file('p'), '-o', file('c')).status, 0)
  assert.deepEqual(await readFile(file('c')), await readFile(file('b')))
  assert.ok((await readFile(file('p'))).length < 150)
})
