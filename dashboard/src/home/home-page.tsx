/** What the fleet sees right now, and what of it needs somebody. */
import { type DeviceRow, deviceHealths } from '@edgeloop/protocol'
import { Skeleton } from '@mantine/core'
import { IconServer2 } from '@tabler/icons-react'
import { useQueries, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { deviceListQuery, deviceQuery } from '../devices/device-queries.ts'
import { healthWords } from '../devices/device-status.ts'
import { EventStrip } from '../events/event-strip.tsx'
import { LiveTile } from '../live/live-tile.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount, sayOf } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import classes from './home-page.module.css'

/** Devices whose streams are shown; the others are one click away. */
const devicesShownMax = 9
/** Pictures on this page. */
const tilesMax = 12
const attentionMax = 8

export function HomePage() {
  const devices = useQuery(deviceListQuery)
  return (
    <Page title="Home" aside={devices.data && <Counts rows={devices.data} />}>
      <QueryState query={devices} skeleton={<Skeleton height={480} />}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty
              icon={<IconServer2 size={32} stroke={1.5} />}
              title="No devices yet"
              text={
                <>
                  A device is one box that runs the Edgeloop agent.{' '}
                  <Link to="/add-device">Add the first</Link> to see its streams here.
                </>
              }
            />
          ) : (
            <div className={classes.columns}>
              <div className={classes.left}>
                <Attention rows={rows} />
                <Wall rows={rows} />
              </div>
              <section className={classes.right} aria-label="Latest events">
                <header className={classes.head}>
                  <h2>Latest events</h2>
                  <Link to="/events">All events</Link>
                </header>
                <EventStrip filter={{}} column />
              </section>
            </div>
          )
        }
      </QueryState>
    </Page>
  )
}

function Counts(props: { rows: readonly DeviceRow[] }) {
  const byHealth = Map.groupBy(props.rows, (row) => row.health)
  return (
    <div className={classes.counts}>
      {deviceHealths.map((health) => {
        const count = byHealth.get(health)?.length ?? 0
        if (count === 0) return null
        return (
          <Link key={health} to="/devices" search={{ health }} className={classes.count ?? ''}>
            <Status kind={healthWords[health].kind} word={healthWords[health].word} />
            <b>{sayCount(count)}</b>
          </Link>
        )
      })}
    </div>
  )
}

/** Devices that need somebody, with the reason; nothing at all where all is well. */
function Attention(props: { rows: readonly DeviceRow[] }) {
  const rows = props.rows.filter((row) => row.health === 'offline' || row.health === 'degraded')
  if (rows.length === 0) return null
  return (
    <section className={classes.attention} aria-label="Needs attention">
      {rows.slice(0, attentionMax).map((row) => (
        <Link
          key={row.deviceId}
          to="/devices/$deviceId"
          params={{ deviceId: row.deviceId }}
          className={classes.problem ?? ''}
        >
          <Status kind={healthWords[row.health].kind} word={healthWords[row.health].word} />
          <b className="clip">
            <bdi>{row.name}</bdi>
          </b>
          <span className="dim clip">{row.reason}</span>
        </Link>
      ))}
      {rows.length > attentionMax && (
        <Link to="/devices">{sayOf(rows.length - attentionMax, 'more device')}</Link>
      )}
    </section>
  )
}

/** Live pictures of the devices that are connected, in an order that does not change by itself. */
function Wall(props: { rows: readonly DeviceRow[] }) {
  const shown = props.rows
    .filter((row) => row.connectivity === 'online' && row.streamsTotal > 0)
    .sort((a, b) => a.deviceId.localeCompare(b.deviceId))
    .slice(0, devicesShownMax)
  const details = useQueries({ queries: shown.map((row) => deviceQuery(row.deviceId)) })
  const tiles = details.flatMap(({ data }) =>
    (data?.reported?.streams ?? []).map((stream) => ({
      deviceId: data?.device.deviceId ?? '',
      stream,
      scoreMin: data?.desired?.config.streams.find(({ streamId }) => streamId === stream.streamId)
        ?.scoreMin,
    })),
  )
  if (tiles.length === 0) {
    if (details.some((detail) => detail.isPending)) return <Skeleton height={320} />
    return (
      <Empty title="No live streams" text="No device that has streams is connected right now." />
    )
  }
  const all = props.rows.reduce((sum, row) => sum + row.streamsTotal, 0)
  return (
    <>
      <div className={classes.wall} data-tiles={Math.min(tiles.length, 3)}>
        {tiles.slice(0, tilesMax).map(({ deviceId, stream, scoreMin }) => (
          <LiveTile
            key={`${deviceId}/${stream.streamId}`}
            deviceId={deviceId}
            stream={stream}
            online
            leadsTo="device"
            scoreMin={scoreMin}
            widthMax={tiles.length === 1 ? 960 : 640}
          />
        ))}
      </div>
      {all > Math.min(tiles.length, tilesMax) && (
        <p className={classes.more}>
          {Math.min(tiles.length, tilesMax)} of {sayOf(all, 'stream')}.{' '}
          <Link to="/live">All streams</Link>
        </p>
      )}
    </>
  )
}
