/** All runs: a table first, and beside it the curves of those that somebody wants to see. */
import type { Run } from '@edgeloop/protocol'
import { ActionIcon, Button, Table } from '@mantine/core'
import { IconChartLine, IconEye, IconEyeOff } from '@tabler/icons-react'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { sessionQuery } from '../people/session.ts'
import { TableSkeleton } from '../people/table-skeleton.tsx'
import { Ago, useNow } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayDuration } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import { Status } from '../shell/status.tsx'
import tables from '../shell/tables.module.css'
import { NewRun } from './new-run.tsx'
import { RunCharts } from './run-charts.tsx'
import { runListQuery, trainerQuery, useRunChanges } from './run-queries.ts'
import { runName, sayFigure, sayRunState, saySteps } from './run-words.ts'
import classes from './runs.module.css'
import { Schedules } from './schedules.tsx'
import { Searches } from './searches.tsx'

const route = getRouteApi('/in/runs')

/** Runs in one chart: more lines tell nothing. */
const shownMax = 8
const linePoints = 500

export function RunsPage() {
  useRunChanges()
  const navigate = useNavigate()
  const { show = [] } = route.useSearch()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const query = useQuery(runListQuery)
  const { data: trainer } = useQuery(trainerQuery)
  const [asking, setAsking] = useState(false)
  const whyNot =
    session.role === 'viewer'
      ? 'Only an operator can train'
      : trainer?.available === false
        ? 'This hub was started without a trainer'
        : undefined
  const toggle = (runId: string): void => {
    const next = show.includes(runId)
      ? show.filter((one) => one !== runId)
      : [...show, runId].slice(-shownMax)
    void navigate({ to: '/runs', search: next.length > 0 ? { show: next } : {}, replace: true })
  }
  const known = new Map(query.data?.map((run) => [run.runId, run]))
  const drawn = show.flatMap((runId) => {
    const run = known.get(runId)
    return run ? [{ runId, name: `${run.model} ${runName(run)}` }] : []
  })
  return (
    <Page
      title="Runs"
      aside={
        <div className={classes.acts}>
          {drawn.length > 1 && (
            <Button
              size="xs"
              variant="default"
              onClick={() =>
                void navigate({ to: '/runs/compare', search: { ids: drawn.map((r) => r.runId) } })
              }
            >
              Compare {drawn.length} runs
            </Button>
          )}
          <Button
            size="xs"
            disabled={whyNot !== undefined || !trainer}
            title={whyNot}
            onClick={() => setAsking(true)}
          >
            Train
          </Button>
        </div>
      }
    >
      <div className={classes.columns}>
        <QueryState query={query} skeleton={<TableSkeleton rows={4} />}>
          {(rows) =>
            rows.length === 0 ? (
              <Empty
                icon={<IconChartLine size={32} stroke={1.5} />}
                title="No runs yet"
                text="A run trains a model on a frozen version of a dataset. What comes out becomes a model version, and the champion where it is not worse."
              />
            ) : (
              <RunTable rows={rows} show={show} onToggle={toggle} />
            )
          }
        </QueryState>
        {drawn.length > 0 && (
          <section aria-label="Curves of the chosen runs">
            <RunCharts runs={drawn} points={linePoints} range={{}} empty="No figures yet" />
          </section>
        )}
        <Searches />
        <Schedules mayChange={whyNot === undefined} />
      </div>
      {trainer && (
        <NewRun
          opened={asking}
          trainer={trainer}
          onClose={() => setAsking(false)}
          onAdded={({ runId }) => {
            setAsking(false)
            void navigate({ to: '/runs/$runId', params: { runId } })
          }}
        />
      )}
    </Page>
  )
}

function RunTable(props: {
  rows: readonly Run[]
  show: readonly string[]
  onToggle: (runId: string) => void
}) {
  const now = useNow()
  return (
    <Scroller label="Runs">
      <Table className={`${tables.table} ${classes.table}`}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Curves</Table.Th>
            <Table.Th>State</Table.Th>
            <Table.Th>Model</Table.Th>
            <Table.Th>Dataset</Table.Th>
            <Table.Th className={tables.number ?? ''}>Key figure</Table.Th>
            <Table.Th>Result</Table.Th>
            <Table.Th>Steps</Table.Th>
            <Table.Th className={tables.number ?? ''}>Duration</Table.Th>
            <Table.Th>Asked for</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {props.rows.map((run) => {
            const { kind, word } = sayRunState(run, now)
            const shown = props.show.includes(run.runId)
            return (
              <Table.Tr key={run.runId}>
                <Table.Td>
                  <ActionIcon
                    variant={shown ? 'light' : 'subtle'}
                    color="gray"
                    c={shown ? 'var(--el-accent)' : 'var(--el-dimmed)'}
                    aria-pressed={shown}
                    aria-label={`Curves of ${run.model} ${runName(run)}`}
                    onClick={() => props.onToggle(run.runId)}
                  >
                    {shown ? <IconEye size={16} /> : <IconEyeOff size={16} />}
                  </ActionIcon>
                </Table.Td>
                <Table.Td>
                  <Status kind={kind} word={word} title={run.error || undefined} />
                </Table.Td>
                <Table.Td className={classes.name ?? ''}>
                  <Link to="/runs/$runId" params={{ runId: run.runId }}>
                    {run.model} <span className="mono">{runName(run)}</span>
                  </Link>
                  <div className="dim">
                    from {run.parent}
                    {run.note && `, ${run.note}`}
                  </div>
                </Table.Td>
                <Table.Td>
                  {run.dataset.name} v{run.dataset.version}
                  {run.fold !== null && `, fold ${run.fold}`}
                </Table.Td>
                <Table.Td className={tables.number ?? ''}>
                  {run.key ? `${run.key.name} ${sayFigure(run.key.value)}` : '–'}
                </Table.Td>
                <Table.Td>
                  {run.result ? (
                    <>
                      <Link
                        to="/models/$name/$version"
                        params={{ name: run.model, version: `${run.result.version}` }}
                      >
                        version {run.result.version}
                      </Link>{' '}
                      {run.result.champion && <Status kind="ok" word="became champion" />}
                    </>
                  ) : (
                    '–'
                  )}
                </Table.Td>
                <Table.Td>{saySteps(run)}</Table.Td>
                <Table.Td className={tables.number ?? ''}>
                  {run.activeMs === 0 ? '–' : sayDuration(run.activeMs)}
                </Table.Td>
                <Table.Td>
                  <Ago at={run.createdAt} />{' '}
                  <span className="dim">by {run.schedule || run.by}</span>
                </Table.Td>
              </Table.Tr>
            )
          })}
        </Table.Tbody>
      </Table>
    </Scroller>
  )
}
