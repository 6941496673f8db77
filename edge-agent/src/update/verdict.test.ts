import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Comparison, careDefaults } from '@edgeloop/protocol'
import { candidateIn } from './model-host.ts'
import { objection } from './verdict.ts'

const fine: Comparison = {
  frames: 200,
  agreement: 0.9,
  latencyP95Ms: 10,
  activeLatencyP95Ms: 10,
  detections: 2,
  activeDetections: 2,
  confidence: 0.8,
  activeConfidence: 0.8,
  countDrift: 0.5,
  confidenceDrift: -0.5,
  memoryBytes: 1e8,
  crashes: 0,
  streams: ['s1'],
}
const evidence = { detections: 400, medianMs: 20, activeMedianMs: 10 }

test('objection() names the first bad sign of each stage', () => {
  const codeOf = (stage: 'shadow' | 'probation', bad: Partial<Comparison>) =>
    objection(stage, { ...fine, ...bad }, careDefaults, evidence)?.code
  assert.equal(codeOf('shadow', {}), undefined)
  assert.equal(codeOf('probation', {}), undefined)
  assert.equal(codeOf('shadow', { crashes: 1 }), 'shadow-crash')
  assert.equal(codeOf('probation', { crashes: 1 }), 'probation-crash')
  assert.equal(codeOf('shadow', { latencyP95Ms: 14 }), 'shadow-slow')
  assert.equal(codeOf('probation', { latencyP95Ms: 14 }), 'probation-slow')
  assert.equal(codeOf('shadow', { agreement: 0.4 }), 'shadow-disagreement')
  const early = { ...evidence, isEarly: true }
  assert.equal(objection('probation', { ...fine, countDrift: 9 }, careDefaults, early), undefined)
  // Nothing was there to agree with.
  assert.equal(codeOf('probation', { agreement: 0.4 }), undefined)
  assert.equal(codeOf('probation', { countDrift: -4.1 }), 'probation-disagreement')
  assert.equal(codeOf('probation', { confidenceDrift: 4.1 }), 'probation-disagreement')
})

test('objection() says nothing of few frames, of few detections, or of a baseline that is not there', () => {
  const bad = { ...fine, latencyP95Ms: 50, agreement: 0.1 }
  assert.equal(objection('shadow', { ...bad, frames: 19 }, careDefaults, evidence), undefined)
  assert.equal(
    objection('shadow', { ...fine, agreement: 0.4 }, careDefaults, { ...evidence, detections: 30 }),
    undefined,
  )
  assert.equal(
    objection('shadow', { ...fine, agreement: 0 }, careDefaults, { ...evidence, detections: 0 }),
    undefined,
  )
  // Only its tail is: the box was busy.
  const tail = { ...evidence, medianMs: 11 }
  const late = { ...fine, latencyP95Ms: 30 }
  assert.equal(objection('shadow', late, careDefaults, tail), undefined)
  assert.equal(objection('shadow', late, careDefaults, evidence)?.code, 'shadow-slow')
  const first = { ...fine, latencyP95Ms: 50, activeLatencyP95Ms: 0 }
  assert.equal(objection('probation', first, careDefaults, evidence), undefined)
})

test('a process that hung is told from one that crashed', () => {
  const hung = { ...evidence, hung: true }
  const refused = objection('probation', { ...fine, crashes: 1 }, careDefaults, hung)
  assert.equal(refused?.code, 'probation-hang')
  assert.equal(objection('probation', fine, careDefaults, hung), undefined)
})

test('a crash counts however few frames there were', () => {
  const refused = objection('shadow', { ...fine, frames: 0, crashes: 1 }, careDefaults, evidence)
  assert.equal(refused?.code, 'shadow-crash')
  const lenient = { ...careDefaults, crashesMax: 1 }
  assert.equal(objection('probation', { ...fine, crashes: 1 }, lenient, evidence), undefined)
})

test('candidateIn() names labels and description only where a slot has them', () => {
  const manifest = {
    name: 'parts',
    version: 3,
    layout: 'yolox',
    labels: ['bolt'],
    description: '',
    file: { digest: 'a'.repeat(64), lengthBytes: 1 },
  } as Parameters<typeof candidateIn>[1]
  assert.deepEqual(candidateIn('/slot', manifest).source, {
    name: 'parts',
    file: '/slot/model.onnx',
    layout: 'yolox',
    runtime: 'auto',
    labels: '/slot/labels.txt',
  })
  const bare = candidateIn('/slot', { ...manifest, labels: [], description: 'layout: yolox' })
  assert.equal(bare.source.labels, undefined)
  assert.equal(bare.source.description, '/slot/description.yaml')
})
