import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { canShare, joinFiles } from './join-files.ts'

test('canShare() leaves alone what reaches beyond its file', () => {
  assert.ok(canShare('protocol/src/a.test.ts', "test('adds', () => {})"))
  for (const source of [
    "import { spawn } from 'node:child_process'",
    "process.env.HOME = '/'",
    "test('draws', needs('chromium'), () => {})",
    'before(() => {})',
  ]) {
    assert.ok(!canShare('protocol/src/a.test.ts', source), source)
  }
  assert.ok(!canShare('test/hub/a.test.ts', "test('adds', () => {})"), 'a story')
})

test('joinFiles() runs every file once: some by another that imports them', (t) => {
  const repository = mkdtempSync(join(tmpdir(), 'edgeloop-join-'))
  t.after(() => rmSync(repository, { recursive: true }))
  const names = Array.from({ length: 45 }, (_, at) => `room/unit-${at}.test.ts`)
  mkdirSync(join(repository, 'room/node_modules'), { recursive: true })
  for (const name of names) writeFileSync(join(repository, name), '')
  writeFileSync(join(repository, 'room/alone.test.ts'), 'process.env.A')
  writeFileSync(join(repository, 'room/node_modules/theirs.test.ts'), '')
  const files = joinFiles(repository, ['room/**/*.test.ts'], repository)
  assert.equal(files.length, 4, 'three that import, and one by itself')
  assert.equal(files.at(-1), 'room/alone.test.ts')
  const imported = files
    .slice(0, 3)
    .flatMap((file) => readFileSync(file, 'utf8').match(/unit-\d+/g))
  assert.equal(imported.length, 45)
  assert.equal(new Set(imported).size, 45)
})
