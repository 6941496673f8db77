/** The label queues of this hub: what waits for a person, and the way in. */
import type { LabelQueueRow } from '@edgeloop/protocol'
import { Button, Table } from '@mantine/core'
import { IconTags } from '@tabler/icons-react'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { lazy, useState } from 'react'
import { sessionQuery } from '../people/session.ts'
import { TableSkeleton } from '../people/table-skeleton.tsx'
import { FramedTable } from '../shell/framed-table.tsx'
import { NewButton } from '../shell/new-button.tsx'
import { OnDemand } from '../shell/on-demand.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount } from '../shell/say.ts'
import { CountsBar } from './counts-bar.tsx'
import { queueListQuery, useQueueChanges } from './label-queries.ts'
import classes from './queues.module.css'

const QueueForm = lazy(async () => ({ default: (await import('./queue-form.tsx')).QueueForm }))

export function QueuesPage() {
  useQueueChanges()
  const navigate = useNavigate()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const query = useQuery(queueListQuery)
  const [adding, setAdding] = useState(false)
  const refused = session.role === 'viewer' ? 'Only an operator can add queues' : undefined
  return (
    <Page
      title="Label"
      aside={<NewButton word="New queue" refused={refused} onClick={() => setAdding(true)} />}
    >
      <QueryState query={query} skeleton={<TableSkeleton rows={3} />}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty
              icon={<IconTags size={32} stroke={1.5} />}
              title="No queues yet"
              text="A queue brings the samples that boxes kept to people, the most useful first, with what a model proposes. What they accept is in its dataset."
            >
              <Button
                size="xs"
                disabled={refused !== undefined}
                title={refused}
                onClick={() => setAdding(true)}
              >
                Make the first queue
              </Button>
            </Empty>
          ) : (
            <Queues rows={rows} mayLabel={refused === undefined} />
          )
        }
      </QueryState>
      <OnDemand when={adding}>
        <QueueForm
          onClose={() => setAdding(false)}
          onDone={(queue) => {
            setAdding(false)
            void navigate({ to: '/label/$queue', params: { queue } })
          }}
        />
      </OnDemand>
    </Page>
  )
}

const columns = [
  'Queue',
  { word: 'Wait', right: true },
  { word: 'Actions', quiet: true },
  'Tasks',
  { word: 'Review', right: true },
  { word: 'Flagged', right: true },
  { word: 'Done', right: true },
  { word: 'Answers today', right: true },
] as const

function Queues(props: { rows: readonly LabelQueueRow[]; mayLabel: boolean }) {
  return (
    <FramedTable label="Queues" columns={columns} width="full">
      {props.rows.map(({ name, config, counts, answersToday }) => (
        <Table.Tr key={name}>
          <Table.Td className={classes.name ?? ''}>
            <Link to="/label/$queue" params={{ queue: name }}>
              {name}
            </Link>
            <div className="dim">into {config.dataset}</div>
          </Table.Td>
          <Table.Td ta="right">{sayCount(counts.open)}</Table.Td>
          <Table.Td>
            {props.mayLabel && <WorkLink name={name} isReview={isLeftToReview(counts)} />}
          </Table.Td>
          <Table.Td className={classes.barCell ?? ''}>
            <CountsBar counts={counts} />
          </Table.Td>
          <Table.Td ta="right">{sayCount(counts.review)}</Table.Td>
          <Table.Td ta="right">{sayCount(counts.flagged)}</Table.Td>
          <Table.Td ta="right">{sayCount(counts.done)}</Table.Td>
          <Table.Td ta="right">{sayCount(answersToday)}</Table.Td>
        </Table.Tr>
      ))}
    </FramedTable>
  )
}

/** Nothing waits for an answer, but what was answered does for a review. */
const isLeftToReview = ({ open, review, flagged }: LabelQueueRow['counts']): boolean =>
  open === 0 && review + flagged > 0

function WorkLink({ name, isReview }: { name: string; isReview: boolean }) {
  const word = isReview ? 'Review' : 'Label'
  return (
    <Link
      to="/label/$queue/work"
      params={{ queue: name }}
      search={isReview ? { review: true } : {}}
      aria-label={`${word} ${name}`}
    >
      {word}
    </Link>
  )
}
