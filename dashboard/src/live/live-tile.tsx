/**
 * One stream as one picture: live while somebody can see it, the newest still before that, and an
 * honest word when the picture is old or the stream is not live.
 */
import type { Detection, ReportedStream } from '@edgeloop/protocol'
import { Link } from '@tanstack/react-router'
import { type ReactNode, useEffect, useEffectEvent, useRef, useState } from 'react'
import { callBytes } from '../api/call.ts'
import { useNow } from '../shell/now.tsx'
import { sayCount, sayDuration, sayMoment } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { type StreamStatus, streamStatus } from '../streams/stream-status.ts'
import { drawFrame } from './draw.ts'
import { useLive } from './live-context.tsx'
import { type LiveFrame, readLiveFrame } from './live-link.ts'
import classes from './live-tile.module.css'

/** A picture older than this says its age. */
const ageShownMs = 2000
/** The newest still is asked for where no live frame has come by then; `idle` where none is wanted. */
const stillAfterMs = { live: 1500, idle: 200 } as const
/** The spoken list of what is seen changes at most this often. */
const spokenEveryMs = 2000

/** Of a stream whose configuration says nothing else (protocol `StreamConfig`). */
const standardScoreMin = 0.4

type Seen = { readonly at: number; readonly detections: readonly Detection[] }

export function LiveTile(props: {
  deviceId: string
  stream: Pick<ReportedStream, 'streamId' | 'name' | 'state' | 'reason' | 'shedding'>
  /** False where the device itself is not connected: then nothing can be live. */
  online: boolean
  /** The whole tile is a link: to the device, or to this stream alone on the wall. */
  leadsTo?: 'device' | 'large'
  /** Detections that score less are not tracked, and only hinted at. */
  scoreMin?: number | undefined
  fpsMax?: number
  widthMax?: number
  /** Draws detections; true where left out. */
  boxes?: boolean
  /** Width by height of the picture, where the tile is to have just its shape; 16:9 where left out. */
  shape?: number
  /** What stands in the lower corner beside the number of objects. */
  children?: ReactNode
}) {
  const { deviceId, stream, online } = props
  const canvas = useRef<HTMLCanvasElement>(null)
  const inView = useInView(canvas)
  const { seen, absent } = useLivePicture(canvas, {
    deviceId,
    streamId: stream.streamId,
    widthMax: props.widthMax ?? 640,
    fpsMax: props.fpsMax ?? 5,
    scoreMin: props.scoreMin ?? standardScoreMin,
    boxes: props.boxes ?? true,
    live: inView && online,
  })
  const now = useNow()
  const status = streamStatus(stream, online)
  const ageMs = seen ? now - seen.at : 0
  const old = seen !== undefined && ageMs > ageShownMs

  return (
    <figure
      className={classes.tile}
      style={props.shape === undefined ? undefined : { aspectRatio: props.shape }}
      data-old={old || status.kind !== 'ok'}
    >
      <canvas
        ref={canvas}
        className={classes.canvas}
        aria-label={`Picture of ${stream.name}`}
        role="img"
      />
      {!seen && <div className={classes.waiting}>{sayWaiting(status, absent)}</div>}
      <figcaption className={classes.name}>
        <Status kind={status.kind} word={status.word} quiet size={12} />
        <TileName {...props} />
      </figcaption>
      <div className={classes.corner}>
        {old && (
          <span className={classes.age} title={sayMoment(seen.at)}>
            {sayDuration(ageMs)} old
          </span>
        )}
        {seen && status.kind !== 'ok' && <span className={classes.age}>{status.sentence}</span>}
        {props.children}
      </div>
      <SpokenDetections detections={seen?.detections ?? []} />
    </figure>
  )
}

/** Why a tile is empty. */
function sayWaiting(status: StreamStatus, absent: boolean): string {
  if (status.kind === 'ok') return absent ? 'No picture yet' : 'Waiting for the first picture'
  return absent ? `${status.sentence}. No picture of it is kept` : status.sentence
}

function TileName(props: {
  deviceId: string
  stream: Pick<ReportedStream, 'streamId' | 'name'>
  leadsTo?: 'device' | 'large'
}) {
  const { deviceId, stream } = props
  const name = <bdi>{stream.name}</bdi>
  const className = `clip ${classes.link}`
  if (props.leadsTo === 'device') {
    return (
      <Link to="/devices/$deviceId" params={{ deviceId }} className={className}>
        {name}
      </Link>
    )
  }
  if (props.leadsTo === 'large') {
    const one = `${deviceId}/${stream.streamId}`
    return (
      <Link to="/live" search={(before) => ({ ...before, one })} className={className}>
        {name}
      </Link>
    )
  }
  return <span className="clip">{name}</span>
}

