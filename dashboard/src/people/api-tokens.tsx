/** API tokens for programs: which there are, when they were used, a new one, an end to one. */
import {
  type ApiTokenMade,
  type ApiTokenRow,
  mayAct,
  type Role,
  roles,
  type Session,
} from '@edgeloop/protocol'
import { Button, Modal, NativeSelect, Table, TextInput } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { actions, type Column, FramedTable } from '../shell/framed-table.tsx'
import { NewButton } from '../shell/new-button.tsx'
import { Ago } from '../shell/now.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayMoment } from '../shell/say.ts'
import { type Act, Confirm } from './confirm.tsx'
import classes from './people.module.css'
import { apiTokenListQuery, peopleKey } from './people-queries.ts'
import { Secret } from './secret.tsx'
import { TableSkeleton } from './table-skeleton.tsx'

const columns: readonly Column[] = ['Name', 'Role', 'User', 'Made', 'Ends', 'Last used', actions]

/** @param only the tokens of this user; all that the hub lists where it is left out */
export function ApiTokens(props: { session: Session; only?: string }) {
  const query = useQuery(apiTokenListQuery)
  const [adding, setAdding] = useState(false)
  const [act, setAct] = useState<Act>()
  return (
    <section className={classes.section} aria-labelledby="api-tokens">
      <div className={classes.sectionHead}>
        <h2 id="api-tokens">API tokens</h2>
        <NewButton quiet word="Make a token" onClick={() => setAdding(true)} />
      </div>
      <QueryState query={query} skeleton={<TableSkeleton rows={2} />}>
        {(all) => {
          const rows = all.filter(({ user }) => props.only === undefined || user === props.only)
          return rows.length === 0 ? (
            <Empty
              title="No API tokens"
              text="A token lets a program use the hub with a role and an end of its own, without a password."
            />
          ) : (
            <TokenTable rows={rows} onRevoke={(row) => setAct(revoke(row))} />
          )
        }}
      </QueryState>
      <Confirm act={act} onClose={() => setAct(undefined)} />
      <AddToken opened={adding} session={props.session} onClose={() => setAdding(false)} />
    </section>
  )
}

function TokenTable(props: { rows: readonly ApiTokenRow[]; onRevoke: (row: ApiTokenRow) => void }) {
  return (
    <FramedTable label="API tokens" columns={columns}>
      {props.rows.map((row) => (
        <Table.Tr key={row.tokenId}>
          <Table.Td className={classes.name ?? ''}>
            <bdi>{row.name}</bdi>
          </Table.Td>
          <Table.Td>{row.role}</Table.Td>
          <Table.Td>{row.user ?? <span className="dim">this hub</span>}</Table.Td>
          <Table.Td>
            <Ago at={row.createdAt} />
          </Table.Td>
          <Table.Td>
            {row.expiresAt ? (
              sayMoment(Date.parse(row.expiresAt))
            ) : (
              <span className="dim">Never</span>
            )}
          </Table.Td>
          <Table.Td>
            {row.lastUsedAt ? <Ago at={row.lastUsedAt} /> : <span className="dim">Never</span>}
          </Table.Td>
          <Table.Td>
            <div className={classes.acts}>
              <Button
                size="compact-xs"
                variant="default"
                aria-label={`Revoke ${row.name}`}
                onClick={() => props.onRevoke(row)}
              >
                Revoke
              </Button>
            </div>
          </Table.Td>
        </Table.Tr>
      ))}
    </FramedTable>
  )
}

const revoke = (row: ApiTokenRow): Act => ({
  title: 'Revoke an API token',
  text: (
    <p>
      What uses <b>{row.name}</b> is refused from now on. This cannot be undone; a new token can be
      made.
    </p>
  ),
  word: 'Revoke 1 token',
  run: () => call('apiTokenRemove', { params: { tokenId: row.tokenId } }),
})

/** For how long a token may be good; without an end it is asked for by name. */
const ends = [
  { label: '30 days', value: '30' },
  { label: '90 days', value: '90' },
  { label: '1 year', value: '365' },
  { label: 'no end', value: '' },
] as const

function AddToken(props: { opened: boolean; session: Session; onClose: () => void }) {
  const queryClient = useQueryClient()
  const [name, setName] = useState('')
  const [role, setRole] = useState<Role>('viewer')
  const [days, setDays] = useState<string>('90')
  const [made, setMade] = useState<ApiTokenMade>()
  const add = useMutation({
    mutationFn: () =>
      call('apiTokenAdd', {
        body: { name: name.trim(), role, ...(days === '' ? {} : { validDays: Number(days) }) },
      }),
    onSuccess: (reply) => {
      setMade(reply)
      void queryClient.invalidateQueries({ queryKey: peopleKey })
    },
  })
  const close = () => {
    add.reset()
    setMade(undefined)
    setName('')
    props.onClose()
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    add.mutate()
  }
  return (
    <Modal
      opened={props.opened}
      onClose={close}
      title="Make an API token"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {made ? (
        <div className={classes.form}>
          <p>
            This is <b>{made.apiToken.name}</b>, shown only now. Programs send it as{' '}
            <code>Authorization: Bearer …</code>
          </p>
          <Secret what="token" value={made.token} />
        </div>
      ) : (
        <form onSubmit={submit} className={classes.form}>
          <TextInput
            label="Name"
            description="What it is for"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            maxLength={80}
            autoComplete="off"
            data-autofocus
          />
          <NativeSelect
            label="Role"
            description="What it may do at most"
            value={role}
            onChange={(event) => setRole(event.currentTarget.value as Role)}
            data={roles.filter((each) => mayAct(props.session.role, each))}
          />
          <NativeSelect
            label="Ends after"
            value={days}
            onChange={(event) => setDays(event.currentTarget.value)}
            data={[...ends]}
          />
          {add.error && (
            <p className={classes.failed} role="alert">
              {add.error.message}
            </p>
          )}
          <Button type="submit" disabled={name.trim() === ''} loading={add.isPending}>
            Make the token
          </Button>
        </form>
      )}
    </Modal>
  )
}
