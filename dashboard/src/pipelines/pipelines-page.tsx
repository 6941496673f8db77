/** All pipelines: what each waits for, and how its newest round went. */
import type { PipelineRow } from '@edgeloop/protocol'
import { Table } from '@mantine/core'
import { IconRepeat } from '@tabler/icons-react'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { sessionQuery } from '../people/session.ts'
import { TableSkeleton } from '../people/table-skeleton.tsx'
import { FramedTable } from '../shell/framed-table.tsx'
import { NewButton } from '../shell/new-button.tsx'
import { Ago } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { pipelineListQuery, usePipelineChanges } from './pipeline-queries.ts'
import { sayFigure, sayPipeline, sayRound } from './pipeline-words.ts'
import classes from './pipelines.module.css'

export function PipelinesPage() {
  usePipelineChanges()
  const navigate = useNavigate()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const query = useQuery(pipelineListQuery)
  const refused = session.role === 'viewer' ? 'Only an operator can set pipelines' : undefined
  return (
    <Page
      title="Pipelines"
      aside={
        <NewButton
          word="New pipeline"
          refused={refused}
          onClick={() => void navigate({ to: '/pipelines/new', search: {} })}
        />
      }
    >
      <QueryState query={query} skeleton={<TableSkeleton rows={3} />}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty
              icon={<IconRepeat size={32} stroke={1.5} />}
              title="No pipelines yet"
              text="A pipeline takes a model from new annotations to the boxes by itself, round after round: it freezes the dataset, trains, compares, compiles, publishes and rolls out."
            >
              <Link to="/datasets">Label something first</Link>
            </Empty>
          ) : (
            <Pipelines rows={rows} />
          )
        }
      </QueryState>
    </Page>
  )
}

const columns = [
  'Model',
  'State',
  { word: 'New labels', right: true },
  { word: 'Round', right: true },
  'Last round',
  { word: 'Figure', right: true },
] as const

function Pipelines({ rows }: { rows: readonly PipelineRow[] }) {
  return (
    <FramedTable label="Pipelines" columns={columns} width="full">
      {rows.map((row) => {
        const { kind, word } = sayPipeline(row)
        const { model, last } = row
        const said = last && sayRound(last)
        return (
          <Table.Tr key={model}>
            <Table.Td className={classes.name ?? ''}>
              <Link to="/pipelines/$model" params={{ model }}>
                {model}
              </Link>
              <div className="dim">on {row.config.dataset}</div>
            </Table.Td>
            <Table.Td className={classes.why ?? ''}>
              <Status kind={kind} word={word} />
              {row.why && <div className="dim">{row.why}</div>}
            </Table.Td>
            <Table.Td ta="right">{sayCount(row.annotations)}</Table.Td>
            <Table.Td ta="right">{row.rounds === 0 ? '–' : sayCount(row.rounds)}</Table.Td>
            <Table.Td>
              {last && said ? (
                <>
                  {said.word !== word && <Status kind={said.kind} word={said.word} />}{' '}
                  <span className="dim">
                    <Ago at={last.endedAt ?? last.startedAt} />
                  </span>
                </>
              ) : (
                'none yet'
              )}
            </Table.Td>
            <Table.Td ta="right">
              {last?.key ? (
                <>
                  {sayFigure(last.key.after)} <span className="dim">{last.key.name}</span>
                </>
              ) : (
                '–'
              )}
            </Table.Td>
          </Table.Tr>
        )
      })}
    </FramedTable>
  )
}
