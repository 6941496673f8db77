/** Sets something on the streams of many devices: what it will hit in numbers, what it did, and undo. */
import { Button, Modal, NumberInput, Progress } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { call } from '../api/call.ts'
import { QueryState } from '../shell/query-state.tsx'
import { sayCount, sayOf } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import classes from './bulk-dialog.module.css'
import {
  type BulkChange,
  type BulkOutcome,
  type BulkPlan,
  forEachOf,
  planBulk,
  planUndo,
} from './bulk-settings.ts'
import { deviceQuery } from './device-queries.ts'

const requestsAtOnce = 6
const failuresShownMax = 20

type Done = { readonly plan: BulkPlan; readonly outcomes: readonly BulkOutcome[] }

export function BulkDialog(props: {
  deviceIds: readonly string[]
  opened: boolean
  onClose: () => void
}) {
  const queryClient = useQueryClient()
  const [change, setChange] = useState<BulkChange>({})
  const [progress, setProgress] = useState<{ done: number; of: number }>()
  const [done, setDone] = useState<Done>()
  const stop = useRef(new AbortController())
  useEffect(() => {
    const controller = new AbortController()
    stop.current = controller
    return () => controller.abort()
  }, [])
  const details = useQuery({
    queryKey: ['bulk', props.deviceIds],
    queryFn: ({ signal }) =>
      forEachOf(props.deviceIds, requestsAtOnce, signal, (deviceId) =>
        call('deviceShow', { params: { deviceId }, signal }),
      ),
    staleTime: 0,
    gcTime: 0,
  })

  const apply = async (plan: BulkPlan) => {
    setDone(undefined)
    setProgress({ done: 0, of: plan.devices.length })
    const outcomes = await forEachOf(
      plan.devices,
      requestsAtOnce,
      stop.current.signal,
      async ({ deviceId, version, after }): Promise<BulkOutcome> => {
        try {
          const params = { deviceId }
          const desired = await call('desiredPut', { params, body: { version, config: after } })
          return { deviceId, kind: 'done', desired }
        } catch (error) {
          const why = error instanceof Error ? error.message : String(error)
          return { deviceId, kind: 'failed', why }
        } finally {
          setProgress((before) => before && { ...before, done: before.done + 1 })
          void queryClient.invalidateQueries({ queryKey: deviceQuery(deviceId).queryKey })
        }
      },
    )
    setProgress(undefined)
    setDone({ plan, outcomes })
    void details.refetch()
  }

  return (
    <Modal
      opened={props.opened}
      onClose={props.onClose}
      title={`Settings of streams on ${sayOf(props.deviceIds.length, 'device')}`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <QueryState query={details} skeleton={<p className="dim">Reading what they run now</p>}>
        {(known) => {
          if (progress) return <Working {...progress} />
          if (done) return <Outcome done={done} onUndo={(plan) => void apply(plan)} />
          const plan = planBulk(known, change)
          return (
            <form
              className={classes.form}
              onSubmit={(event) => {
                event.preventDefault()
                void apply(plan)
              }}
            >
              <div className={classes.pair}>
                <NumberInput
                  label="Analysed fps"
                  placeholder="As it is"
                  min={0.1}
                  max={60}
                  value={change.analysisFps ?? ''}
                  onChange={(value) => setChange(withNumber(change, 'analysisFps', value))}
                />
                <NumberInput
                  label="Lowest score"
                  placeholder="As it is"
                  min={0}
                  max={1}
                  step={0.05}
                  decimalScale={2}
                  value={change.scoreMin ?? ''}
                  onChange={(value) => setChange(withNumber(change, 'scoreMin', value))}
                />
              </div>
              <p role="status">{sayPlan(plan, change)}</p>
              <Button type="submit" disabled={plan.streams === 0}>
                Change {sayOf(plan.streams, 'stream')} of {sayOf(plan.devices.length, 'device')}
              </Button>
            </form>
          )
        }}
      </QueryState>
    </Modal>
  )
}

/** The change with a number set, or left out where the field is empty. */
function withNumber(change: BulkChange, key: keyof BulkChange, value: string | number): BulkChange {
  const { [key]: _, ...others } = change
  return value === '' || Number.isNaN(Number(value)) ? others : { ...others, [key]: Number(value) }
}

function sayPlan(plan: BulkPlan, change: BulkChange): string {
  if (Object.keys(change).length === 0) return 'Fields that are left empty stay as they are.'
  const left = [
    plan.withoutStreams > 0 && `${sayCount(plan.withoutStreams)} have no configured stream`,
    plan.alreadySo > 0 && `${sayCount(plan.alreadySo)} are set so already`,
  ].filter((text) => text !== false)
  const hit = `${sayOf(plan.streams, 'stream')} of ${sayOf(plan.devices.length, 'device')} will change`
  return left.length > 0 ? `${hit}; ${left.join(', ')}.` : `${hit}.`
}

function Working(props: { done: number; of: number }) {
  return (
    <div className={classes.form}>
      <p role="status">
        {sayCount(props.done)} of {sayOf(props.of, 'device')}
      </p>
      <Progress value={(props.done / Math.max(1, props.of)) * 100} aria-label="Progress" />
    </div>
  )
}

function Outcome(props: { done: Done; onUndo: (plan: BulkPlan) => void }) {
  const { plan, outcomes } = props.done
  const failed = outcomes.filter((one) => one.kind === 'failed')
  const undo = planUndo(plan, outcomes)
  return (
    <div className={classes.form}>
      <p role="status">
        <Status
          kind={failed.length > 0 ? 'warn' : 'ok'}
          word={`${sayOf(undo.streams, 'stream')} of ${sayOf(undo.devices.length, 'device')} changed`}
        />
      </p>
      {failed.length > 0 && (
        <ul className={classes.failures}>
          {failed.slice(0, failuresShownMax).map((one) => (
            <li key={one.deviceId}>
              <b>{one.deviceId}</b> {one.why}
            </li>
          ))}
          {failed.length > failuresShownMax && (
            <li>and {sayOf(failed.length - failuresShownMax, 'more device')}</li>
          )}
        </ul>
      )}
      {undo.devices.length > 0 && (
        <Button variant="default" onClick={() => props.onUndo(undo)}>
          Undo on {sayOf(undo.devices.length, 'device')}
        </Button>
      )}
    </div>
  )
}
