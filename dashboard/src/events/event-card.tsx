/** One event in the grid: its picture, or a plain word where there is none to take. */
import { isObjectKind, markKinds, type StoredEvent } from '@edgeloop/protocol'
import { IconPhotoOff } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { memo, useState } from 'react'
import { classColour } from '../live/class-colour.ts'
import { Ago } from '../shell/now.tsx'
import { Status } from '../shell/status.tsx'
import classes from './event-card.module.css'
import { factsOf, kindWords, pictureBox } from './event-facts.ts'
import { markWords } from './marks.ts'
import { Snapshot } from './snapshot.tsx'

export const EventCard = memo(function EventCard(props: { event: StoredEvent }) {
  const { event } = props
  const { status, title, text } = factsOf(event)
  const object = isObjectKind(event.kind)
  /** Pointed at or reached by keyboard: the whole picture instead of what was found in it. */
  const [whole, setWhole] = useState(false)
  return (
    <Link
      to="/events/$eventId"
      params={{ eventId: String(event.eventId) }}
      search={(before) => before}
      resetScroll={false}
      className={classes.card ?? ''}
      data-event={event.eventId}
      data-tone={object ? undefined : status}
      onPointerEnter={({ pointerType }) => setWhole(pointerType === 'mouse')}
      onPointerLeave={() => setWhole(false)}
      onFocus={({ currentTarget }) => setWhole(currentTarget.matches(':focus-visible'))}
      onBlur={() => setWhole(false)}
    >
      {event.snapshot ? (
        <Snapshot
          digest={event.snapshot}
          label={event.label ?? ''}
          box={pictureBox(event)}
          close={!whole}
        />
      ) : (
        <span className={classes.plain}>
          {object ? (
            <IconPhotoOff size={24} stroke={1.5} aria-hidden />
          ) : (
            <>
              <Status kind={status} word={title} size={18} />
              <span className={classes.why}>{text}</span>
            </>
          )}
        </span>
      )}
      <span className={classes.words}>
        {object ? (
          <>
            <span className={classes.swatch} style={{ background: classColour(title) }} />
            <b className="clip">
              <bdi>{title}</bdi>
            </b>
            <span className={classes.score}>{event.score?.toFixed(2)}</span>
          </>
        ) : (
          <b className="clip">{kindWords[event.kind]}</b>
        )}
        {markKinds
          .filter((kind) => event.marks.some(({ mark }) => mark === kind))
          .map((kind) => (
            <Status
              key={kind}
              kind={markWords[kind].kind}
              word={markWords[kind].word}
              title={`${markWords[kind].word}: ${event.marks
                .filter(({ mark }) => mark === kind)
                .map(({ user }) => user)
                .join(', ')}`}
              quiet
              size={12}
            />
          ))}
        <span className={classes.when}>
          <Ago at={event.at} />
        </span>
      </span>
      <span className={`clip ${classes.where}`}>
        {object && `${text} · `}
        {event.deviceId}
        {event.streamId && ` / ${event.streamId}`}
        {event.historical && ' · late'}
      </span>
    </Link>
  )
})
