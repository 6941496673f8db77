/** What of a stream is typed and not drawn: its name, model, labels, scores and rates. */
import type { ReportedModel, StreamConfig } from '@edgeloop/protocol'
import { ActionIcon, Button, NativeSelect, NumberInput, TextInput } from '@mantine/core'
import { IconTrash } from '@tabler/icons-react'
import { useState } from 'react'
import { LabelInput } from './label-input.tsx'
import type { editDraft } from './stream-draft.ts'
import classes from './stream-settings.module.css'

/** What a number field gives, as a setting: undefined where it is empty. */
const numberOf = (value: string | number): number | undefined =>
  value === '' || Number.isNaN(Number(value)) ? undefined : Number(value)

export function SettingFields(props: {
  stream: StreamConfig
  models: readonly Pick<ReportedModel, 'name'>[]
  labels: readonly string[]
  onEdit: (change: Parameters<typeof editDraft>[1], goOn?: boolean) => void
}) {
  const { stream, models, onEdit } = props
  return (
    <section className={classes.group} aria-label="Settings">
      <h2>Settings</h2>
      <TextInput
        size="xs"
        label="Name"
        placeholder={stream.streamId}
        maxLength={120}
        value={stream.name ?? ''}
        onChange={(event) => onEdit({ name: event.currentTarget.value || undefined })}
      />
      {(models.length > 1 || stream.model !== undefined) && (
        <NativeSelect
          size="xs"
          label="Model"
          value={stream.model ?? ''}
          onChange={(event) => onEdit({ model: event.currentTarget.value || undefined })}
          data={[
            { value: '', label: "The device's only model" },
            ...new Set([
              ...models.map(({ name }) => name),
              ...(stream.model ? [stream.model] : []),
            ]),
          ]}
        />
      )}
      <div className={classes.pair}>
        <NumberInput
          size="xs"
          label="Analysed fps"
          placeholder="5"
          min={0.1}
          max={60}
          value={stream.analysisFps ?? ''}
          onChange={(value) => onEdit({ analysisFps: numberOf(value) })}
        />
        <NumberInput
          size="xs"
          label="Lowest score"
          placeholder="0.4"
          min={0}
          max={1}
          step={0.05}
          decimalScale={2}
          value={stream.scoreMin ?? ''}
          onChange={(value) => onEdit({ scoreMin: numberOf(value) })}
        />
      </div>
      <LabelInput
        label="Only these labels"
        known={props.labels}
        value={stream.labels}
        onChange={(labels) => onEdit({ labels })}
      />
      <Thresholds {...props} />
      <div className={classes.pair}>
        <SecondsInput
          label="Sum up counts every, seconds"
          description="0 turns the sums off"
          value={stream.countsIntervalMs}
          onChange={(countsIntervalMs) => onEdit({ countsIntervalMs })}
        />
        <SecondsInput
          label="Sketch for drift every, seconds"
          description="0 turns sketches off"
          value={stream.sketchIntervalMs}
          onChange={(sketchIntervalMs) => onEdit({ sketchIntervalMs })}
        />
      </div>
      <p className="dim">Source: {stream.source}</p>
    </section>
  )
}

/** An interval that is kept in milliseconds; a minute where it is empty. */
function SecondsInput(props: {
  label: string
  description: string
  value: number | undefined
  onChange: (value: number | undefined) => void
}) {
  const { value, onChange, ...words } = props
  return (
    <NumberInput
      size="xs"
      {...words}
      placeholder="60"
      min={0}
      max={3600}
      value={value === undefined ? '' : value / 1000}
      onChange={(typed) => {
        const seconds = numberOf(typed)
        onChange(seconds === undefined ? undefined : Math.round(seconds * 1000))
      }}
    />
  )
}

/** Labels with a lowest score of their own. */
function Thresholds(props: {
  stream: StreamConfig
  labels: readonly string[]
  onEdit: (change: Parameters<typeof editDraft>[1]) => void
}) {
  const { stream, onEdit } = props
  const thresholds = stream.thresholds ?? {}
  const [label, setLabel] = useState('')
  const set = (next: Record<string, number>) =>
    onEdit({ thresholds: Object.keys(next).length > 0 ? next : undefined })
  const add = () => {
    const name = label.trim()
    if (name === '' || name in thresholds) return
    set({ ...thresholds, [name]: stream.scoreMin ?? 0.4 })
    setLabel('')
  }
  return (
    <div className={classes.group}>
      {Object.entries(thresholds).map(([name, score]) => (
        <div key={name} className={classes.row}>
          <span className="clip">
            <bdi>{name}</bdi>
          </span>
          <NumberInput
            size="xs"
            aria-label={`Lowest score of ${name}`}
            min={0}
            max={1}
            step={0.05}
            decimalScale={2}
            value={score}
            onChange={(value) => {
              const next = numberOf(value)
              if (next !== undefined) set({ ...thresholds, [name]: next })
            }}
          />
          <ActionIcon
            variant="subtle"
            color="gray"
            c="var(--el-dimmed)"
            aria-label={`No score of its own for ${name}`}
            onClick={() => {
              const { [name]: _, ...left } = thresholds
              set(left)
            }}
          >
            <IconTrash size={14} />
          </ActionIcon>
        </div>
      ))}
      <div className={classes.pair}>
        <TextInput
          size="xs"
          label="A lowest score for one label"
          placeholder={props.labels[0] ?? 'person'}
          maxLength={100}
          value={label}
          onChange={(event) => setLabel(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter') return
            event.preventDefault()
            add()
          }}
        />
        <Button size="xs" variant="default" mt="auto" disabled={label.trim() === ''} onClick={add}>
          Add
        </Button>
      </div>
    </div>
  )
}
