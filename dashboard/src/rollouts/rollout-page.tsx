/** One rollout while it moves: stages, why it is as it is, what it cost, how the model does, and every box. */
import type { RolloutDecision, RolloutDetail } from '@edgeloop/protocol'
import { Skeleton } from '@mantine/core'
import { useInfiniteQuery, useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import { sessionQuery } from '../people/session.ts'
import { Ago } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayCount, sayDuration, sayMoment } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import { Status } from '../shell/status.tsx'
import { BoxPlot } from './box-plot.tsx'
import { BoxFilters, BoxTable } from './box-table.tsx'
import { BytesSaved } from './bytes-saved.tsx'
import { CountBar } from './count-bar.tsx'
import { LeftOutList } from './left-out.tsx'
import { RolloutActs } from './rollout-acts.tsx'
import { type BoxFilter, boxesQuery, rolloutQuery, useRolloutChanges } from './rollout-queries.ts'
import {
  agreementOf,
  latencyRatioOf,
  sayBoxes,
  sayDone,
  sayRollout,
  saySelection,
  sayWindow,
} from './rollout-words.ts'
import classes from './rollouts.module.css'
import { StageStrip } from './stage-strip.tsx'

const route = getRouteApi('/in/rollouts/$rolloutId')

export function RolloutPage() {
  useRolloutChanges()
  const { rolloutId } = route.useParams()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const query = useQuery(rolloutQuery(rolloutId))
  const rollout = query.data?.rollout
  return (
    <Page
      title={rollout ? `${rollout.name}/${rollout.version}` : 'Rollout'}
      parent={<Link to="/rollouts">Rollouts</Link>}
      aside={
        query.data && <RolloutActs detail={query.data} mayChange={session.role !== 'viewer'} />
      }
    >
      <QueryState query={query} skeleton={<Skeleton height={400} />}>
        {(detail) => <Shown detail={detail} />}
      </QueryState>
    </Page>
  )
}

function Shown({ detail }: { detail: RolloutDetail }) {
  const { rolloutId } = route.useParams()
  const filter = route.useSearch()
  const navigate = route.useNavigate()
  const query = useInfiniteQuery(boxesQuery(rolloutId, filter))
  const boxes = useMemo(() => query.data?.pages.flatMap((page) => page.boxes) ?? [], [query.data])
  const total = query.data?.pages.at(-1)?.total
  const gate = detail.plan.stages[detail.rollout.stage]?.gate
  const figures = useMemo(() => {
    const of = (figure: (box: (typeof boxes)[number]) => number | null) =>
      boxes.flatMap((box) => {
        const value = figure(box)
        return value === null ? [] : [{ deviceId: box.deviceId, value }]
      })
    return { agreement: of(agreementOf), latency: of(latencyRatioOf) }
  }, [boxes])
  return (
    <>
      <Head detail={detail} />
      <StageStrip
        rolloutId={rolloutId}
        stages={detail.stages}
        plans={detail.plan.stages}
        chosen={filter.stage}
      />
      <div className={classes.columns}>
        <BytesSaved bytes={detail.rollout.bytes} />
        <Decisions decisions={detail.decisions} />
      </div>
      <section className={classes.section} aria-labelledby="boxes">
        <h2 id="boxes">Boxes</h2>
        <BoxFilters
          filter={filter}
          stages={detail.stages}
          total={total}
          onChange={(next: BoxFilter) =>
            void navigate({ search: next, replace: true, resetScroll: false })
          }
        />
        {gate && (
          <div className={classes.plots}>
            <BoxPlot
              title="Agreement with the model before"
              boxes={figures.agreement}
              limit={gate.agreementMin}
              bad="below"
              whole={[0, 1]}
              say={(value) => `${Math.round(value * 100)} %`}
            />
            <BoxPlot
              title="Latency p95 beside the model before"
              boxes={figures.latency}
              limit={gate.latencyRatioMax}
              bad="above"
              say={(value) => `${value.toFixed(2)}×`}
            />
          </div>
        )}
        <QueryState query={query} skeleton={<Skeleton height={240} />}>
          {() => (
            <BoxTable
              boxes={boxes}
              stages={detail.stages}
              total={total ?? boxes.length}
              onEnd={() => {
                if (query.hasNextPage && !query.isFetchingNextPage) void query.fetchNextPage()
              }}
            />
          )}
        </QueryState>
      </section>
      {detail.leftOut.length > 0 && <LeftOutList leftOut={detail.leftOut} />}
      <Plan detail={detail} />
    </>
  )
}