/** A canvas says nothing to a screen reader: this list does, without interrupting. */
function SpokenDetections(props: { detections: readonly Detection[] }) {
  const [spoken, setSpoken] = useState(props.detections)
  const newest = useEffectEvent(() => setSpoken(props.detections))
  useEffect(() => {
    const timer = setInterval(newest, spokenEveryMs)
    return () => clearInterval(timer)
  }, [])
  return (
    <span className="hidden-visually" aria-live="off">
      {sayCount(spoken.length)} objects{spoken.length > 0 && ': '}
      {spoken.map(({ label, score }) => `${label} ${score.toFixed(2)}`).join(', ')}
    </span>
  )
}

/** Draws the stream on the canvas; gives what is on it now. */
function useLivePicture(
  canvas: React.RefObject<HTMLCanvasElement | null>,
  wanted: {
    deviceId: string
    streamId: string
    widthMax: number
    fpsMax: number
    scoreMin: number
    boxes: boolean
    live: boolean
  },
): { seen: Seen | undefined; absent: boolean } {
  const { deviceId, streamId, widthMax, fpsMax, live } = wanted
  const link = useLive()
  const [seen, setSeen] = useState<Seen>()
  /** The hub was asked, and has no picture. */
  const [absent, setAbsent] = useState(false)
  const last = useRef<{ header: LiveFrame['header']; picture: ImageBitmap }>(undefined)

  const redraw = useEffectEvent(() => {
    if (!canvas.current || !last.current) return
    const { header, picture } = last.current
    const detections = wanted.boxes ? header.detections : []
    drawFrame(canvas.current, picture, header, detections, wanted.scoreMin)
  })
  const show = useEffectEvent(async ({ header, jpeg }: LiveFrame) => {
    const picture = await createImageBitmap(new Blob([jpeg.slice()], { type: 'image/jpeg' }))
    // The still and the live link race; the older of the two is not shown.
    if (last.current && last.current.header.at > header.at) return picture.close()
    last.current?.picture.close()
    last.current = { header, picture }
    redraw()
    setSeen({ at: Date.parse(header.at), detections: header.detections })
  })

  useEffect(() => {
    const stop = new AbortController()
    const askForStill = async () => {
      if (last.current) return
      try {
        const params = { deviceId, streamId }
        const still = await callBytes('streamPicture', { params, signal: stop.signal })
        const frame = still instanceof Uint8Array ? readLiveFrame(still) : undefined
        if (stop.signal.aborted) return
        if (frame) await show(frame)
        else setAbsent(true)
      } catch {
        if (!stop.signal.aborted) setAbsent(true)
      }
    }
    const timer = setTimeout(() => void askForStill(), stillAfterMs[live ? 'live' : 'idle'])
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [deviceId, streamId, live])

  // biome-ignore lint/correctness/useExhaustiveDependencies: another stream begins with an empty tile
  useEffect(
    () => () => {
      last.current?.picture.close()
      last.current = undefined
      setSeen(undefined)
      setAbsent(false)
    },
    [deviceId, streamId],
  )

  // biome-ignore lint/correctness/useExhaustiveDependencies: what is there is drawn again without boxes, or with
  useEffect(() => redraw(), [wanted.boxes])

  useEffect(() => {
    if (!live || !link) return
    return link.look({ deviceId, streamId, widthMax, fpsMax }, show)
  }, [link, live, deviceId, streamId, widthMax, fpsMax])

  useEffect(() => {
    const element = canvas.current
    if (!element) return
    const watcher = new ResizeObserver(() => redraw())
    watcher.observe(element)
    return () => watcher.disconnect()
  }, [canvas])

  return { seen, absent }
}

function useInView(element: React.RefObject<Element | null>): boolean {
  const [inView, setInView] = useState(false)
  useEffect(() => {
    if (!element.current) return
    const watcher = new IntersectionObserver(([entry]) => setInView(entry?.isIntersecting ?? false))
    watcher.observe(element.current)
    return () => watcher.disconnect()
  }, [element])
  return inView
}
