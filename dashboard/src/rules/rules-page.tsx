/** Rules on events: what each looks for and whom it tells, how the receivers do, and what came of every delivery. */
import {
  type Delivery,
  deliveryStates,
  type EventRule,
  type ReceiverRow,
  type RuleRow,
} from '@edgeloop/protocol'
import { Button, Modal, NativeSelect, Switch, Table } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { IconSend } from '@tabler/icons-react'
import { useInfiniteQuery, useMutation, useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { type Act, Confirm } from '../people/confirm.tsx'
import { sessionQuery } from '../people/session.ts'
import { TableSkeleton } from '../people/table-skeleton.tsx'
import { actions, FramedTable } from '../shell/framed-table.tsx'
import { NewButton } from '../shell/new-button.tsx'
import { Ago } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { withCurrent } from '../shell/text-filter.tsx'
import { Receivers } from './receivers.tsx'
import { RuleForm } from './rule-form.tsx'
import {
  type DeliveryFilter,
  deliveriesQuery,
  receiverListQuery,
  ruleListQuery,
  useRuleChanges,
} from './rule-queries.ts'
import { sayDelivery, sayRule } from './rule-words.ts'
import classes from './rules.module.css'

const route = getRouteApi('/in/rules')

/** What the form edits: a rule that is there, or a new one. */
type Editing = { readonly edited?: { readonly name: string; readonly rule: EventRule } } | undefined

export function RulesPage() {
  const again = useRuleChanges()
  const filter = route.useSearch()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const mayChange = session.role !== 'viewer'
  const query = useQuery(ruleListQuery)
  const receiverQuery = useQuery(receiverListQuery(mayChange))
  const receivers = receiverQuery.data ?? []
  const [editing, setEditing] = useState<Editing>()
  const [act, setAct] = useState<Act>()
  const refused = !mayChange
    ? 'Only an operator can change rules'
    : receiverQuery.data?.length === 0
      ? 'There is no receiver yet that a rule could tell'
      : undefined
  return (
    <Page
      title="Rules"
      aside={<NewButton word="New rule" refused={refused} onClick={() => setEditing({})} />}
    >
      <QueryState query={query} skeleton={<TableSkeleton rows={4} />}>
        {(rows) => (
          <div className={classes.sections}>
            {rows.length === 0 ? (
              <Empty
                icon={<IconSend size={32} stroke={1.5} />}
                title="No rules yet"
                text={`A rule tells somebody when certain events come: a webhook, an MQTT topic, people by mail.${
                  mayChange && receiverQuery.data?.length === 0
                    ? ' Whom it tells is set up first, below.'
                    : ''
                }`}
              />
            ) : (
              <Rules
                rows={rows}
                mayChange={mayChange}
                onEdit={(row) => setEditing({ edited: row })}
                onAct={setAct}
                onChanged={again}
              />
            )}
            {mayChange && (
              <QueryState query={receiverQuery} skeleton={<TableSkeleton rows={3} />}>
                {(all) => (
                  <Receivers rows={all} isAdmin={session.role === 'admin'} onChanged={again} />
                )}
              </QueryState>
            )}
            {(rows.length > 0 || Object.keys(filter).length > 0) && (
              <Deliveries
                filter={filter}
                rules={rows.map(({ name }) => name)}
                receivers={receivers}
                mayChange={mayChange}
                onChanged={again}
              />
            )}
          </div>
        )}
      </QueryState>
      <Modal
        opened={editing !== undefined}
        onClose={() => setEditing(undefined)}
        title={editing?.edited ? `Rule ${editing.edited.name}` : 'New rule'}
        size="lg"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {editing && (
          <RuleForm
            edited={editing.edited}
            receivers={receivers}
            onClose={() => setEditing(undefined)}
            onSaved={() => {
              setEditing(undefined)
              again()
            }}
          />
        )}
      </Modal>
      <Confirm act={act} onClose={() => setAct(undefined)} />
    </Page>
  )
}

const ruleColumns = [
  'Rule',
  'On',
  'Looks for',
  'Tells',
  'Fired',
  { word: 'Waiting', right: true },
  { word: 'Given up', right: true },
  actions,
] as const

function Rules(props: {
  rows: readonly RuleRow[]
  mayChange: boolean
  onEdit: (row: RuleRow) => void
  onAct: (act: Act) => void
  onChanged: () => void
}) {
  const { rows, mayChange, onEdit, onAct, onChanged } = props
  const enable = useMutation({
    mutationFn: ({ name, rule }: RuleRow) =>
      call('rulePut', {
        params: { name },
        body: { ...rule, enabled: !(rule.enabled ?? true) },
      }),
    onError: (error) => notifications.show({ color: 'bad', message: error.message }),
    onSettled: onChanged,
  })
  const remove = ({ name }: RuleRow): Act => ({
    title: 'Remove a rule',
    text: (
      <p>
        <b>{name}</b> looks at no further event. What it has queued is still delivered.
      </p>
    ),
    word: 'Remove 1 rule',
    run: () => call('ruleRemove', { params: { name } }),
    done: onChanged,
  })
  return (
    <FramedTable label="Rules" columns={ruleColumns} width="full">
      {rows.map((row) => (
        <Table.Tr key={row.name}>
          <Table.Td>
            <Link to="/rules" search={{ rule: row.name }} hash="deliveries">
              {row.name}
            </Link>{' '}
            <span className="dim">by {row.by}</span>
          </Table.Td>
          <Table.Td>
            <Switch
              checked={row.rule.enabled ?? true}
              disabled={!mayChange}
              aria-label={`${row.name} is on`}
              onChange={() => enable.mutate(row)}
            />
          </Table.Td>
          <Table.Td className={classes.why ?? ''}>
            {sayRule(row.rule)}
            {row.rule.description && <div className="dim">{row.rule.description}</div>}
          </Table.Td>
          <Table.Td>{row.rule.tell.join(', ')}</Table.Td>
          <Table.Td>{row.lastFiredAt === null ? 'never' : <Ago at={row.lastFiredAt} />}</Table.Td>
          <Table.Td ta="right">{sayCount(row.waiting)}</Table.Td>
          <Table.Td ta="right">
            {row.dead > 0 ? (
              <Link to="/rules" search={{ rule: row.name, state: 'dead' }} hash="deliveries">
                {sayCount(row.dead)}
              </Link>
            ) : (
              0
            )}
          </Table.Td>
          <Table.Td>
            {mayChange && (
              <Button.Group>
                <Button
                  size="compact-xs"
                  variant="default"
                  aria-label={`Edit the rule ${row.name}`}
                  onClick={() => onEdit(row)}
                >
                  Edit…
                </Button>
                <Button
                  size="compact-xs"
                  variant="default"
                  aria-label={`Remove the rule ${row.name}`}
                  onClick={() => onAct(remove(row))}
                >
                  Remove…
                </Button>
              </Button.Group>
            )}
          </Table.Td>
        </Table.Tr>
      ))}
    </FramedTable>
  )
}

const deliveryColumns = [
  'Fired',
  'Rule',
  'To',
  { word: 'Events', right: true },
  'State',
  { word: 'Tries', right: true },
  'Outcome',
  actions,
] as const

function Deliveries(props: {
  filter: DeliveryFilter
  rules: readonly string[]
  receivers: readonly ReceiverRow[]
  mayChange: boolean
  onChanged: () => void
}) {
  const { filter, rules, receivers, mayChange, onChanged } = props
  const navigate = useNavigate()
  const query = useInfiniteQuery(deliveriesQuery(filter))
  const retry = useMutation({
    mutationFn: (which: { deliveryIds: number[] } | { receiver: string }) =>
      call('deliveryRetry', { body: which }),
    onError: (error) => notifications.show({ color: 'bad', message: error.message }),
    onSettled: onChanged,
  })
  const choose = (part: Partial<Record<keyof DeliveryFilter, string>>) => {
    const next = { ...filter, ...part }
    const state = deliveryStates.find((one) => one === next.state)
    const { rule, receiver } = next
    const search = {
      ...(rule ? { rule } : {}),
      ...(receiver ? { receiver } : {}),
      ...(state ? { state } : {}),
    }
    void navigate({ to: '/rules', search, replace: true, resetScroll: false })
  }
  const named = (all: string, names: readonly string[], current: string | undefined) => [
    { value: '', label: all },
    ...withCurrent(
      names.map((name) => ({ value: name, label: name })),
      current,
    ),
  ]
  const of = receivers.find(({ name }) => name === filter.receiver)
  return (
    <section aria-labelledby="deliveries">
      <div className={classes.head}>
        <h2 id="deliveries">Deliveries</h2>
        <div className={classes.choices}>
          {mayChange && of !== undefined && of.dead > 0 && (
            <Button
              size="xs"
              variant="default"
              loading={retry.isPending}
              onClick={() => retry.mutate({ receiver: of.name })}
            >
              Try all {sayCount(of.dead)} to {of.name} again
            </Button>
          )}
          <NativeSelect
            size="xs"
            aria-label="Rule"
            value={filter.rule ?? ''}
            data={named('All rules', rules, filter.rule)}
            onChange={({ currentTarget }) => choose({ rule: currentTarget.value })}
          />
          {mayChange && (
            <NativeSelect
              size="xs"
              aria-label="Receiver"
              value={filter.receiver ?? ''}
              data={named(
                'All receivers',
                receivers.map(({ name }) => name),
                filter.receiver,
              )}
              onChange={({ currentTarget }) => choose({ receiver: currentTarget.value })}
            />
          )}
          <NativeSelect
            size="xs"
            aria-label="State"
            value={filter.state ?? ''}
            data={[
              { value: '', label: 'All states' },
              { value: 'waiting', label: 'Waiting' },
              { value: 'done', label: 'Taken' },
              { value: 'dead', label: 'Given up' },
            ]}
            onChange={({ currentTarget }) => choose({ state: currentTarget.value })}
          />
        </div>
      </div>
      <QueryState query={query} skeleton={<TableSkeleton rows={4} />}>
        {({ pages }) => {
          const rows = pages.flatMap(({ deliveries }) => deliveries)
          if (rows.length === 0)
            return (
              <p className="dim">No delivery{Object.keys(filter).length > 0 ? ' fits' : ' yet'}.</p>
            )
          return (
            <>
              <FramedTable label="List of deliveries" columns={deliveryColumns} width="full">
                {rows.map((row) => (
                  <DeliveryRow
                    key={row.deliveryId}
                    row={row}
                    {...(mayChange && row.state === 'dead'
                      ? { onRetry: () => retry.mutate({ deliveryIds: [row.deliveryId] }) }
                      : {})}
                  />
                ))}
              </FramedTable>
              {query.hasNextPage && (
                <Button
                  mt={8}
                  size="xs"
                  variant="default"
                  loading={query.isFetchingNextPage}
                  onClick={() => void query.fetchNextPage()}
                >
                  Show older ones
                </Button>
              )}
            </>
          )
        }}
      </QueryState>
    </section>
  )
}

function DeliveryRow({ row, onRetry }: { row: Delivery; onRetry?: () => void }) {
  const { kind, word } = sayDelivery(row)
  return (
    <Table.Tr>
      <Table.Td>
        {row.firstEventId === null ? (
          <Ago at={row.createdAt} />
        ) : (
          <Link to="/events/$eventId" params={{ eventId: String(row.firstEventId) }}>
            <Ago at={row.createdAt} />
          </Link>
        )}
      </Table.Td>
      <Table.Td>
        {row.rule} <span className="dim">{row.group}</span>
      </Table.Td>
      <Table.Td>{row.receiver}</Table.Td>
      <Table.Td ta="right">{sayCount(row.events)}</Table.Td>
      <Table.Td>
        <Status kind={kind} word={word} />
      </Table.Td>
      <Table.Td ta="right">{sayCount(row.attempts)}</Table.Td>
      <Table.Td className={classes.why ?? ''}>
        {row.outcome}
        {row.silenced > 0 && (
          <div className="dim">{sayCount(row.silenced)} before it were not told</div>
        )}
      </Table.Td>
      <Table.Td>
        {onRetry && (
          <Button
            size="compact-xs"
            variant="default"
            aria-label={`Try again: delivery ${row.deliveryId}`}
            onClick={onRetry}
          >
            Try again
          </Button>
        )}
      </Table.Td>
    </Table.Tr>
  )
}
