/** Puts the picture of an event into a dataset, with the boxes that events speak of. */
import { mayAct, type StoredEvent } from '@edgeloop/protocol'
import { Button, Group, Modal, NativeSelect } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useMutation, useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { datasetListQuery } from '../datasets/dataset-queries.ts'
import { sessionQuery } from '../people/session.ts'
import { Failed } from '../shell/query-state.tsx'
import classes from './event-panel.module.css'

export function AddToDataset({ event }: { event: StoredEvent }) {
  const { data: session } = useSuspenseQuery(sessionQuery)
  const [asking, setAsking] = useState(false)
  const refused = mayAct(session.role, 'operator')
    ? undefined
    : 'Only an operator can change datasets'
  return (
    <>
      <Button
        size="compact-sm"
        variant="default"
        disabled={refused !== undefined}
        title={refused}
        onClick={() => setAsking(true)}
      >
        Add to dataset…
      </Button>
      <Modal
        opened={asking}
        onClose={() => setAsking(false)}
        title="Add to a dataset"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {asking && <Form event={event} onClose={() => setAsking(false)} />}
      </Modal>
    </>
  )
}

function Form({ event, onClose }: { event: StoredEvent; onClose: () => void }) {
  const { data: datasets, error, refetch } = useQuery(datasetListQuery)
  const [chosen, setChosen] = useState('')
  const dataset = chosen || (datasets?.[0]?.name ?? '')
  const add = useMutation({
    mutationFn: () =>
      call('datasetEventPut', { params: { dataset }, body: { eventIds: [event.eventId] } }),
    onSuccess: ({ added }) => {
      onClose()
      notifications.show({
        message: (
          <>
            {added > 0 ? 'The picture is in ' : 'The picture was already in '}
            <Link
              to="/datasets/$dataset"
              params={{ dataset }}
              search={event.snapshot === null ? {} : { sample: event.snapshot }}
            >
              {dataset}
            </Link>
          </>
        ),
      })
    },
  })
  if (error) return <Failed error={error} onRetry={() => void refetch()} />
  if (datasets?.length === 0) {
    return (
      <p>
        There is no dataset yet. <Link to="/datasets">Add one</Link> first.
      </p>
    )
  }
  const submit = (submitted: FormEvent) => {
    submitted.preventDefault()
    add.mutate()
  }
  return (
    <form className={classes.form} onSubmit={submit}>
      <NativeSelect
        label="Dataset"
        description="The picture comes with the boxes of all events that speak of it; a label that is new to the dataset comes last"
        value={dataset}
        data={datasets?.map(({ name }) => name) ?? []}
        onChange={(change) => setChosen(change.currentTarget.value)}
        data-autofocus
      />
      {add.error && (
        <p className={classes.failed} role="alert">
          {add.error.message}
        </p>
      )}
      <Group justify="flex-end" gap={8}>
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button type="submit" disabled={dataset === ''} loading={add.isPending}>
          Add the picture
        </Button>
      </Group>
    </form>
  )
}
