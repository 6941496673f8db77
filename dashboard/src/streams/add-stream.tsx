/** Adds a stream to what is wanted of a device. What was typed stays when the hub refuses it. */
import { isName, type ReportedModel, type StreamConfig } from '@edgeloop/protocol'
import { Button, Modal, NativeSelect, NumberInput, TextInput } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { deviceQuery } from '../devices/device-queries.ts'
import classes from './add-stream.module.css'

const blank = { streamId: '', name: '', source: '', model: '', analysisFps: 5, scoreMin: 0.4 }

export function AddStream(props: {
  deviceId: string
  models: readonly Pick<ReportedModel, 'name'>[]
  /** Ids that streams of this device already have. */
  taken: readonly string[]
  opened: boolean
  onClose: () => void
}) {
  const { deviceId } = props
  const queryClient = useQueryClient()
  const [form, setForm] = useState(blank)
  const add = useMutation({
    mutationFn: (body: StreamConfig) => call('streamAdd', { params: { deviceId }, body }),
    onSuccess: (desired) => {
      notifications.show({
        message: `${form.streamId} is added to the configuration (version ${desired.version})`,
      })
      void queryClient.invalidateQueries({ queryKey: deviceQuery(deviceId).queryKey, exact: true })
      setForm(blank)
      close()
    },
  })
  const close = () => {
    add.reset()
    props.onClose()
  }
  const wrongId = idProblem(form.streamId, props.taken)
  const set = (part: Partial<typeof blank>) => setForm({ ...form, ...part })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    add.mutate({
      streamId: form.streamId,
      source: form.source.trim(),
      analysisFps: form.analysisFps,
      scoreMin: form.scoreMin,
      ...(form.name.trim() ? { name: form.name.trim() } : {}),
      ...(form.model ? { model: form.model } : {}),
    })
  }

  return (
    <Modal
      opened={props.opened}
      onClose={close}
      title="Add a stream"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <form onSubmit={submit} className={classes.form}>
        <TextInput
          label="Source"
          description="rtsp://…, a file or folder on the device, or demo:SEED"
          placeholder="rtsp://user:password@10.0.0.7/stream1"
          value={form.source}
          onChange={(event) => set({ source: event.currentTarget.value })}
          maxLength={2048}
          autoComplete="off"
          spellCheck={false}
          data-autofocus
        />
        <TextInput
          label="Stream id"
          description="Lower case letters, digits, - and _; unique on this device"
          placeholder="gate-north"
          value={form.streamId}
          onChange={(event) => set({ streamId: event.currentTarget.value })}
          error={form.streamId === '' ? undefined : wrongId}
          autoComplete="off"
        />
        <TextInput
          label="Name"
          description="What people call it; can be left out"
          value={form.name}
          onChange={(event) => set({ name: event.currentTarget.value })}
          maxLength={120}
          autoComplete="off"
        />
        {props.models.length > 1 && (
          <NativeSelect
            label="Model"
            value={form.model}
            onChange={(event) => set({ model: event.currentTarget.value })}
            data={[{ value: '', label: 'Choose a model' }, ...props.models.map(({ name }) => name)]}
          />
        )}
        <div className={classes.pair}>
          <NumberInput
            label="Analysed fps"
            min={0.1}
            max={60}
            value={form.analysisFps}
            onChange={(value) => set({ analysisFps: Number(value) || blank.analysisFps })}
          />
          <NumberInput
            label="Lowest score"
            min={0}
            max={1}
            step={0.05}
            decimalScale={2}
            value={form.scoreMin}
            onChange={(value) => set({ scoreMin: Number(value) })}
          />
        </div>
        {add.error && (
          <p className={classes.failed} role="alert">
            {add.error.message}
          </p>
        )}
        <p className="dim">1 device takes this up at once: {deviceId}. Its other streams go on.</p>
        <Button
          type="submit"
          disabled={wrongId !== undefined || form.source.trim() === ''}
          loading={add.isPending}
        >
          Add to 1 device
        </Button>
      </form>
    </Modal>
  )
}

/** Why an id cannot be used, or undefined where it can. */
function idProblem(streamId: string, taken: readonly string[]): string | undefined {
  if (!isName(streamId)) return 'Only lower case letters, digits, - and _, at most 63'
  return taken.includes(streamId) ? `This device already has a stream ${streamId}` : undefined
}
