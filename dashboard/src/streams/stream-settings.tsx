/**
 * The settings of one stream, drawn and typed: an edit beside what runs, saved as a new version of the
 * device's configuration. Nothing changes on the device before that.
 */
import {
  CallFailed,
  configMisfit,
  type DeviceDetail,
  mayAct,
  type Point,
  type ReportedStream,
  type StreamConfig,
} from '@edgeloop/protocol'
import { Button } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { IconArrowBackUp, IconArrowForwardUp, IconVideoOff } from '@tabler/icons-react'
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useBlocker } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { deviceQuery } from '../devices/device-queries.ts'
import { LiveTile } from '../live/live-tile.tsx'
import { sessionQuery } from '../people/session.ts'
import { AskFrames } from '../samples/ask-frames.tsx'
import { usePageTitle } from '../shell/page.tsx'
import { Empty } from '../shell/query-state.tsx'
import { sayOf } from '../shell/say.ts'
import { useKeys } from '../shell/use-keys.ts'
import { ClipFields } from './clip-fields.tsx'
import {
  type DrawingId,
  type DrawingKind,
  drawingKinds,
  drawingsOf,
  drawingWords,
  withDrawing,
  withPoints,
} from './drawing.ts'
import { DrawingBoard } from './drawing-board.tsx'
import { DrawingList } from './drawing-list.tsx'
import { SampleFields } from './sample-fields.tsx'
import { SettingFields } from './setting-fields.tsx'
import {
  beginDraft,
  changesOf,
  type Draft,
  editDraft,
  isChanged,
  rebaseDraft,
  redoDraft,
  undoDraft,
} from './stream-draft.ts'
import classes from './stream-settings.module.css'

const route = getRouteApi('/in/devices/$deviceId/streams/$streamId')

export function StreamSettings() {
  const { deviceId, streamId } = route.useParams()
  const { data: detail } = useQuery(deviceQuery(deviceId))
  const wanted = detail?.desired?.config.streams.find((stream) => stream.streamId === streamId)
  usePageTitle(`${streamId}, ${deviceId}`)
  if (!detail) return null
  if (!wanted || !detail.desired) {
    return (
      <Empty
        icon={<IconVideoOff size={32} stroke={1.5} />}
        title="Nothing to set here"
        text={`Stream ${streamId} is not in the configuration that the hub holds for ${deviceId}: it was removed, or its device brought it along.`}
      >
        <Link to="/devices/$deviceId" params={{ deviceId }}>
          Back to the streams of this device
        </Link>
      </Empty>
    )
  }
  return (
    <Editor
      key={`${deviceId}/${streamId}`}
      detail={detail}
      wanted={wanted}
      newest={detail.desired.version}
    />
  )
}

/** Of a stream whose device has not said how large its picture is. */
const usualShape = 16 / 9

