/** Asks before an earlier version is wished again, and shows exactly what that changes. */
import { CallFailed } from '@edgeloop/protocol'
import { Button, Group, Modal, Skeleton } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { call } from '../api/call.ts'
import { QueryState } from '../shell/query-state.tsx'
import { sayOf } from '../shell/say.ts'
import formClasses from '../streams/add-stream.module.css'
import { ConfigChanges } from './config-changes.tsx'
import { configDiffQuery, deviceQuery } from './device-queries.ts'

export function RollBack(props: {
  deviceId: string
  version: number
  /** The newest version that is on the page: whoever was faster is not overwritten. */
  newest: number
  onClose: () => void
}) {
  const { deviceId, version, newest, onClose } = props
  const queryClient = useQueryClient()
  const navigate = useNavigate()
  const diff = useQuery(configDiffQuery(deviceId, newest, version))
  const refresh = () =>
    queryClient.invalidateQueries({ queryKey: deviceQuery(deviceId).queryKey, exact: true })
  const rollBack = useMutation({
    mutationFn: () =>
      call('configRollback', { params: { deviceId }, body: { version: newest, to: version } }),
    onSuccess: async (desired) => {
      notifications.show({ message: `Version ${version} is wanted again, as ${desired.version}` })
      await refresh()
      onClose()
      await navigate({ to: '/devices/$deviceId/config', params: { deviceId }, replace: true })
    },
    onError: () => void refresh(),
  })
  const { error } = rollBack
  const others = error instanceof CallFailed ? error.newest : undefined
  return (
    <Modal
      opened
      onClose={onClose}
      title={`Roll back to version ${version}`}
      closeButtonProps={{ 'aria-label': 'Close' }}
      size="lg"
    >
      <div className={formClasses.form}>
        <QueryState query={diff} skeleton={<Skeleton height={60} />}>
          {({ changes }) => (
            <>
              <p>
                1 device, {sayOf(changes.length, 'change')}: what <b>{deviceId}</b> is asked for
                becomes what it was in version {version}. This makes a new version, so it can be
                taken back the same way.
              </p>
              <ConfigChanges changes={changes} label="What the rollback changes" />
            </>
          )}
        </QueryState>
        {error && (
          <div className={formClasses.failed} role="alert">
            {error.message}
            {others?.changes && (
              <>
                <p>
                  <bdi>{others.by || 'Somebody'}</bdi> made version {others.version}:
                </p>
                <ConfigChanges changes={others.changes} label="What somebody else has changed" />
              </>
            )}
          </div>
        )}
        <Group justify="flex-end" gap={8}>
          <Button variant="default" onClick={onClose}>
            Keep version {newest}
          </Button>
          <Button
            loading={rollBack.isPending}
            disabled={!diff.data || others !== undefined}
            onClick={() => rollBack.mutate()}
          >
            Roll back 1 device
          </Button>
        </Group>
      </div>
    </Modal>
  )
}
