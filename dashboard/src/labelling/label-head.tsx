/** Where one is, how fast, and whether everything is saved. */
import type { LabelQueueRow } from '@edgeloop/protocol'
import { ActionIcon } from '@mantine/core'
import { IconArrowLeft, IconKeyboard } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { type Ref, useSyncExternalStore } from 'react'
import { FeedChip } from '../shell/feed-chip.tsx'
import { sayCount, sayNumber } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import classes from './label-page.module.css'
import type { Outbox, OutboxState } from './outbox.ts'
import { paceOf } from './pace.ts'
import type { SessionState } from './session.ts'

export function LabelHead(props: {
  row: LabelQueueRow
  review: boolean
  state: SessionState
  outbox: Outbox
  backRef: Ref<HTMLAnchorElement>
  onSheet: () => void
}) {
  const { row, review, state, outbox } = props
  const sending = useSyncExternalStore(outbox.subscribe, () => outbox.state)
  const pace = paceOf(state.notes)
  const { counts } = row
  return (
    <header className={classes.head}>
      <Link
        ref={props.backRef}
        to="/label/$queue"
        params={{ queue: row.name }}
        className={classes.back ?? ''}
      >
        <IconArrowLeft size={16} aria-hidden />
        <span className="hidden-visually">Back to the queue</span>
      </Link>
      <h1>
        {review ? 'Review' : 'Label'} <bdi>{row.name}</bdi>
      </h1>
      <span className="dim">
        {sayCount(review ? counts.review + counts.flagged : counts.open)} wait
      </span>
      <section className={classes.pace} aria-label="Pace">
        {pace ? (
          <>
            <span title="By the time that frames were looked at, over the last 50">
              {pace.framesPerMinute === undefined ? '–' : sayNumber(pace.framesPerMinute)}{' '}
              frames/min
            </span>
            <span>{sayNumber(pace.editsPerFrame)} edits/frame</span>
            <span title="Frames that were accepted as they came">
              {Math.round(pace.untouched * 100)} % untouched
            </span>
          </>
        ) : (
          <span className={`dim ${classes.keyHint}`}>Space accepts, ? shows the keys</span>
        )}
      </section>
      <span className={classes.saved} role="status" aria-label="Saved">
        <Saved sending={sending} />
      </span>
      <FeedChip />
      <ActionIcon
        variant="subtle"
        color="gray"
        c="var(--el-text)"
        visibleFrom="sm"
        aria-label="Show keys"
        title="Keys (?)"
        onClick={props.onSheet}
      >
        <IconKeyboard size={18} stroke={1.75} />
      </ActionIcon>
    </header>
  )
}

function Saved({ sending }: { sending: OutboxState }) {
  const { unsent, why, stopped, durable } = sending
  if (!durable) {
    return (
      <Status
        kind="bad"
        word={`${sayCount(unsent)} unsent, not kept`}
        title="This browser has no room to keep answers: leave this page open until they are sent"
      />
    )
  }
  if (unsent === 0) return <Status kind="ok" word="Saved" title="The hub has every answer" />
  const word = `${sayCount(unsent)} unsent`
  if (stopped === 'signedOut') {
    return <Status kind="warn" word={`${word}: sign in`} title="They are kept in this browser" />
  }
  return why === undefined ? (
    <Status kind="info" word={word} title="On their way; they are kept in this browser" />
  ) : (
    <Status
      kind="warn"
      word={word}
      title={`${why}. They are kept in this browser and sent by itself.`}
    />
  )
}
