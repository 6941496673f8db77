/** All trials of a search at once: a line each, from axis to axis; strong: the best. */
import type { SearchTrial } from '@edgeloop/protocol'
import { Scroller } from '../shell/scroller.tsx'
import classes from './runs.module.css'
import { placeTrials } from './trial-axes.ts'

/** Pixels. */
const [axisGap, height, top, bottom, left, right] = [130, 280, 28, 12, 16, 90]
const nameCharactersMax = 18

export function TrialPlot(props: {
  trials: readonly SearchTrial[]
  metric: string
  best: string | undefined
}) {
  const plot = placeTrials(props.trials, props.metric, props.best)
  if (!plot) return null
  const { axes, lines } = plot
  const width = Math.max(360, left + right + axisGap * (axes.length - 1))
  const xOf = (at: number) => left + (at * (width - left - right)) / Math.max(1, axes.length - 1)
  const yOf = (place: number) => height - bottom - place * (height - top - bottom)
  const best = lines.at(-1)
  return (
    <Scroller label="Plot of the trials">
      <svg
        className={classes.trials}
        style={{ width }}
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={`${lines.length} trials over ${axes.map(({ name }) => name).join(', ')}. ${best?.best ? `The best is ${best.says}` : ''}`}
      >
        {axes.map(({ name, marks }, at) => (
          <g key={name}>
            <line x1={xOf(at)} x2={xOf(at)} y1={top} y2={height - bottom} />
            <text
              className={classes.axisName}
              x={xOf(at)}
              y={14}
              textAnchor={at === 0 ? 'start' : 'middle'}
            >
              <title>{name}</title>
              {cut(name)}
            </text>
            {marks.map(({ text, place }) => (
              <text key={text} x={xOf(at) + 5} y={yOf(place) + 4}>
                {cut(text)}
              </text>
            ))}
          </g>
        ))}
        {lines.map(({ trial, places, best, says }) => (
          <polyline
            key={trial}
            data-best={best}
            points={places.map((place, at) => `${xOf(at)},${yOf(place)}`).join(' ')}
          >
            <title>{says}</title>
          </polyline>
        ))}
      </svg>
    </Scroller>
  )
}

const cut = (text: string): string =>
  text.length > nameCharactersMax ? `…${text.slice(1 - nameCharactersMax)}` : text
