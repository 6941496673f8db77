/** The streams of a device: state, why, since when, where from. */
import type { ReportedStream } from '@edgeloop/protocol'
import { ActionIcon, Table } from '@mantine/core'
import { IconTrash } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { lazy, useState } from 'react'
import { driftOfDeviceQuery, useDriftChanges } from '../drift/drift-queries.ts'
import { sayStream, toldAlarms } from '../drift/drift-words.ts'
import { actions, type Column, FramedTable } from '../shell/framed-table.tsx'
import { Ago } from '../shell/now.tsx'
import { OnDemand } from '../shell/on-demand.tsx'
import { Status } from '../shell/status.tsx'
import { streamStatus } from './stream-status.ts'
import classes from './stream-table.module.css'

const RemoveStream = lazy(async () => ({
  default: (await import('./remove-stream.tsx')).RemoveStream,
}))

const columns: readonly Column[] = ['Name', 'State', 'Since', 'Source', 'Picture', 'Model', actions]

export function StreamTable(props: {
  deviceId: string
  online: boolean
  streams: readonly ReportedStream[]
  /** Why streams cannot be changed, where they cannot. */
  refused: string | undefined
}) {
  const [removing, setRemoving] = useState<ReportedStream>()
  useDriftChanges()
  // A badge only: without it the table is as true.
  const { data: drifting } = useQuery(driftOfDeviceQuery(props.deviceId))
  return (
    <>
      <FramedTable label="Streams" columns={columns}>
        {props.streams.map((stream) => {
          const status = streamStatus(stream, props.online)
          const drift = drifting?.find(({ streamId }) => streamId === stream.streamId)
          return (
            <Table.Tr key={stream.streamId}>
              <Table.Td>
                <Link
                  to="/devices/$deviceId/streams/$streamId"
                  params={{ deviceId: props.deviceId, streamId: stream.streamId }}
                  title="Settings, zones, lines and masks"
                >
                  <bdi>{stream.name}</bdi>
                </Link>{' '}
                <span className="dim mono">{stream.streamId}</span>
              </Table.Td>
              <Table.Td className={classes.state ?? ''}>
                <Status kind={status.kind} word={status.word} />
                {drift && toldAlarms(drift).length > 0 && (
                  <Link
                    to="/drift/$deviceId/$streamId"
                    params={{ deviceId: props.deviceId, streamId: stream.streamId }}
                    title={toldAlarms(drift)[0]?.why}
                  >
                    <Status {...sayStream(drift)} />
                  </Link>
                )}
                {stream.reason && <div className="dim">{stream.reason}</div>}
                {stream.shedding && <div className="dim">{stream.shedding.reason}</div>}
                {stream.noClips && <div className="dim">{stream.noClips}</div>}
              </Table.Td>
              <Table.Td>
                <Ago at={stream.since} />
              </Table.Td>
              <Table.Td className={`mono ${classes.source}`}>{stream.source}</Table.Td>
              <Table.Td>
                {stream.width ? `${stream.width}×${stream.height}` : '–'}
                {stream.decoder && <span className="dim"> {stream.decoder}</span>}
              </Table.Td>
              <Table.Td>{stream.model ?? '–'}</Table.Td>
              <Table.Td>
                <ActionIcon
                  variant="subtle"
                  color="gray"
                  c="var(--el-dimmed)"
                  aria-label={`Remove ${stream.name}`}
                  disabled={props.refused !== undefined}
                  title={props.refused}
                  onClick={() => setRemoving(stream)}
                >
                  <IconTrash size={16} stroke={1.75} />
                </ActionIcon>
              </Table.Td>
            </Table.Tr>
          )
        })}
      </FramedTable>
      <OnDemand when={removing !== undefined}>
        <RemoveStream
          opened={removing !== undefined}
          deviceId={props.deviceId}
          stream={removing}
          onClose={() => setRemoving(undefined)}
        />
      </OnDemand>
    </>
  )
}
