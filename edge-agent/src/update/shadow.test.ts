/** A candidate beside an active model, in its real process, on canvases that the active model was really given. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Comparison, careDefaults, type UpdateCare } from '@edgeloop/protocol'
import { constantDetector, put, slowDetector } from '../../../test/detection/tiny-models.ts'
import { needs } from '../../../test/require.ts'
import { candidateOf } from '../../../test/updates/candidate.ts'
import type { SeenFrame } from '../media/lane-watch.ts'
import { openModel } from '../models/open-model.ts'
import { ortRuntime } from '../runtimes/ort.ts'
import { Baseline } from './baseline.ts'
import type { Candidate } from './model-host.ts'
import { shadowCandidate } from './shadow.ts'

const options = { scoreMin: 0.3, scoreFirm: 0.5, nmsIou: 0.6, maxDetections: 10 }
const care: UpdateCare = {
  ...careDefaults,
  shadowMs: 2_000,
  shadowFramesMin: 25,
  shadowCpuShare: 1,
}

/** Values that show one thing of class 0 or 1 in the middle of a canvas whose side is a multiple of 32. */
function valuesOf(side: number, index: 0 | 1): { shape: number[]; values: Float32Array } {
  const cells = [8, 16, 32].reduce((sum, stride) => sum + (side / stride) ** 2, 0)
  const values = new Float32Array(cells * 7)
  const middle = side / 16
  const one = [0, 0, Math.log(2 * (side / 64)), Math.log(2 * (side / 64)), 1, 0, 0]
  one[5 + index] = 0.9
  values.set(one, (middle * (side / 8) + middle) * 7)
  return { shape: [1, cells, 7], values }
}

const detector = (side: number, index: 0 | 1): Uint8Array =>
  constantDetector(
    { type: 'float32', shape: [1, 3, side, side] },
    { output: valuesOf(side, index) },
  )

type Bench = {
  readonly active: Candidate
  candidate(bytes: Uint8Array): Promise<Candidate>
  run(
    candidate: Candidate,
    other?: { module?: string; care?: Partial<UpdateCare>; frames?: number },
  ): ReturnType<typeof shadowCandidate>
  readonly told: Comparison[]
}

async function benchOf(t: TestContext, activeBytes: Uint8Array): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-shadow-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const parts = { name: 'm', layout: 'yolox', labels: ['bolt', 'gear'] }
  const active = await candidateOf(join(folder, 'a'), activeBytes, { ...parts, version: 1 })
  const model = await openModel({ ...active.source, runtime: 'ort:cpu' }, ortRuntime)
  t.after(() => model[Symbol.asyncDispose]())
  const view = model.inputFor(640, 640)
  const canvas = new Uint8Array(model.inputBytes).fill(90)
  const told: Comparison[] = []
  let slots = 0
  return {
    active,
    told,
    candidate: (bytes) =>
      candidateOf(join(folder, `${++slots}`), bytes, {
        ...parts,
        version: 2,
        golden: active.manifest.golden,
        limits: { inferenceMsMax: 500 },
      }),
    run(candidate, { module, care: other, frames = Number.POSITIVE_INFINITY } = {}) {
      const { signal } = new AbortController()
      let given = 0
      return shadowCandidate({
        candidate,
        care: { ...care, ...other },
        signal,
        now: Date.now,
        candidateSource: { ...candidate.source, runtime: 'ort:cpu' },
        activeSource: { ...active.source, runtime: 'ort:cpu' },
        nextFrame: async (): Promise<SeenFrame | undefined> => {
          if (given++ >= frames) {
            await new Promise((resolve) => setTimeout(resolve, 20))
            return undefined
          }
          const reading = await model.read(canvas, view, options)
          return {
            model: 'm',
            digest: active.digest,
            streamId: 's',
            width: 640,
            height: 640,
            view,
            canvas,
            options,
            reading,
          }
        },
        baseline: new Baseline(undefined, Date.now),
        told: (comparison) => told.push(comparison),
        ...(module !== undefined && { module }),
        tellIntervalMs: 50,
        slackMs: 3_000,
        monotonicMs: () => performance.now(),
      })
    },
  }
}

