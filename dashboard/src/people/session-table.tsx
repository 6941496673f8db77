/** Where somebody is signed in, and the way to end it. */
import type { SessionRow } from '@edgeloop/protocol'
import { Button, Table } from '@mantine/core'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { actions, type Column, FramedTable } from '../shell/framed-table.tsx'
import { Ago } from '../shell/now.tsx'
import { Empty } from '../shell/query-state.tsx'
import { sayMoment } from '../shell/say.ts'
import { type Act, Confirm } from './confirm.tsx'
import classes from './people.module.css'

const columns: readonly Column[] = ['Browser', 'Address', 'Signed in', 'Last seen', actions]

export function SessionTable(props: { sessions: readonly SessionRow[] }) {
  const [act, setAct] = useState<Act>()
  if (props.sessions.length === 0) {
    return <Empty title="Signed in nowhere" text="There is no session of this user." />
  }
  return (
    <>
      <FramedTable label="Sessions" columns={columns}>
        {props.sessions.map((row) => (
          <Table.Tr key={row.sessionId}>
            <Table.Td className={classes.name ?? ''} title={row.client}>
              {sayBrowser(row.client)}
              {row.current && <b> (this one)</b>}
            </Table.Td>
            <Table.Td className="mono">{row.address}</Table.Td>
            <Table.Td>
              <Ago at={row.createdAt} />
            </Table.Td>
            <Table.Td>
              <Ago at={row.lastSeenAt} />
            </Table.Td>
            <Table.Td>
              <div className={classes.acts}>
                <Button
                  size="compact-xs"
                  variant="default"
                  disabled={row.current}
                  title={row.current ? 'Sign out instead' : undefined}
                  onClick={() => setAct(endSession(row))}
                >
                  End
                </Button>
              </div>
            </Table.Td>
          </Table.Tr>
        ))}
      </FramedTable>
      <Confirm act={act} onClose={() => setAct(undefined)} />
    </>
  )
}

const endSession = (row: SessionRow): Act => ({
  title: 'End a session',
  text: (
    <p>
      <b>{row.user}</b> is signed out of {sayBrowser(row.client)} at {row.address}, signed in since{' '}
      {sayMoment(Date.parse(row.createdAt))}.
    </p>
  ),
  word: 'End 1 session',
  run: () => call('sessionEnd', { params: { sessionId: row.sessionId } }),
})

/** What a browser calls itself, shortened to what people call it; the whole is on hover. */
function sayBrowser(client: string): string {
  const names = [
    ['Edg/', 'Edge'],
    ['Firefox/', 'Firefox'],
    ['Chrome/', 'Chrome'],
    ['Safari/', 'Safari'],
  ] as const
  const systems = ['Android', 'iPhone', 'iPad', 'Windows', 'Mac OS', 'Linux'] as const
  const name = names.find(([mark]) => client.includes(mark))?.[1]
  const system = systems.find((mark) => client.includes(mark))
  if (!name) return client === '' ? 'a program' : client.slice(0, 60)
  return system ? `${name} on ${system}` : name
}
