/** Plots of training and evaluation, as inline SVG that takes its colours from the page and says in words what it shows. */
import type { ReliabilityBin } from '../evaluate/calibration.ts'
import { element, escaped, line, picture, text, ticks } from './svg.ts'

const width = 360

export type Series = {
  readonly name: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

export type ChartOptions = {
  readonly title: string
  readonly xTitle: string
  /** Ends of the axes; what is left out is taken from the points. */
  readonly x?: readonly [number, number]
  readonly y?: readonly [number, number]
  /** Dashed from corner to corner: what chance gives, or what is perfect. */
  readonly diagonal?: boolean
  /** Powers of ten go up in equal steps; what is not above 0 is left out. */
  readonly isLogarithmic?: boolean
}

/** Drawings tell ten lines apart. */
const seriesMax = 10

/** Lines over one axis: curves of a run, ROC, precision over recall. Empty where there is nothing to draw. */
export function lineChart(all: readonly Series[], options: ChartOptions): string {
  const { isLogarithmic = false } = options
  const toValue = (y: number) => (isLogarithmic ? Math.log10(y) : y)
  const drawable = all
    .slice(0, seriesMax)
    .map(({ name, points }) => ({
      name,
      points: points
        .map(({ x, y }) => ({ x, y: toValue(y) }))
        .filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)),
    }))
    .filter(({ points }) => points.length > 0)
  if (drawable.length === 0) return ''
  const legend = drawable.length > 1 ? 14 * Math.ceil(drawable.length / 2) : 0
  const height = 230 + legend
  const [left, right, top, bottom] = [48, 12, 10, 34 + legend]
  const [x0, x1] = options.x ?? range(drawable.flatMap(({ points }) => points.map(({ x }) => x)))
  const [y0, y1] = options.y ?? range(drawable.flatMap(({ points }) => points.map(({ y }) => y)))
  const toX = scale(x0, x1, left, width - right)
  const toY = scale(y0, y1, height - bottom, top)
  const inside = [
    ...axes(
      { x: ticks(x0, x1), y: ticks(y0, y1), toX, toY, left, right, top, bottom, height },
      (y) => (isLogarithmic ? shown(10 ** y) : shown(y)),
    ),
    options.diagonal ? line(toX(x0), toY(y0), toX(x1), toY(y1), 'limit') : '',
    ...drawable.map(({ name, points }, at) =>
      element(
        'polyline',
        {
          points: points.map(({ x, y }) => `${one(toX(x))},${one(toY(y))}`).join(' '),
          class: `series series${at}`,
        },
        `<title>${escaped(name)}</title>`,
      ),
    ),
    text(options.xTitle, (left + width - right) / 2, height - legend - 6, {
      'text-anchor': 'middle',
      class: 'axis',
    }),
    ...(legend > 0 ? drawable.map(({ name }, at) => key(name, at, height - legend)) : []),
  ]
  const ends = drawable.map(({ name, points }) => {
    const last = points.at(-1)!
    return `${name} ends at ${shown(isLogarithmic ? 10 ** last.y : last.y)}`
  })
  return picture(width, height, `${options.title}: ${ends.join(', ')}`, inside.join(''))
}

function key(name: string, at: number, top: number): string {
  const x = at % 2 === 0 ? 12 : 12 + width / 2
  const y = top + 10 + 14 * Math.floor(at / 2)
  return line(x, y - 3, x + 18, y - 3, `series series${at}`) + text(cut(name, 24), x + 23, y, {})
}

type Axes = {
  readonly x: readonly number[]
  readonly y: readonly number[]
  readonly toX: (value: number) => number
  readonly toY: (value: number) => number
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
  readonly height: number
}

function axes(
  { x, y, toX, toY, left, right, top, bottom, height }: Axes,
  showY: (value: number) => string,
): string[] {
  return [
    ...x.map(
      (tick) =>
        line(toX(tick), top, toX(tick), height - bottom, 'grid') +
        text(shown(tick), toX(tick), height - bottom + 13, { 'text-anchor': 'middle' }),
    ),
    ...y.map(
      (tick) =>
        line(left, toY(tick), width - right, toY(tick), 'grid') +
        text(showY(tick), left - 5, toY(tick) + 3, { 'text-anchor': 'end' }),
    ),
  ]
}