test('the same model agrees with itself', async (t) => {
  const bench = await benchOf(t, detector(64, 0))
  const verdict = await bench.run(await bench.candidate(detector(64, 0)), {
    // Of a model so small the clock says little.
    care: { latencyRatioMax: 100 },
  })
  assert.ok(verdict.ok, JSON.stringify(verdict))
  const { comparison } = verdict
  assert.equal(comparison.agreement, 1)
  assert.ok(comparison.frames >= 25 && comparison.memoryBytes > 30e6, JSON.stringify(comparison))
  assert.deepEqual([comparison.detections, comparison.activeDetections], [1, 1])
  assert.deepEqual(comparison.streams, ['s'])
  assert.ok(comparison.latencyP95Ms > 0 && comparison.activeLatencyP95Ms > 0)
  assert.ok(bench.told.length > 0)
})

test('a candidate may take another canvas, and a camera before which nothing moves is no reason to refuse it', {
  ...needs('time'),
}, async (t) => {
  const bench = await benchOf(t, detector(64, 0))
  const other = await bench.run(await bench.candidate(detector(96, 0)), {
    care: { latencyRatioMax: 100 },
  })
  assert.ok(other.ok && other.comparison.agreement === 1, JSON.stringify(other))

  // Nothing moves before the camera: it ends all the same, and says how little it saw.
  const still = await bench.run(await bench.candidate(detector(64, 1)), { frames: 2 })
  assert.ok(still.ok && still.comparison.frames === 2, JSON.stringify(still))
})

test('a model that mixes up its labels is stopped', async (t) => {
  const bench = await benchOf(t, detector(64, 0))
  const verdict = await bench.run(await bench.candidate(detector(64, 1)))
  assert.ok(!verdict.ok)
  assert.equal(verdict.code, 'shadow-disagreement')
  assert.match(verdict.reason, /^0 % of \d+ detections are common to it and the active model/)
  assert.equal(verdict.comparison?.agreement, 0)
})

test('a candidate twice as slow, or whose process dies, hangs or swells, is stopped by its name', {
  ...needs('time'),
}, async (t) => {
  const { shape, values } = valuesOf(64, 0)
  const slow = (products: number) => slowDetector([1, 3, 64, 64], { shape, values }, products)
  const bench = await benchOf(t, slow(1))
  const late = await bench.run(await bench.candidate(slow(2)), { care: { shadowMs: 30_000 } })
  assert.equal(!late.ok && late.code, 'shadow-slow', JSON.stringify(late))

  const good = await bench.candidate(slow(1))
  const program = (name: string, onFrame: string) =>
    put(
      good.folder,
      `${name}.mjs`,
      `const kept = []
       process.on('disconnect', () => process.exit(0))
       process.on('message', ({ kind }) => {
         if (kind === 'open') return process.send({ kind: 'opened', activeBytes: 0 })
         ${onFrame}
       })`,
    )
  const answer = `process.send({ kind: 'seen', reading: { detections: [] }, inferenceMs: 1, activeMs: 1, cpuMs: 1 })`
  const dies = await bench.run(good, {
    module: await program('dies', `process.kill(process.pid, 'SIGSEGV')`),
  })
  assert.ok(!dies.ok && dies.code === 'shadow-crash', JSON.stringify(dies))
  assert.equal(dies.reason, 'Its process ended with SIGSEGV')
  assert.equal(dies.comparison?.crashes, 1)
  const hangs = await bench.run(good, { module: await program('hangs', 'for (;;);') })
  assert.ok(!hangs.ok && hangs.code === 'shadow-crash', JSON.stringify(hangs))
  assert.equal(hangs.reason, 'It did not come back from a frame')
  const leak = `kept.push(Buffer.alloc(40e6, 1)); ${answer}`
  const leaks = await bench.run(good, {
    module: await program('leaks', leak),
    care: { agreementMin: 0, shadowMs: 20_000 },
  })
  assert.ok(!leaks.ok && leaks.code === 'shadow-memory', JSON.stringify(leaks))
})
