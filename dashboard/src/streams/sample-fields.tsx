/** Whether a stream keeps frames to be learned from, how many, and what is made unreadable in every picture of it. */
import {
  type RedactionConfig,
  type ReportedModel,
  redactionMethods,
  type SamplingConfig,
  type StreamConfig,
} from '@edgeloop/protocol'
import { Checkbox, NativeSelect, NumberInput } from '@mantine/core'
import type { ReactNode } from 'react'
import { LabelInput } from './label-input.tsx'
import { type editDraft, withRedaction, withSampling } from './stream-draft.ts'
import classes from './stream-settings.module.css'

const numberOf = (value: string | number): number | undefined =>
  value === '' || Number.isNaN(Number(value)) ? undefined : Number(value)

const methodWords: Record<(typeof redactionMethods)[number], string> = {
  pixelate: 'Pixelate',
  fill: 'Fill with one colour',
}

export function SampleFields(props: {
  stream: StreamConfig
  models: readonly Pick<ReportedModel, 'name' | 'labels'>[]
  /** Of the model that runs. */
  labels: readonly string[]
  onEdit: (change: Parameters<typeof editDraft>[1]) => void
  /** Beside them: what can be done with samples now. */
  children: ReactNode
}) {
  const { stream, models, onEdit } = props
  const { sampling, redact } = stream
  const sample = (change: Changed<SamplingConfig>) => onEdit(withSampling(stream, change))
  const hide = (change: Changed<RedactionConfig>) => onEdit(withRedaction(stream, change))
  const looking = models.find(({ name }) => name === redact?.model)
  return (
    <>
      <section className={classes.group} aria-label="Samples">
        <h2>Samples</h2>
        <Checkbox
          size="xs"
          label="Keep frames to learn from"
          description="Chosen where the model is unsure or the frame is unlike others, and sent to the hub after everything else"
          checked={sampling !== undefined}
          onChange={(event) => onEdit({ sampling: event.currentTarget.checked ? {} : undefined })}
        />
        {sampling && (
          <div className={classes.pair}>
            <NumberInput
              size="xs"
              label="Frames a day"
              placeholder="200"
              min={0}
              max={100_000}
              allowDecimal={false}
              value={sampling.framesPerDay ?? ''}
              onChange={(value) => sample({ framesPerDay: numberOf(value) })}
            />
            <NumberInput
              size="xs"
              label="MB a day"
              placeholder="40"
              min={0}
              max={100_000}
              value={sampling.bytesPerDay === undefined ? '' : sampling.bytesPerDay / 1e6}
              onChange={(value) => {
                const megabytes = numberOf(value)
                sample({
                  bytesPerDay: megabytes === undefined ? undefined : Math.round(megabytes * 1e6),
                })
              }}
            />
          </div>
        )}
        {props.children}
      </section>
      <section className={classes.group} aria-label="Privacy">
        <h2>Privacy</h2>
        <LabelInput
          label="Make unreadable"
          description="Objects of these labels, in every picture that is written or sent: samples, snapshots, live"
          placeholder="None"
          known={redact?.model === undefined ? props.labels : (looking?.labels ?? [])}
          value={redact?.labels}
          onChange={(labels) => hide({ labels })}
        />
        {redact && (
          <div className={classes.pair}>
            <NativeSelect
              size="xs"
              label="Found by"
              value={redact.model ?? ''}
              onChange={(event) => hide({ model: event.currentTarget.value || undefined })}
              data={[
                { value: '', label: "The stream's model" },
                ...new Set([
                  ...models.map(({ name }) => name),
                  ...(redact.model ? [redact.model] : []),
                ]),
              ]}
            />
            <NativeSelect
              size="xs"
              label="How"
              value={redact.method ?? 'pixelate'}
              onChange={(event) =>
                hide({ method: redactionMethods.find((one) => one === event.currentTarget.value) })
              }
              data={redactionMethods.map((value) => ({ value, label: methodWords[value] }))}
            />
          </div>
        )}
      </section>
    </>
  )
}

type Changed<T> = { readonly [K in keyof T]?: T[K] | undefined }
