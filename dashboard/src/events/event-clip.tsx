/**
 * The video around an event. It is on the box until somebody asks for it, so this says where it is, lets
 * those who may fetch it, and plays it from a little before the moment once it is here.
 */
import { type EventClip as Clip, mayAct, pathOf, routes } from '@edgeloop/protocol'
import { Button, Progress } from '@mantine/core'
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from '@tanstack/react-query'
import { useRef } from 'react'
import { call } from '../api/call.ts'
import { sessionQuery } from '../people/session.ts'
import { sayBytes, sayDuration } from '../shell/say.ts'
import classes from './event-clip.module.css'
import { eventClipQuery } from './event-queries.ts'

/** Playing begins so long before the moment, s: what led to it belongs to it. */
const leadSeconds = 3

export function EventClip(props: { eventId: number }) {
  const { eventId } = props
  const { data: found } = useQuery(eventClipQuery(eventId))
  const queryClient = useQueryClient()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const fetching = useMutation({
    mutationFn: () => call('eventClipAsk', { params: { eventId } }),
    onSuccess: (asked) => queryClient.setQueryData(eventClipQuery(eventId).queryKey, asked),
    // What it was refused for is a state by now: the device has gone, or has it no more.
    onError: () => queryClient.invalidateQueries({ queryKey: eventClipQuery(eventId).queryKey }),
  })
  if (!found?.clip) return null
  const { state, clip, receivedBytes } = found
  const size = `${sayDuration(clip.durationMs)}, ${sayBytes(clip.sizeBytes)}`
  const refused = mayAct(session.role, 'operator')
    ? undefined
    : 'Only an operator or admin can fetch a clip'
  return (
    <section className={classes.clip} aria-label="Clip">
      {state === 'here' && <Player clip={clip} />}
      {state === 'coming' && (
        <>
          <p role="status">
            The clip is coming: {sayBytes(receivedBytes)} of {sayBytes(clip.sizeBytes)}
          </p>
          <Progress
            size="sm"
            aria-label="Clip received"
            value={(receivedBytes / clip.sizeBytes) * 100}
          />
        </>
      )}
      {state === 'onBox' && (
        <>
          <Button
            size="compact-sm"
            variant="default"
            disabled={refused !== undefined}
            title={refused}
            loading={fetching.isPending}
            onClick={() => fetching.mutate()}
          >
            Fetch the clip
          </Button>
          <span className="dim">
            {found.reason || `${size}; it is on the box, and comes when it is asked for`}
          </span>
        </>
      )}
      {(state === 'offline' || state === 'expired') && (
        <p className="dim">
          {state === 'expired' ? 'The clip has expired' : 'No clip now'}: {found.reason}
        </p>
      )}
      {fetching.error && (
        <p className={classes.failed} role="alert">
          {fetching.error.message}
        </p>
      )}
    </section>
  )
}

function Player(props: { clip: NonNullable<Clip['clip']> }) {
  const { clip } = props
  const video = useRef<HTMLVideoElement>(null)
  const source = pathOf(routes.clipShow, { digest: clip.digest })
  const moment = clip.momentMs / 1000
  const seek = () => {
    if (video.current) video.current.currentTime = moment
  }
  return (
    <>
      <video
        ref={video}
        className={classes.video ?? ''}
        controls
        muted
        playsInline
        preload="metadata"
        style={{ aspectRatio: clip.width / clip.height }}
        src={`${source}#t=${Math.max(0, moment - leadSeconds).toFixed(2)}`}
      />
      <div className={classes.row}>
        <Button size="compact-sm" variant="default" onClick={seek}>
          To the moment, at {moment.toFixed(1)} s
        </Button>
        <a href={source} download={`${clip.deviceId}-${clip.streamId}-${clip.startedAt}.mp4`}>
          Save ({sayBytes(clip.sizeBytes)})
        </a>
      </div>
    </>
  )
}
