/** Makes a one-time token and shows the one command that turns a box into a device. */
import { type EnrolmentToken, isName } from '@edgeloop/protocol'
import { Button, CopyButton, Modal, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { sayMoment } from '../shell/say.ts'
import { deviceListQuery } from './device-queries.ts'
import classes from './enrol-device.module.css'

export function EnrolDevice(props: { opened: boolean; onClose: () => void }) {
  const queryClient = useQueryClient()
  const [deviceId, setDeviceId] = useState('')
  const [name, setName] = useState('')
  const enrol = useMutation({
    mutationFn: () =>
      call('enrolmentCreate', {
        body: { deviceId, ...(name.trim() ? { name: name.trim() } : {}) },
      }),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: deviceListQuery.queryKey }),
  })
  const close = () => {
    props.onClose()
    enrol.reset()
    setDeviceId('')
    setName('')
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    enrol.mutate()
  }
  const wrong = deviceId !== '' && !isName(deviceId)

  return (
    <Modal
      opened={props.opened}
      onClose={close}
      title="Enrol a device"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {enrol.data ? (
        <EnrolmentCommand token={enrol.data} />
      ) : (
        <form onSubmit={submit} className={classes.form}>
          <TextInput
            label="Device id"
            description="Lower case letters, digits, - and _; it stays as long as the device does"
            placeholder="gate-north"
            value={deviceId}
            onChange={(event) => setDeviceId(event.currentTarget.value)}
            error={wrong ? 'Only lower case letters, digits, - and _, at most 63' : undefined}
            autoComplete="off"
            data-autofocus
          />
          <TextInput
            label="Name"
            description="What people call it; can be left out"
            placeholder="Gate north"
            maxLength={120}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            autoComplete="off"
          />
          {enrol.error && (
            <p className={classes.failed} role="alert">
              {enrol.error.message}
            </p>
          )}
          <Button type="submit" disabled={deviceId === '' || wrong} loading={enrol.isPending}>
            Make a one-time token
          </Button>
        </form>
      )}
    </Modal>
  )
}

function EnrolmentCommand(props: { token: EnrolmentToken }) {
  const { token, deviceUrl, caFingerprint, expiresAt, deviceId, installCommand } = props.token
  // Without an agent to give, the box needs a checkout of its own.
  const command =
    installCommand ??
    `EDGELOOP_ENROLMENT_TOKEN=${token} ./edgeloop agent --hub ${deviceUrl} --ca-fingerprint ${caFingerprint}`
  return (
    <div className={classes.form}>
      <p>
        Run this once on the box that becomes <b>{deviceId}</b>. Its key is made there and never
        leaves it.
      </p>
      <pre className={classes.command}>{command}</pre>
      <CopyButton value={command}>
        {({ copied, copy }) => (
          <Button variant="default" onClick={copy}>
            {copied ? 'Copied' : 'Copy the command'}
          </Button>
        )}
      </CopyButton>
      <p className="dim">The token works once, until {sayMoment(Date.parse(expiresAt))}.</p>
    </div>
  )
}
