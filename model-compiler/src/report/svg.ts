/** Drawing as text: what plots are made of. Everything that comes from a model or a person is escaped here. */

/** Text that is safe within HTML and within attributes. */
export const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, (sign) => `&#${sign.codePointAt(0)};`)

type Attributes = Readonly<Record<string, string | number>>

/** One element of SVG; numbers are cut to two digits. */
export function element(name: string, attributes: Attributes, inside = ''): string {
  const list = Object.entries(attributes).map(
    ([key, value]) => ` ${key}="${typeof value === 'number' ? short(value) : escaped(value)}"`,
  )
  return `<${name}${list.join('')}>${inside}</${name}>`
}

export const text = (content: string, x: number, y: number, attributes: Attributes = {}): string =>
  element('text', { x, y, ...attributes }, escaped(content))

export const line = (x1: number, y1: number, x2: number, y2: number, kind: string): string =>
  element('line', { x1, y1, x2, y2, class: kind })

/** A whole picture of `width`×`height` units that says in words what it shows. */
export function picture(width: number, height: number, says: string, inside: string): string {
  return element(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': says },
    inside,
  )
}

/** A number that may not be one does not break a picture: it stands at 0. */
export const short = (value: number): string =>
  Number.isFinite(value) ? String(Math.round(value * 100) / 100) : '0'

/** Round values from `low` to `high`, at most about `count`. */
export function ticks(low: number, high: number, count = 5): number[] {
  const span = high - low
  if (!(span > 0) || !Number.isFinite(span)) return [low]
  const raw = span / count
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw)!
  const first = Math.ceil(low / step - 1e-9)
  const last = Math.floor(high / step + 1e-9)
  return Array.from({ length: last - first + 1 }, (_, at) =>
    Number(((first + at) * step).toPrecision(6)),
  )
}
