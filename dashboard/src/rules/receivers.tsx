/** Whom rules can tell: how each does, a trial of it, and its settings for admins. */
import type { ReceiverRow } from '@edgeloop/protocol'
import { Button, Table } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { lazy, useState } from 'react'
import { call } from '../api/call.ts'
import { type Act, Confirm } from '../people/confirm.tsx'
import { actions, FramedTable } from '../shell/framed-table.tsx'
import { NewButton } from '../shell/new-button.tsx'
import { Ago } from '../shell/now.tsx'
import { OnDemand } from '../shell/on-demand.tsx'
import { sayCount, sayOf } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { ReceiverTrial, useReceiverTrial } from './receiver-trial.tsx'
import { sayPlace, sayReceiver } from './rule-words.ts'
import classes from './rules.module.css'

const ReceiverForm = lazy(async () => ({
  default: (await import('./receiver-form.tsx')).ReceiverForm,
}))

const columns = [
  'Receiver',
  'Where',
  'State',
  'Last taken',
  { word: 'Waiting', right: true },
  { word: 'Given up', right: true },
  actions,
] as const

export function Receivers(props: {
  rows: readonly ReceiverRow[]
  isAdmin: boolean
  onChanged: () => void
}) {
  const { rows, isAdmin, onChanged } = props
  /** Null: a new one. */
  const [editing, setEditing] = useState<ReceiverRow | null>()
  const [act, setAct] = useState<Act>()
  const trial = useReceiverTrial()
  const refused = isAdmin ? undefined : 'Only an admin can set up receivers'
  const remove = ({ name, waiting }: ReceiverRow): Act => ({
    title: 'Remove a receiver',
    text: (
      <p>
        <b>{name}</b> is told nothing more, and its secret or password is gone.
        {waiting > 0 && ` ${sayOf(waiting, 'delivery', 'deliveries')} that wait are given up.`}
      </p>
    ),
    word: 'Remove 1 receiver',
    run: () => call('receiverRemove', { params: { name } }),
    done: onChanged,
  })
  return (
    <section aria-labelledby="receivers">
      <div className={classes.head}>
        <h2 id="receivers">Receivers</h2>
        <NewButton quiet word="New receiver" refused={refused} onClick={() => setEditing(null)} />
      </div>
      {rows.length === 0 ? (
        <p className="dim">
          Nobody can be told yet. A receiver is a webhook, a topic of an MQTT broker, or people by
          mail{isAdmin ? '.' : '; an admin sets it up.'}
        </p>
      ) : (
        <FramedTable label="List of receivers" columns={columns} width="full">
          {rows.map((row) => {
            const { name } = row
            const { kind, word } = sayReceiver(row)
            return (
              <Table.Tr key={name}>
                <Table.Td>
                  <Link to="/rules" search={{ receiver: name }} hash="deliveries">
                    {name}
                  </Link>
                </Table.Td>
                <Table.Td className={classes.why ?? ''}>{sayPlace(row)}</Table.Td>
                <Table.Td className={classes.why ?? ''}>
                  <Status kind={kind} word={word} />
                  {row.lastError && <div className="dim">{row.lastError}</div>}
                  <ReceiverTrial trial={trial} name={name} />
                </Table.Td>
                <Table.Td>{row.lastOkAt === null ? 'never' : <Ago at={row.lastOkAt} />}</Table.Td>
                <Table.Td ta="right">{sayCount(row.waiting)}</Table.Td>
                <Table.Td ta="right">
                  {row.dead > 0 ? (
                    <Link to="/rules" search={{ receiver: name, state: 'dead' }} hash="deliveries">
                      {sayCount(row.dead)}
                    </Link>
                  ) : (
                    0
                  )}
                </Table.Td>
                <Table.Td>
                  <Button.Group>
                    <RowButton
                      word="Send a trial"
                      label={`Send a trial to ${name}`}
                      refused={refused}
                      busy={trial.isPending && trial.variables === name}
                      onClick={() => trial.mutate(name)}
                    />
                    <RowButton
                      word="Edit…"
                      label={`Edit the receiver ${name}`}
                      refused={refused}
                      onClick={() => setEditing(row)}
                    />
                    <RowButton
                      word="Remove…"
                      label={`Remove the receiver ${name}`}
                      refused={refused}
                      onClick={() => setAct(remove(row))}
                    />
                  </Button.Group>
                </Table.Td>
              </Table.Tr>
            )
          })}
        </FramedTable>
      )}
      <OnDemand when={editing !== undefined}>
        {editing !== undefined && (
          <ReceiverForm
            edited={editing ?? undefined}
            onClose={() => setEditing(undefined)}
            onSaved={onChanged}
          />
        )}
      </OnDemand>
      <Confirm act={act} onClose={() => setAct(undefined)} />
    </section>
  )
}

function RowButton(props: {
  word: string
  label: string
  refused: string | undefined
  busy?: boolean
  onClick: () => void
}) {
  return (
    <Button
      size="compact-xs"
      variant="default"
      aria-label={props.label}
      disabled={props.refused !== undefined}
      title={props.refused}
      loading={props.busy ?? false}
      onClick={props.onClick}
    >
      {props.word}
    </Button>
  )
}
