/** One stream beside what is usual for it: figures over time, histograms, and its alarms. */
import type { DriftAlarm, DriftDetail, DriftHistogram } from '@edgeloop/protocol'
import { Skeleton, Table } from '@mantine/core'
import { keepPreviousData, useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import { Chart } from '../charts/chart.tsx'
import charting from '../charts/charts.module.css'
import { sessionQuery } from '../people/session.ts'
import { FramedTable } from '../shell/framed-table.tsx'
import { Ago } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayNumber, sayShare } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import classes from './drift.module.css'
import { DriftActs } from './drift-acts.tsx'
import { driftQuery, useDriftChanges } from './drift-queries.ts'
import { charts, endWords, kindWords, sayStream, toldAlarms } from './drift-words.ts'

const route = getRouteApi('/in/drift/$deviceId/$streamId')

const ranges = [
  { hours: 3, word: '3 hours' },
  { hours: 24, word: 'a day' },
  { hours: 168, word: 'a week' },
] as const

export function DriftStreamPage() {
  useDriftChanges()
  const { deviceId, streamId } = route.useParams()
  const { hours = 24 } = route.useSearch()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const refused = session.role === 'viewer' ? 'Only an operator can answer to drift' : undefined
  const query = useQuery({
    ...driftQuery(deviceId, streamId, hours),
    placeholderData: keepPreviousData,
  })
  const alarm = query.data && toldAlarms(query.data.stream)[0]
  return (
    <Page
      title={`${deviceId}/${streamId}`}
      parent={<Link to="/drift">Drift</Link>}
      aside={
        query.data && (
          <DriftActs deviceId={deviceId} streamId={streamId} alarm={alarm} refused={refused} />
        )
      }
    >
      <QueryState query={query} skeleton={<Skeleton height={400} />}>
        {(detail) => <Detail detail={detail} hours={hours} />}
      </QueryState>
    </Page>
  )
}

function Detail({ detail, hours }: { detail: DriftDetail; hours: number }) {
  const { stream, past, histograms } = detail
  const { deviceId, streamId, accuracy } = stream
  const { kind, word } = sayStream(stream)
  return (
    <>
      <p className={classes.state}>
        <Status kind={kind} word={word} /> <span className="dim">newest sketch</span>{' '}
        <Ago at={stream.newestAt} />
        {accuracy && (
          <span title={accuracy.from}>
            {' '}
            · estimated precision {sayShare(accuracy.precision)} ({sayShare(accuracy.low)} to{' '}
            {sayShare(accuracy.high)}), {sayShare(accuracy.there)} on labelled samples
          </span>
        )}
      </p>
      {toldAlarms(stream).map((alarm) => (
        <p key={alarm.alarmId} className={classes.alarm} role="status">
          <b>{kindWords[alarm.kind]}</b> since <Ago at={alarm.raisedAt} />: {alarm.why}
        </p>
      ))}
      <nav className={charting.ranges} aria-label="How far back">
        {ranges.map((range) => (
          <Link
            key={range.hours}
            to="/drift/$deviceId/$streamId"
            params={{ deviceId, streamId }}
            search={range.hours === 24 ? {} : { hours: range.hours }}
            className={charting.range}
            activeOptions={{ exact: true, includeSearch: true }}
            activeProps={{ 'aria-current': 'page' }}
            replace
          >
            {range.word}
          </Link>
        ))}
      </nav>
      <Charts detail={detail} hours={hours} />
      {histograms.length > 0 && (
        <section className={classes.section}>
          <h2>Usual, and in the last half hour</h2>
          <div className={classes.histograms}>
            {histograms.map((histogram) => (
              <Histogram key={histogram.name} histogram={histogram} />
            ))}
          </div>
        </section>
      )}
      {past.length > 0 && (
        <section className={classes.section}>
          <h2>Alarms</h2>
          <Alarms alarms={past} />
        </section>
      )}
    </>
  )
}

function Charts({ detail, hours }: { detail: DriftDetail; hours: number }) {
  const { at, series, stream } = detail
  const drawn = useMemo(
    () =>
      charts.flatMap(({ name, title }) => {
        const found = series.find((each) => each.name === name)
        if (!found) return []
        const isAbove = ['scores', 'labels', 'places', 'covered'].includes(name)
        const lines = [
          { name: 'Now', values: found.now },
          { name: isAbove ? 'Limit' : 'At most', values: found.high, dashed: true },
          ...(isAbove ? [] : [{ name: 'At least', values: found.low, dashed: true }]),
        ]
        return [{ name, title, lines }]
      }),
    [series],
  )
  const to = Date.parse(stream.newestAt) / 1000
  const shared = { at, syncKey: 'drift', from: to - hours * 3600, to }
  return (
    <div className={charting.charts}>
      {drawn.map(({ name, title, lines }) => (
        <Chart key={name} title={title} lines={lines} say={sayNumber} {...shared} />
      ))}
    </div>
  )
}

const histogramTitles: Readonly<Record<string, string>> = {
  scores: 'Scores of detections, 0 to 1',
  sizes: 'Size of objects, small to large',
  places: 'Places of objects, row by row',
  labels: 'Labels of objects',
}

/** Two bars for each bin: what is usual, and what is now. */
function Histogram({ histogram }: { histogram: DriftHistogram }) {
  const { name, bins, usual, now } = histogram
  const most = Math.max(...usual, ...now, 0.01)
  const isNamed = name === 'labels'
  return (
    <figure className={classes.histogram}>
      <figcaption>{histogramTitles[name] ?? name}</figcaption>
      <div className={classes.bars}>
        {bins.map((bin, i) => {
          const said = `${isNamed ? bin : sayNumber(Number(bin))}: usual ${sayShare(usual[i] ?? 0)}, now ${sayShare(now[i] ?? 0)}`
          return (
            <div key={String(bin)} className={classes.bin} title={said}>
              <span className="hidden-visually">{said}</span>
              <i
                data-part="usual"
                style={{ height: `${(100 * (usual[i] ?? 0)) / most}%` }}
                aria-hidden
              />
              <i
                data-part="now"
                style={{ height: `${(100 * (now[i] ?? 0)) / most}%` }}
                aria-hidden
              />
              {isNamed && (
                <span className={classes.binName} aria-hidden>
                  {bin}
                </span>
              )}
            </div>
          )
        })}
      </div>
      <div className="dim">
        <i className={classes.key} data-part="usual" /> usual{' '}
        <i className={classes.key} data-part="now" /> now
      </div>
    </figure>
  )
}

function Alarms({ alarms }: { alarms: readonly DriftAlarm[] }) {
  return (
    <FramedTable label="Alarms" columns={['Kind', 'Raised', 'Ended', 'Why']}>
      {alarms.map((alarm) => (
        <Table.Tr key={alarm.alarmId}>
          <Table.Td>{kindWords[alarm.kind]}</Table.Td>
          <Table.Td>
            <Ago at={alarm.raisedAt} />
          </Table.Td>
          <Table.Td>
            {alarm.endedAt ? <Ago at={alarm.endedAt} /> : 'not yet'}{' '}
            {alarm.endedBy && <span className="dim">{endWords[alarm.endedBy]}</span>}
          </Table.Td>
          <Table.Td className={classes.why ?? ''}>{alarm.why}</Table.Td>
        </Table.Tr>
      ))}
    </FramedTable>
  )
}
