/** All rollouts: what needs somebody first, then by how far each is. */
import { type RolloutRow, rolloutProgressMax, rolloutStates } from '@edgeloop/protocol'
import { Button, NativeSelect, Table } from '@mantine/core'
import { IconTruckDelivery } from '@tabler/icons-react'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { Sparkline } from '../devices/sparkline.tsx'
import { sessionQuery } from '../people/session.ts'
import { TableSkeleton } from '../people/table-skeleton.tsx'
import { FramedTable } from '../shell/framed-table.tsx'
import { NewButton } from '../shell/new-button.tsx'
import { Ago } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { CountBar } from './count-bar.tsx'
import { progressQuery, rolloutListQuery, useRolloutChanges } from './rollout-queries.ts'
import { sayDone, sayRollout, saySaved, sayState } from './rollout-words.ts'
import classes from './rollouts.module.css'

const route = getRouteApi('/in/rollouts')

export function RolloutsPage() {
  useRolloutChanges()
  const { state } = route.useSearch()
  const navigate = useNavigate()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const query = useQuery(rolloutListQuery)
  const refused = session.role === 'viewer' ? 'Only an operator can begin a rollout' : undefined
  return (
    <Page
      title="Rollouts"
      aside={
        <>
          <NativeSelect
            size="xs"
            aria-label="State"
            value={state ?? ''}
            data={[
              { value: '', label: 'All states' },
              ...rolloutStates.map((value) => ({ value, label: sayState(value).word })),
            ]}
            onChange={({ currentTarget: { value } }) => {
              const chosen = rolloutStates.find((one) => one === value)
              void navigate({
                to: '/rollouts',
                search: chosen ? { state: chosen } : {},
                replace: true,
              })
            }}
          />
          <NewButton
            word="New rollout"
            refused={refused}
            onClick={() => void navigate({ to: '/rollouts/new' })}
          />
        </>
      }
    >
      <QueryState query={query} skeleton={<TableSkeleton rows={5} />}>
        {(all) => {
          const rows = state === undefined ? all : all.filter((row) => row.state === state)
          if (all.length === 0) {
            return (
              <Empty
                icon={<IconTruckDelivery size={32} stroke={1.5} />}
                title="No rollouts yet"
                text="A rollout moves boxes to a model version in stages: each box tries it beside the model it runs, and the next stage begins only when the one before does well."
              >
                <Link to="/models">Publish a model first</Link>
              </Empty>
            )
          }
          if (rows.length === 0) {
            return (
              <Empty title="No rollout is in this state">
                <Button
                  size="xs"
                  variant="default"
                  onClick={() => void navigate({ to: '/rollouts', search: {}, replace: true })}
                >
                  Show all rollouts
                </Button>
              </Empty>
            )
          }
          return <Rollouts rows={rows} />
        }}
      </QueryState>
    </Page>
  )
}

const columns = [
  'Rollout',
  'State',
  'Stage',
  'Boxes',
  { word: 'Run it', right: true },
  { word: 'Failed', right: true },
  'Bytes',
  'Begun',
] as const

function Rollouts({ rows }: { rows: readonly RolloutRow[] }) {
  const ids = rows.slice(0, rolloutProgressMax).map(({ rolloutId }) => rolloutId)
  const { data: lines } = useQuery(progressQuery(ids))
  return (
    <FramedTable label="Rollouts" columns={columns} width="full">
      {rows.map((row) => {
        const { kind, word } = sayRollout(row)
        const { counts, bytes } = row
        return (
          <Table.Tr key={row.rolloutId}>
            <Table.Td className={classes.name ?? ''}>
              <Link to="/rollouts/$rolloutId" params={{ rolloutId: row.rolloutId }}>
                {row.name}/{row.version}
              </Link>
              {row.note && <div className="dim">{row.note}</div>}
            </Table.Td>
            <Table.Td className={classes.why ?? ''}>
              <Status kind={kind} word={word} />
              {row.why && <div className="dim">{row.why}</div>}
            </Table.Td>
            <Table.Td>
              {row.stageName}{' '}
              <span className="dim">
                {row.stage + 1} of {row.stages}
              </span>
            </Table.Td>
            <Table.Td className={classes.barCell ?? ''}>
              <CountBar counts={counts} label={`Boxes of ${row.name}/${row.version}`} />
            </Table.Td>
            <Table.Td ta="right" title={sayDone(counts)}>
              <span className={classes.spark}>
                <Sparkline values={lines?.get(row.rolloutId)} max={counts.devices} />
                {sayCount(counts.confirmed)} of {sayCount(counts.devices)}
              </span>
            </Table.Td>
            <Table.Td ta="right">{counts.failed === 0 ? '–' : sayCount(counts.failed)}</Table.Td>
            <Table.Td className={classes.why ?? ''}>
              {saySaved(bytes.fromHub + bytes.fromMirrors, bytes.whole)}
            </Table.Td>
            <Table.Td>
              <Ago at={row.createdAt} /> <span className="dim">by {row.by}</span>
            </Table.Td>
          </Table.Tr>
        )
      })}
    </FramedTable>
  )
}
