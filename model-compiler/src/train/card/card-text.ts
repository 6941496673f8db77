/** The card as Markdown, to lie beside the model. Names come from data sets: nothing in them may format or link. */
import type { EvaluationReport } from '../../evaluate/evaluation-report.ts'
import { type FigureName, figures as figureFacts } from '../../evaluate/figures.ts'
import type { ModelCard } from './card.ts'

const rowsMax = 50

/** A page of Markdown; ends with a newline. */
export function cardText(card: ModelCard): string {
  const { name, digest, data, parent, code, recipe, seed, training, evaluation } = card
  return `${[
    `# ${plain(name)}`,
    `A model for ${card.task}${card.labels.length > 0 ? ` of ${card.labels.length} labels: ${list(card.labels)}` : ''}.`,
    '## What it is',
    table(
      ['', ''],
      [
        ['File', `SHA-256 \`${digest}\``],
        ['Made', plain(card.createdAt)],
        ...(parent ? [['Fine-tuned from', `${plain(parent.name)}, \`${parent.digest}\``]] : []),
        ['Data', `${plain(data.name)}, \`${data.digest}\``],
        [
          'Samples',
          `${data.samples.train} train, ${data.samples.validation} validation, ${data.samples.test} test (${plain(data.split)})`,
        ],
        [
          'Training',
          `${plain(training.trainer)}: ${training.steps} steps in ${training.seconds.toFixed(0)} s, step ${training.bestStep} kept, seed ${seed}`,
        ],
        ['Code', `Edgeloop ${plain(code.version)}${code.commit ? `, ${plain(code.commit)}` : ''}`],
      ],
    ),
    ...(evaluation ? evaluationParts(evaluation, card.before) : []),
    '## Limits',
    card.limits.map((limit) => `- ${plain(limit)}`).join('\n'),
    '## Recipe',
    `\`\`\`json\n${JSON.stringify(recipe, null, 2)}\n\`\`\``,
  ].join('\n\n')}\n`
}

function evaluationParts(report: EvaluationReport, before: ModelCard['before']): string[] {
  const names = Object.keys(report.figures) as FigureName[]
  const figureRows = names.map((name) => {
    const { title, decimals } = figureFacts[name]
    const bounds = report.intervals[name]
    return [
      title,
      report.figures[name]!.toFixed(decimals),
      bounds ? bounds.map((bound) => bound.toFixed(decimals)).join('–') : '',
      ...(before ? [before[name]?.toFixed(decimals) ?? ''] : []),
    ]
  })
  const { decimals, title } = figureFacts[report.metric]
  return [
    '## How good it is',
    `On ${report.samples} samples that training never saw. Intervals hold 95 % of what drawing the samples again gives.`,
    table(['Figure', 'value', '95 % within', ...(before ? ['before'] : [])], figureRows),
    ...(report.groups.length > 0
      ? [
          '### By stream and site',
          table(
            ['Group', 'samples', title, '95 % within'],
            report.groups.map(({ by, name, samples, value, interval }) => [
              ...[`${by} ${plain(name)}`, String(samples), value.toFixed(decimals)],
              interval ? interval.map((bound) => bound.toFixed(decimals)).join('–') : '',
            ]),
          ),
        ]
      : []),
    ...(report.labels.length > 0
      ? [
          '### By label',
          table(
            ['Label', 'there are', 'precision', 'recall', 'F1', 'AP50', 'AP', 'IoU'],
            report.labels.map((row) => [
              ...[plain(row.label), String(row.truths)],
              ...[row.precision, row.recall, row.f1, row.ap50, row.ap, row.iou].map(
                (value) => value?.toFixed(3) ?? '',
              ),
            ]),
          ),
        ]
      : []),
  ]
}

/** @param rows Markdown; a row that is cut off is said to be */
function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const rest = rows.length > rowsMax ? `\n\nAnd ${rows.length - rowsMax} more.` : ''
  return (
    [line(heads), line(heads.map(() => '---')), ...rows.slice(0, rowsMax).map(line)].join('\n') +
    rest
  )
}

const listed = 20

const list = (names: readonly string[]): string =>
  names.slice(0, listed).map(plain).join(', ') +
  (names.length > listed ? ` and ${names.length - listed} more` : '')

/** Text that Markdown shows as it is, on one line. */
export function plain(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
    .replace(/[\\`*_{}[\]<>()#+!|~&]/g, (sign) => `\\${sign}`)
    .replace(/(https?|ftp|www)(?=[:.])/gi, (word) => `${word}\u200b`)
}
