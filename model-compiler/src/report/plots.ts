/** The plots of a report, as inline SVG that takes its colours from the page. */
import type { OperatorTime } from '../benchmark/profile.ts'
import type { CandidateResult, TensorError } from '../compile/compile-report.ts'
import { type Metric, metrics } from '../evaluate/metric.ts'
import { element, escaped, line, picture, text, ticks } from './svg.ts'

const width = 360

/** Accuracy over speed: right is faster, up is better; what lies left of 1 or below the limit is not shipped. */
export function accuracyAgainstSpeed(
  candidates: readonly CandidateResult[],
  metric: Metric,
  maxDrop: number,
): string {
  const points = candidates.flatMap((one) => {
    const value = one.metrics[metric]
    return value === undefined || one.latencyRatio === null
      ? []
      : { ...one, x: one.latencyRatio, y: value }
  })
  const before = points.find(({ name }) => name === 'original')?.y ?? 0
  const limit = before - maxDrop
  const height = 260
  const [left, right, top, bottom] = [44, 12, 12, 34]
  const [x0, x1] = padded([...points.map(({ x }) => x), 1], 0.1)
  const [y0, y1] = padded([...points.map(({ y }) => y), limit], maxDrop || 0.01)
  const toX = scale(x0, x1, left, width - right)
  const toY = scale(y0, y1, height - bottom, top)
  const grid = [
    ...ticks(x0, x1).map(
      (tick) =>
        line(toX(tick), top, toX(tick), height - bottom, 'grid') +
        text(`${tick}×`, toX(tick), height - bottom + 14, { 'text-anchor': 'middle' }),
    ),
    ...ticks(y0, y1).map(
      (tick) =>
        line(left, toY(tick), width - right, toY(tick), 'grid') +
        text(String(tick), left - 5, toY(tick) + 3, { 'text-anchor': 'end' }),
    ),
  ]
  // A label stands beside its point, and below the last one where it would cover it.
  const taken: { x: number; y: number; width: number }[] = []
  const marks = points
    .toSorted((a, b) => toY(a.y) - toY(b.y))
    .map((one) => {
      const [x, y] = [toX(one.x), toY(one.y)]
      const long = one.name.length * 6
      const isLeft = x + 8 + long > width
      const from = isLeft ? x - 8 - long : x + 8
      let labelY = y + 4
      while (
        taken.some(
          (other) =>
            Math.abs(other.y - labelY) < 11 &&
            from < other.x + other.width &&
            other.x < from + long,
        )
      ) {
        labelY += 11
      }
      taken.push({ x: from, y: labelY, width: long })
      return (
        element('circle', {
          cx: x,
          cy: y,
          r: one.verdict === 'chosen' ? 6 : 4,
          class: one.verdict,
        }) +
        text(one.name, isLeft ? x - 8 : x + 8, labelY, {
          class: one.verdict === 'chosen' ? 'strong' : '',
          'text-anchor': isLeft ? 'end' : 'start',
        })
      )
    })
  const says = `${metrics[metric]} over speed: ${points.map(({ name, x, y }) => `${name} ${y.toFixed(3)} at ${x.toFixed(2)}×`).join(', ')}`
  return picture(
    width,
    height,
    says,
    [
      ...grid,
      line(toX(1), top, toX(1), height - bottom, 'limit'),
      line(left, toY(limit), width - right, toY(limit), 'limit'),
      ...marks,
      text('times as fast as the original', (left + width) / 2, height - 4, {
        'text-anchor': 'middle',
        class: 'axis',
      }),
    ].join(''),
  )
}

/** Bytes of each candidate. */
export function sizes(candidates: readonly CandidateResult[]): string {
  const rows = candidates.flatMap(({ name, sizeBytes, verdict }) =>
    sizeBytes === null ? [] : { label: name, bars: [{ value: sizeBytes, kind: verdict }] },
  )
  return bars(rows, (value) => `${(value / 1e6).toFixed(value < 1e7 ? 2 : 1)} MB`, 'Size in MB')
}

const operatorsShown = 12

/** Milliseconds of each kind of operator, before above after; longest first. */
export function operatorTimes(
  before: readonly OperatorTime[],
  after: readonly OperatorTime[],
): string {
  const names = [...new Set([...before, ...after].map(({ opType }) => opType))]
  const msOf = (list: readonly OperatorTime[], name: string): number =>
    list.find(({ opType }) => opType === name)?.ms ?? 0
  const rows = names
    .map((label) => ({
      label,
      bars: [
        { value: msOf(before, label), kind: 'before' },
        { value: msOf(after, label), kind: 'after' },
      ],
    }))
    .toSorted((a, b) => longest(b) - longest(a))
    .slice(0, operatorsShown)
  return bars(rows, (value) => (value === 0 ? '–' : `${value.toFixed(2)} ms`), 'Time by operator')
}

type Row = {
  readonly label: string
  readonly bars: readonly { readonly value: number; readonly kind: string }[]
}
const longest = ({ bars: list }: Row): number => Math.max(...list.map(({ value }) => value))

