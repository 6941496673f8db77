/** The frames around the one that is looked at, each with what was said of it. */
import { pathOf, routes } from '@edgeloop/protocol'
import {
  IconBan,
  IconCheck,
  IconFlag,
  IconPencil,
  IconPlayerSkipForward,
} from '@tabler/icons-react'
import { memo, useEffect, useRef } from 'react'
import { editsOf, type Frame } from './desk.ts'
import classes from './label-page.module.css'

/** Frames that are shown before and behind. */
const around = 20

export function FrameStrip(props: {
  frames: readonly Frame[]
  at: number
  /** Suggestions below it are not shown, and no edits. */
  threshold: number
  onGo: (at: number) => void
}) {
  const { frames, at, threshold } = props
  const first = Math.max(0, at - around)
  const go = useRef(props.onGo)
  useEffect(() => {
    go.current = props.onGo
  })
  return (
    <section className={classes.strip} aria-label="Frames">
      <ol>
        {frames.slice(first, at + around + 1).map((frame, n) => (
          <Cell
            key={frame.task.taskId}
            frame={frame}
            at={first + n}
            isHere={first + n === at}
            threshold={threshold}
            go={go}
          />
        ))}
      </ol>
    </section>
  )
}

const Cell = memo(function Cell(props: {
  frame: Frame
  at: number
  isHere: boolean
  threshold: number
  go: { readonly current: (at: number) => void }
}) {
  const { frame, at, isHere } = props
  const cell = useRef<HTMLLIElement>(null)
  useEffect(() => {
    if (isHere) cell.current?.scrollIntoView({ block: 'nearest', inline: 'center' })
  }, [isHere])
  const { word, icon: Icon } = stateOf(frame, props.threshold)
  return (
    <li ref={cell}>
      <button
        type="button"
        aria-current={isHere ? 'true' : undefined}
        aria-label={`Frame ${at + 1}: ${word}`}
        title={`${at + 1}: ${word}`}
        data-state={word}
        onClick={() => props.go.current(at)}
      >
        <img
          src={pathOf(routes.sampleThumbnail, { digest: frame.task.sample.digest })}
          alt=""
          loading="lazy"
          decoding="async"
          draggable={false}
        />
        {Icon && (
          <span className={classes.mark} aria-hidden>
            <Icon size={12} stroke={3} />
          </span>
        )}
      </button>
    </li>
  )
})

function stateOf(frame: Frame, threshold: number) {
  const { answered } = frame
  if (!answered) return { word: 'waits', icon: undefined }
  if (answered.verdict === 'skip') return { word: 'skipped', icon: IconPlayerSkipForward }
  if (answered.verdict === 'bad') return { word: 'bad frame', icon: IconBan }
  if (answered.verdict === 'flag') return { word: 'flagged', icon: IconFlag }
  return editsOf(frame, threshold) > 0
    ? { word: 'mended', icon: IconPencil }
    : { word: 'accepted', icon: IconCheck }
}