/** Beyond this many labels cells cannot be read. */
const matrixLabelsMax = 30
/** Up to this many labels each cell has its number. */
const matrixNumbersMax = 14

/** Rows are what is there, columns what was said; a cell is as strong as its share of the row. Empty for too many labels. */
export function confusionMatrix(
  names: readonly string[],
  counts: readonly (readonly number[])[],
): string {
  const size = names.length
  if (size === 0 || size > matrixLabelsMax) return ''
  const [left, top] = [84, 8]
  const each = (width - left - 8) / size
  const cells = counts.flatMap((row, truth) => {
    const total = row.reduce((sum, count) => sum + count, 0)
    return row.map((count, said) => {
      const share = total > 0 ? count / total : 0
      const [x, y] = [left + said * each, top + truth * each]
      const title = `<title>${escaped(names[truth]!)}, said ${escaped(names[said]!)}: ${count}</title>`
      const rect = element(
        'rect',
        {
          x: x + 0.5,
          y: y + 0.5,
          width: each - 1,
          height: each - 1,
          opacity: share,
          class: truth === said ? 'cell' : 'cell wrong',
        },
        title,
      )
      const number =
        size <= matrixNumbersMax && count > 0
          ? text(brief(count), x + each / 2, y + each / 2 + 3, {
              'text-anchor': 'middle',
              class: share > 0.5 ? 'on' : '',
            })
          : ''
      return rect + number
    })
  })
  const letters = Math.max(1, Math.floor(each / 6))
  const heads = names.map((name, at) => {
    const middle = at * each + each / 2
    return (
      text(cut(name, 13), left - 5, top + middle + 3, { 'text-anchor': 'end' }) +
      text(cut(name, letters), left + middle, top + size * each + 12, { 'text-anchor': 'middle' })
    )
  })
  const frame = element('rect', {
    x: left,
    y: top,
    width: size * each,
    height: size * each,
    class: 'grid',
    fill: 'none',
  })
  const right = counts.reduce((sum, row, at) => sum + (row[at] ?? 0), 0)
  const all = counts.reduce((sum, row) => row.reduce((total, count) => total + count, sum), 0)
  const axis = text('said', left + (size * each) / 2, top + size * each + 26, {
    'text-anchor': 'middle',
    class: 'axis',
  })
  const says = `Confusion of ${size} labels: ${right} of ${all} on the diagonal`
  return picture(
    width,
    top + size * each + 32,
    says,
    frame + cells.join('') + heads.join('') + axis,
  )
}

/** Accuracy of the answers of each confidence; on the dashed line a model is as right as it is sure. */
export function reliabilityDiagram(bins: readonly ReliabilityBin[]): string {
  const used = bins.filter(({ count }) => count > 0)
  if (used.length === 0) return ''
  const height = 250
  const [left, right, top, bottom] = [48, 12, 10, 34]
  const toX = scale(0, 1, left, width - right)
  const toY = scale(0, 1, height - bottom, top)
  const most = Math.max(...used.map(({ count }) => count))
  const inside = [
    ...axes({ x: ticks(0, 1), y: ticks(0, 1), toX, toY, left, right, top, bottom, height }, shown),
    ...used.map(({ from, to, accuracy, confidence, count }) => {
      const [x, wide] = [toX(from) + 1, toX(to) - toX(from) - 2]
      const bar = element(
        'rect',
        {
          x,
          y: toY(accuracy),
          width: wide,
          height: toY(0) - toY(accuracy),
          class: 'after',
          // Bins that hold little say little.
          opacity: 0.35 + 0.65 * Math.sqrt(count / most),
        },
        `<title>${count} answers, ${percent(confidence)} sure, ${percent(accuracy)} right</title>`,
      )
      const [upper, lower] = [Math.max(accuracy, confidence), Math.min(accuracy, confidence)]
      const gap = element('rect', {
        x,
        y: toY(upper),
        width: wide,
        height: toY(lower) - toY(upper),
        class: 'gap',
      })
      return bar + gap
    }),
    line(toX(0), toY(0), toX(1), toY(1), 'limit'),
    text('confidence', (left + width - right) / 2, height - 6, {
      'text-anchor': 'middle',
      class: 'axis',
    }),
  ]
  const says = `Reliability: ${used.map(({ confidence, accuracy }) => `${percent(confidence)} sure, ${percent(accuracy)} right`).join('; ')}`
  return picture(width, height, says, inside.join(''))
}

