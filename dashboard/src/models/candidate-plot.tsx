/** Accuracy against speed of the candidates of one compilation: up and to the right is better. */
import type { Candidate } from '@edgeloop/protocol'
import { type Placed, placeCandidates, plotSize } from './candidate-places.ts'
import classes from './models.module.css'

export function CandidatePlot(props: { candidates: readonly Candidate[]; chosen: string }) {
  const plot = placeCandidates(props.candidates)
  if (!plot) return null
  const { width, height, left, bottom } = plotSize
  const sayOne = ({ candidate }: Placed) =>
    `${candidate.name}: ${candidate.latencyRatio?.toFixed(2)}×, ${plot.metric} ${candidate.metric?.value.toFixed(3)}`
  return (
    <svg
      className={classes.plot}
      viewBox={`0 0 ${width} ${height}`}
      role="img"
      aria-label={`Accuracy against speed. ${plot.places.map(sayOne).join('; ')}`}
    >
      {plot.rows.map(({ at, text }) => (
        <g key={text}>
          <line className={classes.grid} x1={left} x2={width} y1={at} y2={at} />
          <text x={left - 6} y={at + 4} textAnchor="end">
            {text}
          </text>
        </g>
      ))}
      {plot.columns.map(({ at, text }) => (
        <g key={text}>
          <line className={classes.grid} x1={at} x2={at} y1={0} y2={height - bottom} />
          <text x={at} y={height - bottom + 16} textAnchor="middle">
            {text}
          </text>
        </g>
      ))}
      <text x={width} y={height - 4} textAnchor="end">
        times as fast as the original
      </text>
      {plot.places.map((place) => (
        <g
          key={place.candidate.name}
          className={classes.point}
          data-chosen={place.candidate.name === props.chosen}
        >
          <title>{sayOne(place)}</title>
          <circle cx={place.x} cy={place.y} r={place.candidate.name === props.chosen ? 6 : 4} />
          <text x={place.x} y={place.labelY} textAnchor={place.anchor}>
            {place.candidate.name}
          </text>
        </g>
      ))}
    </svg>
  )
}
