/**
 * Drawings on the live picture: points are dragged, moved by arrow keys, or set by clicks one after the other.
 * Every point is a button, so whoever cannot point can reach each of them, and type it in the list beside.
 */
import type { Point } from '@edgeloop/protocol'
import { type KeyboardEvent, type MouseEvent, type PointerEvent, useRef } from 'react'
import {
  clampShare,
  type Drawing,
  type DrawingId,
  type DrawingKind,
  drawingWords,
} from './drawing.ts'
import classes from './drawing-board.module.css'

/** How far an arrow key moves a point; with Shift a tenth of it. */
const stepShare = 0.01

export const isSame = (a: DrawingId | undefined, b: DrawingId): boolean =>
  a?.kind === b.kind && a.index === b.index

export function DrawingBoard(props: {
  drawings: readonly Drawing[]
  selected: DrawingId | undefined
  onSelect: (id: DrawingId | undefined) => void
  /** Points that are being set, one click each; undefined where nothing is drawn. */
  sketch: { readonly kind: DrawingKind; readonly points: readonly Point[] } | undefined
  onSketch: (points: readonly Point[]) => void
  onFinish: () => void
  /** `goOn`: belongs to the step before it. */
  onPoints: (id: DrawingId, points: readonly Point[], goOn: boolean) => void
  readOnly: boolean
  /** The live picture, of exactly the shape of the camera's. */
  children: React.ReactNode
}) {
  const { drawings, selected, sketch, readOnly } = props
  const board = useRef<HTMLDivElement>(null)
  const pointAt = (event: { clientX: number; clientY: number }): Point => {
    const { left, top, width, height } = board.current?.getBoundingClientRect() ?? new DOMRect()
    return [
      clampShare((event.clientX - left) / Math.max(1, width)),
      clampShare((event.clientY - top) / Math.max(1, height)),
    ]
  }
  const set = (event: MouseEvent) => {
    if (!sketch || event.detail > 1) return
    props.onSketch([...sketch.points, pointAt(event)])
  }
  const chosen = drawings.find((drawing) => isSame(selected, drawing))

  return (
    <div ref={board} className={classes.board} data-sketching={sketch !== undefined}>
      {props.children}
      <svg className={classes.drawings} viewBox="0 0 1 1" preserveAspectRatio="none">
        <title>Drawings on the picture</title>
        {drawings.map((drawing) => {
          const shape = {
            points: drawing.points.map((point) => point.join(',')).join(' '),
            className: classes.shape,
            'data-kind': drawing.kind,
            'data-on': isSame(selected, drawing),
            onClick: () => sketch || props.onSelect(drawing),
          }
          const key = `${drawing.kind}/${drawing.index}`
          return drawing.kind === 'line' ? (
            <polyline key={key} {...shape} />
          ) : (
            <polygon key={key} {...shape} />
          )
        })}
        {sketch && (
          <polyline
            className={classes.shape}
            data-kind={sketch.kind}
            data-on
            points={sketch.points.map((point) => point.join(',')).join(' ')}
          />
        )}
      </svg>
      {sketch && (
        <button
          type="button"
          className={classes.paper}
          aria-label={`Click on the picture to set point ${sketch.points.length + 1}; Enter finishes`}
          onClick={set}
          onDoubleClick={props.onFinish}
          onKeyDown={(event) => {
            if (event.key !== 'Enter') return
            event.preventDefault()
            props.onFinish()
          }}
        />
      )}
      {sketch?.points.map((point, index) => (
        <span
          // biome-ignore lint/suspicious/noArrayIndexKey: a point is its place in the path
          key={index}
          className={classes.dot}
          style={placeOf(point)}
        />
      ))}
      {!sketch &&
        chosen?.points.map((point, index) => (
          <Handle
            // biome-ignore lint/suspicious/noArrayIndexKey: a point is its place in the path
            key={index}
            point={point}
            name={`Point ${index + 1} of ${chosen.name}`}
            readOnly={readOnly}
            pointAt={pointAt}
            onMove={(to, goOn) =>
              props.onPoints(
                chosen,
                chosen.points.map((other, at) => (at === index ? to : other)),
                goOn,
              )
            }
            onRemove={() => {
              if (chosen.points.length <= drawingWords[chosen.kind].pointsMin) return
              props.onPoints(
                chosen,
                chosen.points.filter((_, at) => at !== index),
                false,
              )
            }}
          />
        ))}
    </div>
  )
}

const placeOf = ([x, y]: Point) => ({ left: `${x * 100}%`, top: `${y * 100}%` })

const steps: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
}

function Handle(props: {
  point: Point
  name: string
  readOnly: boolean
  pointAt: (event: PointerEvent) => Point
  onMove: (to: Point, goOn: boolean) => void
  onRemove: () => void
}) {
  const { point } = props
  const dragging = useRef<'pressed' | 'moved' | undefined>(undefined)
  const pressed = (event: KeyboardEvent) => {
    const step = steps[event.key]
    if (step) {
      const by = event.shiftKey ? stepShare / 10 : stepShare
      const to: Point = [clampShare(point[0] + step[0] * by), clampShare(point[1] + step[1] * by)]
      props.onMove(to, event.repeat)
    } else if (event.key === 'Delete' || event.key === 'Backspace') props.onRemove()
    else return
    event.preventDefault()
  }
  return (
    <button
      type="button"
      className={classes.handle}
      style={placeOf(point)}
      aria-label={`${props.name}, ${percent(point[0])} from the left, ${percent(point[1])} from the top`}
      title="Drag, or move with the arrow keys; Delete takes it away"
      disabled={props.readOnly}
      onKeyDown={pressed}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId)
        dragging.current = 'pressed'
      }}
      onPointerMove={(event) => {
        if (!dragging.current) return
        props.onMove(props.pointAt(event), dragging.current === 'moved')
        dragging.current = 'moved'
      }}
      onPointerUp={() => {
        dragging.current = undefined
      }}
      onPointerCancel={() => {
        dragging.current = undefined
      }}
    />
  )
}

const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`
