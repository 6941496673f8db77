/**
 * What an evaluation says, as pieces of a page: figures, plots, tables of labels, groups and worst samples. A run's report,
 * an evaluation's own page and the hub's dashboard put them where they want them.
 */
import type { EvaluationReport } from '../evaluate/evaluation-report.ts'
import { type FigureName, figures as figureFacts } from '../evaluate/figures.ts'
import {
  confusionMatrix,
  histogram,
  lineChart,
  reliabilityDiagram,
  scatterPlot,
} from './evaluation-plots.ts'
import { figure, page, plot, table } from './html.ts'
import { escaped } from './svg.ts'

export type Section = { readonly title: string; readonly html: string }

/** A page of its own. @param about in words, what was evaluated on what */
export function evaluationPage(title: string, about: string, report: EvaluationReport): string {
  const sections = evaluationSections(report)
  return page(
    title,
    `<header>
<h1>${escaped(title)}</h1>
<p>${escaped(about)}</p>
${headline(report)}
</header>
${sections.map(({ html }) => html).join('\n')}`,
  )
}

/** The figures in large digits, the one that decides first. */
export function headline({ metric, figures, intervals }: EvaluationReport): string {
  const names = Object.keys(figures) as FigureName[]
  const [first, ...rest] = [metric, ...names.filter((name) => name !== metric)]
  const of = (name: FigureName): string => {
    const bounds = intervals[name]
    const decimals = figureFacts[name].decimals
    const note = bounds
      ? `${figureFacts[name].title}, 95 % within ${bounds.map((bound) => bound.toFixed(decimals - 1)).join('–')}`
      : figureFacts[name].title
    return figure(figures[name]?.toFixed(decimals - 1) ?? '–', note)
  }
  return `<dl class="figures">${[first!, ...rest.slice(0, headlineMax - 1)].map(of).join('')}</dl>`
}

const headlineMax = 5

/** Everything below the headline; what was not found out is left out. */
export function evaluationSections(report: EvaluationReport): Section[] {
  const plots = plotsOf(report)
  return [
    ...(plots === '' ? [] : [{ title: 'Plots', html: `<div class="plots">${plots}</div>` }]),
    ...section('Confused most', confusedMost(report)),
    ...section('Labels', labelTable(report)),
    ...section('Streams and sites', groupTable(report)),
    ...section('Worst samples', worstTable(report)),
    ...section('All figures', figureTable(report)),
  ]
}

const section = (title: string, html: string): Section[] =>
  html === '' ? [] : [{ title, html: `<h2>${escaped(title)}</h2>${html}` }]

function plotsOf(report: EvaluationReport): string {
  const { confusion, calibration, roc = [], precisionRecall = [], scatter, scoreMin } = report
  const unit = [0, 1] as const
  const areas = report.labels.flatMap(({ ap, iou, f1 }) => ap ?? iou ?? f1 ?? [])
  const what = report.task === 'segmentation' ? 'IoU' : 'average precision'
  const drawn: (readonly [title: string, svg: string, note?: string])[] = [
    [
      'Confusion',
      confusion ? confusionMatrix(confusion.names, confusion.counts) : '',
      `Rows are what is there, columns what was said${scoreMin === undefined ? '' : ` at a score of ${scoreMin.toFixed(2)} or more`}.`,
    ],
    [
      'Precision over recall',
      lineChart(
        precisionRecall.map(({ label, area, points }) => ({
          name: `${label} ${area.toFixed(3)}`,
          points,
        })),
        { title: 'Precision over recall', xTitle: 'recall', x: unit, y: unit },
      ),
      precisionRecall.length < report.labels.length ? 'The labels that do worst.' : '',
    ],
    [
      'ROC',
      lineChart(
        roc.map(({ label, area, points }) => ({ name: `${label} ${area.toFixed(3)}`, points })),
        {
          title: 'ROC',
          xTitle: 'false positive rate',
          x: unit,
          y: unit,
          diagonal: true,
        },
      ),
      roc.length < report.labels.length ? 'The labels that do worst.' : '',
    ],
    [
      'Reliability',
      calibration ? reliabilityDiagram(calibration.bins) : '',
      calibration
        ? `Off by ${(calibration.error * 100).toFixed(1)} % on average; ${(calibration.errorAfter * 100).toFixed(1)} % with logits divided by ${calibration.temperature.toFixed(2)}.`
        : '',
    ],
    ['Said over true', scatter ? scatterPlot(scatter) : ''],
    // Of a few labels the table says it better.
    ['Labels', areas.length > labelsInHistogramMin ? histogram(areas, what) : ''],
  ]
  return drawn
    .filter(([, svg]) => svg !== '')
    .map(([title, svg, note = '']) => plot(title, svg, escaped(note)))
    .join('')
}

