/**
 * The only file that knows uPlot: lines over time or over steps, with cursors that move together. Over time it leaves a
 * gap where there are no figures; over steps every line has its own, and joins them.
 */
import { useComputedColorScheme } from '@mantine/core'
import { useEffect, useEffectEvent, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { sayClock, sayCount } from '../shell/say.ts'
import classes from './chart.module.css'

export type Line = {
  readonly name: string
  /** One value per moment; null where nothing was measured. */
  readonly values: readonly (number | null)[]
  readonly dashed?: boolean
}

/** Told apart on white and on the dark surface; the ninth line begins again. */
const lineColours = {
  light: ['#0b7a75', '#1c62b9', '#8a5a00', '#6b3fb5', '#c0272d', '#1f7a3d', '#a3357a', '#5a6466'],
  dark: ['#4fc7be', '#7ab5ff', '#f0b84a', '#b99bff', '#ff7b7b', '#5fcf86', '#e68ac0', '#a3adb0'],
} as const

const heightPx = 148

/** Few figures show as dots too: one that stands alone would otherwise be no line at all. */
const isSparse = (plot: uPlot): boolean => plot.data[0].length < 60

/** Times as everywhere else: 24 hours, in the viewer's zone; a new day by its date. */
const sayTicks = (_: uPlot, ticks: number[]): string[] =>
  ticks.map((tick) => {
    const at = new Date(tick * 1000)
    const midnight = at.getHours() + at.getMinutes() === 0
    return midnight
      ? at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })
      : sayClock(tick * 1000)
  })

const saySteps = (_: uPlot, ticks: number[]): string[] =>
  ticks.map((tick) => (Number.isInteger(tick) ? sayCount(tick) : ''))

/** The line's figure there, or its last one before. */
const valueAt = (line: Line, index: number): number | null =>
  line.values.slice(0, index + 1).findLast((value) => value !== null) ?? null

export function Chart(props: {
  title: string
  /** Unix seconds, or steps; rising, shared by all lines. */
  at: readonly number[]
  lines: readonly Line[]
  /** How a value is said, with its unit. */
  say: (value: number) => string
  /** Charts with the same key show the same moment under the cursor. */
  syncKey: string
  /** Unix seconds or steps that the chart spans, whether there are figures or not. */
  from: number
  to: number
  across?: 'time' | 'steps'
  /** A stretch was chosen with the mouse. */
  onSpan?: (from: number, to: number) => void
}) {
  const { title, at, lines, say, syncKey, from, to, across = 'time' } = props
  const overTime = across === 'time'
  const chosen = useEffectEvent((u: uPlot) => {
    const { left, width } = u.select
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
    if (width > 4) props.onSpan?.(u.posToVal(left, 'x'), u.posToVal(left + width, 'x'))
  })
  const scheme = useComputedColorScheme('light')
  const colours = lineColours[scheme]
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(null)
  const [pointed, setPointed] = useState<number | null>(null)
  const shape = lines.map((line) => `${line.name}${line.dashed}`).join('|')

  // biome-ignore lint/correctness/useExhaustiveDependencies: drawn anew for another shape or scheme; data and range follow below
  useEffect(() => {
    const element = place.current
    if (!element) return
    const style = getComputedStyle(document.documentElement)
    const dimmed = style.getPropertyValue('--el-dimmed')
    const grid = { stroke: style.getPropertyValue('--el-border'), width: 1 }
    const axis = {
      stroke: dimmed,
      grid,
      ticks: { show: false },
      font: '11px system-ui, sans-serif',
    }
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: heightPx,
        legend: { show: false },
        cursor: {
          sync: { key: syncKey },
          points: { size: 6 },
          drag: { x: !overTime, y: false, setScale: false },
        },
        scales: {
          x: { time: overTime },
          y: overTime ? { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } : {},
        },
        axes: [
          { ...axis, size: 32, gap: 10, space: 72, values: overTime ? sayTicks : saySteps },
          { ...axis, size: 64, values: (_, ticks) => ticks.map(say) },
        ],
        series: [
          {},
          ...lines.map((line, index) => ({
            stroke: colours[index % colours.length] ?? dimmed,
            width: 1.5,
            spanGaps: !overTime,
            points: { show: isSparse, size: 4 },
            ...(line.dashed ? { dash: [5, 4] } : {}),
          })),
        ],
        hooks: {
          setCursor: [(u) => setPointed(u.cursor.idx ?? null)],
          setSelect: [(u) => chosen(u)],
        },
      },
      [[], ...lines.map(() => [])],
      element,
    )
    plot.current = made
    const watcher = new ResizeObserver(() =>
      made.setSize({ width: element.clientWidth, height: heightPx }),
    )
    watcher.observe(element)
    return () => {
      watcher.disconnect()
      made.destroy()
    }
  }, [shape, scheme, syncKey, overTime])

  // biome-ignore lint/correctness/useExhaustiveDependencies: a plot made anew starts empty
  useEffect(() => {
    plot.current?.setData([[...at], ...lines.map((line) => [...line.values])], false)
    plot.current?.setScale('x', { min: from, max: to })
  }, [at, lines, from, to, shape, scheme, syncKey, overTime])

  const index = pointed ?? at.length - 1
  return (
    <figure className={classes.chart}>
      <figcaption className={classes.head}>
        <span className={classes.title}>{title}</span>
        <ul className={classes.legend}>
          {lines.map((line, n) => {
            const value = overTime ? line.values[index] : valueAt(line, index)
            return (
              <li key={line.name}>
                <span
                  className={classes.stroke}
                  data-dashed={line.dashed}
                  style={{ borderColor: colours[n % colours.length] }}
                />
                <bdi>{line.name}</bdi>{' '}
                <b>{value === null || value === undefined ? '–' : say(value)}</b>
              </li>
            )
          })}
        </ul>
      </figcaption>
      <div ref={place} className={classes.plot} aria-hidden />
    </figure>
  )
}
