/**
 * The picture with its boxes, drawn by hand: 500 boxes stay fluid because what moves is painted alone, once a frame
 * of the screen, and the desk hears of it when it ends.
 */
import { type Ref, useEffect, useEffectEvent, useImperativeHandle, useRef } from 'react'
import { classColour } from '../live/class-colour.ts'
import type { Frame, Piece } from './desk.ts'
import {
  closed,
  followed,
  type Gesture,
  idle,
  keptShape,
  type Outcome,
  pressed,
  released,
  sketchOf,
  type Tool,
} from './gesture.ts'
import classes from './label-page.module.css'
import {
  type Ghost,
  handleSide,
  paintActive,
  paintCross,
  paintGhosts,
  paintPicture,
  paintPieces,
  paintPlate,
  prepared,
} from './paint.ts'
import type { PictureState } from './picture-shelf.ts'
import { boundsOf, hitBy, type Shape, type Spot } from './shapes.ts'
import { fitted, panned, toPicture, type View, zoomed, zoomedTo } from './view.ts'

/** What keys do to the canvas. */
export type CanvasHandle = {
  readonly focus: () => void
  readonly hasFocus: () => boolean
  /** Gives up what is being drawn; false where nothing is. */
  readonly cancel: () => boolean
  /** Ends an outline; false where none is drawn. */
  readonly close: () => boolean
  readonly zoom: (factor: number) => void
  readonly fit: () => void
  readonly zoomToSelected: () => void
}

type Props = {
  readonly ref?: Ref<CanvasHandle>
  readonly frame: Frame | undefined
  readonly picture: PictureState
  /** What is shown of the frame. */
  readonly pieces: readonly Piece[]
  readonly selected: Piece | undefined
  readonly tool: Tool
  /** Of what is drawn next. */
  readonly label: string
  readonly ghosts: readonly Ghost[]
  readonly colourOf: (piece: Piece) => string
  readonly brightness: number
  readonly contrast: number
  /** Says what there is, for screen readers. */
  readonly description: string
  readonly onMade: (shape: Shape) => void
  readonly onChanged: (pieceId: number, shape: Shape) => void
  readonly onSelect: (pieceId: number | undefined) => void
  /** A long press chose a piece whatever the tool. */
  readonly onLongPress: (pieceId: number) => void
}

const longPressMs = 500
/** A finger that stays this near, CSS pixels, has not moved. */
const stillPixels = 10
const wheelFactor = 1.0015

