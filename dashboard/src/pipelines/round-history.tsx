/** The rounds of a pipeline: the figure that decides and the labels that each had, drawn and in a table. */
import type { PipelineRound } from '@edgeloop/protocol'
import { Table } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { FramedTable } from '../shell/framed-table.tsx'
import { Ago } from '../shell/now.tsx'
import { sayCount } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { sayFigure, sayRound } from './pipeline-words.ts'
import classes from './pipelines.module.css'

const columns = [
  { word: 'Round', right: true },
  'State',
  'Begun by',
  { word: 'Labels', right: true },
  'Version',
  { word: 'Before', right: true },
  { word: 'After', right: true },
  'Begun',
] as const

/** @param rounds newest first */
export function RoundHistory(props: {
  model: string
  rounds: readonly PipelineRound[]
  chosen: number
}) {
  const { model, rounds, chosen } = props
  return (
    <section className={classes.section} aria-labelledby="rounds">
      <h2 id="rounds">Rounds</h2>
      <Plot rounds={rounds.toReversed()} />
      <FramedTable label="Rounds" columns={columns} width="full">
        {rounds.map((round) => {
          const { kind, word } = sayRound(round)
          return (
            <Table.Tr key={round.round} data-chosen={round.round === chosen}>
              <Table.Td ta="right">
                <Link
                  to="/pipelines/$model"
                  params={{ model }}
                  search={{ round: round.round }}
                  aria-current={round.round === chosen ? 'true' : undefined}
                >
                  {round.round}
                </Link>
              </Table.Td>
              <Table.Td className={classes.why ?? ''}>
                <Status kind={kind} word={word} />
                {round.why && <div className="dim">{round.why}</div>}
              </Table.Td>
              <Table.Td className={classes.name ?? ''}>{round.cause.text}</Table.Td>
              <Table.Td ta="right">{sayCount(round.annotations)}</Table.Td>
              <Table.Td>
                {round.version === null ? (
                  '–'
                ) : (
                  <Link
                    to="/models/$name/$version"
                    params={{ name: model, version: `${round.version}` }}
                  >
                    {model}/{round.version}
                  </Link>
                )}
              </Table.Td>
              <Table.Td ta="right">{sayFigure(round.key?.before)}</Table.Td>
              <Table.Td ta="right">{sayFigure(round.key?.after)}</Table.Td>
              <Table.Td>
                <Ago at={round.startedAt} />
              </Table.Td>
            </Table.Tr>
          )
        })}
      </FramedTable>
    </section>
  )
}

const width = 640
const height = 160
const bottom = 28
const left = 44

/** Points: the figure before and after each round, on the same test samples. Bars: labels that were new to it. */
function Plot({ rounds }: { rounds: readonly PipelineRound[] }) {
  const known = rounds.flatMap((round) => (round.key ? [{ ...round, key: round.key }] : []))
  if (known.length < 2) return null
  const values = known.flatMap(({ key }) => [
    key.after,
    ...(key.before === null ? [] : [key.before]),
  ])
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const span = high - low || 1
  const labelsMax = Math.max(1, ...known.map(({ annotations }) => annotations))
  const plot = height - bottom
  const xOf = (at: number) => left + ((at + 0.5) * (width - left)) / known.length
  const yOf = (value: number) => 12 + (1 - (value - low) / span) * (plot - 24)
  const name = known.at(-1)?.key.name ?? ''
  const said = `${name} over ${known.length} rounds, from ${sayFigure(known[0]?.key.after)} to ${sayFigure(known.at(-1)?.key.after)}`
  const line = known.map(({ key }, at) => `${at === 0 ? 'M' : 'L'}${xOf(at)} ${yOf(key.after)}`)
  return (
    <figure className={classes.plot}>
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={said}>
        {[low, high].map((value) => (
          <text key={value} x={left - 6} y={yOf(value) + 4} textAnchor="end">
            {sayFigure(value)}
          </text>
        ))}
        {known.map(({ round, annotations }, at) => {
          const tall = (annotations / labelsMax) * (plot - 24)
          return (
            <rect key={round} x={xOf(at) - 8} y={plot - tall} width={16} height={tall}>
              <title>{`Round ${round}: ${annotations} new labels`}</title>
            </rect>
          )
        })}
        <path d={line.join(' ')} />
        {known.map(({ round, key, state }, at) => (
          <g key={round}>
            {key.before !== null && (
              <circle data-part="before" cx={xOf(at)} cy={yOf(key.before)} r={3.5}>
                <title>{`Round ${round}, before: ${sayFigure(key.before)}`}</title>
              </circle>
            )}
            <circle data-part="after" data-state={state} cx={xOf(at)} cy={yOf(key.after)} r={4}>
              <title>{`Round ${round}, after: ${sayFigure(key.after)}`}</title>
            </circle>
            <text x={xOf(at)} y={height - 8} textAnchor="middle">
              {round}
            </text>
          </g>
        ))}
      </svg>
      <figcaption className="dim">
        {name} on the test samples of each round: hollow the champion before, filled the new
        version; bars are labels that were new
      </figcaption>
    </figure>
  )
}
