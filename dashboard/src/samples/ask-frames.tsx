/** Asks the box of a stream for frames, whatever they show. */
import { sampleAskMax } from '@edgeloop/protocol'
import { Button, Modal, NumberInput, TextInput } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useMutation, useSuspenseQuery } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { sessionQuery } from '../people/session.ts'
import { sayOf } from '../shell/say.ts'
import classes from './samples.module.css'

/** @param refused why it cannot be asked, where something else than the role is against it */
export function AskFrames(props: { deviceId: string; streamId: string; refused?: string }) {
  const { deviceId, streamId } = props
  const { data: session } = useSuspenseQuery(sessionQuery)
  const [asking, setAsking] = useState(false)
  const refused = session.role === 'viewer' ? 'Only an operator can ask for frames' : props.refused
  return (
    <>
      <Button
        size="xs"
        variant="default"
        disabled={refused !== undefined}
        title={refused}
        onClick={() => setAsking(true)}
      >
        Ask for frames
      </Button>
      {asking && (
        <AskForm deviceId={deviceId} streamId={streamId} onClose={() => setAsking(false)} />
      )}
    </>
  )
}

function AskForm(props: { deviceId: string; streamId: string; onClose: () => void }) {
  const { deviceId, streamId, onClose } = props
  const [frames, setFrames] = useState<string | number>(5)
  const [why, setWhy] = useState('')
  const ask = useMutation({
    mutationFn: async () => {
      const asked = await call('sampleAsk', {
        params: { deviceId, streamId },
        body: { frames: Number(frames), ...(why.trim() === '' ? {} : { why: why.trim() }) },
      })
      if (asked.state === 'offline') throw new Error(asked.reason)
      return asked
    },
    onSuccess: (asked) => {
      notifications.show({
        message: `${deviceId} is asked for ${sayOf(asked.frames, 'frame')}; they come as samples`,
      })
      onClose()
    },
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    // A form in a window of its own is still inside the one that opened it, for React.
    event.stopPropagation()
    ask.mutate()
  }
  return (
    <Modal
      opened
      onClose={onClose}
      title={`Ask ${deviceId}/${streamId} for frames`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <form className={classes.form} onSubmit={submit}>
        <NumberInput
          label="How many"
          min={1}
          max={sampleAskMax}
          allowDecimal={false}
          value={frames}
          onChange={setFrames}
          data-autofocus
        />
        <TextInput
          label="What for"
          placeholder="new pallets"
          maxLength={200}
          value={why}
          onChange={(event) => setWhy(event.currentTarget.value)}
        />
        {ask.error && (
          <p className={classes.failed} role="alert">
            {ask.error.message}
          </p>
        )}
        <Button type="submit" loading={ask.isPending} disabled={frames === ''}>
          Ask
        </Button>
      </form>
    </Modal>
  )
}
