/** One queue: what waits in it and was said, by whom and how fast, and the way to its tasks. */
import {
  type LabelQueueRow,
  type LabelTask,
  type QueueStatistics,
  type TaskState,
  taskStates,
} from '@edgeloop/protocol'
import { Button, NativeSelect, Skeleton, Table } from '@mantine/core'
import { useQuery, useQueryClient, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { lazy, useState } from 'react'
import { call } from '../api/call.ts'
import cards from '../datasets/picture-grid.module.css'
import { SamplePicture } from '../datasets/sample-picture.tsx'
import { type Act, Confirm } from '../people/confirm.tsx'
import { sessionQuery } from '../people/session.ts'
import { FramedTable } from '../shell/framed-table.tsx'
import { OnDemand } from '../shell/on-demand.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount, sayDay, sayNumber, sayOf } from '../shell/say.ts'
import { CountsBar } from './counts-bar.tsx'
import {
  queueListQuery,
  queueQuery,
  queueStatisticsQuery,
  taskListQuery,
  useQueueChanges,
} from './label-queries.ts'
import classes from './queues.module.css'

const route = getRouteApi('/in/label/$queue')
const QueueForm = lazy(async () => ({ default: (await import('./queue-form.tsx')).QueueForm }))

const stateWords: Readonly<Record<TaskState, string>> = {
  open: 'waiting',
  review: 'in review',
  done: 'done',
  bad: 'bad frames',
  flagged: 'flagged',
}

const tasksShown = 48
/** Days without answers before the first one are left out, but for as many as make a row. */
const daysShownMin = 14

export function QueuePage() {
  useQueueChanges()
  const { queue } = route.useParams()
  const navigate = useNavigate()
  const queryClient = useQueryClient()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const query = useQuery(queueQuery(queue))
  const [editing, setEditing] = useState(false)
  const [act, setAct] = useState<Act>()
  const mayLabel = session.role !== 'viewer'
  const refused = mayLabel ? undefined : 'Only an operator can label'
  const row = query.data
  const remove = ({ counts, config }: LabelQueueRow): Act => ({
    title: 'Remove a queue',
    text: (
      <p>
        <b>{queue}</b> goes, with {sayOf(counts.open + counts.review + counts.flagged, 'task')} that
        wait and what was said of {sayOf(counts.done + counts.bad, 'other')}. What is in{' '}
        <b>{config.dataset}</b> stays there. This cannot be undone.
      </p>
    ),
    word: 'Remove 1 queue',
    run: () => call('queueRemove', { params: { queue } }),
    done: () => {
      queryClient.removeQueries({ queryKey: queueQuery(queue).queryKey })
      queryClient.setQueryData(queueListQuery.queryKey, (rows) =>
        rows?.filter(({ name }) => name !== queue),
      )
      void navigate({ to: '/label' })
    },
  })
  return (
    <Page
      title={queue}
      parent={<Link to="/label">Label</Link>}
      aside={
        <>
          {mayLabel && row && (
            <Button size="xs" variant="default" onClick={() => setEditing(true)}>
              Edit…
            </Button>
          )}
          {mayLabel && row && (
            <Button size="xs" color="bad" variant="default" onClick={() => setAct(remove(row))}>
              Remove…
            </Button>
          )}
          <Button
            size="xs"
            variant="default"
            disabled={!mayLabel}
            title={refused}
            onClick={() =>
              void navigate({
                to: '/label/$queue/work',
                params: { queue },
                search: { review: true },
              })
            }
          >
            Review
          </Button>
          <Button
            size="xs"
            disabled={!mayLabel}
            title={refused}
            onClick={() =>
              void navigate({ to: '/label/$queue/work', params: { queue }, search: {} })
            }
          >
            Label
          </Button>
        </>
      }
    >
      <QueryState query={query} skeleton={<Skeleton height={240} />}>
        {(shown) => (
          <>
            <Facts row={shown} />
            <Statistics queue={queue} />
            <Tasks queue={queue} mayLabel={mayLabel} />
            <OnDemand when={editing}>
              <QueueForm
                row={shown}
                onClose={() => setEditing(false)}
                onDone={() => setEditing(false)}
              />
            </OnDemand>
          </>
        )}
      </QueryState>
      <Confirm act={act} onClose={() => setAct(undefined)} />
    </Page>
  )
}

function Facts({ row }: { row: LabelQueueRow }) {
  const { config, counts, labels } = row
  const { models, streams, suggestBy, teacher, annotators = 1, review = false } = config
  return (
    <>
      <CountsBar counts={counts} />
      <ul className={classes.facts}>
        {taskStates.map((state) => (
          <li key={state}>
            <b>{sayCount(counts[state])}</b> {stateWords[state]}
          </li>
        ))}
      </ul>
      <ul className={classes.facts}>
        <li>
          Into{' '}
          <Link to="/datasets/$dataset" params={{ dataset: config.dataset }}>
            {config.dataset}
          </Link>
          , {sayOf(labels.length, 'label')}
        </li>
        <li>
          {models.length === 0 ? 'Only what is put in by hand' : `Samples of ${models.join(', ')}`}
        </li>
        {streams && <li>Of {sayOf(streams.length, 'stream')}</li>}
        {suggestBy && <li>Suggestions of the champion of {suggestBy}</li>}
        {teacher && <li>Teacher {teacher}</li>}
        <li>
          {annotators === 1 ? 'One person answers' : `${annotators} people answer`}
          {review && ', a further one reviews'}
        </li>
        <li>
          <Link to="/label/$queue/work" params={{ queue: row.name }} search={{ order: 'camera' }}>
            Label camera by camera
          </Link>
        </li>
      </ul>
    </>
  )
}

const percent = (share: number | null): string =>
  share === null ? '–' : `${Math.round(share * 100)} %`

function Statistics({ queue }: { queue: string }) {
  const query = useQuery(queueStatisticsQuery(queue))
  return (
    <section className={classes.section} aria-labelledby="statistics">
      <h2 id="statistics">Statistics</h2>
      <QueryState query={query} skeleton={<Skeleton height={120} />}>
        {(figures) =>
          figures.answers === 0 ? (
            <p className="dim">Nobody has answered yet.</p>
          ) : (
            <>
              <ul className={classes.facts}>
                <li>
                  <b>{sayCount(figures.answers)}</b> answers
                </li>
                <li>
                  <b>{sayNumber(figures.perMinute)}</b> frames a minute
                </li>
                <li>
                  <b>{percent(figures.untouched)}</b> taken as proposed
                </li>
                {figures.agreement && (
                  <li>
                    <b>{percent(figures.agreement.matched)}</b> of annotations agree, over{' '}
                    {sayOf(figures.agreement.tasks, 'task')}
                    {figures.agreement.kappa !== null &&
                      ` (kappa of labels ${figures.agreement.kappa.toFixed(2)})`}
                  </li>
                )}
              </ul>
              <Days days={figures.days} />
              <People people={figures.people} />
            </>
          )
        }
      </QueryState>
    </section>
  )
}

/** Answers of each day, the last one at the right. Of a single day there is nothing to compare. */
function Days({ days }: { days: QueueStatistics['days'] }) {
  const most = Math.max(1, ...days.map(({ answers }) => answers))
  const total = days.reduce((sum, { answers }) => sum + answers, 0)
  const first = days.findIndex(({ answers }) => answers > 0)
  if (days.filter(({ answers }) => answers > 0).length < 2) return null
  const shown = days.slice(Math.min(first, days.length - daysShownMin))
  return (
    <figure className={classes.days}>
      <div
        role="img"
        aria-label={`${sayOf(total, 'answer')} in the last ${days.length} days, at most ${sayCount(most)} a day`}
      >
        {shown.map(({ day, answers }) => (
          <span key={day} title={`${dayOf(day)}: ${sayOf(answers, 'answer')}`}>
            <i style={{ height: `${(100 * answers) / most}%` }} />
          </span>
        ))}
      </div>
      <figcaption aria-hidden>
        <span>{dayOf(shown[0]?.day)}</span>
        <span>answers a day, at most {sayCount(most)}</span>
        <span>today</span>
      </figcaption>
    </figure>
  )
}

const dayOf = (day = ''): string => sayDay(Date.parse(day))

const peopleColumns = [
  'Who',
  { word: 'Answers', right: true },
  { word: 'As proposed', right: true },
  { word: 'Edits/frame', right: true },
  { word: 'Time/frame', right: true },
  { word: 'Frames/min', right: true },
  { word: 'Agreement', right: true },
] as const

function People({ people }: { people: QueueStatistics['people'] }) {
  return (
    <FramedTable label="People" columns={peopleColumns}>
      {people.map((one) => (
        <Table.Tr key={one.by}>
          <Table.Td>
            <bdi>{one.by}</bdi>
          </Table.Td>
          <Table.Td ta="right">{sayCount(one.answers)}</Table.Td>
          <Table.Td ta="right">
            {one.answers === 0 ? '–' : percent(one.untouched / one.answers)}
          </Table.Td>
          <Table.Td ta="right">{sayNumber(one.editsPerFrame)}</Table.Td>
          <Table.Td ta="right">{sayNumber(one.lookedMs / 1000)} s</Table.Td>
          <Table.Td ta="right">{sayNumber(one.perMinute)}</Table.Td>
          <Table.Td
            ta="right"
            title="Of their annotations, those that others or the reviewer drew, too"
          >
            {percent(one.agreement)}
          </Table.Td>
        </Table.Tr>
      ))}
    </FramedTable>
  )
}

function Tasks({ queue, mayLabel }: { queue: string; mayLabel: boolean }) {
  const { state = 'open' } = route.useSearch()
  const navigate = useNavigate()
  const query = useQuery(
    taskListQuery(queue, { state, order: state === 'open' ? 'use' : 'new', limit: tasksShown }),
  )
  return (
    <section className={classes.section} aria-labelledby="tasks">
      <div className={classes.sectionHead}>
        <h2 id="tasks">Tasks</h2>
        <NativeSelect
          size="xs"
          aria-label="State"
          value={state}
          data={taskStates.map((value) => ({ value, label: stateWords[value] }))}
          onChange={({ currentTarget: { value } }) => {
            const chosen = taskStates.find((one) => one === value)
            void navigate({
              to: '/label/$queue',
              params: { queue },
              search: chosen && chosen !== 'open' ? { state: chosen } : {},
              replace: true,
            })
          }}
        />
        {query.data && <span className="dim">{sayOf(query.data.total, 'task')}</span>}
      </div>
      <QueryState query={query} skeleton={<Skeleton height={160} />}>
        {({ tasks, total }) =>
          tasks.length === 0 ? (
            <Empty
              title={`Nothing is ${stateWords[state]}`}
              text={state === 'open' ? 'Samples that boxes keep come in by themselves.' : undefined}
            />
          ) : (
            <>
              <ul className={cards.all}>
                {tasks.map((task) => (
                  <TaskCard key={task.taskId} queue={queue} task={task} mayLabel={mayLabel} />
                ))}
              </ul>
              {total > tasks.length && (
                <p className="dim">
                  The {state === 'open' ? 'most useful' : 'newest'} {sayCount(tasks.length)} of{' '}
                  {sayCount(total)}
                </p>
              )}
            </>
          )
        }
      </QueryState>
    </section>
  )
}

function TaskCard(props: { queue: string; task: LabelTask; mayLabel: boolean }) {
  const { queue, task, mayLabel } = props
  const { sample, suggestions, answers, why } = task
  const said = answers.at(-1)?.annotations
  const proposed = suggestions.flatMap(({ label, box }) =>
    box ? [{ kind: 'box' as const, label, box }] : [],
  )
  const card = (
    <>
      <span className={cards.face}>
        <SamplePicture sample={{ ...sample, annotations: said ?? proposed }} small />
      </span>
      <span className="clip">{sample.streamId ?? sample.site ?? `task ${task.taskId}`}</span>
      <span className={`dim clip`} title={why}>
        {why}
      </span>
    </>
  )
  return (
    <li>
      {mayLabel ? (
        <Link
          to="/label/$queue/work"
          params={{ queue }}
          search={{
            task: task.taskId,
            ...((task.state === 'review' || task.state === 'flagged') && { review: true as const }),
          }}
          className={cards.card ?? ''}
        >
          {card}
        </Link>
      ) : (
        <div className={cards.card}>{card}</div>
      )}
    </li>
  )
}
