/** Asks before a stream is removed, and says in numbers what that hits. */
import type { ReportedStream } from '@edgeloop/protocol'
import { Button, Group, Modal } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { call } from '../api/call.ts'
import { deviceQuery } from '../devices/device-queries.ts'
import classes from './add-stream.module.css'

export function RemoveStream(props: {
  deviceId: string
  stream: Pick<ReportedStream, 'streamId' | 'name'> | undefined
  opened: boolean
  onClose: () => void
}) {
  const { deviceId, stream, onClose } = props
  const queryClient = useQueryClient()
  const remove = useMutation({
    mutationFn: (streamId: string) => call('streamRemove', { params: { deviceId, streamId } }),
    onSuccess: (desired, streamId) => {
      notifications.show({
        message: `${streamId} is removed from the configuration (version ${desired.version})`,
      })
      void queryClient.invalidateQueries({ queryKey: deviceQuery(deviceId).queryKey, exact: true })
      close()
    },
  })
  const close = () => {
    remove.reset()
    onClose()
  }
  return (
    <Modal
      opened={props.opened}
      onClose={close}
      title="Remove a stream"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <div className={classes.form}>
        <p>
          1 device, 1 stream: <b>{deviceId}</b> stops analysing{' '}
          <b>
            <bdi>{stream?.name}</bdi>
          </b>
          . Events that are stored stay. It can be added again at any time.
        </p>
        {remove.error && (
          <p className={classes.failed} role="alert">
            {remove.error.message}
          </p>
        )}
        <Group justify="flex-end" gap={8}>
          <Button variant="default" onClick={close}>
            Keep it
          </Button>
          <Button
            color="bad"
            loading={remove.isPending}
            onClick={() => stream && remove.mutate(stream.streamId)}
          >
            Remove 1 stream
          </Button>
        </Group>
      </div>
    </Modal>
  )
}
