/** What the device sees now: its streams as pictures, their states, and what it reported last. */
import { mayAct, type ReportedStream, type StreamConfig } from '@edgeloop/protocol'
import { Button } from '@mantine/core'
import { IconPlus, IconVideoOff } from '@tabler/icons-react'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { lazy, useState } from 'react'
import { EventStrip } from '../events/event-strip.tsx'
import { standardSpan } from '../events/timeline.ts'
import { densityQuery, LaneChart, TimeAxis } from '../events/timeline-chart.tsx'
import { LiveTile } from '../live/live-tile.tsx'
import { sessionQuery } from '../people/session.ts'
import { OnDemand } from '../shell/on-demand.tsx'
import { Empty } from '../shell/query-state.tsx'
import { StreamTable } from '../streams/stream-table.tsx'
import classes from './device-overview.module.css'
import { deviceQuery } from './device-queries.ts'

const AddStream = lazy(async () => ({
  default: (await import('../streams/add-stream.tsx')).AddStream,
}))

const route = getRouteApi('/in/devices/$deviceId')

export function DeviceOverview() {
  const { deviceId } = route.useParams()
  const { data: detail } = useQuery(deviceQuery(deviceId))
  const { data: session } = useSuspenseQuery(sessionQuery)
  const [adding, setAdding] = useState(false)
  if (!detail) return null
  const online = detail.device.connectivity === 'online'
  const reported = detail.reported?.streams ?? []
  const wanted = detail.desired?.config.streams ?? []
  const waiting = wanted.filter(
    ({ streamId }) => !reported.some((stream) => stream.streamId === streamId),
  )
  const refused = mayAct(session.role, 'operator')
    ? undefined
    : 'Only an operator or admin can change streams'

  return (
    <>
      {reported.length > 0 && (
        <div className={classes.wall} data-single={reported.length === 1}>
          {reported.map((stream) => (
            <div key={stream.streamId}>
              <LiveTile
                deviceId={deviceId}
                stream={stream}
                online={online}
                scoreMin={wanted.find(({ streamId }) => streamId === stream.streamId)?.scoreMin}
                widthMax={reported.length === 1 ? 960 : 640}
                fpsMax={reported.length === 1 ? 10 : 5}
              />
              <StreamTimeline deviceId={deviceId} streamId={stream.streamId} name={stream.name} />
            </div>
          ))}
        </div>
      )}
      <section className={classes.section}>
        <header className={classes.head}>
          <h2>Streams</h2>
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<IconPlus size={14} aria-hidden />}
            disabled={refused !== undefined}
            title={refused}
            onClick={() => setAdding(true)}
          >
            Add a stream
          </Button>
        </header>
        {reported.length + waiting.length === 0 ? (
          <Empty
            icon={<IconVideoOff size={32} stroke={1.5} />}
            title="No streams yet"
            text={
              detail.reported
                ? 'A stream is one camera feed. Add one to see what this device sees.'
                : 'This device has not connected yet; a stream that is added now starts as soon as it does.'
            }
          />
        ) : (
          <StreamTable
            deviceId={deviceId}
            online={online}
            streams={[...reported, ...waiting.map(asWaiting)]}
            refused={refused}
          />
        )}
      </section>
      <section className={classes.section}>
        <header className={classes.head}>
          <h2>Latest events</h2>
          <Link to="/events" search={{ device: deviceId }}>
            All events of this device
          </Link>
        </header>
        <EventStrip filter={{ device: deviceId }} />
      </section>
      <OnDemand when={adding}>
        <AddStream
          deviceId={deviceId}
          models={detail.reported?.models ?? []}
          taken={[...reported, ...waiting].map(({ streamId }) => streamId)}
          opened={adding}
          onClose={() => setAdding(false)}
        />
      </OnDemand>
    </>
  )
}

/** The last hours of one stream, under its picture; a moment of it leads to the events of that moment. */
function StreamTimeline(props: { deviceId: string; streamId: string; name: string }) {
  const { deviceId, streamId } = props
  const navigate = useNavigate()
  const { data: density } = useQuery(densityQuery({ device: deviceId }, standardSpan))
  const lane = density?.lanes.find((each) => each.streamId === streamId)
  if (!density || !lane) return <div className={classes.noLane} />
  const peak = Math.max(1, ...density.lanes.flatMap(({ counts }) => counts))
  return (
    <>
      <LaneChart
        lane={lane}
        density={density}
        peak={peak}
        name={props.name}
        onPick={(time) =>
          void navigate({
            to: '/events',
            search: { device: deviceId, stream: streamId, ...time },
          })
        }
      />
      <TimeAxis density={density} />
    </>
  )
}

/** A stream that is wanted but that the device has not taken up yet. */
const asWaiting = (config: StreamConfig): ReportedStream => ({
  streamId: config.streamId,
  name: config.name ?? config.streamId,
  source: config.source,
  state: 'connecting',
  reason: 'The device has not taken up this configuration yet',
  since: new Date().toISOString(),
  ...(config.model === undefined ? {} : { model: config.model }),
})