function Head({ detail }: { detail: RolloutDetail }) {
  const { rollout, plan, supersededBy } = detail
  const { kind, word } = sayRollout(rollout)
  const { counts } = rollout
  return (
    <>
      <div className={classes.head}>
        <Status kind={kind} word={word} size={16} />
        {/* A rollout that stops says why in words, where eyes go first. */}
        {rollout.why && (
          <p className={classes.reason} role="status" data-kind={kind}>
            {rollout.why}
          </p>
        )}
        {supersededBy !== null && (
          <Link to="/rollouts/$rolloutId" params={{ rolloutId: supersededBy }}>
            The newer rollout
          </Link>
        )}
      </div>
      <div className={classes.whole}>
        <CountBar counts={counts} label="Boxes of the rollout" />
        <span>{sayDone(counts)}</span>
      </div>
      <ul className={classes.facts}>
        <li>
          <Link
            to="/models/$name/$version"
            params={{ name: rollout.name, version: `${rollout.version}` }}
          >
            {rollout.name}/{rollout.version}
          </Link>
        </li>
        <li>To {saySelection(plan.select)}</li>
        <li>
          By {rollout.by}, <Ago at={rollout.createdAt} />
        </li>
        {rollout.endedAt !== null && (
          <li title={sayMoment(Date.parse(rollout.endedAt))}>
            Over <Ago at={rollout.endedAt} />
          </li>
        )}
        {rollout.state === 'running' && rollout.offersPerMinute > 0 && (
          <li>{sayCount(Math.round(rollout.offersPerMinute))} offers a minute</li>
        )}
        {counts.revoked > 0 && <li>{sayBoxes(counts.revoked)} fell back later</li>}
        {rollout.note && <li>{rollout.note}</li>}
      </ul>
    </>
  )
}

/** Decisions that are drawn at once. */
const decisionsShown = 60

function Decisions({ decisions }: { decisions: readonly RolloutDecision[] }) {
  return (
    <section className={classes.section} aria-labelledby="decisions">
      <h2 id="decisions">What was decided</h2>
      {decisions.length === 0 ? (
        <p className="dim">Nothing yet.</p>
      ) : (
        <div className={classes.decisionsArea}>
          <Scroller label="Decisions" filled>
            <ol className={classes.decisions}>
              {decisions.slice(0, decisionsShown).map((one, at) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: several may have the same moment and text
                <li key={`${one.at} ${at}`}>
                  <Ago at={one.at} />{' '}
                  <span className="dim">{one.by === '' ? 'the hub' : one.by}</span>
                  <span className={classes.act}>{one.act}</span> {one.text}
                </li>
              ))}
            </ol>
          </Scroller>
        </div>
      )}
      {decisions.length > decisionsShown && (
        <p className="dim">and {decisions.length - decisionsShown} before</p>
      )}
    </section>
  )
}

const approvalWords = {
  none: 'nobody has to approve',
  'after-canary': 'somebody approves it after the first stage',
  'every-stage': 'somebody approves it before each stage',
} as const
const stopWords = {
  all: 'all boxes go back when it stops',
  stage: 'boxes of the stage go back when it stops',
  none: 'no box goes back when it stops',
} as const

function Plan({ detail: { plan } }: { detail: RolloutDetail }) {
  const { care, windows, rate } = plan
  return (
    <section className={classes.section} aria-labelledby="plan">
      <h2 id="plan">Plan</h2>
      <ul className={classes.facts}>
        <li>
          Stages:{' '}
          {plan.stages
            .map(({ name, soakMs }) => `${name} (soaks ${sayDuration(soakMs)})`)
            .join(' → ')}
        </li>
        <li>
          Shadow {sayDuration(care.shadowMs)}, at least {sayCount(care.shadowFramesMin)} frames;
          probation {sayDuration(care.probationMs)}
        </li>
        <li>{windows.length === 0 ? 'At any time' : windows.map(sayWindow).join('; ')}</li>
        <li>
          {rate.perMinute} offers a minute, at most {rate.perMinuteMax}
        </li>
        <li>{approvalWords[plan.approval]}</li>
        <li>{stopWords[plan.onStop]}</li>
        {plan.join && <li>devices that fit later join</li>}
      </ul>
    </section>
  )
}
