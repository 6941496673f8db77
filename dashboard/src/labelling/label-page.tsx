/**
 * Labelling, full screen: frames come with what models propose, and are accepted or mended by keys. Nothing waits
 * for the network: answers go through the outbox, pictures are there before their frame.
 */
import type { LabelQueueRow } from '@edgeloop/protocol'
import { Button } from '@mantine/core'
import { IconConfetti, IconPhotoOff } from '@tabler/icons-react'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { lazy, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react'
import { call, callBytes } from '../api/call.ts'
import { classColour, colourAt } from '../live/class-colour.ts'
import { sessionQuery } from '../people/session.ts'
import { OnDemand } from '../shell/on-demand.tsx'
import { usePageTitle } from '../shell/page.tsx'
import { Empty, Failed, QueryState } from '../shell/query-state.tsx'
import { sayOf } from '../shell/say.ts'
import { ClassList, type ClassListHandle } from './class-list.tsx'
import {
  added,
  changed,
  copiedFromPrevious,
  copiedToNext,
  type Desk,
  frameAt,
  goneTo,
  isChangedSince,
  nextOpen,
  type Piece,
  removed,
  selectedNext,
  selectedPiece,
  shownPieces,
  withBasis,
} from './desk.ts'
import { openDraftStore } from './draft-store.ts'
import { FrameNotes } from './frame-notes.tsx'
import { FrameStrip } from './frame-strip.tsx'
import type { Tool } from './gesture.ts'
import { LabelActs } from './label-acts.tsx'
import { type CanvasHandle, LabelCanvas } from './label-canvas.tsx'
import { LabelHead } from './label-head.tsx'
import { type LabelAct, stepAt } from './label-keys.ts'
import classes from './label-page.module.css'
import { queueQuery, useQueueChanges } from './label-queries.ts'
import { LabelTools } from './label-tools.tsx'
import { hearTabs, outboxOf, tellTabs, wait } from './outbox-here.ts'
import type { Ghost } from './paint.ts'
import { PictureShelf, type PictureState } from './picture-shelf.ts'
import { PieceList } from './piece-list.tsx'
import { LabelSession } from './session.ts'
import { grown, moved, shapeOf } from './shapes.ts'
import { keepThreshold, keptThreshold, thresholdStep } from './threshold.ts'
import { useLabelKeys } from './use-label-keys.ts'

const route = getRouteApi('/in/label/$queue/work')
const Similar = lazy(async () => ({ default: (await import('./similar.tsx')).Similar }))
const LabelSheet = lazy(async () => ({ default: (await import('./label-sheet.tsx')).LabelSheet }))

export function LabelPage() {
  const { queue } = route.useParams()
  const { data: person } = useSuspenseQuery(sessionQuery)
  usePageTitle(`Label ${queue}`)
  const query = useQuery(queueQuery(queue))
  if (person.role === 'viewer') {
    return (
      <Refused
        queue={queue}
        text="A viewer looks, and does not label. An admin can change your role."
      />
    )
  }
  return (
    <QueryState query={query} skeleton={<div className={classes.page} />}>
      {(row) => <Opened key={queue} row={row} user={person.user} />}
    </QueryState>
  )
}

function Refused(props: { queue: string; text: string }) {
  return (
    <>
      <h1 className="hidden-visually">Label {props.queue}</h1>
      <Empty title="Your role does not allow this" text={props.text}>
        <Link to="/label/$queue" params={{ queue: props.queue }}>
          Back to {props.queue}
        </Link>
      </Empty>
    </>
  )
}

/** Fetches the picture of a sample. */
async function pictureOf(digest: string, signal: AbortSignal): Promise<Blob> {
  const bytes = await callBytes('samplePicture', { params: { digest }, signal })
  if (!(bytes instanceof Uint8Array)) throw new Error('The hub has no picture of it')
  return new Blob([bytes as Uint8Array<ArrayBuffer>])
}

function openSession(row: LabelQueueRow, user: string, search: ReturnType<typeof route.useSearch>) {
  const outbox = outboxOf(user)
  const shelf = new PictureShelf(pictureOf)
  const session = new LabelSession({
    queue: row.name,
    outbox,
    shelf,
    tell: tellTabs,
    wait,
    drafts: openDraftStore({ user, queue: row.name, review: search.review === true }, () =>
      Date.now(),
    ),
    showTask: (taskId, signal) => call('taskShow', { params: { taskId }, signal }),
    label: row.labels[0] ?? '',
    threshold: keptThreshold(row.name),
    take: async (wish, signal) => {
      const { tasks } = await call('tasksTake', {
        params: { queue: row.name },
        body: {
          ...wish,
          ...(search.review && { for: 'review' as const }),
          ...(search.order && { order: search.order }),
        },
        signal,
      })
      return tasks
    },
    now: () => performance.now(),
    newId: () => crypto.randomUUID(),
  })
  return { outbox, shelf, session }
}

function Opened({ row, user }: { row: LabelQueueRow; user: string }) {
  const search = route.useSearch()
  const [{ outbox, shelf, session }] = useState(() => openSession(row, user, search))
  const state = useSyncExternalStore(session.subscribe, session.state)
  const [missing, setMissing] = useState<unknown>()
  const { task } = search
  useQueueChanges((name) => name === row.name && session.nudge())
  useEffect(() => {
    const stop = new AbortController()
    const { signal } = stop
    hearTabs((news) => session.heard(news), signal)
    const seen = () => session.setLooking(document.visibilityState === 'visible')
    document.addEventListener('visibilitychange', seen, { signal })
    const begin = async () => {
      if (task !== undefined) {
        try {
          session.show(await call('taskShow', { params: { taskId: task }, signal }))
        } catch (error) {
          if (!signal.aborted) setMissing(error)
        }
      }
      await session.run(signal)
    }
    void begin()
    return () => {
      stop.abort()
      shelf.want([], [])
    }
  }, [session, shelf, task])
  useEffect(() => {
    const stop = new AbortController()
    const leaving = (event: BeforeUnloadEvent) => {
      if (!outbox.state.durable || !session.state().draftsKept) event.preventDefault()
    }
    window.addEventListener('beforeunload', leaving, { signal: stop.signal })
    return () => stop.abort()
  }, [outbox, session])
  if (missing !== undefined && state.desk.frames.length === 0 && state.supply.kind === 'nothing') {
    return <Failed error={missing} />
  }
  return (
    <LabelDesk
      row={row}
      session={session}
      shelf={shelf}
      outbox={outbox}
      state={state}
      review={search.review === true}
    />
  )
}

/** How a picture is now, whenever that changes. */
function usePicture(shelf: PictureShelf, digest: string | undefined): PictureState {
  const [, redraw] = useState(0)
  useEffect(() => {
    return shelf.subscribe((changed) => {
      if (changed === digest) redraw((n) => n + 1)
    })
  }, [shelf, digest])
  return digest === undefined ? { kind: 'loading' } : shelf.at(digest)
}

type DeskProps = {
  row: LabelQueueRow
  session: LabelSession
  shelf: PictureShelf
  outbox: ReturnType<typeof outboxOf>
  state: ReturnType<LabelSession['state']>
  review: boolean
}

function LabelDesk({ row, session, shelf, outbox, state, review }: DeskProps) {
  const { desk, supply } = state
  const frame = frameAt(desk)
  const canvas = useRef<CanvasHandle>(null)
  const classList = useRef<ClassListHandle>(null)
  const back = useRef<HTMLAnchorElement>(null)
  const [sheet, setSheet] = useState(false)
  const [similar, setSimilar] = useState(false)
  const [hidden, setHidden] = useState(false)
  const [only, setOnly] = useState(false)
  const [light, setLight] = useState({ brightness: 1, contrast: 1 })
  const arrows = useRef(0)
  const picture = usePicture(shelf, frame?.task.sample.digest)
  const update = (change: (desk: Desk) => Desk, said?: string) => session.update(change, said)
  const labels = row.labels

  const selected = selectedPiece(desk)
  const { threshold } = desk
  const pieces = useMemo(() => (frame ? shownPieces(frame, threshold) : []), [frame, threshold])
  const drawn = hidden ? none : only && selected ? [selected] : pieces
  const isReview = review && frame !== undefined && frame.task.answers.length > 0
  const colourOf = (piece: Piece): string =>
    isReview && piece.from?.startsWith('answer:') ? colourAt(frame.basis) : classColour(piece.label)
  const ghosts = useMemo(
    () => (isReview && !hidden && !only ? ghostsOf(frame) : []),
    [isReview, frame, hidden, only],
  )

  const setTool = (tool: Tool) => {
    canvas.current?.cancel()
    update((now) => ({ ...now, tool: now.tool === tool ? 'select' : tool }))
    canvas.current?.focus()
  }
  const setLabel = (label: string) => {
    if (selected) update((now) => changed(now, 'said it is another', { label }), `It is a ${label}`)
    else update((now) => ({ ...now, label }), `The next box is a ${label}`)
    canvas.current?.focus()
  }
  const setThreshold = (by: number) => {
    const next = thresholdStep(threshold, by)
    keepThreshold(row.name, next)
    update((now) => ({ ...now, threshold: next }), `Suggestions from ${Math.round(next * 100)} %`)
  }
  const nudge = (key: string, event: KeyboardEvent, grow: boolean) => {
    if (!selected || !frame) return false
    arrows.current = event.repeat ? arrows.current + 1 : 0
    const step = stepAt(arrows.current)
    const dx = key.endsWith('Left') ? -step : key.endsWith('Right') ? step : 0
    const dy = key.endsWith('Up') ? -step : key.endsWith('Down') ? step : 0
    const shape = (grow ? grown : moved)(selected.shape, dx, dy, frame.task.sample)
    return update((now) => changed(now, 'nudged a box', { shape }))
  }
  const step = (by: 1 | -1) => update((now) => goneTo(now, now.at + by))
  const cancel = () => {
    if (canvas.current?.cancel()) return
    if (desk.tool !== 'select') return setTool('select')
    if (desk.selected !== undefined) return update((now) => ({ ...now, selected: undefined }))
    back.current?.focus()
  }
  const dim = (what: 'brightness' | 'contrast', by: number) =>
    setLight((now) => ({ ...now, [what]: Math.min(3, Math.max(0.3, now[what] + by)) }))

  const acts: { readonly [A in LabelAct]: (key: string, event: KeyboardEvent) => unknown } = {
    accept: () => session.answer('annotated'),
    none: () => session.answer('annotated', true),
    skip: () => session.answer('skip'),
    bad: () => session.answer('bad'),
    flag: () => session.answer('flag'),
    setClass: (key) => {
      const label = labels[(Number(key) + 9) % 10]
      if (label !== undefined) setLabel(label)
    },
    findClass: () => classList.current?.find(),
    draw: () => setTool('draw'),
    select: () => desk.tool !== 'select' && setTool('select'),
    extremes: () => setTool('extremes'),
    outline: () => setTool('outline'),
    cancel,
    nextBox: () => canvas.current?.hasFocus() === true && update((now) => selectedNext(now, 1)),
    previousBox: () =>
      canvas.current?.hasFocus() === true && update((now) => selectedNext(now, -1)),
    acceptOne: () =>
      canvas.current?.close() ||
      update(
        (now) => (selected?.score === undefined ? now : changed(now, 'accepted a box', {})),
        'Accepted one',
      ),
    remove: () => update(removed, 'Deleted'),
    difficult: () =>
      update((now) => changed(now, 'said it is difficult', { crowd: !selected?.crowd })),
    move: (key, event) => nudge(key, event, false),
    resize: (key, event) => nudge(key, event, true),
    copyPrevious: () => update(copiedFromPrevious, 'Copied from the frame before'),
    copyNext: () => update(copiedToNext, 'Copied to the next frame'),
    next: () => step(1),
    previous: () => step(-1),
    nextOpen: () => update((now) => goneTo(now, nextOpen(now))),
    lower: () => setThreshold(-1),
    higher: () => setThreshold(1),
    hide: () => setHidden(true),
    onlyCurrent: () => setOnly((now) => !now),
    zoomIn: () => canvas.current?.zoom(1.25),
    zoomOut: () => canvas.current?.zoom(0.8),
    fit: () => canvas.current?.fit(),
    zoomToBox: () => canvas.current?.zoomToSelected(),
    darker: () => dim('brightness', -0.1),
    brighter: () => dim('brightness', 0.1),
    lessContrast: () => dim('contrast', -0.1),
    moreContrast: () => dim('contrast', 0.1),
    undo: () => session.undo(),
    redo: () => session.redo(),
    annotator: () => {
      if (!isReview) return
      update((now) => withBasis(now, (frame.basis + 1) % frame.task.answers.length))
    },
    similar: () => setSimilar((now) => !now),
    sheet: () => setSheet(true),
  }
  useLabelKeys(acts, () => setHidden(false))
  const press = (act: LabelAct) => {
    acts[act]('', new KeyboardEvent('keydown'))
    canvas.current?.focus()
  }

  const isLast = desk.at === desk.frames.length - 1
  const isOver =
    frame === undefined || (isLast && frame.answered !== undefined && supply.kind !== 'enough')
  return (
    <div className={classes.page} data-review={review}>
      <LabelHead
        row={row}
        review={review}
        state={state}
        outbox={outbox}
        backRef={back}
        onSheet={() => setSheet(true)}
      />
      <FrameNotes
        session={session}
        outbox={outbox}
        state={state}
        onDone={() => canvas.current?.focus()}
        isChanged={frame !== undefined && isChangedSince(frame)}
      />
      <LabelTools
        tool={desk.tool}
        onTool={setTool}
        onAct={press}
        canUndo={desk.steps.length > 0}
        canRedo={desk.undone.length > 0}
      />
      <div className={classes.middle}>
        {frame && (
          <LabelCanvas
            ref={canvas}
            frame={frame}
            picture={picture}
            selected={selected}
            ghosts={ghosts}
            colourOf={colourOf}
            pieces={drawn}
            tool={desk.tool}
            label={desk.label}
            {...light}
            description={describe(desk, pieces.length)}
            onMade={(shape) => update((now) => added(now, shape), `Drew a ${desk.label}`)}
            onChanged={(pieceId, shape) =>
              update((now) => changed(now, 'moved a box', { shape }, pieceId))
            }
            onSelect={(pieceId) =>
              update((now) => (now.selected === pieceId ? now : { ...now, selected: pieceId }))
            }
            onLongPress={(pieceId) =>
              update((now) => ({ ...now, selected: pieceId, tool: 'select' }))
            }
          />
        )}
        {picture.kind === 'failed' && frame && (
          <div className={classes.over}>
            <Empty
              icon={<IconPhotoOff size={32} />}
              title="This picture did not load"
              text={picture.why}
              alert
            >
              <Button
                size="xs"
                variant="default"
                onClick={() => shelf.retry(frame.task.sample.digest)}
              >
                Try again
              </Button>
            </Empty>
          </div>
        )}
        {picture.kind === 'loading' && frame && (
          <div className={classes.loading}>Picture is loading</div>
        )}
        {isOver && <Over row={row} review={review} state={state} onAgain={() => session.nudge()} />}
      </div>
      <section className={classes.side} aria-label="Objects and classes">
        {isReview && (
          <fieldset className={classes.annotators}>
            <legend>Answers</legend>
            {frame.task.answers.map((answer, at) => (
              <label key={`${answer.by}/${answer.at}`}>
                <input
                  type="radio"
                  name="basis"
                  checked={frame.basis === at}
                  onChange={() => update((now) => withBasis(now, at))}
                />
                <span className={classes.swatch} style={{ background: colourAt(at) }} aria-hidden />
                <bdi>{answer.by}</bdi>{' '}
                <span className="dim">
                  {answer.verdict === 'annotated'
                    ? sayOf(answer.annotations.length, 'object')
                    : answer.verdict}
                </span>
              </label>
            ))}
          </fieldset>
        )}
        <OnDemand when={similar && frame !== undefined}>
          {frame && <Similar queue={row.name} frame={frame} onAdded={() => session.nudge()} />}
        </OnDemand>
        <ClassList
          ref={classList}
          labels={labels}
          current={selected?.label ?? desk.label}
          forSelected={selected !== undefined}
          onChoose={setLabel}
          onWhole={() =>
            update(
              (now) => added(now, shapeOf({}, { width: 1, height: 1 })),
              'Said of the whole picture',
            )
          }
          onLeave={() => canvas.current?.focus()}
        />
        <PieceList
          pieces={pieces}
          hidden={(frame?.pieces.length ?? 0) - pieces.length}
          threshold={threshold}
          selected={desk.selected}
          onSelect={(pieceId) => update((now) => ({ ...now, selected: pieceId }))}
          onRemove={(pieceId) => update((now) => removed({ ...now, selected: pieceId }), 'Deleted')}
        />
      </section>
      <LabelActs
        onAct={press}
        disabled={frame === undefined}
        review={review}
        threshold={threshold}
        answered={frame?.answered?.verdict}
      />
      <FrameStrip
        frames={desk.frames}
        at={desk.at}
        threshold={threshold}
        onGo={(at) => {
          update((now) => goneTo(now, at))
          canvas.current?.focus()
        }}
      />
      <p className="hidden-visually" role="status">
        {state.said}
      </p>
      <OnDemand when={sheet}>
        <LabelSheet
          review={review}
          onClose={() => {
            setSheet(false)
            canvas.current?.focus()
          }}
        />
      </OnDemand>
    </div>
  )
}

const none: readonly Piece[] = []

/** What the other annotators drew. */
function ghostsOf({ task, basis }: NonNullable<ReturnType<typeof frameAt>>): readonly Ghost[] {
  return task.answers.flatMap(({ annotations }, at) =>
    at === basis
      ? []
      : annotations.flatMap((one): Ghost[] => {
          if (one.kind !== 'box' && one.kind !== 'polygon') return []
          const given = one.kind === 'box' ? { box: one.box } : { points: one.points }
          return [{ shape: shapeOf(given, task.sample), colour: colourAt(at) }]
        }),
  )
}

function describe(desk: Desk, shown: number): string {
  const selected = selectedPiece(desk)
  const what = selected ? `, selected: ${selected.label}` : ''
  return `Frame ${desk.at + 1}: ${sayOf(shown, 'object')}${what}`
}

/** Nothing is left to look at, for now or for good. */
function Over(props: {
  row: LabelQueueRow
  review: boolean
  state: DeskProps['state']
  onAgain: () => void
}) {
  const { supply } = props.state
  if (supply.kind === 'taking' || supply.kind === 'enough') {
    return <div className={classes.loading}>Frames are loading</div>
  }
  if (supply.kind === 'away') {
    return (
      <div className={classes.over}>
        <Empty
          title="The next frames come when the hub is back"
          text={`${supply.why}. What you answered is kept in this browser and sent by itself.`}
          alert
        >
          <Button size="xs" variant="default" onClick={props.onAgain}>
            Try now
          </Button>
        </Empty>
      </div>
    )
  }
  return (
    <div className={classes.over}>
      <Empty
        icon={<IconConfetti size={32} stroke={1.5} />}
        title={props.review ? 'Nothing waits for a review' : 'Nothing waits in this queue'}
        text="New samples of the boxes come up here by themselves."
      >
        <Link to="/label/$queue" params={{ queue: props.row.name }}>
          What was said so far
        </Link>
      </Empty>
    </div>
  )
}
