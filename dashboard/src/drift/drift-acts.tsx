/** What a person may say to drift: that it is the new normal, or that they know of it. */
import type { DriftAlarm } from '@edgeloop/protocol'
import { Button, Group, Modal } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { driftListQuery } from './drift-queries.ts'

const snoozeMinutes = 8 * 60

export function DriftActs(props: {
  deviceId: string
  streamId: string
  alarm: DriftAlarm | undefined
  /** Why nothing can be said, where it cannot. */
  refused: string | undefined
}) {
  const { deviceId, streamId, alarm, refused } = props
  const queryClient = useQueryClient()
  const [asking, setAsking] = useState(false)
  const again = () => queryClient.invalidateQueries({ queryKey: driftListQuery.queryKey })
  const failed = (error: Error) => notifications.show({ color: 'bad', message: error.message })
  const accept = useMutation({
    mutationFn: () => call('driftAccept', { params: { deviceId, streamId } }),
    onSuccess: () => setAsking(false),
    onError: failed,
    onSettled: again,
  })
  const isSnoozed =
    alarm?.snoozedUntil !== null && Date.parse(alarm?.snoozedUntil ?? '') > Date.now()
  const snooze = useMutation({
    mutationFn: ({ alarmId }: DriftAlarm) =>
      call('driftSnooze', {
        params: { alarmId },
        body: { minutes: isSnoozed ? 0 : snoozeMinutes },
      }),
    onError: failed,
    onSettled: again,
  })
  return (
    <Group gap={8}>
      {alarm && (
        <Button
          size="xs"
          variant="default"
          disabled={refused !== undefined}
          title={refused ?? 'Nobody is told of it, nor of the next of its kind on this stream'}
          loading={snooze.isPending}
          onClick={() => snooze.mutate(alarm)}
        >
          {isSnoozed ? 'Tell again' : 'Snooze for 8 hours'}
        </Button>
      )}
      <Button
        size="xs"
        variant="default"
        disabled={refused !== undefined}
        title={refused}
        onClick={() => setAsking(true)}
      >
        New normal
      </Button>
      <Modal
        opened={asking}
        onClose={() => setAsking(false)}
        title="This is the new normal?"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <p>
          What {deviceId}/{streamId} shows from now on is learnt anew, and its alarms end. Until
          enough sketches have come, nothing is said of it.
        </p>
        <Group justify="flex-end" gap={8}>
          <Button variant="default" onClick={() => setAsking(false)} data-autofocus>
            Cancel
          </Button>
          <Button loading={accept.isPending} onClick={() => accept.mutate()}>
            Learn 1 stream anew
          </Button>
        </Group>
      </Modal>
    </Group>
  )
}
