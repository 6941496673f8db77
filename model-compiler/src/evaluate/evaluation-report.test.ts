/** Reports of each task: what they say, and that it survives JSON. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MapOverlap } from './accuracy.ts'
import {
  type EvaluatedSample,
  type EvaluationReport,
  figuresText,
  reportClassification,
  reportDetection,
  reportRegression,
  reportSegmentation,
} from './evaluation-report.ts'
import { isBetter } from './figures.ts'

const samples = (count: number, streams = 2): EvaluatedSample[] =>
  Array.from({ length: count }, (_, at) => ({
    digest: `d${at}`,
    name: `${at}.png`,
    site: 'hall',
    stream: `s${at % streams}`,
  }))

function survivesJson(report: EvaluationReport): void {
  assert.deepEqual(JSON.parse(JSON.stringify(report)), report)
  assert.doesNotMatch(JSON.stringify(report), /null/)
}

test('a classifier that is wrong on one stream only', () => {
  // Even samples are stream s0 and right; odd ones are said to be "a", which half of them are.
  const truth = [0, 0, 1, 1, 0, 0, 1, 1]
  const scores = truth.flatMap((wanted, at) => {
    const said = at % 2 === 0 ? wanted : 0
    return said === 0 ? [0.9 - at / 100, 0.1 + at / 100] : [0.2, 0.8]
  })
  const report = reportClassification({ labels: ['a', 'b'], samples: samples(8), truth, scores })
  assert.equal(report.figures.accuracy, 6 / 8)
  assert.deepEqual(
    report.groups.map(({ by, name, samples: count, value }) => [by, name, count, value]),
    [
      ['stream', 's0', 4, 1],
      ['stream', 's1', 4, 0.5],
      ['site', 'hall', 8, 0.75],
    ],
  )
  assert.deepEqual(
    report.worst.slice(0, 2).map(({ name, says }) => [name, says]),
    [
      ['3.png', 'b, said a with 87 %'],
      ['7.png', 'b, said a with 83 %'],
    ],
  )
  const [low, high] = report.intervals.accuracy!
  assert(low < 0.75 && high > 0.75)
  assert.match(figuresText(report)[0]!, /^accuracy 0\.7500 \(0\.\d{4}–1\.0000\)$/)
  survivesJson(report)
})

test('a detector: what was not found and what is not there make a picture a bad one', () => {
  const box = [0, 0, 10, 10] as const
  const away = [50, 50, 10, 10] as const
  const report = reportDetection({
    labels: ['x', 'never'],
    samples: samples(4),
    truths: ['d0', 'd1', 'd2', 'd3'].map((image) => ({ image, label: 'x', box })),
    found: [
      { image: 'd0', label: 'x', score: 0.9, box },
      { image: 'd1', label: 'x', score: 0.8, box },
      { image: 'd2', label: 'x', score: 0.7, box: away },
      { image: 'd3', label: 'x', score: 0.6, box },
    ],
  })
  assert.equal(report.metric, 'ap50')
  assert.equal(report.worst[0]?.name, '2.png')
  assert.equal(report.worst[0]?.says, '1 not found, 1 found where nothing is')
  assert.deepEqual(report.confusion?.names, ['x', 'never', 'nothing'])
  assert(report.intervals.ap50 && report.intervals.ap)
  assert.equal(report.scoreMin, 0.6)
  survivesJson(report)
})

test('masks: classes are added up over all of them, and drawn by the picture', () => {
  const one = new MapOverlap(255)
  one.add([0, 0, 1, 255], [0, 1, 1, 0])
  const two = new MapOverlap(255)
  two.add([1, 1], [1, 1])
  const report = reportSegmentation({
    labels: ['ground', 'road', 'never'],
    samples: samples(2),
    overlaps: [one, two],
    empty: () => new MapOverlap(255),
  })
  assert.equal(report.figures.miou, (1 / 2 + 3 / 4) / 2)
  assert.equal(report.figures.pixelAccuracy, 4 / 5)
  assert.deepEqual(
    report.labels.map(({ label, iou }) => [label, iou]),
    [
      ['ground', 1 / 2],
      ['road', 3 / 4],
    ],
  )
  assert.equal(report.worst[0]?.name, '0.png')
  survivesJson(report)
})

test('numbers: the sample that is furthest off comes first', () => {
  const report = reportRegression({
    names: ['width', 'height'],
    samples: samples(3),
    truth: [1, 2, 3, 4, 5, 6],
    said: [1, 2, 3, 7, 5, 6.5],
  })
  assert.equal(report.figures.mse, (9 + 0.25) / 6)
  assert.equal(report.worst[0]?.says, 'width 3, said 3; height 4, said 7')
  assert.equal(report.worst[1]?.name, '2.png')
  survivesJson(report)
})

test('without rounds nothing is drawn', () => {
  const report = reportRegression(
    { names: ['n'], samples: samples(4), truth: [1, 2, 3, 4], said: [1, 2, 3, 5] },
    { rounds: 0 },
  )
  assert.deepEqual(report.intervals, {})
  assert(report.groups.every(({ interval }) => interval === undefined))
})

test('isBetter() knows which way each figure is better, and nothing is worse than no number', () => {
  assert(isBetter('accuracy', 0.9, 0.8))
  assert(isBetter('rmse', 0.8, 0.9))
  assert(!isBetter('accuracy', 0.9, 0.9))
  assert(!isBetter('accuracy', Number.NaN, 0))
  assert(isBetter('rmse', 5, Number.NaN))
})