function bars(rows: readonly Row[], show: (value: number) => string, what: string): string {
  const [left, right, barHeight, gap] = [104, 62, 11, 8]
  const most = Math.max(...rows.map(longest), Number.MIN_VALUE)
  let y = 4
  const drawn = rows.map(({ label, bars: list }) => {
    const begin = y
    const parts = list.map(({ value, kind }) => {
      const long = (value / most) * (width - left - right)
      const bar =
        element('rect', { x: left, y, width: Math.max(0, long), height: barHeight, class: kind }) +
        text(show(value), left + Math.max(0, long) + 4, y + barHeight - 2)
      y += barHeight + 1
      return bar
    })
    const middle = (begin + y) / 2 + 3
    y += gap
    return text(cut(label, 17), left - 6, middle, { 'text-anchor': 'end' }) + parts.join('')
  })
  const says = `${what}: ${rows.map(({ label, bars: list }) => `${label} ${list.map(({ value }) => show(value)).join(' then ')}`).join(', ')}`
  return picture(width, y, says, drawn.join(''))
}

/** Signal to noise of each activation, in the order of the graph: where a model loses what it knows. */
export function errorPerTensor(tensors: readonly TensorError[]): string {
  const known = tensors.flatMap(({ name, sqnrDb }) => (sqnrDb === null ? [] : { name, sqnrDb }))
  const height = 200
  const [left, right, top, bottom] = [34, 8, 10, 30]
  const [low, high] = padded([...known.map(({ sqnrDb }) => Math.min(80, sqnrDb)), 0], 5)
  const toX = scale(0, Math.max(1, known.length - 1), left + 4, width - right - 4)
  const toY = scale(low, high, height - bottom, top)
  const inside = [
    ...ticks(low, high).map(
      (tick) =>
        line(left, toY(tick), width - right, toY(tick), 'grid') +
        text(String(tick), left - 5, toY(tick) + 3, { 'text-anchor': 'end' }),
    ),
    ...known.map(({ name, sqnrDb }, at) =>
      element(
        'circle',
        {
          cx: toX(at),
          cy: toY(Math.min(80, sqnrDb)),
          r: 2,
          class: sqnrDb < 20 ? 'refused' : 'passed',
        },
        `<title>${escaped(name)}: ${sqnrDb.toFixed(1)} dB</title>`,
      ),
    ),
    text('activations, from the input to the outputs', (left + width) / 2, height - 8, {
      'text-anchor': 'middle',
      class: 'axis',
    }),
  ]
  const worst = known.toSorted((a, b) => a.sqnrDb - b.sqnrDb)[0]
  const says = `Signal to noise of ${known.length} activations in dB; the least is ${worst ? `${worst.sqnrDb.toFixed(1)} at ${worst.name}` : 'unknown'}`
  return picture(width, height, says, inside.join(''))
}

/** How many activations reach how far from 0, by powers of two: a few that reach far cost all others their steps. */
export function rangeHistogram(tensors: readonly TensorError[]): string {
  const reach = tensors.map(({ min, max }) => Math.max(Math.abs(min), Math.abs(max)))
  const powers = reach.filter((value) => value > 0).map((value) => Math.ceil(Math.log2(value)))
  if (powers.length === 0) return ''
  const [from, to] = [Math.max(-10, Math.min(...powers)), Math.min(16, Math.max(...powers))]
  const counts = Array.from(
    { length: to - from + 1 },
    (_, at) => powers.filter((power) => Math.min(to, Math.max(from, power)) === from + at).length,
  )
  const height = 170
  const [left, right, top, bottom] = [12, 8, 18, 34]
  const each = (width - left - right) / counts.length
  const toY = scale(0, Math.max(...counts), height - bottom, top)
  const inside = counts.map((count, at) => {
    const x = left + at * each
    return (
      element('rect', {
        x: x + 1,
        y: toY(count),
        width: Math.max(1, each - 2),
        height: height - bottom - toY(count),
        class: 'after',
      }) +
      (count > 0
        ? text(String(count), x + each / 2, toY(count) - 4, { 'text-anchor': 'middle' })
        : '') +
      text(powerText(from + at), x + each / 2, height - bottom + 14, { 'text-anchor': 'middle' })
    )
  })
  const axis = text('largest magnitude, up to', (left + width) / 2, height - 4, {
    'text-anchor': 'middle',
    class: 'axis',
  })
  const says = `Largest magnitudes of ${powers.length} activations: ${counts.map((count, at) => `${count} up to ${2 ** (from + at)}`).join(', ')}`
  return picture(width, height, says, inside.join('') + axis)
}

const powerText = (power: number): string => (power < 0 ? `1/${2 ** -power}` : String(2 ** power))

const cut = (label: string, most: number): string =>
  label.length > most ? `${label.slice(0, most - 1)}…` : label

/** From the lowest to the highest with room around them. */
function padded(values: readonly number[], least: number): readonly [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const room = Math.max(least, (high - low) * 0.08)
  return [low - room, high + room]
}

const scale =
  (from: number, to: number, start: number, end: number) =>
  (value: number): number =>
    start + ((value - from) / (to - from || 1)) * (end - start)
