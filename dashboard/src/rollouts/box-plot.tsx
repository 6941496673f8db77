/** One figure of every box that has it, with the limit of the gate: a dot a box, each leads to the box. */
import { Link } from '@tanstack/react-router'
import { placeBoxes, plotSize } from './box-places.ts'
import { sayBoxes } from './rollout-words.ts'
import classes from './rollouts.module.css'

export function BoxPlot(props: {
  title: string
  boxes: readonly { readonly deviceId: string; readonly value: number }[]
  limit: number
  /** Beyond the limit is bad: above it, or below. */
  bad: 'above' | 'below'
  whole?: readonly [number, number]
  say: (value: number) => string
}) {
  const { title, boxes, limit, bad, say } = props
  if (boxes.length === 0) return null
  const { places, xOf, ticks } = placeBoxes(boxes, limit, props.whole)
  const { width, height, bottom } = plotSize
  const isBad = (value: number) => (bad === 'above' ? value > limit : value < limit)
  const beyond = places.filter(({ value }) => isBad(value))
  const [least, most] = [places[0], places.at(-1)]
  const said = `${title} of ${sayBoxes(places.length)}: from ${say(least?.value ?? 0)} to ${say(most?.value ?? 0)}; ${beyond.length} beyond the limit of ${say(limit)}`
  return (
    <figure className={classes.plot}>
      <figcaption>
        {title}{' '}
        <span className="dim">
          {sayBoxes(places.length)}, {beyond.length} beyond {say(limit)}
        </span>
      </figcaption>
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={said}>
        {ticks.map((tick) => (
          <g key={tick}>
            <line
              className={classes.grid}
              x1={xOf(tick)}
              x2={xOf(tick)}
              y1={0}
              y2={height - bottom}
            />
            <text x={xOf(tick)} y={height - 10} textAnchor="middle">
              {say(tick)}
            </text>
          </g>
        ))}
        <line
          className={classes.limit}
          x1={xOf(limit)}
          x2={xOf(limit)}
          y1={0}
          y2={height - bottom}
        />
        {places.map(({ deviceId, value, x, y }) => (
          <circle
            key={deviceId}
            className={classes.dot}
            data-bad={isBad(value)}
            cx={x}
            cy={y}
            r={3.5}
          >
            <title>
              {deviceId}: {say(value)}
            </title>
          </circle>
        ))}
      </svg>
      {beyond.length > 0 && (
        <p className={classes.beyond}>
          Beyond it:{' '}
          {beyond.slice(0, 8).map(({ deviceId, value }) => (
            <Link key={deviceId} to="/devices/$deviceId/models" params={{ deviceId }}>
              {deviceId} {say(value)}
            </Link>
          ))}
          {beyond.length > 8 && <span className="dim">and {beyond.length - 8} more</span>}
        </p>
      )}
    </figure>
  )
}
