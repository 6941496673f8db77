/** The accounts: role, password, sessions, and what an admin can do about each. */
import { type OneTimeLink, type Role, roles, type UserRow } from '@edgeloop/protocol'
import { ActionIcon, Button, Menu, NativeSelect, Table } from '@mantine/core'
import { IconDots } from '@tabler/icons-react'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { actions, type Column, FramedTable } from '../shell/framed-table.tsx'
import { Ago } from '../shell/now.tsx'
import { sayOf } from '../shell/say.ts'
import { type Act, Confirm } from './confirm.tsx'
import classes from './people.module.css'

const columns: readonly Column[] = [
  'User',
  'Role',
  'Password',
  { word: 'Sessions', right: true },
  { word: 'API tokens', right: true },
  'Signed in',
  actions,
]

export function UserTable(props: {
  users: readonly UserRow[]
  /** Who looks at it. */
  me: string
  onSessions: (user: string) => void
  onLink: (link: OneTimeLink) => void
  onFailed: (error: Error) => void
}) {
  const [act, setAct] = useState<Act>()
  const makeLink = useMutation({
    mutationFn: (user: string) => call('passwordLinkCreate', { params: { user } }),
    onSuccess: props.onLink,
    onError: props.onFailed,
  })
  return (
    <>
      <FramedTable label="Users" columns={columns}>
        {props.users.map((row) => (
          <Table.Tr key={row.user} data-user={row.user}>
            <Table.Td className={classes.name ?? ''}>
              {row.user}
              {row.user === props.me && <span className="dim"> (you)</span>}
            </Table.Td>
            <Table.Td>
              <NativeSelect
                size="xs"
                aria-label={`Role of ${row.user}`}
                value={row.role}
                data={[...roles]}
                onChange={(event) =>
                  setAct(changeRole(row, event.currentTarget.value as Role, props.me))
                }
              />
            </Table.Td>
            <Table.Td>{row.hasPassword ? 'Set' : <span className="dim">Not yet</span>}</Table.Td>
            <Table.Td className={classes.number ?? ''}>
              <Button
                size="compact-xs"
                variant="subtle"
                aria-label={`${sayOf(row.sessions, 'session')} of ${row.user}`}
                onClick={() => props.onSessions(row.user)}
              >
                {row.sessions}
              </Button>
            </Table.Td>
            <Table.Td className={classes.number ?? ''}>{row.apiTokens}</Table.Td>
            <Table.Td>
              {row.lastSignInAt ? (
                <Ago at={row.lastSignInAt} />
              ) : (
                <span className="dim">Never</span>
              )}
            </Table.Td>
            <Table.Td>
              <Menu position="bottom-end">
                <Menu.Target>
                  <ActionIcon
                    variant="subtle"
                    color="gray"
                    c="var(--el-dimmed)"
                    aria-label={`Actions for ${row.user}`}
                  >
                    <IconDots size={16} />
                  </ActionIcon>
                </Menu.Target>
                <Menu.Dropdown>
                  <Menu.Item onClick={() => makeLink.mutate(row.user)}>
                    Make a password link
                  </Menu.Item>
                  <Menu.Item onClick={() => setAct(endSessions(row))}>End all sessions</Menu.Item>
                  <Menu.Item onClick={() => setAct(removeUser(row))}>Remove…</Menu.Item>
                </Menu.Dropdown>
              </Menu>
            </Table.Td>
          </Table.Tr>
        ))}
      </FramedTable>
      <Confirm act={act} onClose={() => setAct(undefined)} />
    </>
  )
}

const changeRole = (row: UserRow, role: Role, me: string): Act => ({
  title: 'Change a role',
  text: (
    <p>
      <b>{row.user}</b> becomes {role} instead of {row.role}. {sayOf(row.sessions, 'session')} of
      this user {row.sessions === 1 ? 'ends' : 'end'}
      {row.user === me ? '; you have to sign in again' : ''}.
    </p>
  ),
  word: `Make ${row.user} ${role}`,
  run: () => call('userRoleSet', { params: { user: row.user }, body: { role } }),
})

const endSessions = (row: UserRow): Act => ({
  title: 'End sessions',
  text: (
    <p>
      <b>{row.user}</b> is signed out everywhere and can sign in again. API tokens go on.
    </p>
  ),
  word: `End ${sayOf(row.sessions, 'session')}`,
  run: () => call('userSessionsEnd', { params: { user: row.user } }),
})

const removeUser = (row: UserRow): Act => ({
  title: 'Remove a user',
  text: (
    <p>
      <b>{row.user}</b> can no longer sign in: {sayOf(row.sessions, 'session')} and{' '}
      {sayOf(row.apiTokens, 'API token')} end with the account, and what is open is cut off. The
      audit log keeps what this user did. This cannot be undone.
    </p>
  ),
  word: 'Remove 1 user',
  run: () => call('userRemove', { params: { user: row.user } }),
})