/** What was said over what is; on the dashed line both are the same. */
export function scatterPlot(
  pairs: readonly (readonly [truth: number, said: number])[],
  what = 'truth',
): string {
  const known = pairs.filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b))
  if (known.length === 0) return ''
  const height = 250
  const [left, right, top, bottom] = [48, 12, 10, 34]
  const [low, high] = range(known.flat())
  const toX = scale(low, high, left, width - right)
  const toY = scale(low, high, height - bottom, top)
  const marks = ticks(low, high)
  const inside = [
    ...axes({ x: marks, y: marks, toX, toY, left, right, top, bottom, height }, shown),
    line(toX(low), toY(low), toX(high), toY(high), 'limit'),
    ...known.map(([truth, said]) =>
      element('circle', { cx: toX(truth), cy: toY(said), r: 2.5, class: 'dot' }),
    ),
    text(what, (left + width - right) / 2, height - 6, { 'text-anchor': 'middle', class: 'axis' }),
  ]
  return picture(width, height, `Said over true values of ${known.length} numbers`, inside.join(''))
}

/** How often values fall between equal bounds. */
export function histogram(values: readonly number[], what: string, bins = 24): string {
  const known = values.filter((value) => Number.isFinite(value))
  if (known.length === 0) return ''
  const [low, high] = [least(known), greatest(known)]
  const span = high - low || 1
  const counts = new Array<number>(bins).fill(0)
  for (const value of known) {
    counts[Math.min(bins - 1, Math.floor(((value - low) / span) * bins))]! += 1
  }
  const height = 190
  const [left, right, top, bottom] = [40, 10, 10, 34]
  const toX = scale(low, low + span, left, width - right)
  const most = Math.max(...counts)
  const toY = scale(0, most, height - bottom, top)
  const each = (width - left - right) / bins
  const inside = [
    ...axes(
      {
        x: ticks(low, low + span),
        y: ticks(0, most, 4),
        toX,
        toY,
        left,
        right,
        top,
        bottom,
        height,
      },
      shown,
    ),
    ...counts.map((count, at) =>
      element(
        'rect',
        {
          x: left + at * each + 0.5,
          y: toY(count),
          width: Math.max(0.5, each - 1),
          height: height - bottom - toY(count),
          class: 'after',
        },
        `<title>${count}</title>`,
      ),
    ),
    text(what, (left + width - right) / 2, height - 6, { 'text-anchor': 'middle', class: 'axis' }),
  ]
  const says = `${what} of ${known.length}: from ${shown(low)} to ${shown(high)}`
  return picture(width, height, says, inside.join(''))
}

const percent = (share: number): string => `${(share * 100).toFixed(0)} %`
const one = (value: number): number => Math.round(value * 10) / 10
const cut = (label: string, most: number): string =>
  label.length > most ? `${label.slice(0, Math.max(1, most - 1))}…` : label

/** At most about five characters. */
const brief = (count: number): string =>
  count < 10_000 ? String(count) : `${(count / 1000).toFixed(count < 100_000 ? 1 : 0)}k`

/** A number as an axis shows it. */
function shown(value: number): string {
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size >= 1e6 || size < 1e-3) return value.toExponential(1).replace('e+', 'e')
  if (size >= 10_000) return `${Number((value / 1000).toPrecision(3))}k`
  return String(Number(value.toPrecision(3)))
}

// Spread into Math.min, a hundred thousand points overflow the stack.
const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b))
const greatest = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b))

function range(values: readonly number[]): readonly [number, number] {
  const [low, high] = [least(values), greatest(values)]
  const room = (high - low || Math.abs(high) || 1) * 0.04
  return [low - room, high + room]
}

const scale =
  (from: number, to: number, start: number, end: number) =>
  (value: number): number =>
    start + ((value - from) / (to - from || 1)) * (end - start)