export function LabelCanvas(props: Props) {
  const { frame, picture, pieces, selected, tool, ghosts, brightness, contrast } = props
  const stage = useRef<HTMLDivElement>(null)
  const below = useRef<HTMLCanvasElement>(null)
  const above = useRef<HTMLCanvasElement>(null)
  const view = useRef<View>({ scale: 1, x: 0, y: 0 })
  const gesture = useRef<Gesture>(idle)
  const pointer = useRef<Spot | undefined>(undefined)
  const touches = useRef(new Map<number, Spot>())
  const panning = useRef(false)
  const dirty = useRef({ below: true, above: true, asked: 0 })
  const size = frame?.task.sample
  const taskId = frame?.task.taskId

  const area = () => ({
    width: stage.current?.clientWidth ?? 1,
    height: stage.current?.clientHeight ?? 1,
  })

  const paint = useEffectEvent(() => {
    dirty.current.asked = 0
    const { below: isBelow, above: isAbove } = dirty.current
    if (isBelow && below.current) paintBelow(below.current)
    if ((isBelow || isAbove) && above.current) paintAbove(above.current)
    dirty.current.below = false
    dirty.current.above = false
  })

  function paintBelow(canvas: HTMLCanvasElement): void {
    const context = prepared(canvas)
    const { current } = view
    canvas.dataset.scale = String(current.scale)
    canvas.dataset.x = String(current.x)
    canvas.dataset.y = String(current.y)
    if (!context || !size) return
    if (picture.kind === 'ready') {
      paintPicture(context, picture.bitmap, size, { view: current, brightness, contrast })
      // When the frame can be seen, for whoever measures it.
      canvas.dataset.frame = String(taskId)
    }
    paintGhosts(context, ghosts, current)
    const still = pieces.filter((piece) => piece !== selected)
    paintPieces(context, still, current, props.colourOf)
  }

  function paintAbove(canvas: HTMLCanvasElement): void {
    const context = prepared(canvas)
    if (!context || !size) return
    const sketch = sketchOf(gesture.current)
    const { kind } = gesture.current
    const isOld = kind === 'moving' || kind === 'pulling'
    if (selected && pieces.includes(selected)) {
      const shape = isOld && sketch ? sketch : selected.shape
      const colour = props.colourOf(selected)
      paintActive(context, shape, view.current, { colour, handles: tool === 'select' })
      paintPlate(context, { ...selected, shape }, view.current, colour)
    }
    if (sketch && !isOld) {
      paintActive(context, sketch, view.current, {
        colour: classColour(props.label),
        handles: false,
      })
    }
    if (tool !== 'select' && pointer.current) paintCross(context, pointer.current, area())
  }

  const ask = (what: 'below' | 'above') => {
    dirty.current[what] = true
    if (dirty.current.asked === 0) dirty.current.asked = requestAnimationFrame(() => paint())
  }

  const setView = (next: View) => {
    view.current = next
    ask('below')
  }

  // A frame of the same camera is looked at as the one before: zoom and place stay.
  const scene =
    size &&
    `${frame.task.sample.deviceId}/${frame.task.sample.streamId}/${size.width}x${size.height}`
  const last = useRef<{ taskId?: number; scene?: string; tool?: Tool }>({})
  // Whatever React was told anew is painted anew.
  useEffect(() => {
    const { current: before } = last
    const isOther = before.taskId !== taskId
    if (isOther || before.tool !== tool) gesture.current = idle
    const isElsewhere = before.scene !== scene || frame?.task.sample.streamId === undefined
    if (size && isOther && isElsewhere) view.current = fitted(area(), size)
    last.current = { tool, ...(taskId !== undefined && { taskId }), ...(scene && { scene }) }
    ask('below')
  })

  const resized = useEffectEvent(() => {
    if (size) view.current = fitted(area(), size)
    ask('below')
  })
  useEffect(() => {
    const { current } = stage
    if (!current) return
    const watch = new ResizeObserver(() => resized())
    watch.observe(current)
    return () => watch.disconnect()
  }, [])
  useEffect(() => {
    // Keys are for the picture from the beginning.
    stage.current?.focus({ preventScroll: true })
    return () => cancelAnimationFrame(dirty.current.asked)
  }, [])

  const wheeled = useEffectEvent((event: WheelEvent) => {
    event.preventDefault()
    if (!size) return
    // Lines (Firefox) are as far as some pixels.
    const pixels = event.deltaMode === 0 ? event.deltaY : event.deltaY * 20
    setView(zoomed(view.current, wheelFactor ** -pixels, spotOf(event), area(), size))
  })
  useEffect(() => {
    const { current } = stage
    if (!current) return
    const wheel = (event: WheelEvent) => wheeled(event)
    // React listens passively, which cannot keep the page from scrolling.
    current.addEventListener('wheel', wheel, { passive: false })
    return () => current.removeEventListener('wheel', wheel)
  }, [])

  useImperativeHandle(props.ref, () => ({
    focus: () => stage.current?.focus({ preventScroll: true }),
    hasFocus: () => stage.current !== null && document.activeElement === stage.current,
    cancel: () => {
      const was = gesture.current.kind !== 'idle'
      gesture.current = idle
      ask('below')
      return was
    },
    close: () => {
      const was = gesture.current.kind === 'points'
      took(closed(gesture.current))
      return was
    },
    zoom: (factor) => {
      if (!size) return
      const middle: Spot = [area().width / 2, area().height / 2]
      setView(zoomed(view.current, factor, middle, area(), size))
    },
    fit: () => size && setView(fitted(area(), size)),
    zoomToSelected: () => {
      const bounds = selected && boundsOf(selected.shape)
      if (bounds && size) setView(zoomedTo(bounds, area(), size))
    },
  }))

  const spotOf = (event: { clientX: number; clientY: number }): Spot => {
    const { left, top } = stage.current?.getBoundingClientRect() ?? new DOMRect()
    return [event.clientX - left, event.clientY - top]
  }

  const around = () => ({
    tool,
    pieces,
    selected: selected?.pieceId,
    size: size ?? { width: 1, height: 1 },
    reach: handleSide / view.current.scale,
  })

  const took = ({ gesture: next, made, changed, select }: Outcome) => {
    gesture.current = next
    if (made && size) props.onMade(keptShape(made, size))
    if (changed) props.onChanged(changed.pieceId, changed.shape)
    if (select !== undefined) props.onSelect(select ?? undefined)
    ask('above')
  }

  const longPress = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  const down = (event: React.PointerEvent) => {
    if (!size) return
    const spot = spotOf(event)
    stage.current?.setPointerCapture(event.pointerId)
    if (event.pointerType === 'touch') {
      touches.current.set(event.pointerId, spot)
      clearTimeout(longPress.current)
      if (touches.current.size === 2) {
        gesture.current = idle
        panning.current = true
        return
      }
      longPress.current = setTimeout(() => pressedLong(spot), longPressMs)
    }
    if (event.button === 1) {
      event.preventDefault()
      panning.current = true
      pointer.current = spot
      return
    }
    if (event.button !== 0) return
    pointer.current = spot
    const outcome = pressed(gesture.current, toPicture(spot, view.current), around())
    // Beside everything the picture is taken hold of.
    panning.current = tool === 'select' && outcome.gesture.kind === 'idle'
    took(outcome)
  }

  const pressedLong = (spot: Spot) => {
    const point = toPicture(spot, view.current)
    const hit = hitBy(point, pieces, (2 * handleSide) / view.current.scale)
    if (!hit) return
    gesture.current = idle
    props.onLongPress(hit.pieceId)
  }

  const move = (event: React.PointerEvent) => {
    if (!size) return
    const spot = spotOf(event)
    const before = touches.current.get(event.pointerId) ?? pointer.current
    if (touches.current.size === 2 && before) {
      pinched(event.pointerId, spot)
      return
    }
    if (before && Math.hypot(spot[0] - before[0], spot[1] - before[1]) > stillPixels) {
      clearTimeout(longPress.current)
    }
    if (panning.current && before && event.buttons !== 0) {
      setView(
        panned(
          view.current,
          spot[0] - (pointer.current?.[0] ?? 0),
          spot[1] - (pointer.current?.[1] ?? 0),
          area(),
          size,
        ),
      )
    } else if (gesture.current.kind !== 'idle') {
      gesture.current = followed(gesture.current, toPicture(spot, view.current), around())
    }
    pointer.current = spot
    ask('above')
  }

  /** Two fingers: what lies between them follows them. */
  const pinched = (pointerId: number, spot: Spot) => {
    const other = [...touches.current].find(([id]) => id !== pointerId)?.[1]
    const before = touches.current.get(pointerId)
    touches.current.set(pointerId, spot)
    clearTimeout(longPress.current)
    if (!other || !before || !size) return
    const distance = (a: Spot, b: Spot) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]))
    const middle = (a: Spot, b: Spot): Spot => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]
    const [from, to] = [middle(before, other), middle(spot, other)]
    const factor = distance(spot, other) / distance(before, other)
    const near = zoomed(view.current, factor, to, area(), size)
    setView(panned(near, to[0] - from[0], to[1] - from[1], area(), size))
  }

  const up = (event: React.PointerEvent) => {
    clearTimeout(longPress.current)
    touches.current.delete(event.pointerId)
    if (panning.current) {
      panning.current = touches.current.size > 0
      return
    }
    if (!size || event.button !== 0) return
    took(released(gesture.current, toPicture(spotOf(event), view.current), around()))
  }

  const cancelled = (event: React.PointerEvent) => {
    clearTimeout(longPress.current)
    touches.current.delete(event.pointerId)
    panning.current = false
    gesture.current = idle
    ask('below')
  }

  return (
    <div
      ref={stage}
      className={classes.stage}
      data-tool={tool}
      role="application"
      aria-roledescription="picture with boxes"
      aria-label={props.description}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: keys act on it, and the list beside says what is in it
      tabIndex={0}
      onPointerDown={down}
      onPointerMove={move}
      onPointerUp={up}
      onPointerCancel={cancelled}
      onPointerLeave={() => {
        pointer.current = undefined
        ask('above')
      }}
      onDoubleClick={() => took(closed(gesture.current))}
      onContextMenu={(event) => event.preventDefault()}
    >
      <canvas ref={below} className={classes.layer} />
      <canvas ref={above} className={classes.layer} />
    </div>
  )
}
