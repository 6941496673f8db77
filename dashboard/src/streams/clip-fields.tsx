/** Whether clips of events are recorded, from when to when, and what that costs the box. */
import type { ClipConfig, StreamConfig } from '@edgeloop/protocol'
import { Checkbox, NumberInput } from '@mantine/core'
import { sayBytes } from '../shell/say.ts'
import { clipCost } from './clip-cost.ts'
import { LabelInput } from './label-input.tsx'
import type { editDraft } from './stream-draft.ts'
import classes from './stream-settings.module.css'

type Seconds = 'beforeSeconds' | 'afterSeconds' | 'lengthMaxSeconds'

export function ClipFields(props: {
  stream: StreamConfig
  labels: readonly string[]
  /** Why the device records none although it should. */
  noClips: string | undefined
  onEdit: (change: Parameters<typeof editDraft>[1]) => void
}) {
  const { stream, onEdit } = props
  const { clips } = stream
  const set = (change: { readonly [K in keyof ClipConfig]?: ClipConfig[K] | undefined }) => {
    const entries = Object.entries({ ...clips, ...change })
    onEdit({ clips: Object.fromEntries(entries.filter(([, value]) => value !== undefined)) })
  }
  const seconds = (key: Seconds, label: string, usual: number, min: number, max: number) => (
    <NumberInput
      size="xs"
      label={label}
      placeholder={String(usual)}
      min={min}
      max={max}
      value={clips?.[key] ?? ''}
      onChange={(value) => {
        const given = value === '' || Number.isNaN(Number(value)) ? undefined : Number(value)
        set({ [key]: given })
      }}
    />
  )
  const isMasked = (stream.masks ?? []).length > 0
  const cost = clips && clipCost(clips)
  return (
    <section className={classes.group} aria-label="Clips">
      <h2>Clips</h2>
      <Checkbox
        size="xs"
        label="Record clips of events"
        description={
          isMasked
            ? 'Not with masks: a clip is what the camera sent, and nothing in it can be blanked'
            : 'As the camera sends it, H.264 only; the video stays on the box until it is asked for'
        }
        checked={clips !== undefined}
        disabled={isMasked && clips === undefined}
        onChange={(event) => onEdit({ clips: event.currentTarget.checked ? {} : undefined })}
      />
      {clips && cost && (
        <>
          <div className={classes.pair}>
            {seconds('beforeSeconds', 'Seconds before', 5, 0, 30)}
            {seconds('afterSeconds', 'Seconds after', 10, 0, 60)}
          </div>
          {seconds('lengthMaxSeconds', 'Longest clip, seconds', 60, 10, 300)}
          <LabelInput
            label="Only around these labels"
            known={props.labels}
            value={clips.labels}
            onChange={(labels) => set({ labels })}
          />
          <p className="dim">
            Costs, for a camera of 4 Mbit/s: {sayBytes(cost.memoryBytes)} of memory all the time,
            and {sayBytes(cost.clipBytes)} of disk for the clip of one event. The oldest give way
            after 7 days or 2 GB, if agent.yaml does not say otherwise.
          </p>
        </>
      )}
      {props.noClips && <p role="status">{props.noClips}</p>}
    </section>
  )
}
