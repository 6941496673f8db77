/** A search as pieces of a page: the table of its trials, and one line per trial over all keys. */
import { type FigureName, figures as figureFacts } from '../../evaluate/figures.ts'
import { page, plot, table } from '../../report/html.ts'
import { element, escaped, line, picture, text } from '../../report/svg.ts'
import { type EndedTrial, ranked } from './plan-trials.ts'

const trialsShown = 200

/** The page of a search. @param best where the best trial's own page lies, relative to this one */
export function trialsPage(
  trials: readonly EndedTrial[],
  metric: FigureName,
  best: string,
): string {
  const [first] = ranked(trials, metric)
  const { title, decimals } = figureFacts[metric]
  const value = first?.value?.toFixed(decimals) ?? '–'
  return page(
    'Search',
    `<header>
<h1>Search</h1>
<p>${trials.length} trials, judged by ${escaped(title)} of the validation samples. <a href="${escaped(best)}">The best</a> has <strong>${value}</strong>.</p>
</header>
${trialsSection(trials, metric)}`,
  )
}

/** HTML for a run's page. */
export function trialsSection(trials: readonly EndedTrial[], metric: FigureName): string {
  const order = ranked(trials, metric)
  const keys = [...new Set(order.flatMap(({ settings }) => Object.keys(settings)))].sort()
  const { title, decimals } = figureFacts[metric]
  const rows = order
    .slice(0, trialsShown)
    .map(({ id, settings, share, value, seconds, failure }) => [
      id,
      ...keys.map((key) => String(settings[key] ?? '–')),
      share.toFixed(2),
      failure ? `failed: ${failure}` : (value?.toFixed(decimals) ?? 'no number'),
      seconds.toFixed(0),
    ])
  const rest =
    order.length > trialsShown
      ? `<p>And ${order.length - trialsShown} more in trials.json.</p>`
      : ''
  return `<h2>Trials</h2>
<div class="plots">${plot('Settings and outcome', parallelCoordinates(order, metric), 'One line per trial; strong: the best.')}</div>
${table('Trials', ['Trial', ...keys, 'of the epochs', title, 's'], rows)}${rest}`
}

const axisWidth = 110
const [top, bottom] = [22, 22]
const height = 260

/** One line per trial, from axis to axis: each key, then what came out. Empty where no trial succeeded. */
export function parallelCoordinates(trials: readonly EndedTrial[], metric: FigureName): string {
  const known = ranked(trials, metric).filter(({ value }) => value !== null)
  if (known.length === 0) return ''
  const keys = [...new Set(known.flatMap(({ settings }) => Object.keys(settings)))].sort()
  const axes = [
    ...keys.map((key) =>
      axisOf(
        key,
        known.map(({ settings }) => settings[key] ?? null),
      ),
    ),
    axisOf(
      metric,
      known.map(({ value }) => value),
    ),
  ]
  const width = Math.max(360, axisWidth * axes.length)
  const xOf = (at: number) => 40 + (at * (width - 100)) / Math.max(1, axes.length - 1)
  const drawn = axes.map(({ name, marks }, at) => {
    const x = xOf(at)
    return (
      line(x, top, x, height - bottom, 'grid') +
      text(cut(name), x, 12, { 'text-anchor': 'middle', class: 'strong' }) +
      marks
        .map(({ label, place }) => text(cut(label), x + 4, yOf(place) + 3, { class: 'axis' }))
        .join('')
    )
  })
  // The best is drawn last, above the others.
  const lines = known.toReversed().map((trial, index) => {
    const isBest = index === known.length - 1
    const places = axes.map(({ placeOf }, at) => {
      const value = at < keys.length ? (trial.settings[keys[at]!] ?? null) : trial.value
      return `${xOf(at).toFixed(1)},${yOf(placeOf(value)).toFixed(1)}`
    })
    return element(
      'polyline',
      { points: places.join(' '), class: isBest ? 'trial best' : 'trial' },
      `<title>${escaped(`${trial.id}: ${metric} ${trial.value}`)}</title>`,
    )
  })
  const best = known[0]!
  const settings = keys.map((key) => `${key} ${best.settings[key]}`).join(', ')
  const says = `${known.length} trials over ${keys.join(', ')}; the best has ${metric} ${best.value?.toFixed(4)} with ${settings}`
  return picture(width, height, says, drawn.join('') + lines.join(''))
}

const yOf = (place: number): number => height - bottom - place * (height - top - bottom)

type Value = string | number | boolean | null
type Axis = {
  readonly name: string
  readonly marks: readonly { readonly label: string; readonly place: number }[]
  /** 0 at the foot, 1 at the head. */
  readonly placeOf: (value: Value) => number
}

function axisOf(name: string, values: readonly Value[]): Axis {
  const numbers = values.filter((value) => typeof value === 'number')
  if (numbers.length < values.length) {
    const kinds = [...new Set(values.map(String))].sort()
    const place = (label: string) =>
      kinds.length > 1 ? kinds.indexOf(label) / (kinds.length - 1) : 0.5
    return {
      name,
      marks: kinds.map((label) => ({ label, place: place(label) })),
      placeOf: (value) => place(String(value)),
    }
  }
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)]
  // What spans more than two powers of ten was searched by powers of ten.
  const isLog = low > 0 && high / low > 100
  const scaled = (value: number) => (isLog ? Math.log10(value) : value)
  const placeOf = (value: Value) =>
    high > low ? (scaled(Number(value)) - scaled(low)) / (scaled(high) - scaled(low)) : 0.5
  const ends = high > low ? [low, high] : [low]
  return {
    name,
    marks: ends.map((end) => ({ label: String(Number(end.toPrecision(4))), place: placeOf(end) })),
    placeOf,
  }
}

const cut = (label: string): string => (label.length > 18 ? `…${label.slice(-17)}` : label)
