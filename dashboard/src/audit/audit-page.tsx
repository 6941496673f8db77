/** Who changed what, when and from where, and who was refused: the hub's audit log. For admins. */
import { type AuditEntry, type AuditPage as Entries, routes } from '@edgeloop/protocol'
import { Button, NativeSelect, Table, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { IconX } from '@tabler/icons-react'
import { infiniteQueryOptions, useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { call } from '../api/call.ts'
import { TableSkeleton } from '../people/table-skeleton.tsx'
import { type Column, FramedTable } from '../shell/framed-table.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayMoment, sayOf } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { type AuditFilter, dayOf, startOfDay } from './audit-filter.ts'
import classes from './audit-page.module.css'

const route = getRouteApi('/in/audit')
const pageEntries = 100

const auditQuery = (filter: AuditFilter) =>
  infiniteQueryOptions({
    queryKey: ['audit', filter] as const,
    queryFn: ({ pageParam, signal }): Promise<Entries> =>
      call('auditList', {
        query: {
          ...filter,
          limit: pageEntries,
          ...(pageParam === null ? {} : { before: pageParam }),
        },
        signal,
      }),
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next,
    staleTime: 5_000,
  })

const columns: readonly Column[] = ['When', 'Who', 'What', 'On what', 'Outcome', 'From']

export function AuditPage() {
  const filter = route.useSearch()
  const query = useInfiniteQuery(auditQuery(filter))
  const entries = query.data?.pages.flatMap((page) => page.entries) ?? []
  return (
    <Page
      title="Audit"
      aside={
        <Button
          size="xs"
          variant="default"
          loading={query.isFetching && !query.isFetchingNextPage}
          onClick={() => void query.refetch()}
        >
          Refresh
        </Button>
      }
    >
      {/* Fields keep what is typed; going back and forth gives them the address anew. */}
      <Filters filter={filter} />
      <QueryState query={query} skeleton={<TableSkeleton rows={8} />}>
        {() =>
          entries.length === 0 ? (
            <NoEntries filter={filter} />
          ) : (
            <>
              <EntryTable entries={entries} />
              <div className={classes.more}>
                <span className="dim" role="status">
                  {sayOf(entries.length, 'entry', 'entries')} shown
                  {query.hasNextPage ? '' : ', which is all there are'}
                </span>
                {query.hasNextPage && (
                  <Button
                    size="xs"
                    variant="default"
                    loading={query.isFetchingNextPage}
                    onClick={() => void query.fetchNextPage()}
                  >
                    Show older ones
                  </Button>
                )}
              </div>
            </>
          )
        }
      </QueryState>
    </Page>
  )
}

/** Routes that can be in the log, by name. */
const actions = Object.entries(routes)
  .filter(([, given]) => given.method !== 'GET' && !('unaudited' in given))
  .map(([name]) => name)

function Filters({ filter }: { filter: AuditFilter }) {
  const navigate = route.useNavigate()
  const set = (part: { readonly [K in keyof AuditFilter]: string | undefined }) =>
    void navigate({
      search: (before) =>
        Object.fromEntries(
          Object.entries({ ...before, ...part }).filter(([, value]) => value),
        ) as AuditFilter,
      replace: true,
    })
  const type = useDebouncedCallback(set, 300)
  const isFiltered = Object.keys(filter).length > 0
  return (
    <search className={classes.filters}>
      <TextInput
        key={`actor ${filter.actor === undefined}`}
        label="Who"
        size="xs"
        defaultValue={filter.actor ?? ''}
        onChange={(event) => type({ actor: event.currentTarget.value.trim() })}
        autoComplete="off"
      />
      <NativeSelect
        label="What"
        size="xs"
        value={filter.action ?? ''}
        onChange={(event) => set({ action: event.currentTarget.value })}
        data={[
          { value: '', label: 'Everything' },
          ...[...actions, 'enrol', 'renew'].map((name) => ({
            value: name,
            label: sayAction(name),
          })),
        ]}
      />
      <TextInput
        key={`target ${filter.target === undefined}`}
        label="On what"
        placeholder="gate, gate/north, anna"
        size="xs"
        defaultValue={filter.target ?? ''}
        onChange={(event) => type({ target: event.currentTarget.value.trim() })}
        autoComplete="off"
      />
      <NativeSelect
        label="Outcome"
        size="xs"
        value={filter.outcome ?? ''}
        onChange={(event) => set({ outcome: event.currentTarget.value })}
        data={[
          { value: '', label: 'All' },
          { value: 'done', label: 'Done' },
          { value: 'refused', label: 'Refused' },
          { value: 'signInRefused', label: 'Sign-in refused' },
        ]}
      />
      <TextInput
        type="date"
        label="From"
        size="xs"
        value={dayOf(filter.from)}
        onChange={(event) => set({ from: startOfDay(event.currentTarget.value) })}
      />
      <TextInput
        type="date"
        label="Before"
        size="xs"
        value={dayOf(filter.to)}
        onChange={(event) => set({ to: startOfDay(event.currentTarget.value) })}
      />
      {isFiltered && (
        <Button
          size="xs"
          variant="subtle"
          leftSection={<IconX size={14} aria-hidden />}
          onClick={() => void navigate({ search: {}, replace: true })}
        >
          Clear
        </Button>
      )}
    </search>
  )
}

function NoEntries({ filter }: { filter: AuditFilter }) {
  const navigate = route.useNavigate()
  return Object.keys(filter).length > 0 ? (
    <Empty title="Nothing matches" text="No entry of the log passes these filters.">
      <Button size="xs" variant="default" onClick={() => void navigate({ search: {} })}>
        Clear the filters
      </Button>
    </Empty>
  ) : (
    <Empty
      title="Nothing has been changed yet"
      text="Every change that somebody makes, and every sign-in, is kept here for two years unless the hub was told otherwise."
    />
  )
}

function EntryTable(props: { entries: readonly AuditEntry[] }) {
  return (
    <FramedTable label="Audit log" columns={columns} width="full" tall>
      {props.entries.map((entry) => (
        <Table.Tr key={entry.auditId} data-audit={entry.auditId}>
          <Table.Td className={classes.when ?? ''}>
            <time dateTime={entry.at}>{sayMoment(Date.parse(entry.at))}</time>
          </Table.Td>
          <Table.Td className={classes.text ?? ''}>
            {entry.actor ?? <span className="dim">nobody signed in</span>}
            {entry.via !== 'session' && entry.via !== 'nobody' && (
              <span className="dim"> {ways[entry.via]}</span>
            )}
          </Table.Td>
          <Table.Td className={classes.text ?? ''}>
            {sayAction(entry.action)}
            {entry.detail && (
              <div className="dim">
                <bdi>{entry.detail}</bdi>
              </div>
            )}
          </Table.Td>
          <Table.Td className={classes.text ?? ''}>
            <bdi>{entry.target || '–'}</bdi>
          </Table.Td>
          <Table.Td>
            {entry.outcome === 'done' ? (
              <Status kind="ok" word="Done" />
            ) : (
              <Status kind="warn" word={`Refused: ${sayWords(entry.outcome)}`} />
            )}
          </Table.Td>
          <Table.Td className="mono">{entry.address}</Table.Td>
        </Table.Tr>
      ))}
    </FramedTable>
  )
}

const ways = {
  apiToken: 'by API token',
  localToken: 'by the token of the machine',
  device: 'by its certificate',
  hub: 'by the hub itself',
} as const

/** What a route does, in the words of whoever looks for it; a name that is missing here is read aloud. */
const actionWords: Readonly<Record<string, string>> = {
  signIn: 'Signed in by link',
  passwordSignIn: 'Signed in by password',
  passwordChoose: 'Chose a password',
  signOut: 'Signed out',
  signInLinkCreate: 'Made a sign-in link',
  passwordLinkCreate: 'Made a password link',
  passwordChange: 'Changed their password',
  sessionEnd: 'Ended a session',
  userAdd: 'Added a user',
  userRoleSet: 'Changed a role',
  userRemove: 'Removed a user',
  userSessionsEnd: 'Ended all sessions of a user',
  apiTokenAdd: 'Made an API token',
  apiTokenRemove: 'Revoked an API token',
  enrolmentCreate: 'Made an enrolment token',
  enrol: 'Enrolled',
  renew: 'Renewed its certificate',
  deviceEdit: 'Changed a name or site',
  deviceRetire: 'Retired a device',
  deviceRemove: 'Removed a device',
  devicesRetire: 'Retired many devices',
  devicesStreamsSet: 'Set streams of many devices',
  devicesRollBack: 'Took back settings of many devices',
  desiredPut: 'Changed a configuration',
  configRollback: 'Rolled back a configuration',
  streamAdd: 'Added a stream',
  streamRemove: 'Removed a stream',
  sampleAsk: 'Asked for frames of a stream',
  eventMark: 'Marked events',
  modelPromote: 'Promoted a model version',
  modelDemote: 'Demoted a model version',
  runAdd: 'Asked for a run',
  runPause: 'Paused a run',
  runResume: 'Resumed a run',
  runCancel: 'Cancelled a run',
  runRemove: 'Removed a run',
  trainingSchedulePut: 'Set a training schedule',
  trainingScheduleRemove: 'Removed a training schedule',
  storeBackupBegin: 'Began a backup',
  retentionBegin: 'Began to remove what is old',
}

/** `userRoleSet` as `User role set`. */
const sayAction = (action: string): string => actionWords[action] ?? capital(sayWords(action))
const sayWords = (name: string): string =>
  name.replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`)
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
