/** The six steps of a round: what each does or waits for, how long it took, and where to look at what it made. */
import type { PipelineLink, PipelineRound, PipelineStep, SiteVerdict } from '@edgeloop/protocol'
import { Table } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { FramedTable } from '../shell/framed-table.tsx'
import { Ago, useNow } from '../shell/now.tsx'
import { sayCount, sayDuration, sayShare } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { sayFigure, sayStep, sayVerdict, stepWords } from './pipeline-words.ts'
import classes from './pipelines.module.css'

export function RoundSteps({ round }: { round: PipelineRound }) {
  return (
    <ol className={classes.steps} aria-label={`Steps of round ${round.round}`}>
      {round.steps.map((step) => (
        <Step key={step.name} step={step} />
      ))}
    </ol>
  )
}

function Step({ step }: { step: PipelineStep }) {
  const { kind, word } = sayStep(step)
  const { name, why, progress, attempt, retryAt, links } = step
  return (
    <li className={classes.step} data-state={step.state}>
      <div className={classes.stepHead}>
        <h3>{stepWords[name]}</h3>
        <Status kind={kind} word={word} />
      </div>
      {progress !== null && (
        <div
          className={classes.bar}
          role="progressbar"
          aria-label={`${stepWords[name]}: how far it is`}
          aria-valuenow={Math.round(progress * 100)}
          aria-valuemin={0}
          aria-valuemax={100}
        >
          <span style={{ inlineSize: sayShare(progress).replace(' ', '') }} />
        </div>
      )}
      {why && <p className={classes.stepWhy}>{why}</p>}
      <div className={classes.stepFoot}>
        <Elapsed step={step} />
        {attempt > 1 && <span>tried {sayCount(attempt)} times</span>}
        {retryAt !== null && (
          <span>
            again <Ago at={retryAt} />
          </span>
        )}
        {links.map((link) => (
          <LinkTo key={`${link.kind} ${link.id}`} link={link} />
        ))}
      </div>
    </li>
  )
}

function Elapsed({ step: { startedAt, endedAt } }: { step: PipelineStep }) {
  const now = useNow()
  if (startedAt === null) return null
  const until = endedAt === null ? now : Date.parse(endedAt)
  return <span>{sayDuration(Math.max(0, until - Date.parse(startedAt)))}</span>
}

function LinkTo({ link: { kind, id, what } }: { link: PipelineLink }) {
  const [name = '', version = ''] = id.split('/')
  switch (kind) {
    case 'run':
      return (
        <Link to="/runs/$runId" params={{ runId: id }}>
          Run {id.slice(0, 8)}
        </Link>
      )
    case 'rollout':
      return (
        <Link to="/rollouts/$rolloutId" params={{ rolloutId: id }}>
          Rollout {id.slice(0, 8)}
        </Link>
      )
    case 'model':
      return (
        <Link to="/models/$name/$version" params={{ name, version }}>
          {id}
        </Link>
      )
    case 'dataset':
      return (
        <Link to="/datasets/$dataset/versions" params={{ dataset: name }}>
          {name}, {what}
        </Link>
      )
    default:
      return <span className="dim">{what}</span>
  }
}

const siteColumns = [
  'Site',
  'Verdict',
  { word: 'Before', right: true },
  { word: 'After', right: true },
  { word: 'Test samples', right: true },
  'Gets it',
] as const

/** How the version does at each site and on each stream. */
export function Sites({ sites }: { sites: readonly SiteVerdict[] }) {
  if (sites.length === 0) return null
  return (
    <FramedTable label="Sites and streams" columns={siteColumns} width="wide">
      {sites.map((one) => {
        const { kind, word } = sayVerdict(one)
        return (
          <Table.Tr key={`${one.by} ${one.name}`}>
            <Table.Td className={classes.name ?? ''}>
              {one.name} {one.by === 'stream' && <span className="dim">stream</span>}
            </Table.Td>
            <Table.Td title={one.why}>
              <Status kind={kind} word={word} />
            </Table.Td>
            <Table.Td ta="right">
              {sayFigure(one.before)}
              {one.against !== null && <span className="dim"> of version {one.against}</span>}
            </Table.Td>
            <Table.Td ta="right">{sayFigure(one.after)}</Table.Td>
            <Table.Td ta="right">{sayCount(one.samples)}</Table.Td>
            <Table.Td>
              {one.by === 'stream' ? '' : one.ships ? 'yes' : 'no: keeps what it has'}
            </Table.Td>
          </Table.Tr>
        )
      })}
    </FramedTable>
  )
}
