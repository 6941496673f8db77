/** How an act on many devices goes on, and what became of it: in numbers, and by name where it did not work. */
import { Button, Group, Progress } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { sayCount, sayOf } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import classes from './act-dialog.module.css'
import { actOn, countReasons, type Outcomes, thoseThat } from './device-acts.ts'
import { deviceQuery } from './device-queries.ts'

const failuresShownMax = 20

type Send = Parameters<typeof actOn>[1]
/** An act that goes on, or one that has ended. */
export type Acting =
  | {
      readonly step: 'working'
      readonly done: number
      readonly of: number
      readonly stop: () => void
    }
  | { readonly step: 'ended'; readonly outcomes: Outcomes; readonly send: Send }

/** Runs acts one after the other; what still goes on when the dialog closes is stopped after its request. */
export function useActing(): {
  readonly acting: Acting | undefined
  begin(deviceIds: readonly string[], send: Send): void
} {
  const queryClient = useQueryClient()
  const [acting, setActing] = useState<Acting>()
  const stop = useRef(new AbortController())
  useEffect(() => () => stop.current.abort(), [])

  const run = async (deviceIds: readonly string[], send: Send) => {
    const controller = new AbortController()
    stop.current = controller
    const working = (done: number) =>
      setActing({
        step: 'working',
        done,
        of: deviceIds.length,
        stop: () => controller.abort(),
      })
    working(0)
    const outcomes = await actOn(deviceIds, send, working, controller.signal)
    for (const { deviceId } of thoseThat(outcomes, 'changed')) {
      void queryClient.invalidateQueries({ queryKey: deviceQuery(deviceId).queryKey })
    }
    setActing({ step: 'ended', outcomes, send })
  }
  return { acting, begin: (deviceIds, send) => void run(deviceIds, send) }
}

export function Working(props: { acting: Extract<Acting, { step: 'working' }> }) {
  const { done, of, stop } = props.acting
  return (
    <div className={classes.form}>
      <p role="status">
        {sayCount(done)} of {sayOf(of, 'device')}
      </p>
      <Progress value={(done / Math.max(1, of)) * 100} aria-label="Progress" />
      <Group justify="flex-end">
        <Button variant="default" onClick={stop}>
          Stop
        </Button>
      </Group>
    </div>
  )
}

/** @param word what was done to those that changed: `changed`, `retired` */
export function Ended(props: {
  outcomes: Outcomes
  word: string
  onGoOn: (deviceIds: readonly string[]) => void
  children?: ReactNode
}) {
  const { outcomes, word } = props
  const { left, why } = outcomes
  const failed = thoseThat(outcomes, 'failed')
  const unchanged = countReasons(thoseThat(outcomes, 'unchanged'))
  const whole = failed.length === 0 && left.length === 0
  return (
    <div className={classes.form}>
      <p role="status">
        <Status
          kind={whole ? 'ok' : 'warn'}
          word={`${sayOf(thoseThat(outcomes, 'changed').length, 'device')} ${word}`}
        />
      </p>
      {(unchanged.length > 0 || failed.length > 0) && (
        <ul className={classes.failures} aria-label="Devices that stayed as they were">
          {unchanged.map(({ text, count }) => (
            <li key={text} className="dim">
              {sayOf(count, 'device')} as before: {text}
            </li>
          ))}
          {failed.slice(0, failuresShownMax).map(({ deviceId, text }) => (
            <li key={deviceId}>
              <b>{deviceId}</b> {text}
            </li>
          ))}
          {failed.length > failuresShownMax && (
            <li>and {sayOf(failed.length - failuresShownMax, 'more device')}</li>
          )}
        </ul>
      )}
      {left.length > 0 && (
        <>
          <p role="alert">
            {why === undefined ? 'Stopped' : why}: {sayOf(left.length, 'device')} not tried.
          </p>
          <Button variant="default" onClick={() => props.onGoOn(left)}>
            Go on with {sayOf(left.length, 'device')}
          </Button>
        </>
      )}
      {props.children}
    </div>
  )
}
