/** One run: how far it is, its curves while they grow, what it was asked, and what came of it. */
import {
  pathOf,
  type Run,
  type RunDetail,
  type RunEvaluation,
  type RunFileKind,
  routes,
} from '@edgeloop/protocol'
import { Button, Progress, Skeleton, Table } from '@mantine/core'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { LineageStrip } from '../models/lineage-strip.tsx'
import { modelVersionsQuery, useModelChanges } from '../models/model-queries.ts'
import { type Act, Confirm } from '../people/confirm.tsx'
import { sessionQuery } from '../people/session.ts'
import { Ago, useNow } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayBytes, sayCount, sayDuration, sayTime } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import { Status } from '../shell/status.tsx'
import tables from '../shell/tables.module.css'
import { RunActs } from './run-acts.tsx'
import { RunCharts } from './run-charts.tsx'
import { runQuery, useRunChanges } from './run-queries.ts'
import { runName, sayBefore, sayFigure, sayRunState, sayStanding, saySteps } from './run-words.ts'
import classes from './runs.module.css'

const route = getRouteApi('/in/runs/$runId')

/** Points of a line: more than a screen has pixels. */
const linePoints = 2000

export function RunPage() {
  useRunChanges()
  useModelChanges()
  const { runId } = route.useParams()
  const range = route.useSearch()
  const navigate = useNavigate()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const query = useQuery(runQuery(runId))
  const [act, setAct] = useState<Act>()
  const run = query.data?.run
  const remove = (): Act => ({
    title: 'Remove a run',
    text: (
      <p>
        The run goes, with its curves, its report and its checkpoints. A model version that it made
        stays. This cannot be undone.
      </p>
    ),
    word: 'Remove 1 run',
    run: () => call('runRemove', { params: { runId } }),
    done: () => void navigate({ to: '/runs' }),
  })
  return (
    <Page
      title={run ? `${run.model} on ${run.dataset.name}` : 'Run'}
      parent={<Link to="/runs">Runs</Link>}
      aside={
        run && (
          <div className={classes.acts}>
            <RunActs run={run} mayChange={session.role !== 'viewer'} />
            {session.role === 'admin' && run.state !== 'queued' && run.state !== 'running' && (
              <Button size="xs" color="bad" variant="default" onClick={() => setAct(remove())}>
                Remove…
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
            <Lineage run={detail.run} />
            <RunCharts
              runs={[{ runId, name: runName(detail.run) }]}
              points={linePoints}
              range={range}
              onRange={(chosen) =>
                void navigate({ to: '/runs/$runId', params: { runId }, search: chosen })
              }
              empty={
                detail.run.state === 'queued' ? 'No figures before it begins' : 'No figures yet'
              }
            />
            <Evaluations evaluations={detail.evaluations} />
            <Report detail={detail} />
            <section className={classes.section} aria-labelledby="recipe">
              <h2 id="recipe">Recipe</h2>
              <Scroller label="Recipe">
                <pre className={classes.recipe}>{sayRecipe(detail)}</pre>
              </Scroller>
            </section>
            <Log detail={detail} />
          </>
        )}
      </QueryState>
      <Confirm act={act} onClose={() => setAct(undefined)} />
    </Page>
  )
}

function Head({ detail }: { detail: RunDetail }) {
  const now = useNow()
  const { run, before, checkpoint } = detail
  const { kind, word } = sayRunState(run, now)
  const running = run.state === 'running'
  return (
    <>
      <div className={classes.head}>
        <Status kind={kind} word={word} />
        {running && (
          <Progress
            className={classes.progress ?? ''}
            value={run.steps === 0 ? 0 : (run.step / run.steps) * 100}
            aria-label="Steps"
          />
        )}
        <span>
          {run.state === 'queued' ? sayBefore(before ?? 0) : saySteps(run)}
          {run.etaMs !== null && `, ${sayDuration(run.etaMs)} left`}
          {running && run.phase !== 'training' && run.phase !== '' && `, ${run.phase}`}
        </span>
        {run.key && (
          <b>
            {run.key.name} {sayFigure(run.key.value)}
          </b>
        )}
      </div>
      {run.error && (
        <p className={classes.failed} role="alert">
          {run.error}
        </p>
      )}
      <ul className={classes.strip}>
        <li>
          By {run.schedule === '' ? run.by : `the schedule ${run.schedule}`},{' '}
          <Ago at={run.createdAt} />
        </li>
        {run.teacher && <li>Follows {run.teacher}</li>}
        {run.external && <li>External trainer</li>}
        {run.searchId && (
          <li>
            A trial of{' '}
            <Link to="/searches/$searchId" params={{ searchId: run.searchId }}>
              a search
            </Link>
          </li>
        )}
        <li>Ran for {sayDuration(run.activeMs)}</li>
        {run.imagesPerSecond > 0 && <li>{sayCount(Math.round(run.imagesPerSecond))} images/s</li>}
        {run.loss !== null && <li>Loss {sayFigure(run.loss)}</li>}
        <li>Seed {run.seed}</li>
        {run.fold !== null && <li>Fold {run.fold}</li>}
        {checkpoint && (
          <li>
            Checkpoint of step {sayCount(checkpoint.step)}, {sayBytes(checkpoint.sizeBytes)}
          </li>
        )}
        {run.resumed > 0 && <li>Resumed {run.resumed}×</li>}
        <li>Version {run.codeVersion}</li>
        {run.note && <li>{run.note}</li>}
      </ul>
    </>
  )
}

function Lineage({ run }: { run: Run }) {
  const { dataset, parent, result } = run
  return (
    <LineageStrip
      dataset={dataset}
      parent={parent}
      run={<span className="mono">run {runName(run)}</span>}
      result={
        result ? (
          <>
            <Link
              to="/models/$name/$version"
              params={{ name: run.model, version: `${result.version}` }}
            >
              {run.model}/{result.version}
            </Link>
            <Standing model={run.model} result={result} />
          </>
        ) : (
          <span className="dim">no model version yet</span>
        )
      }
    >
      {result && <li className="dim">{result.why}</li>}
    </LineageStrip>
  )
}

/** What the version is now: that it became the champion says nothing of today. */
function Standing({ model, result }: { model: string; result: NonNullable<Run['result']> }) {
  const { data: versions } = useQuery(modelVersionsQuery(model))
  const now = versions?.find(({ version }) => version === result.version)
  const { kind, word } = sayStanding(result.champion, versions && now?.champion === true)
  return <Status kind={kind} word={word} title={now?.standing ?? result.why} />
}

const onWords: Readonly<Record<RunEvaluation['on'], string>> = {
  validation: 'Validation',
  test: 'Test',
  before: 'Before training, on the test samples',
  champion: 'Champion, on the test samples',
}
/** Evaluations in the table; the curves have all of them. */
const evaluationsShown = 8

function Evaluations({ evaluations }: { evaluations: readonly RunEvaluation[] }) {
  if (evaluations.length === 0) return null
  const ends = evaluations.filter(({ on }) => on !== 'validation')
  const others = evaluations.filter(({ on }) => on === 'validation').toReversed()
  const rows = [...ends, ...others.slice(0, evaluationsShown)]
  const names = [...new Set(rows.flatMap(({ figures }) => Object.keys(figures)))]
  return (
    <section className={classes.section} aria-labelledby="evaluations">
      <h2 id="evaluations">Evaluations</h2>
      <Scroller label="Evaluations">
        <Table className={`${tables.table} ${classes.figures}`}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>On</Table.Th>
              <Table.Th className={tables.number ?? ''}>Step</Table.Th>
              {names.map((name) => (
                <Table.Th key={name} className={tables.number ?? ''}>
                  {name}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map((row) => (
              <Table.Tr key={`${row.on} ${row.step}`}>
                <Table.Td>
                  {onWords[row.on]} {row.best && <Status kind="ok" word="best" />}
                </Table.Td>
                <Table.Td className={tables.number ?? ''}>{sayCount(row.step)}</Table.Td>
                {names.map((name) => {
                  const value = row.figures[name]
                  return (
                    <Table.Td key={name} className={tables.number ?? ''}>
                      {value === undefined ? '–' : sayFigure(value)}
                    </Table.Td>
                  )
                })}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Scroller>
    </section>
  )
}

const fileWords: Readonly<Record<RunFileKind, string>> = {
  model: 'Model',
  report: 'Report',
  data: 'Report as JSON',
  card: 'Card',
  comparison: 'Comparison as JSON',
}

function Report({ detail }: { detail: RunDetail }) {
  const { runId } = detail.run
  const [shown, setShown] = useState(true)
  if (detail.files.length === 0) return null
  const has = detail.files.some(({ kind }) => kind === 'report')
  return (
    <section className={classes.section} aria-labelledby="report">
      <h2 id="report">Report</h2>
      <div className={classes.acts}>
        {has && (
          <Button size="xs" variant="default" onClick={() => setShown(!shown)}>
            {shown ? 'Hide the report' : 'Show the report'}
          </Button>
        )}
        {detail.files.map(({ kind, sizeBytes }) => (
          <Button
            key={kind}
            size="xs"
            variant="default"
            component="a"
            href={pathOf(routes.runFile, { runId, kind })}
            download
          >
            {fileWords[kind]}, {sayBytes(sizeBytes)}
          </Button>
        ))}
      </div>
      {has && shown && (
        <iframe
          className={classes.report}
          src={pathOf(routes.runReport, { runId })}
          title="Report of the run"
          sandbox=""
        />
      )}
    </section>
  )
}

const sayRecipe = ({ run, recipe }: RunDetail): string => {
  const text = JSON.stringify(recipe, null, 2)
  return run.state === 'ended' || text !== '{}' ? text : 'As the task has it: nothing was changed.'
}

function Log({ detail }: { detail: RunDetail }) {
  return (
    <section className={classes.section} aria-labelledby="log">
      <h2 id="log">Log</h2>
      {detail.log.length === 0 ? (
        <p className="dim">It has said nothing yet.</p>
      ) : (
        <Scroller label="Log">
          <div className={`${classes.log} mono`}>
            {detail.log.map((line, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: lines only ever move out at the top
              <div key={i} data-level={line.level}>
                {sayTime(Date.parse(line.at))} {line.text}
              </div>
            ))}
          </div>
        </Scroller>
      )}
    </section>
  )
}
