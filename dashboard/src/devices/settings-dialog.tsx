/** Sets something on the streams of many devices: what it will hit in numbers, what it did, and undo. */
import type { DeviceActs, StreamSettings } from '@edgeloop/protocol'
import { Button, Modal, NumberInput } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { Failed } from '../shell/query-state.tsx'
import { sayOf } from '../shell/say.ts'
import classes from './act-dialog.module.css'
import { Ended, useActing, Working } from './act-outcome.tsx'
import { countReasons, thoseThat, undoOf } from './device-acts.ts'

/** A field that is being typed is not asked about at every letter. */
const typedMs = 300

export function SettingsDialog(props: {
  deviceIds: readonly string[]
  opened: boolean
  onClose: () => void
}) {
  const { deviceIds } = props
  const [set, setSet] = useState<StreamSettings>({})
  const { acting, begin } = useActing()
  const devices = [...deviceIds]

  return (
    <Modal
      opened={props.opened}
      onClose={props.onClose}
      title={`Settings of streams on ${sayOf(deviceIds.length, 'device')}`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {acting?.step === 'working' && <Working acting={acting} />}
      {acting?.step === 'ended' && (
        <Ended
          outcomes={acting.outcomes}
          word="changed"
          onGoOn={(left) => begin(left, acting.send)}
        >
          <Undo
            steps={undoOf(acting.outcomes)}
            onUndo={(steps) => {
              const stepOf = new Map(steps.map((step) => [step.deviceId, step]))
              begin([...stepOf.keys()], (some) => {
                const body = { devices: some.flatMap((id) => stepOf.get(id) ?? []) }
                return call('devicesRollBack', { body })
              })
            }}
          />
        </Ended>
      )}
      {!acting && (
        <Fields
          devices={devices}
          set={set}
          onSet={setSet}
          onApply={() =>
            begin(devices, (some) =>
              call('devicesStreamsSet', { body: { devices: [...some], set } }),
            )
          }
        />
      )}
    </Modal>
  )
}

function Fields(props: {
  devices: string[]
  set: StreamSettings
  onSet: (set: StreamSettings) => void
  onApply: () => void
}) {
  const { devices, set, onSet } = props
  const [asked] = useDebouncedValue(set, typedMs)
  const empty = Object.keys(set).length === 0
  const plan = useQuery({
    queryKey: ['acts', 'settings', devices, asked],
    queryFn: ({ signal }) =>
      call('devicesStreamsSet', { body: { devices, set: asked, dryRun: true }, signal }),
    enabled: Object.keys(asked).length > 0,
    placeholderData: keepPreviousData,
    staleTime: 0,
    gcTime: 0,
  })
  const known = !empty && asked === set && !plan.isPlaceholderData ? plan.data : undefined
  const field = (key: 'analysisFps' | 'scoreMin') => ({
    placeholder: 'As it is',
    value: set[key] ?? '',
    onChange: (value: string | number) => onSet(withNumber(set, key, value)),
  })
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault()
        props.onApply()
      }}
    >
      <div className={classes.pair}>
        <NumberInput label="Analysed fps" min={0.1} max={60} {...field('analysisFps')} />
        <NumberInput
          label="Lowest score"
          min={0}
          max={1}
          step={0.05}
          decimalScale={2}
          {...field('scoreMin')}
        />
      </div>
      {plan.error ? (
        <Failed error={plan.error} busy={plan.isFetching} onRetry={() => void plan.refetch()} />
      ) : (
        <p role="status">
          {empty ? 'Fields that are left empty stay as they are.' : sayPlan(known)}
        </p>
      )}
      <Button type="submit" disabled={!known || known.changed === 0}>
        Change {sayOf(known?.changed ?? 0, 'device')}
      </Button>
    </form>
  )
}

/** The settings with a number in them, or left out where the field is empty. */
function withNumber(
  set: StreamSettings,
  key: 'analysisFps' | 'scoreMin',
  value: string | number,
): StreamSettings {
  const { [key]: _, ...others } = set
  return value === '' || Number.isNaN(Number(value)) ? others : { ...others, [key]: Number(value) }
}

function sayPlan(plan: DeviceActs | undefined): string {
  if (!plan) return 'Counting what that changes'
  const stay = countReasons([...thoseThat(plan, 'unchanged'), ...thoseThat(plan, 'failed')])
  const left = stay.map(({ text, count }) => `${sayOf(count, 'device')} not: ${text}`)
  return [`${sayOf(plan.changed, 'device')} will change`, ...left].join('; ')
}

function Undo(props: {
  steps: ReturnType<typeof undoOf>
  onUndo: (steps: ReturnType<typeof undoOf>) => void
}) {
  const { steps } = props
  if (steps.length === 0) return null
  return (
    <Button variant="default" onClick={() => props.onUndo(steps)}>
      Undo on {sayOf(steps.length, 'device')}
    </Button>
  )
}
