/** Cards: limits follow from the figures, and names of data sets format nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reportClassification } from '../../evaluate/evaluation-report.ts'
import type { TrainProgress } from '../run/progress.ts'
import { recipeDefault } from '../run/recipe.ts'
import { cardOf, type ModelCard } from './card.ts'
import { cardText, plain } from './card-text.ts'
import { runPage } from './run-page.ts'

const biting = 'x|y](http://evil) `<img src=x>` \n# head'

/** 120 samples of two streams; on the second every other answer is wrong. */
function report() {
  const truth = Int32Array.from({ length: 120 }, (_, at) => (at % 40 === 0 ? 1 : 0))
  const said = truth.map((wanted, at) => (at >= 60 && at % 2 === 1 ? 1 - wanted : wanted))
  return reportClassification({
    labels: ['common', biting],
    truth,
    scores: Float32Array.from({ length: 240 }, (_, at) =>
      said[at >> 1] === at % 2 ? 0.999 : 0.001,
    ),
    samples: Array.from(truth, (_, at) => ({
      digest: `d${at}`,
      name: `${at}.png`,
      stream: at < 60 ? 'gate' : biting,
    })),
  })
}

const known = {
  name: biting,
  digest: 'a'.repeat(64),
  createdAt: '2026-01-02T03:04:05Z',
  task: 'classification',
  labels: ['common', biting],
  code: { version: '0.1.0' },
  data: {
    name: biting,
    digest: 'b'.repeat(64),
    split: 'by stream',
    samples: { train: 500, validation: 0, test: 120 },
  },
  recipe: recipeDefault,
  seed: 7,
  training: { trainer: 'Edgeloop', steps: 100, bestStep: 90, seconds: 12.3 },
} as const satisfies Omit<ModelCard, 'schemaVersion' | 'limits'>

test('limits name the weak stream, the rare label, scores that promise too much, and what was not done', () => {
  const { limits } = cardOf({ ...known, evaluation: report() })
  const has = (pattern: RegExp) =>
    assert(
      limits.some((limit) => pattern.test(limit)),
      `${pattern} in ${limits.join('\n')}`,
    )
  has(/Evaluated on 2 streams; nothing is known about others/)
  has(/Worse at stream ".*: accuracy 0\.5000 on 60 samples, 0\.7500 on all/s)
  has(/Hardly tested.*\(3\)/s)
  has(/scores are no probabilities: off by 25 points/)
  has(/No validation samples/)
  assert(!limits.some((limit) => /samples only/.test(limit)))
})

test('without held-out samples the card says that nothing is known', () => {
  const { limits } = cardOf(known)
  assert.equal(limits.length, 1)
  assert.match(limits[0]!, /No samples were held out/)
})

test('the card is whole, and its tables keep their columns whatever names hold', () => {
  const card = cardOf({ ...known, evaluation: report(), before: { accuracy: 0.5 } })
  const text = cardText(card)
  assert.match(text, /\| accuracy \| 0\.7500 \| 0\.\d+–0\.\d+ \| 0\.5000 \|/)
  for (const digest of ['a'.repeat(64), 'b'.repeat(64)]) assert(text.includes(digest))
  assert.doesNotMatch(text, /\]\(http|(?<!\\)<img|^# head/m)
  const tables = text.split('\n\n').filter((part) => part.startsWith('| '))
  for (const part of tables) {
    const columns = part.split('\n').map((row) => row.replace(/\\\|/g, '').split('|').length)
    assert.equal(new Set(columns).size, 1, part)
  }
  assert.deepEqual(JSON.parse(JSON.stringify(card)), card)
})

test('plain() leaves words as they are', () => {
  assert.equal(plain('brown bear, 3.5 m'), 'brown bear, 3.5 m')
})

test('the page of a run has its curves, and escapes', () => {
  const words: TrainProgress[] = [1, 2, 3].flatMap((step): TrainProgress[] => [
    {
      kind: 'step',
      step,
      steps: 3,
      epoch: 0,
      loss: 3 / step,
      learningRate: 0.1 / step,
      terms: { box: 2 / step, class: 1 / step },
      imagesPerSecond: 100,
      dataWaitShare: 0,
      outsideShare: 0,
      etaMs: null,
    },
    {
      kind: 'evaluation',
      step,
      on: 'validation',
      best: true,
      figures: { accuracy: step / 4, loss: 1 / step },
    },
  ])
  const html = runPage(cardOf({ ...known, evaluation: report() }), words)
  const titles = [...html.matchAll(/<figure><figcaption><h2>([^<]*)/g)].map(([, title]) => title)
  assert.deepEqual(titles.slice(0, 5), [
    ...['Loss', 'Validation', 'Validation loss', 'Learning rate', 'Images per second'],
  ])
  assert.match(html, /Loss: loss ends at 1, box ends at 0.667, class ends at 0.333/)
  assert.doesNotMatch(html, /<img|NaN|undefined|Infinity|<script/)
})
