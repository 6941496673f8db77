/** A run's report.html: how it learned, what came out of it, and what it was made of. */

import { lineChart, type Series } from '../../report/evaluation-plots.ts'
import { evaluationSections, headline } from '../../report/evaluation-sections.ts'
import { facts, page, plot } from '../../report/html.ts'
import { escaped } from '../../report/svg.ts'
import type { TrainProgress } from '../run/progress.ts'
import type { ModelCard } from './card.ts'

/**
 * @param words what the run said, in its order (`curves.jsonl`)
 * @param further pieces that come after the curves, as HTML
 */
export function runPage(
  card: ModelCard,
  words: readonly TrainProgress[],
  further: readonly string[] = [],
): string {
  const { evaluation } = card
  const sections = evaluation ? evaluationSections(evaluation) : []
  return page(
    `${card.name} trained`,
    `<header>
<h1>${escaped(card.name)}</h1>
<p>${escaped(about(card))}</p>
${evaluation ? headline(evaluation) : ''}
</header>
<div class="plots">${curvePlots(words)}</div>
${further.join('\n')}
${sections.map(({ html }) => html).join('\n')}
<h2>Limits</h2>
<ul>${card.limits.map((limit) => `<li>${escaped(limit)}</li>`).join('')}</ul>
<h2>How it was made</h2>
${facts(factsOf(card))}`,
  )
}

const about = ({ task, data, evaluation }: ModelCard): string =>
  evaluation
    ? `${task}, on ${evaluation.samples} samples of ${data.name} that training never saw`
    : `${task}, trained on ${data.name}; no samples were held out`

/** Loss, figures of evaluations, and learning rate over steps. */
export function curvePlots(words: readonly TrainProgress[]): string {
  const steps = words.filter((word) => word.kind === 'step')
  const evaluations = words.filter((word) => word.kind === 'evaluation' && word.on === 'validation')
  const terms = [...new Set(steps.flatMap((step) => Object.keys(step.terms)))]
  const loss: Series[] = [
    { name: 'loss', points: steps.map(({ step, loss: y }) => ({ x: step, y })) },
    // One term is the loss itself.
    ...(terms.length > 1 ? terms : []).map((name) => ({
      name,
      points: steps.map(({ step, terms: values }) => ({ x: step, y: values[name] ?? Number.NaN })),
    })),
  ]
  const figureNames = [
    ...new Set(
      evaluations.flatMap((word) => (word.kind === 'evaluation' ? Object.keys(word.figures) : [])),
    ),
  ]
  const figureSeries = (isLoss: boolean): Series[] =>
    figureNames
      .filter((name) => isLossLike(name) === isLoss)
      .map((name) => ({
        name,
        points: evaluations.flatMap((word) =>
          word.kind === 'evaluation' ? { x: word.step, y: word.figures[name] ?? Number.NaN } : [],
        ),
      }))
  const rate: Series[] = [
    { name: 'rate', points: steps.map(({ step, learningRate: y }) => ({ x: step, y })) },
  ]
  const speed: Series[] = [
    { name: 'images/s', points: steps.map(({ step, imagesPerSecond: y }) => ({ x: step, y })) },
  ]
  return [
    ['Loss', lineChart(loss, { title: 'Loss', xTitle: 'step', isLogarithmic: true })],
    ['Validation', lineChart(figureSeries(false), { title: 'Validation', xTitle: 'step' })],
    [
      'Validation loss',
      lineChart(figureSeries(true), {
        title: 'Validation loss',
        xTitle: 'step',
        isLogarithmic: true,
      }),
    ],
    ['Learning rate', lineChart(rate, { title: 'Learning rate', xTitle: 'step' })],
    ['Images per second', lineChart(speed, { title: 'Images per second', xTitle: 'step' })],
  ]
    .filter(([, svg]) => svg !== '')
    .map(([title = '', svg = '']) => plot(title, svg))
    .join('')
}

const isLossLike = (name: string): boolean => /loss|mse|mae|error/i.test(name)

function factsOf(card: ModelCard): (readonly [string, string])[] {
  const { data, parent, recipe, seed, training, code } = card
  return [
    ['File', `SHA-256 ${card.digest}`],
    ['Data', `${data.name}, SHA-256 ${data.digest}`],
    [
      'Samples',
      `${data.samples.train} train, ${data.samples.validation} validation, ${data.samples.test} test; ${data.split}`,
    ],
    ...(parent ? [['Fine-tuned from', `${parent.name}, SHA-256 ${parent.digest}`] as const] : []),
    [
      'Training',
      `${training.trainer}: ${training.steps} steps in ${training.seconds.toFixed(0)} s, step ${training.bestStep} kept, seed ${seed}`,
    ],
    ['Optimizer', JSON.stringify(recipe.optimizer)],
    ['Schedule', JSON.stringify(recipe.schedule)],
    ['Batch', `${recipe.batch}${recipe.accumulate > 1 ? ` × ${recipe.accumulate}` : ''}`],
    ['Augmentation', JSON.stringify(recipe.augment)],
    ['Code', `Edgeloop ${code.version}${code.commit ? `, ${code.commit}` : ''}`],
    ['Made', card.createdAt],
  ]
}