const labelsInHistogramMin = 20
const confusedShown = 12

/** Off the diagonal: which label is taken for which, most often first. */
function confusedMost({ confusion }: EvaluationReport): string {
  if (!confusion) return ''
  const pairs = confusion.counts
    .flatMap((row, truth) =>
      row.map((count, said) => ({
        truth,
        said,
        count,
        of: row.reduce((sum, one) => sum + one, 0),
      })),
    )
    .filter(({ truth, said, count }) => truth !== said && count > 0)
    .sort((a, b) => b.count - a.count)
    .slice(0, confusedShown)
  if (pairs.length === 0) return ''
  return table(
    'Confused most',
    ['There is', 'said', 'times', 'of'],
    pairs.map(({ truth, said, count, of }) => [
      ...[confusion.names[truth]!, confusion.names[said]!, String(count), String(of)],
    ]),
  )
}

const labelsShown = 200

function labelTable({ labels, task }: EvaluationReport): string {
  if (labels.length === 0) return ''
  const columns = (
    [
      ['said', 'said'],
      ['precision', 'precision'],
      ['recall', 'recall'],
      ['f1', 'F1'],
      ['rocAuc', 'ROC area'],
      ['ap50', 'AP50'],
      ['ap', task === 'detection' ? 'AP50:95' : 'average precision'],
      ['iou', 'IoU'],
    ] as const
  ).filter(([name]) => labels.some((row) => row[name] !== undefined))
  const rows = labels
    .slice(0, labelsShown)
    .map((row) => [
      row.label,
      String(row.truths),
      ...columns.map(([name]) => digits(row[name], name === 'said' ? 0 : 3)),
    ])
  const rest =
    labels.length > labelsShown
      ? `<p>And ${labels.length - labelsShown} more: report.json has them all.</p>`
      : ''
  const first = task === 'segmentation' ? 'pixels' : 'there are'
  return table('Labels', ['Label', first, ...columns.map(([, title]) => title)], rows) + rest
}

const groupsShown = 200

function groupTable({ groups, metric }: EvaluationReport): string {
  if (groups.length === 0) return ''
  const { title, decimals } = figureFacts[metric]
  const rows = groups
    .slice(0, groupsShown)
    .map(({ by, name, samples, value, interval }) => [
      ...[`${by} ${name}`, String(samples), value.toFixed(decimals - 1)],
      interval ? interval.map((bound) => bound.toFixed(decimals - 1)).join('–') : '–',
    ])
  const rest =
    groups.length > groupsShown
      ? `<p>And ${groups.length - groupsShown} more: report.json has them all.</p>`
      : ''
  return table('Streams and sites', ['Group', 'samples', title, '95 % within'], rows) + rest
}

const worstTable = ({ worst }: EvaluationReport): string =>
  worst.length === 0
    ? ''
    : table(
        'Worst samples',
        ['Sample', 'digest', 'what'],
        worst.map(({ name, digest, says }) => [name, digest.slice(0, 12), says]),
        'words',
      )

function figureTable({ figures, intervals }: EvaluationReport): string {
  const rows = (Object.entries(figures) as [FigureName, number][]).map(([name, value]) => {
    const { title, decimals } = figureFacts[name]
    const bounds = intervals[name]
    return [
      ...[title, value.toFixed(decimals)],
      bounds ? bounds.map((bound) => bound.toFixed(decimals)).join('–') : '–',
    ]
  })
  return table('All figures', ['Figure', 'value', '95 % within'], rows)
}

const digits = (value: number | undefined, decimals: number): string =>
  value === undefined ? '–' : value.toFixed(decimals)
