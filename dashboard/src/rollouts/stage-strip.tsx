/** The stages of a rollout side by side, each with its boxes, how the model does on them, and what its gate still wants. */
import type { RolloutStage, StagePlan } from '@edgeloop/protocol'
import { Link } from '@tanstack/react-router'
import { useNow } from '../shell/now.tsx'
import { sayCount, sayDuration, sayMoment } from '../shell/say.ts'
import { Status, type StatusKind } from '../shell/status.tsx'
import { CountBar, CountWords } from './count-bar.tsx'
import { sayDone, sayDrift } from './rollout-words.ts'
import classes from './rollouts.module.css'

const stageWords: Readonly<Record<RolloutStage['state'], { kind: StatusKind; word: string }>> = {
  ahead: { kind: 'offline', word: 'Ahead' },
  running: { kind: 'updating', word: 'Running' },
  soaking: { kind: 'updating', word: 'Soaking' },
  passed: { kind: 'ok', word: 'Passed' },
  failed: { kind: 'bad', word: 'Failed' },
}

export function StageStrip(props: {
  rolloutId: string
  stages: readonly RolloutStage[]
  plans: readonly StagePlan[]
  /** The stage whose boxes are listed. */
  chosen: number | undefined
}) {
  return (
    <ol className={classes.stages} aria-label="Stages">
      {props.stages.map((stage, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: stages are told apart by their place alone
        <li key={at} data-chosen={props.chosen === at} data-state={stage.state}>
          <Stage {...props} stage={stage} at={at} />
        </li>
      ))}
    </ol>
  )
}

function Stage(props: {
  rolloutId: string
  stage: RolloutStage
  plans: readonly StagePlan[]
  at: number
  chosen: number | undefined
}) {
  const { rolloutId, stage, at, chosen } = props
  const now = useNow()
  const gate = props.plans[at]?.gate
  const { kind, word } = stageWords[stage.state]
  const { counts, quality } = stage
  const soakMs = stage.soakUntil === null ? 0 : Date.parse(stage.soakUntil) - now
  return (
    <>
      <div className={classes.stageHead}>
        <h3>
          <Link
            from="/rollouts/$rolloutId"
            to="/rollouts/$rolloutId"
            params={{ rolloutId }}
            search={({ stage: _, ...rest }) => (chosen === at ? rest : { ...rest, stage: at })}
            replace
            resetScroll={false}
            aria-current={chosen === at ? 'true' : undefined}
            title={chosen === at ? 'List the boxes of all stages' : 'List its boxes only'}
          >
            {at + 1}. {stage.name}
          </Link>
        </h3>
        <Status kind={kind} word={word} />
      </div>
      <CountBar counts={counts} label={`Boxes of the stage ${stage.name}`} />
      <p className={classes.figure} title={sayDone(counts)}>
        <b>
          {sayCount(counts.confirmed)} of {sayCount(counts.devices)}
        </b>{' '}
        <span className="dim">run it, {sayCount(stage.reachable)} reachable</span>
      </p>
      <CountWords counts={counts} />
      {gate && (
        <dl className={classes.quality}>
          <Guard
            name="Agreement"
            value={quality.agreement}
            say={(value) => `${Math.round(value * 100)} %`}
            limit={`at least ${Math.round(gate.agreementMin * 100)} %`}
            bad={(value) => value < gate.agreementMin}
          />
          <Guard
            name="Latency p95"
            value={quality.latencyRatio}
            say={(value) => `${value.toFixed(2)}×`}
            limit={`at most ${gate.latencyRatioMax.toFixed(2)}×`}
            bad={(value) => value > gate.latencyRatioMax}
          />
          <Guard
            name="Drift of counts"
            value={quality.countDrift}
            say={sayDrift}
            limit={`within ±${gate.driftMax}`}
            bad={(value) => Math.abs(value) > gate.driftMax}
          />
          <Guard
            name="Drift of scores"
            value={quality.confidenceDrift}
            say={sayDrift}
            limit={`within ±${gate.driftMax}`}
            bad={(value) => Math.abs(value) > gate.driftMax}
          />
          <Guard
            name="Failures"
            value={counts.failed}
            say={sayCount}
            limit={`stops at ${sayCount(stage.failuresStop)}`}
            bad={(value) => value >= stage.failuresStop}
          />
        </dl>
      )}
      {quality.verdict && <p className={classes.verdict}>{quality.verdict}</p>}
      {stage.wants && stage.state !== 'passed' && <p className="dim">Waits for: {stage.wants}</p>}
      {soakMs > 0 && (
        <p className="dim" title={sayMoment(Date.parse(stage.soakUntil ?? ''))}>
          Soaks for another {sayDuration(soakMs)}
        </p>
      )}
      {stage.approvedBy && <p className="dim">Approved by {stage.approvedBy}</p>}
    </>
  )
}

/** A figure beside its limit; without a figure it says so, because no figure is not a good one. */
function Guard(props: {
  name: string
  value: number | null
  say: (value: number) => string
  limit: string
  bad: (value: number) => boolean
}) {
  const { name, value, say, limit, bad } = props
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value === null ? (
          <span className="dim">no figure yet</span>
        ) : (
          <Status kind={bad(value) ? 'bad' : 'ok'} word={say(value)} />
        )}{' '}
        <span className="dim">{limit}</span>
      </dd>
    </div>
  )
}
