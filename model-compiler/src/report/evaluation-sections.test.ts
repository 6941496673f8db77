/** Pages of evaluations: whole by themselves, and nothing in them that a label's name could do harm with. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MapOverlap } from '../evaluate/accuracy.ts'
import {
  type EvaluatedSample,
  type EvaluationReport,
  reportClassification,
  reportDetection,
  reportRegression,
  reportSegmentation,
} from '../evaluate/evaluation-report.ts'
import { seeded } from '../evaluate/seeded.ts'
import { confusionMatrix, histogram, lineChart, scatterPlot } from './evaluation-plots.ts'
import { evaluationPage } from './evaluation-sections.ts'

const samples = (count: number): EvaluatedSample[] =>
  Array.from({ length: count }, (_, at) => ({
    digest: `d${at}`,
    name: `<img src=x>${at}`,
    stream: `<b>${at % 2}</b>`,
    site: 'a"b',
  }))

const biting = ['<script>alert(1)</script>', 'b" onload="x', 'c']

function classified(labels: readonly string[]): EvaluationReport {
  const random = seeded(8)
  const count = 60
  const truth = Int32Array.from({ length: count }, () => Math.floor(random() * labels.length))
  const scores = Float64Array.from({ length: count * labels.length }, (_, at) => {
    const isTrue = truth[Math.floor(at / labels.length)] === at % labels.length
    return random() * 3 + (isTrue ? 1.5 : 0)
  })
  return reportClassification({ labels, samples: samples(count), truth, scores }, { rounds: 50 })
}

const box = [0, 0, 10, 10] as const
const overlap = new MapOverlap()
overlap.add([0, 1], [0, 0])
const reports: Readonly<Record<string, EvaluationReport>> = {
  classifier: classified(biting),
  'a classifier of forty labels': classified(Array.from({ length: 40 }, (_, at) => `label ${at}`)),
  detector: reportDetection({
    labels: biting,
    samples: samples(2),
    truths: [{ image: 'd0', label: biting[0]!, box }],
    found: [
      { image: 'd0', label: biting[0]!, score: 0.9, box },
      { image: 'd1', label: biting[1]!, score: 0.8, box },
    ],
  }),
  'a detector that finds nothing': reportDetection({
    labels: biting,
    samples: samples(2),
    found: [],
    truths: [{ image: 'd0', label: biting[0]!, box }],
  }),
  segmentation: reportSegmentation({
    labels: biting,
    samples: samples(1),
    overlaps: [overlap],
    empty: () => new MapOverlap(),
  }),
  numbers: reportRegression({
    names: biting,
    samples: samples(2),
    truth: [1, 2, 3, 4, 5, 6],
    said: [1, 2, 4, 4, 5, 7],
  }),
}

for (const [what, report] of Object.entries(reports)) {
  test(`the page of ${what} asks for nothing, runs nothing, escapes every name and has no odd number`, () => {
    const page = evaluationPage('m <b>.onnx', 'on <i>these</i>', report)
    assert.doesNotMatch(page, /<script|https?:|url\(|@import|<link|<iframe|javascript:/)
    assert.doesNotMatch(page, /<img|<b>|<i>|onload="|NaN|Infinity|undefined|null/)
    assert(page.includes('&#60;b&#62;.onnx'))
    // Every tag that is opened is closed, in order.
    const open: string[] = []
    for (const [, closing, name] of page.matchAll(/<(\/?)([a-z0-9]+)[^>]*>/g)) {
      if (name === 'meta' || name === 'html') continue
      if (closing === '') open.push(name!)
      else assert.equal(open.pop(), name)
    }
    assert.deepEqual(open, [])
  })
}

test('each task has its plots', () => {
  const plots = (name: string) =>
    [...evaluationPage('m', '', reports[name]!).matchAll(/<figure><figcaption><h2>([^<]*)/g)].map(
      ([, title]) => title,
    )
  assert.deepEqual(plots('classifier'), [
    'Confusion',
    'Precision over recall',
    'ROC',
    'Reliability',
  ])
  assert(!plots('a classifier of forty labels').includes('Confusion'), 'cells could not be read')
  assert.match(evaluationPage('m', '', reports['a classifier of forty labels']!), /Confused most/)
  assert.deepEqual(plots('detector'), ['Confusion', 'Precision over recall'])
  assert.deepEqual(plots('segmentation'), [])
  assert.deepEqual(plots('numbers'), ['Said over true'])
})

test('lineChart() draws each series within its frame, and leaves out what is no number', () => {
  const svg = lineChart(
    [
      { name: 'loss', points: [10, 1, 0.1, Number.NaN, 0].map((y, x) => ({ x, y })) },
      { name: 'empty', points: [] },
    ],
    { title: 'Loss', xTitle: 'step', isLogarithmic: true },
  )
  const [, points = ''] = /points="([^"]*)"/.exec(svg)!
  const places = points.split(' ').map((pair) => pair.split(',').map(Number))
  assert.equal(places.length, 3)
  const ys = places.map(([, y]) => y!)
  // Powers of ten are equal steps.
  assert(Math.abs(ys[1]! - ys[0]! - (ys[2]! - ys[1]!)) < 0.2)
  assert.match(svg, /aria-label="Loss: loss ends at 0.1"/)
  assert.equal(lineChart([], { title: 'x', xTitle: 'y' }), '')
})

test('a matrix says each count, and plots of nothing are empty', () => {
  const svg = confusionMatrix(
    ['a', 'b'],
    [
      [3, 1],
      [0, 12_345],
    ],
  )
  assert.match(svg, /a, said b: 1/)
  assert.match(svg, />12.3k</)
  assert.match(svg, /12348 of 12349 on the diagonal/)
  assert.equal(histogram([], 'x'), '')
  assert.equal(histogram([Number.NaN], 'x'), '')
  assert.match(histogram([1, 2, 3], 'x'), /x of 3: from 1 to 3/)
  assert.equal(scatterPlot([]), '')
})
