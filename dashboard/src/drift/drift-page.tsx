/** Streams by whether they still show what they used to: those with alarms first. */
import { Table } from '@mantine/core'
import { IconWaveSine } from '@tabler/icons-react'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { sessionQuery } from '../people/session.ts'
import { TableSkeleton } from '../people/table-skeleton.tsx'
import { actions, FramedTable } from '../shell/framed-table.tsx'
import { Ago } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { Status } from '../shell/status.tsx'
import classes from './drift.module.css'
import { DriftActs } from './drift-acts.tsx'
import { driftListQuery, useDriftChanges } from './drift-queries.ts'
import { sayStream, toldAlarms } from './drift-words.ts'

const columns = ['Stream', 'State', 'Why', actions] as const

export function DriftPage() {
  useDriftChanges()
  const query = useQuery(driftListQuery)
  const { data: session } = useSuspenseQuery(sessionQuery)
  const refused = session.role === 'viewer' ? 'Only an operator can answer to drift' : undefined
  return (
    <Page title="Drift">
      <QueryState query={query} skeleton={<TableSkeleton rows={6} />}>
        {(streams) =>
          streams.length === 0 ? (
            <Empty
              icon={<IconWaveSine size={32} stroke={1.5} />}
              title="No stream has sent a sketch yet"
              text="Every minute a stream says how its pictures and its model's answers looked. The hub learns from two hours of it, and then says when a camera was moved, covered or blurred, the light has changed, or the model answers otherwise."
            >
              <Link to="/devices">Look at the devices</Link>
            </Empty>
          ) : (
            <FramedTable label="Streams" columns={columns} width="small">
              {streams.map((stream) => {
                const { deviceId, streamId } = stream
                const { kind, word } = sayStream(stream)
                const [alarm] = toldAlarms(stream)
                return (
                  <Table.Tr key={`${deviceId}/${streamId}`}>
                    <Table.Td>
                      <Link to="/drift/$deviceId/$streamId" params={{ deviceId, streamId }}>
                        {deviceId}/{streamId}
                      </Link>
                      <div className="dim">
                        {stream.site}, newest sketch <Ago at={stream.newestAt} />
                      </div>
                    </Table.Td>
                    <Table.Td>
                      <Status kind={kind} word={word} />
                      {alarm && (
                        <div className="dim">
                          since <Ago at={alarm.raisedAt} />
                        </div>
                      )}
                    </Table.Td>
                    <Table.Td className={classes.why ?? ''}>{alarm?.why ?? ''}</Table.Td>
                    <Table.Td>
                      {alarm && (
                        <DriftActs
                          deviceId={deviceId}
                          streamId={streamId}
                          alarm={alarm}
                          refused={refused}
                        />
                      )}
                    </Table.Td>
                  </Table.Tr>
                )
              })}
            </FramedTable>
          )
        }
      </QueryState>
    </Page>
  )
}
