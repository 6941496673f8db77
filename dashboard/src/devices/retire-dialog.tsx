/** Retires many devices: says in numbers what that cuts off, wants a larger number typed, and tells what it did. */
import { actDevicesMax, type DeviceActs } from '@edgeloop/protocol'
import { Button, Group, Modal, Skeleton, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { QueryState } from '../shell/query-state.tsx'
import { sayCount, sayOf } from '../shell/say.ts'
import classes from './act-dialog.module.css'
import { Ended, useActing, Working } from './act-outcome.tsx'
import { thoseThat } from './device-acts.ts'
import { deviceListQuery } from './device-queries.ts'

/** From here on the number must be typed: a slip of the hand would cut off a site. */
const typedFrom = 5

export function RetireDialog(props: {
  deviceIds: readonly string[]
  opened: boolean
  onClose: () => void
}) {
  const { deviceIds, onClose } = props
  const { acting, begin } = useActing()
  const devices = deviceIds.slice(0, actDevicesMax)
  const plan = useQuery({
    queryKey: ['acts', 'retire', devices],
    queryFn: ({ signal }) => call('devicesRetire', { body: { devices, dryRun: true }, signal }),
    staleTime: 0,
    gcTime: 0,
  })
  return (
    <Modal
      opened={props.opened}
      onClose={onClose}
      title={`Retire ${sayOf(devices.length, 'device')}`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {acting?.step === 'working' && <Working acting={acting} />}
      {acting?.step === 'ended' && (
        <Ended
          outcomes={acting.outcomes}
          word="retired"
          onGoOn={(left) => begin(left, acting.send)}
        >
          <p className="dim">
            A retired device comes back when it is enrolled again under its id: make a new token
            with “Add a device”.
          </p>
        </Ended>
      )}
      {!acting && (
        <QueryState query={plan} skeleton={<Skeleton height={120} />}>
          {(known) => (
            <Asking
              plan={known}
              onClose={onClose}
              onRetire={(those) =>
                begin(those, (some) => call('devicesRetire', { body: { devices: [...some] } }))
              }
            />
          )}
        </QueryState>
      )}
    </Modal>
  )
}

function Asking(props: {
  plan: DeviceActs
  onClose: () => void
  onRetire: (deviceIds: readonly string[]) => void
}) {
  const { plan } = props
  const [typed, setTyped] = useState('')
  const those = thoseThat(plan, 'changed')
  const { data: rows = [] } = useQuery(deviceListQuery)
  const online = new Set(
    rows.filter((row) => row.connectivity === 'online').map(({ deviceId }) => deviceId),
  )
  const connected = those.filter(({ deviceId }) => online.has(deviceId)).length
  const { unchanged, failed } = plan
  const mustType = those.length >= typedFrom
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault()
        props.onRetire(those.map(({ deviceId }) => deviceId))
      }}
    >
      <p role="status">
        {sayOf(those.length, 'device')} will be shut out at once, {sayCount(connected)} of them
        connected now. What they told is kept.
        {unchanged > 0 && ` ${sayOf(unchanged, 'device')} retired already.`}
        {failed > 0 && ` ${sayOf(failed, 'device')} not there any more.`}
      </p>
      <p>This cannot be taken back from here: each has to be enrolled again, on the box.</p>
      {mustType && (
        <TextInput
          label={`Type ${those.length} to retire them`}
          inputMode="numeric"
          autoComplete="off"
          maxLength={10}
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
          data-autofocus
        />
      )}
      <Group justify="flex-end" gap={8}>
        <Button variant="default" onClick={props.onClose}>
          Cancel
        </Button>
        <Button
          type="submit"
          color="bad"
          disabled={those.length === 0 || (mustType && typed.trim() !== String(those.length))}
        >
          Retire {sayOf(those.length, 'device')}
        </Button>
      </Group>
    </form>
  )
}
