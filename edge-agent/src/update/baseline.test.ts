import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Baseline } from './baseline.ts'
import { Latencies } from './latencies.ts'

const hourMs = 3_600_000
const block = (digest: string, streamId: string, detections: number) => ({
  model: 'm',
  digest,
  streamId,
  frames: 10,
  detections: detections * 10,
  scores: detections * 8,
  inferenceMs: [10, 11, 20],
  gapMs: 0,
})

test('a baseline remembers a day by the hour, over a restart', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-baseline-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'baseline.json')
  let now = Date.UTC(2026, 0, 1)
  const first = await Baseline.open(file, () => now)
  for (let hour = 0; hour < 30; hour++, now += hourMs) {
    for (let i = 0; i < 20; i++) {
      first.take(block('old', 'a', 2 + (i % 2)))
      first.take(block('old', 'b', 4))
    }
  }
  await first.keep()
  const second = await Baseline.open(file, () => now)
  const { frames, detections, confidence, latencyP95Ms, streams } = second.summary('old', ['a'])
  // Of the 30 hours 24 at most.
  assert.ok(frames <= 24 * 200 && frames >= 22 * 200, `${frames}`)
  assert.ok(Math.abs(detections - 2.5) < 1e-6 && Math.abs(confidence - 0.8) < 1e-6)
  assert.ok(latencyP95Ms > 19 && latencyP95Ms < 21, `${latencyP95Ms}`)
  assert.deepEqual(streams, ['a'])
  assert.equal(second.before('m', 'new'), 'old')
  assert.equal(second.before('m', 'old'), undefined)

  const probe = new Baseline(undefined, () => now)
  for (let i = 0; i < 60; i++) probe.take(block('new', 'a', 2 + (i % 2)))
  assert.ok(Math.abs(second.drift('old', probe, 'new').counts) < 1)
  const blind = new Baseline(undefined, () => now)
  for (let i = 0; i < 60; i++) blind.take(block('new', 'a', 0))
  assert.ok(second.drift('old', blind, 'new').counts < -4)
  // Nothing is known of this stream.
  for (let i = 0; i < 60; i++) blind.take(block('new', 'c', 0))
  assert.ok(second.drift('old', blind, 'new').counts < -4)

  now += 25 * hourMs
  assert.equal((await Baseline.open(file, () => now)).summary('old').frames, 0)
  await writeFile(file, '{"series":[{"digest"')
  assert.equal((await Baseline.open(file, () => now)).summary('old').frames, 0)
})

test('a baseline stays bounded, and what was quiet for longest goes', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-baseline-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'baseline.json')
  const baseline = await Baseline.open(file, () => 0)
  for (let i = 0; i < 300; i++) baseline.take(block(`d${i}`, 's', 1))
  assert.equal(baseline.summary('d0').frames, 0)
  assert.equal(baseline.summary('d299').frames, 10)
  await baseline.keep()
  assert.equal(JSON.parse(await readFile(file, 'utf8')).series.length, 128)
})

test('Latencies keeps quantiles within a step, and adds up', () => {
  const [a, b] = [new Latencies(), new Latencies()]
  for (let ms = 1; ms <= 100; ms++) (ms % 2 ? a : b).add(ms)
  a.merge(new Latencies(b.entries))
  assert.equal(a.total, 100)
  for (const share of [0.05, 0.5, 0.95]) {
    const value = a.quantile(share)
    assert.ok(Math.abs(value / (share * 100) - 1) < 0.05, `${share}: ${value}`)
  }
  assert.equal(new Latencies().quantile(0.95), 0)
})
