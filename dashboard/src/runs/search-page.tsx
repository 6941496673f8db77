/** One search: its trials in a plot and in a table, and what the best became. */
import type { SearchDetail } from '@edgeloop/protocol'
import { isSearchOver } from '@edgeloop/protocol'
import { Button, Progress, Skeleton, Table } from '@mantine/core'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { type Act, Confirm } from '../people/confirm.tsx'
import { sessionQuery } from '../people/session.ts'
import { Ago } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayDuration } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import { Status } from '../shell/status.tsx'
import tables from '../shell/tables.module.css'
import { sayFigure } from './run-words.ts'
import classes from './runs.module.css'
import { searchQuery, useSearchChanges } from './search-queries.ts'
import { sayEpochs, sayOutcome, saySearchState, sayTrials } from './search-words.ts'
import { TrialPlot } from './trial-plot.tsx'

const route = getRouteApi('/in/searches/$searchId')

export function SearchPage() {
  useSearchChanges()
  const { searchId } = route.useParams()
  const navigate = useNavigate()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const query = useQuery(searchQuery(searchId))
  const [act, setAct] = useState<Act>()
  const search = query.data?.search
  const mayChange = session.role !== 'viewer'
  const cancel = (): Act => ({
    title: 'Cancel a search',
    text: <p>The trial that runs ends, and no other begins. No model version is made.</p>,
    word: 'Cancel 1 search',
    run: () => call('searchCancel', { params: { searchId } }),
    done: () => void query.refetch(),
  })
  const remove = (): Act => ({
    title: 'Remove a search',
    text: (
      <p>
        The search goes, with its runs and their reports. A model version that it made stays. This
        cannot be undone.
      </p>
    ),
    word: 'Remove 1 search',
    run: () => call('searchRemove', { params: { searchId } }),
    done: () => void navigate({ to: '/runs' }),
  })
  return (
    <Page
      title={search ? `Search for ${search.model} on ${search.dataset.name}` : 'Search'}
      parent={<Link to="/runs">Runs</Link>}
      aside={
        search && (
          <div className={classes.acts}>
            {isSearchOver(search) ? (
              session.role === 'admin' && (
                <Button size="xs" color="bad" variant="default" onClick={() => setAct(remove())}>
                  Remove…
                </Button>
              )
            ) : (
              <Button
                size="xs"
                variant="default"
                disabled={!mayChange}
                title={mayChange ? undefined : 'Only an operator can cancel searches'}
                onClick={() => setAct(cancel())}
              >
                Cancel…
              </Button>
            )}
          </div>
        )
      }
    >
      <QueryState query={query} skeleton={<Skeleton height={400} />}>
        {(detail) => (
          <>
            <Head detail={detail} />
            <section className={classes.section} aria-labelledby="trials">
              <h2 id="trials">Trials</h2>
              <TrialPlot
                trials={detail.trials}
                metric={detail.search.metric}
                best={detail.search.best?.trial}
              />
              <TrialTable detail={detail} />
            </section>
          </>
        )}
      </QueryState>
      <Confirm act={act} onClose={() => setAct(undefined)} />
    </Page>
  )
}

function Head({ detail }: { detail: SearchDetail }) {
  const { search } = detail
  const { kind, word } = saySearchState(search)
  const { result, best, metric } = search
  return (
    <>
      <div className={classes.head}>
        <Status kind={kind} word={word} />
        {!isSearchOver(search) && (
          <Progress
            className={classes.progress ?? ''}
            value={(search.ended / Math.max(1, search.trials)) * 100}
            aria-label="Trials"
          />
        )}
        <span>{sayTrials(search)}</span>
        {best && (
          <b>
            best {metric} {sayFigure(best.value)}
          </b>
        )}
        {result && (
          <span>
            <Link
              to="/models/$name/$version"
              params={{ name: search.model, version: `${result.version}` }}
            >
              {search.model}/{result.version}
            </Link>{' '}
            {result.champion && <Status kind="ok" word="became champion" />}
          </span>
        )}
      </div>
      {search.error && (
        <p className={classes.failed} role="alert">
          {search.error}
        </p>
      )}
      <ul className={classes.strip}>
        <li>
          By {search.by}, <Ago at={search.createdAt} />
        </li>
        <li>Method {search.method}</li>
        <li>
          From {search.parent} on {search.dataset.name} v{search.dataset.version}
        </li>
        {search.note && <li>{search.note}</li>}
        {result && <li>{result.why}</li>}
      </ul>
    </>
  )
}

function TrialTable({ detail }: { detail: SearchDetail }) {
  const { search, trials } = detail
  if (trials.length === 0) return <p className="dim">None has begun.</p>
  const keys = [...new Set(trials.flatMap(({ settings }) => Object.keys(settings)))].sort()
  return (
    <Scroller label="Trials">
      <Table className={`${tables.table} ${classes.figures}`}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Trial</Table.Th>
            {keys.map((key) => (
              <Table.Th key={key} className={tables.number ?? ''}>
                {key}
              </Table.Th>
            ))}
            <Table.Th className={tables.number ?? ''}>Of the epochs</Table.Th>
            <Table.Th className={tables.number ?? ''}>{search.metric || 'Figure'}</Table.Th>
            <Table.Th className={tables.number ?? ''}>Duration</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {trials.map((one) => (
            <Table.Tr key={one.trial}>
              <Table.Td>
                <Link to="/runs/$runId" params={{ runId: one.runId }}>
                  {one.trial}
                </Link>{' '}
                {one.trial === search.best?.trial && <Status kind="ok" word="best" />}
              </Table.Td>
              {keys.map((key) => {
                const value = one.settings[key] ?? null
                return (
                  <Table.Td key={key} className={tables.number ?? ''}>
                    {typeof value === 'number' ? sayFigure(value) : String(value ?? '–')}
                  </Table.Td>
                )
              })}
              <Table.Td className={tables.number ?? ''}>{sayEpochs(one)}</Table.Td>
              <Table.Td className={tables.number ?? ''}>{sayOutcome(one)}</Table.Td>
              <Table.Td className={tables.number ?? ''}>
                {one.over ? sayDuration(one.seconds * 1000) : '–'}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Scroller>
  )
}
