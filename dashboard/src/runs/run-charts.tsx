/** Curves of one run or of several: at most six charts until somebody asks for all of them. */
import type { RunCurves } from '@edgeloop/protocol'
import { Button, Skeleton } from '@mantine/core'
import { useQueries } from '@tanstack/react-query'
import { useMemo, useState } from 'react'
import { Chart } from '../charts/chart.tsx'
import { sayCount, sayOf } from '../shell/say.ts'
import { joinCurves } from './join-curves.ts'
import { curvesQuery, type StepRange } from './run-queries.ts'
import { orderCurves, sayCurve, sayFigure } from './run-words.ts'
import classes from './runs.module.css'

const chartsShown = 6

/** A run to draw, and what its line is called. */
export type DrawnRun = { readonly runId: string; readonly name: string }

export function RunCharts(props: {
  runs: readonly DrawnRun[]
  /** Points of a line. */
  points: number
  range: StepRange
  onRange?: (range: StepRange) => void
  /** Where there are no figures. */
  empty: string
}) {
  const { runs, points, range } = props
  const [all, setAll] = useState(false)
  const queries = useQueries({
    queries: runs.map(({ runId }) => curvesQuery(runId, points, range)),
  })
  const failed = queries.find(({ error }) => error)?.error
  if (failed) {
    return (
      <p className={classes.failed} role="alert">
        {failed.message}
      </p>
    )
  }
  if (queries.some(({ data }) => data === undefined)) return <Skeleton height={190} />
  const drawn = queries.flatMap(({ data }, i) => {
    const run = runs[i]
    return data && run ? [{ run, curves: data }] : []
  })
  const names = orderCurves(drawn.flatMap(({ curves }) => curves.curves.map(({ name }) => name)))
  const shown = all ? names : names.slice(0, chartsShown)
  const total = Math.max(0, ...drawn.map(({ curves }) => curves.points))
  const whole = range.first === undefined && range.last === undefined
  return (
    <>
      <div className={classes.chartsHead}>
        <span className="dim">
          {names.length === 0
            ? props.empty
            : total > points
              ? `Each line shows the least and the greatest of ${sayCount(total)} points; choose a stretch to see more`
              : sayOf(total, 'point')}
        </span>
        {!whole && props.onRange && (
          <Button size="compact-xs" variant="default" onClick={() => props.onRange?.({})}>
            All steps
          </Button>
        )}
      </div>
      <div className={classes.charts}>
        {shown.map((name) => (
          <CurveChart
            key={name}
            name={name}
            drawn={drawn}
            range={range}
            {...(props.onRange ? { onRange: props.onRange } : {})}
          />
        ))}
      </div>
      {names.length > chartsShown && (
        <Button mt={8} size="xs" variant="default" onClick={() => setAll(!all)}>
          {all ? 'Fewer charts' : `All ${names.length} charts`}
        </Button>
      )}
    </>
  )
}

function CurveChart(props: {
  name: string
  drawn: readonly { run: DrawnRun; curves: RunCurves }[]
  range: StepRange
  onRange?: (range: StepRange) => void
}) {
  const { name, drawn, range, onRange } = props
  const { at, lines } = useMemo(() => {
    const found = drawn.flatMap(({ run, curves }) => {
      const curve = curves.curves.find((one) => one.name === name)
      return curve ? [{ run, curve }] : []
    })
    const joined = joinCurves(found.map(({ curve }) => curve))
    return {
      at: joined.steps,
      lines: found.map(({ run }, i) => ({ name: run.name, values: joined.values[i] ?? [] })),
    }
  }, [name, drawn])
  return (
    <Chart
      title={sayCurve(name)}
      at={at}
      lines={lines}
      say={sayFigure}
      syncKey="runs"
      across="steps"
      from={range.first ?? 0}
      to={Math.max(range.last ?? at.at(-1) ?? 1, (range.first ?? 0) + 1)}
      {...(onRange
        ? {
            onSpan: (from: number, to: number) =>
              onRange({ first: Math.max(0, Math.floor(from)), last: Math.ceil(to) }),
          }
        : {})}
    />
  )
}
