import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { buildDashboard } from './build.ts'

/** What the first page may cost over the network, in bytes after gzip; what comes later is not in it. */
const scriptBytesMax = 270_000
const styleBytesMax = 40_000

test('buildDashboard() builds once, and the first page stays within its budget', async () => {
  const dist = await buildDashboard()
  const page = readFileSync(join(dist, 'index.html'), 'utf8')
  const loaded = [...page.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(
    ([, path]) => path ?? '',
  )
  const bytes = (end: string) =>
    loaded
      .filter((path) => path.endsWith(end))
      .reduce((sum, path) => sum + gzipSync(readFileSync(join(dist, path)), { level: 9 }).length, 0)
  assert.ok(bytes('.js') > 0 && bytes('.css') > 0, 'the page loads scripts and styles')
  assert.ok(bytes('.js') <= scriptBytesMax, `scripts are ${bytes('.js')} bytes`)
  assert.ok(bytes('.css') <= styleBytesMax, `styles are ${bytes('.css')} bytes`)

  const beganAt = performance.now()
  await buildDashboard()
  const tookMs = performance.now() - beganAt
  assert.ok(tookMs < 500, `looking again took ${Math.round(tookMs)} ms`)
})

test('buildDashboard() makes nothing that the content security policy forbids', async () => {
  const dist = await buildDashboard()
  const page = readFileSync(join(dist, 'index.html'), 'utf8')
  for (const [, attributes] of page.matchAll(/<script([^>]*)>/g))
    assert.match(attributes ?? '', /src=/)
  assert.doesNotMatch(page, /https?:\/\//)
  for (const name of readdirSync(join(dist, 'assets')).filter((each) => each.endsWith('.js'))) {
    const script = readFileSync(join(dist, 'assets', name), 'utf8')
    assert.doesNotMatch(script, /\beval\(|new Function\(/, name)
  }
})
