/** Candidates of every bad kind, as real files in a real process of their own. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { model, node, tensor, value, writeModel } from '@edgeloop/model-compiler'
import {
  constantDetector,
  modelBytes,
  put,
  slowDetector,
} from '../../../test/detection/tiny-models.ts'
import { needs } from '../../../test/require.ts'
import { type CandidateParts, candidateOf } from '../../../test/updates/candidate.ts'
import type { Candidate } from './model-host.ts'
import { probeCandidate } from './probe.ts'

const cells = 84
const shape = [1, 3, 64, 64]
const output = { shape: [1, cells, 6], values: new Float32Array(cells * 6).fill(0.1) }
const sound = constantDetector({ type: 'float32', shape }, { output })
const parts: CandidateParts = { name: 'm', version: 2, layout: 'yolox', labels: ['part'] }

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-probe-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const { signal } = new AbortController()
const probe = (candidate: Candidate, module?: string) =>
  probeCandidate(candidate, { ...(module !== undefined && { module }), slackMs: 4_000, signal })

/** The code and the reason of a candidate that is not taken up. */
async function refused(candidate: Candidate, module?: string): Promise<[string, string]> {
  const report = await probe(candidate, module)
  assert.ok(!report.ok, JSON.stringify(report))
  return [report.code, report.reason]
}

test('a sound candidate passes, with what it costs', async (t) => {
  const report = await probe(await candidateOf(await folderOf(t), sound, parts))
  assert.ok(report.ok, JSON.stringify(report))
  assert.ok(report.memoryBytes > 30e6 && report.loadMs > 0 && report.inferenceP95Ms > 0)
})

test('what may not be loaded, does not fit or gives other results is refused by name', async (t) => {
  const folder = await folderOf(t)
  const good = await candidateOf(join(folder, 'good'), sound, parts)
  const { golden } = good.manifest

  const foreign = writeModel(
    model({
      name: 'foreign',
      nodes: [node('Mystery', ['images'], ['output'])],
      inputs: [value('images', 'float32', shape)],
      outputs: [value('output', 'float32', [1, cells, 6])],
      initializers: [tensor('unused', [1], Float32Array.of(1))],
    }),
  )
  const bad = await candidateOf(join(folder, 'foreign'), foreign, { ...parts, golden })
  assert.equal((await refused(bad))[0], 'model-refused')

  const labels = ['part', 'other']
  const odd = await candidateOf(join(folder, 'odd'), sound, { ...parts, labels })
  const [code, reason] = await refused(odd)
  assert.equal(code, 'probe-load')
  assert.match(reason, /model has 1 class/)

  // What is signed may be read by the box, what lies on the box is not to be read for it.
  const curious = await candidateOf(join(folder, 'curious'), sound, {
    ...parts,
    labels: [],
    golden,
    description: 'labels: ../../../etc/hostname',
  })
  assert.deepEqual(await refused(curious), [
    'model-refused',
    'Its description takes labels from a file of this device',
  ])

  const edited = constantDetector(
    { type: 'float32', shape },
    { output: { ...output, values: new Float32Array(cells * 6).fill(0.2) } },
  )
  const other = await candidateOf(join(folder, 'edited'), edited, { ...parts, golden })
  assert.equal((await refused(other))[0], 'probe-golden')

  await writeFile(good.source.file, edited)
  assert.equal((await refused(good))[0], 'integrity')
})

test(
  'a candidate that hangs, fills memory or kills its process costs nothing but that process',
  needs('time'),
  async (t) => {
    const folder = await folderOf(t)
    const { manifest } = await candidateOf(join(folder, 'good'), sound, parts)
    const { golden } = manifest

    // Minutes for one run; the first is part of opening it.
    const endless = slowDetector(shape, output, 5_000)
    const limits = { loadMsMax: 500, inferenceMsMax: 500 }
    const hangs = await candidateOf(join(folder, 'slow'), endless, { ...parts, golden, limits })
    assert.deepEqual(await refused(hangs), [
      'probe-time',
      'It did not come back while it was opened',
    ])

    // 1 GB that no constant folding makes smaller.
    const greedy = modelBytes({
      nodes: [
        node('ReduceMean', ['images'], ['mean'], { keepdims: { int: 0 } }),
        node('Expand', ['mean', 'size'], ['much']),
        node('ReduceMean', ['much'], ['end'], { keepdims: { int: 0 } }),
        node('Add', ['values', 'end'], ['output']),
      ],
      inputs: [value('images', 'float32', shape)],
      outputs: [value('output', 'float32', output.shape)],
      initializers: [
        tensor('size', [2], BigInt64Array.of(16_384n, 16_384n)),
        tensor('values', output.shape, output.values),
      ],
    })
    const memory = { memoryBytesMax: 200e6 }
    const big = await candidateOf(join(folder, 'big'), greedy, { ...parts, golden, limits: memory })
    const [code, reason] = await refused(big)
    assert.equal(code, 'probe-memory')
    assert.match(reason, /^It took more than 300 MB while it was opened/)

    const good = await candidateOf(join(folder, 'good'), sound, parts)
    const dies = await put(
      folder,
      'dies.mjs',
      `process.once('message', () => process.send({ kind: 'about', act: 'golden' }, () => process.kill(process.pid, 'SIGSEGV')))`,
    )
    assert.deepEqual(await refused(good, dies), [
      'probe-load',
      'Its process ended with SIGSEGV in a run on a golden vector',
    ])
  },
)

test(
  'a candidate that is slower than its manifest says is refused, and a probe can be given up',
  needs('time'),
  async (t) => {
    const slow = slowDetector(shape, output, 4)
    const limits = { inferenceMsMax: 1 }
    const candidate = await candidateOf(await folderOf(t), slow, { ...parts, limits })
    const [code, reason] = await refused(candidate)
    assert.equal(code, 'probe-time')
    assert.match(reason, /^p95 of its inference is .* ms, allowed 1$/)
    const abort = new AbortController()
    const given = probeCandidate(candidate, { signal: abort.signal })
    abort.abort(new Error('no longer wanted'))
    await assert.rejects(given, /no longer wanted/)
  },
)