function Editor(props: { detail: DeviceDetail; wanted: StreamConfig; newest: number }) {
  const { detail, wanted, newest } = props
  const { deviceId } = detail.device
  const { streamId } = wanted
  const queryClient = useQueryClient()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const [draft, setDraft] = useState<Draft>(() => beginDraft(wanted, newest))
  // An edit that has not begun follows what is saved elsewhere.
  if (draft.version !== newest && !isChanged(draft)) setDraft(beginDraft(wanted, newest))
  const [selected, setSelected] = useState<DrawingId>()
  const [sketch, setSketch] = useState<{ kind: DrawingKind; points: readonly Point[] }>()
  const refused = mayAct(session.role, 'operator')
    ? undefined
    : 'Only an operator or admin can change streams'

  const changed = isChanged(draft)
  const misfit = configMisfit({ streams: [draft.stream] })
  const behind = changed && draft.version !== newest
  const edit = (change: Parameters<typeof editDraft>[1], goOn = false) =>
    setDraft((before) => editDraft(before, change, goOn))

  const save = useMutation({
    mutationFn: () => {
      const streams = (detail.desired?.config.streams ?? []).map((stream) =>
        stream.streamId === streamId ? draft.stream : stream,
      )
      const params = { deviceId }
      return call('desiredPut', { params, body: { version: draft.version, config: { streams } } })
    },
    onSuccess: (desired) => {
      queryClient.setQueryData(
        deviceQuery(deviceId).queryKey,
        (before) => before && { ...before, desired },
      )
      const saved = desired.config.streams.find((stream) => stream.streamId === streamId)
      setDraft(beginDraft(saved ?? draft.stream, desired.version))
      notifications.show({ message: `Saved as version ${desired.version}` })
    },
    onError: (error) => {
      if (!(error instanceof CallFailed) || error.code !== 'conflict') return
      void queryClient.invalidateQueries({ queryKey: deviceQuery(deviceId).queryKey, exact: true })
    },
  })

  const begin = (kind: DrawingKind) => {
    setSelected(undefined)
    setSketch({ kind, points: [] })
  }
  const finish = () => {
    if (!sketch) return
    if (sketch.points.length >= drawingWords[sketch.kind].pointsMin) {
      const { areas, id } = withDrawing(draft.stream, sketch.kind, sketch.points)
      edit(areas)
      setSelected(id)
    }
    setSketch(undefined)
  }
  useKeys({
    undo: () => setDraft(undoDraft),
    redo: () => setDraft(redoDraft),
    clear: () => (sketch ? setSketch(undefined) : setSelected(undefined)),
  })
  useBlocker({
    shouldBlockFn: () => changed && !confirm('Leave without saving what you changed?'),
    enableBeforeUnload: changed,
  })

  const reported = detail.reported?.streams.find((stream) => stream.streamId === streamId)
  const model = detail.reported?.models.find(({ name }) => name === reported?.model)
  return (
    <div className={classes.columns}>
      <div className={classes.picture}>
        <fieldset className={classes.tools} aria-label="Draw">
          {drawingKinds.map((kind) => (
            <Button
              key={kind}
              size="compact-sm"
              variant="default"
              aria-pressed={sketch?.kind === kind}
              disabled={refused !== undefined}
              title={refused ?? drawingWords[kind].does}
              onClick={() => (sketch?.kind === kind ? setSketch(undefined) : begin(kind))}
            >
              Draw a {drawingWords[kind].word.toLowerCase()}
            </Button>
          ))}
          {sketch && (
            <Button
              size="compact-sm"
              disabled={sketch.points.length < drawingWords[sketch.kind].pointsMin}
              onClick={finish}
            >
              Finish ({sayOf(sketch.points.length, 'point')})
            </Button>
          )}
        </fieldset>
        <DrawingBoard
          drawings={drawingsOf(draft.stream)}
          selected={selected}
          onSelect={setSelected}
          sketch={sketch}
          onSketch={(points) => sketch && setSketch({ ...sketch, points })}
          onFinish={finish}
          onPoints={(id, points, goOn) => edit(withPoints(draft.stream, id, points), goOn)}
          readOnly={refused !== undefined}
        >
          <LiveTile
            deviceId={deviceId}
            stream={reported ?? asUnseen(wanted)}
            online={detail.device.connectivity === 'online'}
            scoreMin={draft.stream.scoreMin}
            widthMax={1280}
            shape={
              reported?.width && reported.height ? reported.width / reported.height : usualShape
            }
          />
        </DrawingBoard>
        <p className="dim">
          {sketch
            ? 'Click point after point; Enter or a double click finishes, Escape gives up.'
            : 'Points are dragged, or moved with the arrow keys; in the list they can be typed.'}
        </p>
      </div>
      <form
        className={classes.form}
        onSubmit={(event) => {
          event.preventDefault()
          save.mutate()
        }}
      >
        <fieldset className={classes.fields} disabled={refused !== undefined} title={refused}>
          <DrawingList
            stream={draft.stream}
            labels={model?.labels ?? []}
            selected={selected}
            onSelect={setSelected}
            onEdit={edit}
          />
          <SettingFields
            stream={draft.stream}
            models={detail.reported?.models ?? []}
            labels={model?.labels ?? []}
            onEdit={edit}
          />
          <ClipFields
            stream={draft.stream}
            labels={model?.labels ?? []}
            noClips={reported?.noClips}
            onEdit={edit}
          />
          <SampleFields
            stream={draft.stream}
            models={detail.reported?.models ?? []}
            labels={model?.labels ?? []}
            onEdit={edit}
          >
            {wanted.sampling && (
              <div className={classes.buttons}>
                <AskFrames deviceId={deviceId} streamId={streamId} />
                <Link to="/samples" search={{ device: deviceId, stream: streamId }}>
                  What it sent
                </Link>
              </div>
            )}
          </SampleFields>
        </fieldset>
        {behind && (
          <Overtaken
            draft={draft}
            theirs={wanted}
            newest={newest}
            onRebase={() => setDraft(rebaseDraft(draft, wanted, newest).draft)}
            onTakeTheirs={() => setDraft(beginDraft(wanted, newest))}
          />
        )}
        <section className={classes.save} aria-label="Save">
          {misfit !== undefined && (
            <p className={classes.failed} role="alert">
              {misfit.replace(/^\/streams\/0\//, '')}
            </p>
          )}
          {save.error && !behind && (
            <p className={classes.failed} role="alert">
              {save.error.message}
            </p>
          )}
          <Changes draft={draft} />
          <div className={classes.buttons}>
            <Button
              type="submit"
              disabled={!changed || behind || misfit !== undefined || refused !== undefined}
              title={refused}
              loading={save.isPending}
            >
              Save version {newest + 1}
            </Button>
            <Button
              variant="default"
              aria-label="Undo"
              disabled={draft.past.length === 0}
              onClick={() => setDraft(undoDraft)}
            >
              <IconArrowBackUp size={18} />
            </Button>
            <Button
              variant="default"
              aria-label="Redo"
              disabled={draft.future.length === 0}
              onClick={() => setDraft(redoDraft)}
            >
              <IconArrowForwardUp size={18} />
            </Button>
            <Button
              variant="subtle"
              disabled={!changed}
              onClick={() => setDraft(beginDraft(draft.base, draft.version))}
            >
              Discard
            </Button>
          </div>
        </section>
      </form>
    </div>
  )
}

const asUnseen = (
  config: StreamConfig,
): Pick<ReportedStream, 'streamId' | 'name' | 'state' | 'reason'> => ({
  streamId: config.streamId,
  name: config.name ?? config.streamId,
  state: 'connecting',
  reason: 'The device has not taken up this configuration yet',
})

const say = (value: unknown): string => (value === undefined ? 'not set' : JSON.stringify(value))

/** Setting by setting, what saving would change. */
function Changes(props: { draft: Draft }) {
  const { base, stream, version } = props.draft
  const changes = changesOf(base, stream)
  if (changes.length === 0) return <p className="dim">As it is in version {version}.</p>
  return (
    <details className={classes.changes}>
      <summary>
        {sayOf(changes.length, 'setting')} changed since version {version}
      </summary>
      <ChangeList changes={changes} streamId={base.streamId} />
    </details>
  )
}

function ChangeList(props: { changes: ReturnType<typeof changesOf>; streamId: string }) {
  return (
    <ul>
      {props.changes.map(({ path, before, after }) => (
        <li key={path}>
          <b>{path.replace(`/streams/${props.streamId}/`, '')}</b>: <del>{say(before)}</del>{' '}
          <ins>{say(after)}</ins>
        </li>
      ))}
    </ul>
  )
}

/** Somebody else saved while this edit was open: what they changed, and the two ways on. */
function Overtaken(props: {
  draft: Draft
  theirs: StreamConfig
  newest: number
  onRebase: () => void
  onTakeTheirs: () => void
}) {
  const { draft, theirs, newest } = props
  const changes = changesOf(draft.base, theirs)
  const { both } = rebaseDraft(draft, theirs, newest)
  return (
    <section className={classes.overtaken} role="alert" aria-label="Somebody else saved">
      <p>
        <b>
          Version {newest} was saved while you edited version {draft.version}.
        </b>{' '}
        {changes.length === 0 ? 'It changed other streams of this device.' : 'It changed:'}
      </p>
      <ChangeList changes={changes} streamId={theirs.streamId} />
      {both.length > 0 && <p>You changed too: {both.join(', ')}. Your values would win there.</p>}
      <div className={classes.buttons}>
        <Button size="xs" onClick={props.onRebase}>
          Put mine on top
        </Button>
        <Button size="xs" variant="default" onClick={props.onTakeTheirs}>
          Take theirs
        </Button>
      </div>
    </section>
  )
}
