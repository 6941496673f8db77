/** What one has to know of this frame or of earlier answers, each with the way out. */
import { Button } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { type ReactNode, useState, useSyncExternalStore } from 'react'
import { call } from '../api/call.ts'
import { sayOf } from '../shell/say.ts'
import type { WaitingAnswer } from './answer-store.ts'
import { frameAt } from './desk.ts'
import classes from './label-page.module.css'
import type { Outbox } from './outbox.ts'
import type { LabelSession, SessionState } from './session.ts'

/** Troubles that are listed one by one. */
const listedMax = 5

export function FrameNotes(props: {
  session: LabelSession
  outbox: Outbox
  state: SessionState
  onDone: () => void
  /** The frame was changed after it was answered. */
  isChanged: boolean
}) {
  const { session, outbox, state } = props
  const { troubled, ofOthers, stopped } = useSyncExternalStore(outbox.subscribe, () => outbox.state)
  const frame = frameAt(state.desk)
  const task = frame?.task
  return (
    <div className={classes.notes}>
      {task && (
        <p className="dim">
          <span>{sayOrigin(task.sample)}</span> {task.why}
        </p>
      )}
      {task?.heldBy !== undefined && (
        <Note>
          <bdi>{task.heldBy}</bdi> has this frame open, too: whoever answers first is kept.
        </Note>
      )}
      {task && state.elsewhere.has(task.taskId) && !frame?.answered && (
        <Note>This frame was answered in another tab of this browser. F goes to the next one.</Note>
      )}
      {state.otherTab && (
        <Note>This queue is open in another tab, too: what is answered there goes from here.</Note>
      )}
      {frame?.restored && !frame.answered && (
        <Note>What you drew on this frame before is back: accept it, or undo.</Note>
      )}
      {!state.draftsKept && (
        <Note>
          This browser has no room for what is drawn and not accepted: it is lost with this page.
        </Note>
      )}
      {props.isChanged && <Note>Changed after it was answered: accept it again, or undo.</Note>}
      {frame?.again && !frame.answered && (
        <Note>The hub has your earlier answer until you answer this frame again.</Note>
      )}
      {state.supply.kind === 'away' && (
        <Note>{state.supply.why}. What is here can be labelled.</Note>
      )}
      {stopped === 'signedOut' && (
        <Note>
          Your session has ended; answers are kept in this browser.{' '}
          <Link to="/sign-in" search={{ to: location.pathname }}>
            Sign in
          </Link>
        </Note>
      )}
      {ofOthers > 0 && (
        <Note>
          {sayOf(ofOthers, 'answer')} of somebody else {ofOthers === 1 ? 'waits' : 'wait'} in this
          browser until they sign in here.
        </Note>
      )}
      {troubled.slice(0, listedMax).map((one) => (
        <TroubleNote
          key={one.answer.answerId}
          one={one}
          session={session}
          outbox={outbox}
          onDone={props.onDone}
        />
      ))}
      {troubled.length > listedMax && (
        <Note>
          and {sayOf(troubled.length - listedMax, 'more answer')} that the hub did not take
        </Note>
      )}
    </div>
  )
}

function Note(props: { children: ReactNode }) {
  return (
    <p className={classes.note} role="status">
      <IconAlertTriangle size={14} aria-hidden />
      <span>{props.children}</span>
    </p>
  )
}

function TroubleNote(props: {
  one: WaitingAnswer
  session: LabelSession
  outbox: Outbox
  onDone: () => void
}) {
  const { one, session, outbox } = props
  const { answer, trouble, queue } = one
  const [why, setWhy] = useState<string>()
  const isConflict = trouble?.kind === 'conflict'
  const act = async (what: () => Promise<unknown>) => {
    try {
      await what()
      props.onDone()
    } catch (error) {
      setWhy(error instanceof Error ? error.message : String(error))
    }
  }
  const look = async () => {
    const task = await call('taskShow', { params: { taskId: answer.taskId } })
    await outbox.discard(answer.answerId)
    session.show(task)
  }
  const insist = async () => {
    const { revision } = await call('taskShow', { params: { taskId: answer.taskId } })
    await outbox.insist(answer.answerId, revision)
  }
  return (
    <div className={classes.note} role="alert">
      <IconAlertTriangle size={14} aria-hidden />
      <span>
        {isConflict
          ? `Somebody else answered task ${answer.taskId} of ${queue} before your answer came.`
          : `The hub did not take your answer to task ${answer.taskId} of ${queue}: ${trouble?.reason}.`}{' '}
        {why}
      </span>
      <Button size="compact-xs" variant="default" onClick={() => void act(look)}>
        Look again
      </Button>
      {isConflict && (
        <Button size="compact-xs" variant="default" onClick={() => void act(insist)}>
          Take mine
        </Button>
      )}
      <Button
        size="compact-xs"
        variant="default"
        onClick={() => void act(() => outbox.discard(answer.answerId))}
      >
        Drop mine
      </Button>
    </div>
  )
}

function sayOrigin(sample: { deviceId?: string; streamId?: string; site?: string }): string {
  const { deviceId, streamId, site } = sample
  const where = [deviceId ?? site, streamId].filter((one) => one !== undefined).join('/')
  return where === '' ? '' : `${where}:`
}
