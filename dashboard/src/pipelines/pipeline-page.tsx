/** One pipeline: every step of a round with its state and its reason to wait, who gets the version, and all rounds. */
import type { PipelineRow } from '@edgeloop/protocol'
import { Button, Modal, Skeleton } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { type Act, Confirm } from '../people/confirm.tsx'
import { sessionQuery } from '../people/session.ts'
import { Ago } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayMoment } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { dryRunQuery, pipelineQuery, roundsQuery, usePipelineChanges } from './pipeline-queries.ts'
import { sayPipeline, sayRound, stepWords } from './pipeline-words.ts'
import classes from './pipelines.module.css'
import { RoundHistory } from './round-history.tsx'
import { RoundSteps, Sites } from './round-steps.tsx'

const route = getRouteApi('/in/pipelines/$model')

export function PipelinePage() {
  usePipelineChanges()
  const { model } = route.useParams()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const query = useQuery(pipelineQuery(model))
  return (
    <Page
      title={model}
      parent={<Link to="/pipelines">Pipelines</Link>}
      aside={query.data && <Acts row={query.data} mayChange={session.role !== 'viewer'} />}
    >
      <QueryState query={query} skeleton={<Skeleton height={400} />}>
        {(row) => <Shown row={row} />}
      </QueryState>
    </Page>
  )
}

function Shown({ row }: { row: PipelineRow }) {
  const { model, config, checks, last } = row
  const { round: asked } = route.useSearch()
  const { data: rounds = last ? [last] : [] } = useQuery(roundsQuery(model))
  const round = rounds.find((one) => one.round === asked) ?? last
  const { kind, word } = sayPipeline(row)
  return (
    <>
      <div className={classes.head}>
        <Status kind={kind} word={word} size={16} />
        {row.why && (
          <p className={classes.reason} role="status" data-kind={kind}>
            {row.why}
          </p>
        )}
      </div>
      <ul className={classes.facts}>
        <li>
          Learns from{' '}
          <Link to="/datasets/$dataset" params={{ dataset: config.dataset }}>
            {config.dataset}
          </Link>
        </li>
        {checks
          .filter((check) => !['open', 'parked', 'interval'].includes(check.kind) || !check.met)
          .map(({ kind, text }) => (
            <li key={kind}>{text}</li>
          ))}
        {row.nextAt !== null && <li>Next time {sayMoment(Date.parse(row.nextAt))}</li>}
        <li>
          Set by {row.by}, <Ago at={row.changedAt} />
        </li>
        {config.note && <li>{config.note}</li>}
      </ul>
      {round ? (
        <section className={classes.section} aria-labelledby="round">
          <h2 id="round">Round {round.round}</h2>
          <div className={classes.head}>
            {/* Where the pipeline waits with this round, that was said above. */}
            {sayRound(round).word !== word && <Status {...sayRound(round)} />}
            <p className={classes.reason}>
              {round.cause.text} <span className="dim">by {round.by}</span>
            </p>
          </div>
          {round.why && round.why !== row.why && <p className={classes.stepWhy}>{round.why}</p>}
          <RoundSteps round={round} />
          <Sites sites={round.sites} />
        </section>
      ) : (
        <p className="dim">It has had no round yet.</p>
      )}
      {rounds.length > 0 && (
        <RoundHistory model={model} rounds={rounds} chosen={round?.round ?? 0} />
      )}
    </>
  )
}

type What = 'start' | 'approve' | 'retry' | 'skip' | 'park' | 'resume'

