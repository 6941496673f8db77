/** How the device did over time: charts, one cursor. Loaded when somebody asks for it. */
import type { HealthSeries } from '@edgeloop/protocol'
import { Skeleton } from '@mantine/core'
import { IconChartLine } from '@tabler/icons-react'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import { Chart, type Line } from '../charts/chart.tsx'
import classes from '../charts/charts.module.css'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayBytes, sayNumber, sayShare } from '../shell/say.ts'
import { deviceHealthQuery, type Range, rangeNames, ranges } from './device-queries.ts'

const route = getRouteApi('/in/devices/$deviceId/metrics')

export function DeviceMetrics() {
  const { deviceId } = route.useParams()
  const { range = '15m' } = route.useSearch()
  const query = useQuery({
    ...deviceHealthQuery(deviceId, range),
    placeholderData: keepPreviousData,
  })
  return (
    <>
      <nav className={classes.ranges} aria-label="How far back">
        {rangeNames.map((name) => (
          <Link
            key={name}
            to="/devices/$deviceId/metrics"
            params={{ deviceId }}
            search={name === '15m' ? {} : { range: name }}
            className={classes.range}
            activeOptions={{ exact: true, includeSearch: true }}
            activeProps={{ 'aria-current': 'page' }}
            replace
          >
            {ranges[name].word}
          </Link>
        ))}
      </nav>
      <QueryState query={query} skeleton={<ChartsSkeleton />}>
        {(series) =>
          series.at.length === 0 ? (
            <Empty
              icon={<IconChartLine size={32} stroke={1.5} />}
              title={`No figures in the last ${ranges[range].word}`}
              text="A connected device reports its figures every few seconds. Look further back, or at whether it is connected."
            />
          ) : (
            <Charts series={series} toMs={query.dataUpdatedAt} range={range} deviceId={deviceId} />
          )
        }
      </QueryState>
    </>
  )
}

const sayMs = (value: number) => `${sayNumber(value)} ms`
const sayFps = (value: number) => `${sayNumber(value)} fps`

type StreamColumn = Exclude<keyof HealthSeries['streams'][number], 'streamId'>

function Charts(props: { series: HealthSeries; toMs: number; range: Range; deviceId: string }) {
  const { series, toMs, range } = props
  const lines = useMemo(() => {
    const perStream = (column: StreamColumn, suffix = '', dashed = false): Line[] =>
      series.streams.map((stream) => ({
        name: `${stream.streamId}${suffix}`,
        values: stream[column],
        dashed,
      }))
    return {
      analysed: perStream('analysedFps'),
      input: perStream('inputFps'),
      latency: [...perStream('latencyP95Ms'), ...perStream('inferenceMs', ' inference', true)],
      cpu: [{ name: 'Agent', values: series.cpuShare }],
      memory: [{ name: 'Agent', values: series.memoryBytes }],
      dropped: perStream('dropped'),
      loop: [{ name: 'Supervisor', values: series.loopP99Ms }],
      outbox: [{ name: 'Events', values: series.outboxEvents }],
    }
  }, [series])
  const shared = {
    at: series.at,
    syncKey: props.deviceId,
    from: (toMs - ranges[range].ms) / 1000,
    to: toMs / 1000,
  }
  return (
    <div className={classes.charts}>
      <Chart title="Frames per second, analysed" lines={lines.analysed} say={sayFps} {...shared} />
      <Chart
        title="Capture to detections, 95th percentile"
        lines={lines.latency}
        say={sayMs}
        {...shared}
      />
      <Chart title="CPU, share of one core" lines={lines.cpu} say={sayShare} {...shared} />
      <Chart title="Memory, all processes" lines={lines.memory} say={sayBytes} {...shared} />
      <Chart title="Frames dropped" lines={lines.dropped} say={sayNumber} {...shared} />
      <Chart
        title="Frames per second, from the camera"
        lines={lines.input}
        say={sayFps}
        {...shared}
      />
      <Chart
        title="Events waiting on the device"
        lines={lines.outbox}
        say={sayNumber}
        {...shared}
      />
      <Chart title="Event-loop delay, 99th percentile" lines={lines.loop} say={sayMs} {...shared} />
    </div>
  )
}

function ChartsSkeleton() {
  return (
    <div className={classes.charts}>
      {Array.from({ length: 8 }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: placeholders are all alike and never move
        <Skeleton key={index} height={190} />
      ))}
    </div>
  )
}
