/** What begins runs by itself: when it is due next, what came of it the last time, and a form for another one. */
import type { ScheduleRequest, TrainingSchedule } from '@edgeloop/protocol'
import {
  Autocomplete,
  Button,
  Group,
  Modal,
  NativeSelect,
  NumberInput,
  Switch,
  Table,
  Textarea,
  TextInput,
} from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { queryOptions, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { useChanges } from '../api/changes.tsx'
import { modelListQuery } from '../models/model-queries.ts'
import { type Act, Confirm } from '../people/confirm.tsx'
import { Ago } from '../shell/now.tsx'
import { sayCount, sayMoment } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import tables from '../shell/tables.module.css'
import { datasetNamesQuery } from './new-run.tsx'
import { trainerQuery } from './run-queries.ts'
import classes from './runs.module.css'
import { settingsIn } from './settings-text.ts'

const schedulesQuery = queryOptions({
  queryKey: ['training-schedules'],
  queryFn: ({ signal }) => call('trainingScheduleList', { signal }),
})

export function Schedules({ mayChange }: { mayChange: boolean }) {
  const queryClient = useQueryClient()
  const { data: rows } = useQuery(schedulesQuery)
  const [adding, setAdding] = useState(false)
  const [act, setAct] = useState<Act>()
  const again = () => void queryClient.invalidateQueries({ queryKey: schedulesQuery.queryKey })
  useChanges((batch) => {
    if (batch.some(({ kind }) => kind === 'trainingSchedules')) again()
  })
  const enable = useMutation({
    mutationFn: ({ name, cause, run, enabled }: TrainingSchedule) =>
      call('trainingSchedulePut', { params: { name }, body: { cause, run, enabled: !enabled } }),
    onError: (error) => notifications.show({ color: 'bad', message: error.message }),
    onSettled: again,
  })
  if (!rows || (rows.length === 0 && !mayChange)) return null
  const remove = ({ name }: TrainingSchedule): Act => ({
    title: 'Remove a schedule',
    text: (
      <p>
        <b>{name}</b> begins no runs any more. Those that it began stay.
      </p>
    ),
    word: 'Remove 1 schedule',
    run: () => call('trainingScheduleRemove', { params: { name } }),
    done: again,
  })
  return (
    <section aria-labelledby="schedules">
      <div className={classes.head}>
        <h2 id="schedules">Schedules</h2>
        {mayChange && (
          <Button size="xs" variant="default" onClick={() => setAdding(true)}>
            Add a schedule
          </Button>
        )}
      </div>
      {rows.length === 0 ? (
        <p className="dim">Nothing begins runs by itself yet.</p>
      ) : (
        <Scroller label="Schedules">
          <Table className={`${tables.table} ${classes.table}`}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Schedule</Table.Th>
                <Table.Th>On</Table.Th>
                <Table.Th>Trains</Table.Th>
                <Table.Th>Next</Table.Th>
                <Table.Th>Last</Table.Th>
                <Table.Th />
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {rows.map((row) => (
                <Table.Tr key={row.name}>
                  <Table.Td>
                    {row.name} <span className="dim">by {row.by}</span>
                  </Table.Td>
                  <Table.Td>
                    <Switch
                      checked={row.enabled}
                      disabled={!mayChange}
                      aria-label={`${row.name} is on`}
                      onChange={() => enable.mutate(row)}
                    />
                  </Table.Td>
                  <Table.Td>
                    {row.run.parent} on {row.run.dataset}
                  </Table.Td>
                  <Table.Td>{sayNext(row)}</Table.Td>
                  <Table.Td>
                    {row.lastAt === null ? (
                      'never'
                    ) : (
                      <>
                        <Ago at={row.lastAt} />
                        {row.lastOutcome !== '' ? (
                          <span className="dim">: {row.lastOutcome}</span>
                        ) : (
                          row.lastRun !== null && (
                            <>
                              :{' '}
                              <Link to="/runs/$runId" params={{ runId: row.lastRun }}>
                                run {row.lastRun.slice(0, 8)}
                              </Link>
                            </>
                          )
                        )}
                      </>
                    )}
                  </Table.Td>
                  <Table.Td>
                    {mayChange && (
                      <Button
                        size="compact-xs"
                        variant="default"
                        aria-label={`Remove the schedule ${row.name}`}
                        onClick={() => setAct(remove(row))}
                      >
                        Remove…
                      </Button>
                    )}
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Scroller>
      )}
      <Modal
        opened={adding}
        onClose={() => setAdding(false)}
        title="Add a schedule"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {adding && (
          <Form
            onClose={() => setAdding(false)}
            onAdded={() => {
              setAdding(false)
              again()
            }}
          />
        )}
      </Modal>
      <Confirm act={act} onClose={() => setAct(undefined)} />
    </section>
  )
}

function sayNext({ cause, nextAt, have, enabled }: TrainingSchedule): string {
  if (!enabled) return 'switched off'
  if (cause.kind === 'calendar') {
    return nextAt === null ? cause.cron : sayMoment(Date.parse(nextAt))
  }
  return `${sayCount(have ?? 0)} of ${sayCount(cause.count)} samples newly annotated`
}

function Form(props: { onClose: () => void; onAdded: () => void }) {
  const { data: datasets = [] } = useQuery(datasetNamesQuery)
  const { data: models = [] } = useQuery(modelListQuery)
  const { data: trainer } = useQuery(trainerQuery)
  const [name, setName] = useState('')
  const [kind, setKind] = useState<'calendar' | 'annotations'>('calendar')
  const [cron, setCron] = useState('17 3 * * 1')
  const [count, setCount] = useState(100)
  const [chosen, setDataset] = useState('')
  const dataset = chosen || (datasets[0]?.name ?? '')
  const [parent, setParent] = useState('')
  const [settings, setSettings] = useState('')
  const read = settingsIn(settings)
  const put = useMutation({
    mutationFn: () => {
      const cause: ScheduleRequest['cause'] =
        kind === 'calendar' ? { kind, cron: cron.trim() } : { kind, count }
      const recipe = 'settings' in read ? { recipe: { ...read.settings } } : {}
      return call('trainingSchedulePut', {
        params: { name },
        body: { cause, run: { dataset, parent: parent.trim(), ...recipe }, enabled: true },
      })
    },
    onSuccess: props.onAdded,
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    put.mutate()
  }
  return (
    <form onSubmit={submit} className={classes.form}>
      <TextInput
        label="Name"
        value={name}
        onChange={(event) => setName(event.currentTarget.value.trim().toLowerCase())}
        maxLength={63}
        required
        data-autofocus
      />
      <NativeSelect
        label="Begins a run"
        value={kind}
        data={[
          { value: 'calendar', label: 'at a time' },
          { value: 'annotations', label: 'when enough is newly annotated' },
        ]}
        onChange={(event) => setKind(event.currentTarget.value as typeof kind)}
      />
      {kind === 'calendar' ? (
        <TextInput
          label="Minute, hour, day, month, weekday"
          description="In the hub’s time zone"
          value={cron}
          onChange={(event) => setCron(event.currentTarget.value)}
          maxLength={100}
          spellCheck={false}
        />
      ) : (
        <NumberInput
          label="Samples newly annotated"
          value={count}
          min={1}
          max={1_000_000}
          onChange={(value) => setCount(typeof value === 'number' ? value : 1)}
        />
      )}
      <NativeSelect
        label="Dataset"
        description="It is frozen first, as it was split before"
        value={dataset}
        data={datasets.map((one) => one.name)}
        onChange={(event) => setDataset(event.currentTarget.value)}
      />
      <Autocomplete
        label="From"
        description="The champion of a model, or a new net"
        value={parent}
        data={[
          ...models.map(({ newest }) => newest.name),
          ...(trainer?.builders ?? []).map((one) => `new:${one}`),
        ]}
        onChange={setParent}
        required
      />
      <Textarea
        label="Recipe"
        description="What is to be other than usual, one KEY=VALUE a line"
        value={settings}
        onChange={(event) => setSettings(event.currentTarget.value)}
        rows={3}
        spellCheck={false}
        error={'problem' in read ? read.problem : undefined}
      />
      {put.error && (
        <p className={classes.failed} role="alert">
          {put.error.message}
        </p>
      )}
      <Group justify="flex-end" gap={8}>
        <Button variant="default" onClick={props.onClose}>
          Cancel
        </Button>
        <Button
          type="submit"
          loading={put.isPending}
          disabled={name === '' || dataset === '' || parent.trim() === '' || 'problem' in read}
        >
          Add the schedule
        </Button>
      </Group>
    </form>
  )
}