function Acts({ row, mayChange }: { row: PipelineRow; mayChange: boolean }) {
  const { model, state, last } = row
  const navigate = useNavigate()
  const queryClient = useQueryClient()
  const [dry, setDry] = useState(false)
  const [asking, setAsking] = useState<Act>()
  const again = () =>
    void queryClient.invalidateQueries({ queryKey: pipelineQuery(model).queryKey })
  const act = useMutation({
    mutationFn: async (what: What): Promise<unknown> => {
      const params = { model }
      const ofRound = { model, round: last?.round ?? 0 }
      if (what === 'start') return await call('pipelineStart', { params })
      if (what === 'skip') return await call('pipelineWaitSkip', { params })
      if (what === 'park') return await call('pipelinePark', { params })
      if (what === 'resume') return await call('pipelineResume', { params })
      if (what === 'approve') return await call('pipelineApprove', { params: ofRound })
      return await call('pipelineRetry', { params: ofRound, body: {} })
    },
    onError: (error) => notifications.show({ color: 'bad', message: error.message }),
    onSettled: again,
  })
  const refused = mayChange ? undefined : 'Only an operator can change pipelines'
  const open = last !== null && (last.state === 'running' || last.state === 'parked')
  const waitsForTry = open && last.steps.some(({ retryAt }) => retryAt !== null)
  const waitsForTime = !open && row.checks.some(({ kind, met }) => kind === 'interval' && !met)
  const button = (what: What, word: string, main = false) => (
    <Button
      size="xs"
      variant={main ? 'filled' : 'default'}
      disabled={refused !== undefined}
      title={refused}
      loading={act.isPending && act.variables === what}
      onClick={() => act.mutate(what)}
    >
      {word}
    </Button>
  )
  const cancel = (): Act => ({
    title: `Cancel round ${last?.round}`,
    text: (
      <p>
        What it has begun ends with it; a rollout of it is aborted and its boxes go back. The
        champion before is the champion again.
      </p>
    ),
    word: 'Cancel 1 round',
    run: () => call('pipelineCancel', { params: { model, round: last?.round ?? 0 } }),
    done: again,
  })
  const remove = (): Act => ({
    title: 'Remove the pipeline',
    text: (
      <p>
        Nothing trains and rolls out <b>{model}</b> by itself any more. The record of {row.rounds}{' '}
        rounds goes; what they made stays.
      </p>
    ),
    word: 'Remove 1 pipeline',
    run: () => call('pipelineRemove', { params: { model } }),
    done: () => void navigate({ to: '/pipelines' }),
  })
  return (
    <div className={classes.acts}>
      {last?.approval && state !== 'parked' && button('approve', 'Approve', true)}
      {last &&
        ['parked', 'refused', 'stopped'].includes(last.state) &&
        button('retry', 'Try again')}
      {(waitsForTry || waitsForTime) && button('skip', 'Do not wait')}
      {!open && state !== 'parked' && button('start', 'Start a round', true)}
      <Button size="xs" variant="default" onClick={() => setDry(true)}>
        Dry run
      </Button>
      {state === 'parked' ? button('resume', 'Resume') : button('park', 'Park')}
      <Button
        size="xs"
        variant="default"
        disabled={refused !== undefined}
        title={refused}
        onClick={() => void navigate({ to: '/pipelines/new', search: { model } })}
      >
        Edit
      </Button>
      <Button
        size="xs"
        color="bad"
        variant="default"
        disabled={refused !== undefined}
        title={refused}
        onClick={() => setAsking(open ? cancel() : remove())}
      >
        {open ? 'Cancel the round…' : 'Remove…'}
      </Button>
      <Confirm act={asking} onClose={() => setAsking(undefined)} />
      <Modal
        opened={dry}
        onClose={() => setDry(false)}
        title="What would happen now"
        size="lg"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {dry && <DryRun model={model} />}
      </Modal>
    </div>
  )
}

function DryRun({ model }: { model: string }) {
  const query = useQuery(dryRunQuery(model))
  return (
    <QueryState query={query} skeleton={<Skeleton height={240} />}>
      {({ begins, why, checks, steps, sites }) => (
        <>
          <div className={classes.head}>
            <Status
              kind={begins ? 'ok' : 'info'}
              word={begins ? 'A round would begin now' : 'None begins now'}
            />
            <p className={classes.reason}>{why}</p>
          </div>
          <ul className={classes.checks}>
            {checks.map(({ kind, met, text }) => (
              <li key={kind}>
                <Status kind={met ? 'ok' : 'offline'} word={met ? 'yes' : 'no'} /> {text}
              </li>
            ))}
          </ul>
          <h3>A round would do this</h3>
          <ol className={classes.checks}>
            {steps.map(({ name, text, problem }) => (
              <li key={name}>
                <b>{stepWords[name]}</b> {text}
                {problem && (
                  <div>
                    <Status kind="warn" word={problem} />
                  </div>
                )}
              </li>
            ))}
          </ol>
          <p className="dim">
            {sites.length === 0
              ? 'No device is meant.'
              : `Devices that are meant: ${sites.map(({ site, devices }) => `${devices} at ${site}`).join(', ')}`}
          </p>
        </>
      )}
    </QueryState>
  )
}
