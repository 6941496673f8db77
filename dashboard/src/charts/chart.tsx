/**
 * The only file that knows uPlot: lines over time, with cursors that move together. Where there are
 * no figures it leaves a gap; it never joins what was not measured.
 */
import { useComputedColorScheme } from '@mantine/core'
import { useEffect, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { sayClock } from '../shell/say.ts'
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

export function Chart(props: {
  title: string
  /** Unix seconds, rising; shared by all lines. */
  at: readonly number[]
  lines: readonly Line[]
  /** How a value is said, with its unit. */
  say: (value: number) => string
  /** Charts with the same key show the same moment under the cursor. */
  syncKey: string
  /** Unix seconds the chart spans, whether there are figures or not. */
  from: number
  to: number
}) {
  const { title, at, lines, say, syncKey, from, to } = props
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
        cursor: { sync: { key: syncKey }, points: { size: 6 }, drag: { x: false, y: false } },
        scales: { x: { time: true }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
        axes: [
          { ...axis, size: 32, gap: 10, space: 72, values: sayTicks },
          { ...axis, size: 64, values: (_, ticks) => ticks.map(say) },
        ],
        series: [
          {},
          ...lines.map((line, index) => ({
            stroke: colours[index % colours.length] ?? dimmed,
            width: 1.5,
            spanGaps: false,
            points: { show: isSparse, size: 4 },
            ...(line.dashed ? { dash: [5, 4] } : {}),
          })),
        ],
        hooks: { setCursor: [(u) => setPointed(u.cursor.idx ?? null)] },
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
  }, [shape, scheme, syncKey])

  // biome-ignore lint/correctness/useExhaustiveDependencies: a plot made anew starts empty
  useEffect(() => {
    plot.current?.setData([[...at], ...lines.map((line) => [...line.values])], false)
    plot.current?.setScale('x', { min: from, max: to })
  }, [at, lines, from, to, shape, scheme, syncKey])

  const index = pointed ?? at.length - 1
  return (
    <figure className={classes.chart}>
      <figcaption className={classes.head}>
        <span className={classes.title}>{title}</span>
        <ul className={classes.legend}>
          {lines.map((line, n) => {
            const value = line.values[index]
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
