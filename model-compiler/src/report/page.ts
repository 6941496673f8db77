/**
 * The report as one page: no script, nothing from elsewhere, so it can be mailed or kept for years. It follows the
 * system's dark or light and fits a phone.
 */
import type { CandidateResult, CompileReport } from '../compile/compile-report.ts'
import { type Metric, metrics } from '../evaluate/metric.ts'
import { figure, page, plot } from './html.ts'
import {
  accuracyAgainstSpeed,
  errorPerTensor,
  operatorTimes,
  rangeHistogram,
  sizes,
} from './plots.ts'
import { escaped } from './svg.ts'

/** The page of a report. */
export function reportPage(report: CompileReport): string {
  const { source, candidates, metric, chosen } = report
  const best = candidates.find(({ name }) => name === chosen)
  const original = candidates.find(({ name }) => name === 'original')
  return page(
    `${source.name} compiled`,
    `<header>
<h1>${escaped(source.name)}</h1>
<p>For ${escaped(report.target)}: <strong>${escaped(chosen)}</strong>, ${escaped(report.why)}.</p>
<dl class="figures">
${figure(times(best?.latencyRatio), 'as fast as the original')}
${figure(megabytes(best?.sizeBytes), `of ${megabytes(original?.sizeBytes)}`)}
${figure(number(best?.metrics[metric], 3), `${metrics[metric]}, was ${number(original?.metrics[metric], 3)}`)}
</dl>
</header>
${candidateTable(candidates, metric)}
<div class="plots">
${plot(
  `${metrics[metric]} against speed`,
  accuracyAgainstSpeed(candidates, metric, report.maxDrop),
  `Dashed: as fast as the original, and the largest loss that is accepted (${report.maxDrop}).`,
)}
${plot('Size', sizes(candidates))}
${plot(
  'Time by operator',
  operatorTimes(report.operators.before, report.operators.after),
  `One inference on one thread, profiled. <span class="key before"></span> original <span class="key after"></span> ${escaped(chosen)}`,
)}
${
  report.tensors.length > 0
    ? plot(
        'Error per tensor in int8',
        errorPerTensor(report.tensors),
        'Signal to noise in dB, 6 dB are one bit; below 20 is marked.',
      ) +
      plot('Ranges of the activations', rangeHistogram(report.tensors), 'How many reach how far.')
    : ''
}
</div>
${worstTensors(report)}
${keptTable(report)}
${unfusedTable(report)}
${facts(report)}`,
  )
}

function candidateTable(candidates: readonly CandidateResult[], metric: Metric): string {
  const extra = [...new Set(candidates.flatMap((one) => Object.keys(one.metrics) as Metric[]))]
  const columns = [metric, ...extra.filter((name) => name !== metric)]
  const rows = candidates.map(
    (
      one,
    ) => `<tr class="${one.verdict}"><th scope="row">${escaped(one.name)}<small>${escaped(one.about)}</small></th>
<td>${megabytes(one.sizeBytes)}</td><td>${times(one.latencyRatio)}</td><td>${number(one.latencyMs, 2)}</td>
${columns.map((name) => `<td>${number(one.metrics[name], 3)}</td>`).join('')}<td>${number(one.sqnrDb, 1)}</td>
<td class="why">${one.verdict === 'chosen' ? '<strong>chosen</strong>: ' : ''}${escaped(one.why)}</td></tr>`,
  )
  const heads = columns.map((name) => `<th scope="col">${escaped(metrics[name])}</th>`).join('')
  return `<div class="wide" role="region" aria-label="Candidates" tabindex="0"><table><thead><tr><th scope="col">Candidate</th><th scope="col">Size</th><th scope="col">Speed</th><th scope="col">ms</th>${heads}<th scope="col">SQNR dB</th><th scope="col">Verdict</th></tr></thead>
<tbody>${rows.join('\n')}</tbody></table></div>`
}

const worstShown = 10

function worstTensors({ tensors }: CompileReport): string {
  const worst = tensors
    .flatMap((one) => (one.sqnrDb === null ? [] : { ...one, sqnrDb: one.sqnrDb }))
    .toSorted((a, b) => a.sqnrDb - b.sqnrDb)
    .slice(0, worstShown)
  if (worst.length === 0) return ''
  const rows = worst.map(
    ({ name, min, max, sqnrDb }) =>
      `<tr><th scope="row">${escaped(name)}</th><td>${sqnrDb.toFixed(1)}</td><td>${number(min, 3)}</td><td>${number(max, 3)}</td></tr>`,
  )
  return `<h2>Tensors that lose most in int8</h2>
<div class="wide" role="region" aria-label="Tensors that lose most" tabindex="0"><table><thead><tr><th scope="col">Value</th><th scope="col">SQNR dB</th><th scope="col">from</th><th scope="col">to</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`
}

function keptTable({ kept }: CompileReport): string {
  if (kept.length === 0) return ''
  const rows = kept.map(
    ({ value, gainDb, costMs }) =>
      `<tr><th scope="row">${escaped(value)}</th><td>${number(gainDb, 1)}</td><td>${number(costMs, 2)}</td></tr>`,
  )
  return `<h2>Kept float by the search</h2>
<div class="wide" role="region" aria-label="Values kept float" tabindex="0"><table><thead><tr><th scope="col">Value</th><th scope="col">gives dB</th><th scope="col">costs ms</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`
}

const unfusedShown = 100

function unfusedTable({ unfused }: CompileReport): string {
  if (unfused.length === 0) return ''
  const rows = unfused
    .slice(0, unfusedShown)
    .map(
      ({ node, opType, why }) =>
        `<tr><th scope="row">${escaped(node)}</th><td class="why">${escaped(opType)}</td><td class="why">${escaped(why)}</td></tr>`,
    )
  const rest =
    unfused.length > unfusedShown
      ? `<p>And ${unfused.length - unfusedShown} more: report.json has them all.</p>`
      : ''
  return `<h2>Stayed float</h2>
<div class="wide" role="region" aria-label="Operators that stayed float" tabindex="0"><table><thead><tr><th scope="col">Node</th><th scope="col">Operator</th><th scope="col">Why</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>${rest}`
}

function facts(report: CompileReport): string {
  const changes = Map.groupBy(report.passes, ({ pass }) => pass)
  const passes = [...changes].map(
    ([pass, list]) => `${pass} ${list.reduce((sum, { changes: count }) => sum + count, 0)}`,
  )
  const rows: readonly (readonly [string, string])[] = [
    ['Source', `${report.source.name}, SHA-256 ${report.source.digest}`],
    [
      'Measured on',
      `${report.machine.cpu}, one thread, ONNX Runtime at level "all", in turns with the original`,
    ],
    ['Asked for', `${report.precision}, losing at most ${report.maxDrop}`],
    [
      'Fusion',
      report.fusionChecked
        ? `checked: ${report.unfused.length} products stayed float`
        : 'not checked: what was chosen is float, or for another kind of machine',
    ],
    ['Calibrated with', `${report.calibrationSamples} images`],
    ['Passes that changed something', passes.join(', ') || 'none'],
  ]
  return `<h2>How it was made</h2><dl class="facts">${rows.map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`).join('')}</dl>`
}

const number = (value: number | null | undefined, digits: number): string =>
  value === null || value === undefined ? '–' : value.toFixed(digits)
const times = (ratio: number | null | undefined): string =>
  ratio === null || ratio === undefined ? '–' : `${ratio.toFixed(2)}×`
const megabytes = (bytes: number | null | undefined): string =>
  bytes === null || bytes === undefined ? '–' : `${(bytes / 1e6).toFixed(2)} MB`
