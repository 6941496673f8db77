import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Comparison, canaryGate } from '@edgeloop/protocol'
import { comparedMin, judgeQuality, studentQuantile } from './quality.ts'

const gate = canaryGate(10)
const fine: Comparison = {
  frames: 300,
  agreement: 0.9,
  latencyP95Ms: 20,
  activeLatencyP95Ms: 20,
  detections: 2,
  activeDetections: 2,
  confidence: 0.7,
  activeConfidence: 0.7,
  countDrift: 0.2,
  confidenceDrift: -0.2,
  memoryBytes: 1e8,
  crashes: 0,
  streams: ['s'],
}
const boxes = (count: number, change: (index: number) => Partial<Comparison>) =>
  Array.from({ length: count }, (_, index) => {
    const shadow = { ...fine, ...change(index) }
    return { shadow, probation: shadow }
  })
const verdictOf = (count: number, change: (index: number) => Partial<Comparison>) =>
  judgeQuality(boxes(count, change), gate).verdict

test('what all devices of a canary say is sure, and said with its figures', () => {
  assert.equal(
    verdictOf(10, () => ({})),
    '',
  )
  assert.match(
    verdictOf(10, () => ({ agreement: 0.3 })),
    /^30 % of detections on 10 devices .* 70 % wanted$/,
  )
  assert.match(
    verdictOf(10, () => ({ countDrift: -4 })),
    /^Detections in a frame drifted by -4.0 .* allowed 2$/,
  )
  assert.match(
    verdictOf(10, () => ({ confidenceDrift: 3.9 })),
    /^Mean confidence drifted by 3.9/,
  )
  assert.match(
    verdictOf(10, () => ({ latencyP95Ms: 40 })),
    /^Inference takes 2.00 times as long .* allowed 1.25$/,
  )
})

test('what devices do not agree on is doubtful, and no reason to stop', () => {
  const { verdict, doubt } = judgeQuality(
    boxes(10, (i) => ({ agreement: i < 4 ? 0.2 : 0.9 })),
    gate,
  )
  assert.equal(verdict, '')
  assert.match(doubt, /^62 % of detections/)
})

test('few devices, few detections and differences of a clock tick say nothing', () => {
  assert.equal(
    verdictOf(comparedMin - 1, () => ({ agreement: 0, countDrift: 4 })),
    '',
  )
  const empty = { frames: 2, detections: 1, activeDetections: 1, agreement: 0 }
  assert.equal(
    judgeQuality(
      boxes(10, () => empty),
      gate,
    ).agreement,
    null,
  )
  assert.equal(
    verdictOf(10, () => ({ latencyP95Ms: 1.9, activeLatencyP95Ms: 1 })),
    '',
  )
  assert.deepEqual(judgeQuality([{ shadow: null, probation: null }], gate).devices, 0)
})

test('devices on which it crashed are counted', () => {
  assert.equal(
    judgeQuality(
      boxes(4, (i) => ({ crashes: i === 2 ? 3 : 0 })),
      gate,
    ).crashed,
    1,
  )
})

test('the quantile is that of the tables', () => {
  // Student's distribution, one-sided 0.001.
  for (const [freedom, table] of [
    [8, 4.501],
    [10, 4.144],
    [15, 3.733],
    [30, 3.385],
    [100, 3.174],
  ] as const) {
    assert.ok(
      Math.abs(studentQuantile(freedom) / table - 1) < 0.005,
      `${freedom}: ${studentQuantile(freedom)}`,
    )
  }
})

/** Deterministic, so that a failure can be looked at again. */
function* normal(seed: number): Generator<number, never> {
  let state = seed
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  for (;;) {
    const size = Math.sqrt(-2 * Math.log(next()))
    yield size * Math.cos(2 * Math.PI * next())
  }
}

test('an equally good model is stopped in less than 1 of 100 rollouts, however often it is looked at; a wrong one in the canary', () => {
  const noise = normal(7)
  const draw = () => noise.next().value
  const rollouts = 1000
  const stages = [10, 40, 200]
  /** Devices differ in how much they agree and drift; figures come one device after the other. */
  const stopsAt = (mean: { agreement: number; drift: number }): number | undefined => {
    for (const [stage, devices] of stages.entries()) {
      const compared = boxes(devices, () => ({
        agreement: Math.min(1, Math.max(0, mean.agreement + 0.12 * draw())),
        countDrift: mean.drift + 1.4 * draw(),
        confidenceDrift: 1.4 * draw(),
        latencyP95Ms: 20 * Math.exp(0.15 * draw()),
      }))
      for (let seen = comparedMin; seen <= devices; seen += stage === 2 ? 20 : 1) {
        if (judgeQuality(compared.slice(0, seen), gate).verdict !== '') return stage
      }
    }
    return undefined
  }
  const share = (mean: { agreement: number; drift: number }, within: number) => {
    let stopped = 0
    for (let i = 0; i < rollouts; i++) {
      const stage = stopsAt(mean)
      if (stage !== undefined && stage <= within) stopped++
    }
    return stopped / rollouts
  }
  const falseStops = share({ agreement: 0.85, drift: 0.5 }, stages.length)
  assert.ok(falseStops < 0.01, `${falseStops} of the rollouts of a good model were stopped`)
  // Right boxes under wrong names; and twice as many boxes as there are things.
  const wrongLabels = share({ agreement: 0.35, drift: 0 }, 0)
  assert.ok(wrongLabels > 0.98, `${wrongLabels} of the canaries with wrong labels were stopped`)
  const tooMany = share({ agreement: 0.75, drift: 5 }, 0)
  assert.ok(tooMany > 0.98, `${tooMany} of the canaries with too many detections were stopped`)
})
