/**
 * The picture of an event with its box drawn on it. Bytes travel apart from the event and may come
 * later: until then it says so and looks again.
 */
import { pathOf, routes } from '@edgeloop/protocol'
import { useState } from 'react'
import { classColour } from '../live/class-colour.ts'
import { closeUp } from './event-facts.ts'
import classes from './snapshot.module.css'

/** When to look again for a picture that is not there yet. */
const lookAgainMs = [1000, 2000, 4000, 8000, 15_000, 30_000] as const

export function Snapshot(props: {
  digest: string
  label: string
  box: readonly number[] | undefined
  /** Shows only the surroundings of the box. */
  close?: boolean
  /** Loads at once instead of when it comes into view. */
  eager?: boolean
}) {
  const [attempt, setAttempt] = useState(0)
  const [shape, setShape] = useState(16 / 9)
  const [failed, setFailed] = useState(false)
  const view = props.close && props.box ? closeUp(props.box) : { left: 0, top: 0, span: 1 }
  const [left = 0, top = 0, width = 0, height = 0] = props.box ?? []
  const share = (value: number) => `${(value / view.span) * 100}%`
  const path = pathOf(routes.blobShow, { digest: props.digest })

  const lookAgain = () => {
    setFailed(true)
    const wait = lookAgainMs[attempt]
    if (wait !== undefined) setTimeout(() => setAttempt(attempt + 1), wait)
  }

  return (
    <div className={classes.frame}>
      <div className={classes.stage} style={{ aspectRatio: shape, ...fitting(shape) }}>
        <img
          // The path is the digest: once there, it never changes. Only a miss is asked for again.
          src={attempt === 0 ? path : `${path}?again=${attempt}`}
          alt=""
          loading={props.eager ? 'eager' : 'lazy'}
          decoding="async"
          draggable={false}
          style={{
            width: share(1),
            height: share(1),
            left: share(-view.left),
            top: share(-view.top),
            visibility: failed ? 'hidden' : undefined,
          }}
          onLoad={({ currentTarget: { naturalWidth, naturalHeight } }) => {
            setFailed(false)
            if (naturalHeight > 0) setShape(naturalWidth / naturalHeight)
          }}
          onError={lookAgain}
        />
        {props.box && !failed && (
          <span
            className={classes.box}
            style={{
              left: share(left - view.left),
              top: share(top - view.top),
              width: share(width),
              height: share(height),
              borderColor: classColour(props.label),
            }}
          />
        )}
      </div>
      {failed && (
        <span className={classes.missing}>
          {attempt < lookAgainMs.length ? 'The picture is on its way' : 'No picture has arrived'}
        </span>
      )}
    </div>
  )
}

/** A picture wider than 16:9 fills the width of its frame, any other the height. */
const fitting = (shape: number) => (shape >= 16 / 9 ? { width: '100%' } : { height: '100%' })
