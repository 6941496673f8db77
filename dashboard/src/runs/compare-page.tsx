/** Two runs or more beside each other: what differs, by how much, and their curves in the same charts. */
import type { RunDetail } from '@edgeloop/protocol'
import { Skeleton, Switch, Table } from '@mantine/core'
import { IconChartLine } from '@tabler/icons-react'
import { useQueries } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { Page } from '../shell/page.tsx'
import { Empty, Failed } from '../shell/query-state.tsx'
import { Scroller } from '../shell/scroller.tsx'
import tables from '../shell/tables.module.css'
import { compareRuns } from './compare-rows.ts'
import { RunCharts } from './run-charts.tsx'
import { runQuery, useRunChanges } from './run-queries.ts'
import { runName } from './run-words.ts'
import classes from './runs.module.css'

const route = getRouteApi('/in/runs/compare')

const linePoints = 500

export function ComparePage() {
  useRunChanges()
  const navigate = useNavigate()
  const { ids = [], all = false } = route.useSearch()
  const queries = useQueries({ queries: ids.map((runId) => runQuery(runId)) })
  const failed = queries.find(({ error }) => error)
  const details = queries.flatMap(({ data }) => data ?? [])
  return (
    <Page title="Compare runs" parent={<Link to="/runs">Runs</Link>}>
      {ids.length < 2 ? (
        <Empty
          icon={<IconChartLine size={32} stroke={1.5} />}
          title="Nothing to compare"
          text="Choose two runs or more in the table of runs, by their eyes."
        />
      ) : failed?.error ? (
        <Failed error={failed.error} onRetry={() => void failed.refetch()} />
      ) : details.length < ids.length ? (
        <Skeleton height={400} />
      ) : (
        <>
          <Switch
            mb={12}
            label="Differences only"
            checked={!all}
            onChange={(event) =>
              void navigate({
                to: '/runs/compare',
                search: event.currentTarget.checked ? { ids } : { ids, all: true },
                replace: true,
              })
            }
          />
          <Comparison details={details} all={all} />
          <section className={classes.section} aria-label="Curves of the compared runs">
            <RunCharts
              runs={details.map(({ run }) => ({ runId: run.runId, name: runName(run) }))}
              points={linePoints}
              range={{}}
              empty="No figures yet"
            />
          </section>
        </>
      )}
    </Page>
  )
}

function Comparison({ details, all }: { details: readonly RunDetail[]; all: boolean }) {
  const groups = compareRuns(details)
    .map(({ title, rows }) => ({ title, rows: all ? rows : rows.filter((row) => row.differs) }))
    .filter(({ rows }) => rows.length > 0)
  if (groups.length === 0) return <p className="dim">They differ in nothing.</p>
  return (
    <Scroller label="Comparison">
      <Table className={`${tables.table} ${classes.facts}`}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>What</Table.Th>
            {details.map(({ run }, i) => (
              <Table.Th key={run.runId}>
                <Link to="/runs/$runId" params={{ runId: run.runId }}>
                  {run.model} <span className="mono">{runName(run)}</span>
                </Link>
                {i === 0 && ' (base)'}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        {groups.map(({ title, rows }) => (
          <Table.Tbody key={title}>
            <Table.Tr>
              <Table.Th colSpan={details.length + 1} scope="rowgroup">
                {title}
              </Table.Th>
            </Table.Tr>
            {rows.map((row) => (
              <Table.Tr key={row.name} data-differs={row.differs}>
                <Table.Th scope="row" className="mono">
                  {row.name}
                </Table.Th>
                {row.values.map((value, i) => (
                  <Table.Td key={details[i]?.run.runId}>
                    {value} {row.deltas?.[i] && <span className="dim">{row.deltas[i]}</span>}
                  </Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        ))}
      </Table>
    </Scroller>
  )
}
