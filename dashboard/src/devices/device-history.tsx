/** What a device and its streams went through: connections, states and alarms, newest first. */
import type { ConnectionChange, StoredEvent, StreamState } from '@edgeloop/protocol'
import { streamStates } from '@edgeloop/protocol'
import { Skeleton, Table } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { type Column, FramedTable } from '../shell/framed-table.tsx'
import { Ago } from '../shell/now.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayDuration, sayMoment } from '../shell/say.ts'
import { Status, type StatusKind } from '../shell/status.tsx'
import { streamStateWord } from '../streams/stream-status.ts'
import streamClasses from '../streams/stream-table.module.css'
import classes from './device-config.module.css'
import { deviceHistoryQuery, type Moment } from './device-queries.ts'

const route = getRouteApi('/in/devices/$deviceId')

const columns: readonly Column[] = [
  'When',
  'Of',
  'State',
  'Why',
  { word: 'No frame for', right: true },
]

export function DeviceHistory() {
  const { deviceId } = route.useParams()
  const query = useQuery(deviceHistoryQuery(deviceId))
  return (
    <section>
      <h2>States</h2>
      <QueryState query={query} skeleton={<Skeleton height={240} />}>
        {(moments) =>
          moments.length === 0 ? (
            <Empty
              title="Nothing has happened yet"
              text="Connections, states of streams and alarms are listed here as they are reported."
            />
          ) : (
            <>
              <FramedTable label="States" columns={columns} width="small">
                {moments.map((moment) => (
                  <MomentRow key={moment.key} moment={moment} />
                ))}
              </FramedTable>
              <p className={classes.line}>
                The newest {moments.length}.{' '}
                <Link to="/events" search={{ device: deviceId, kind: 'stream' }}>
                  All states of streams
                </Link>
                <Link to="/events" search={{ device: deviceId, kind: 'alarm' }}>
                  All alarms
                </Link>
              </p>
            </>
          )
        }
      </QueryState>
    </section>
  )
}

function MomentRow(props: { moment: Moment }) {
  const { at, happened } = props.moment
  const { kind, word } = 'online' in happened ? connectionWords(happened) : stateOf(happened)
  const streamId = 'online' in happened ? null : happened.streamId
  const data: StoredEvent['data'] = 'online' in happened ? {} : happened.data
  const why = data.reason ?? data.text
  return (
    <Table.Tr>
      <Table.Td title={sayMoment(Date.parse(at))}>
        <Ago at={at} />
      </Table.Td>
      <Table.Td className="mono">{streamId ?? 'device'}</Table.Td>
      <Table.Td>
        <Status kind={kind} word={word} />
      </Table.Td>
      <Table.Td className={streamClasses.state ?? ''}>
        {typeof why === 'string' ? why : ''}
      </Table.Td>
      <Table.Td ta="right">
        {typeof data.gapMs === 'number' ? sayDuration(data.gapMs) : ''}
      </Table.Td>
    </Table.Tr>
  )
}

const connectionWords = ({ online }: ConnectionChange): { kind: StatusKind; word: string } =>
  online ? { kind: 'ok', word: 'Connected' } : { kind: 'offline', word: 'Disconnected' }

function stateOf({ kind, data }: StoredEvent): { kind: StatusKind; word: string } {
  if (kind === 'alarm') {
    return data.active === false
      ? { kind: 'ok', word: `${data.code} is over` }
      : { kind: 'bad', word: String(data.code) }
  }
  const state = streamStates.find((known): known is StreamState => known === data.state)
  return state ? streamStateWord(state) : { kind: 'info', word: String(data.state) }
}
