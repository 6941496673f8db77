/** How pipelines, rounds and steps are called. Pure. */
import type { PipelineRound, PipelineRow, PipelineStep, SiteVerdict } from '@edgeloop/protocol'
import type { StatusKind } from '../shell/status.tsx'

export type Said = { readonly kind: StatusKind; readonly word: string }

const rows: Readonly<Record<PipelineRow['state'], Said>> = {
  waiting: { kind: 'ok', word: 'Waiting' },
  running: { kind: 'updating', word: 'Running' },
  stuck: { kind: 'bad', word: 'Needs you' },
  parked: { kind: 'offline', word: 'Parked' },
}
const rounds: Readonly<Record<PipelineRound['state'], Said>> = {
  running: { kind: 'updating', word: 'Running' },
  parked: { kind: 'bad', word: 'Needs you' },
  refused: { kind: 'warn', word: 'Refused by the gate' },
  stopped: { kind: 'bad', word: 'Stopped in the field' },
  cancelled: { kind: 'offline', word: 'Cancelled' },
  done: { kind: 'ok', word: 'Done' },
}
const steps: Readonly<Record<PipelineStep['state'], Said>> = {
  ahead: { kind: 'offline', word: 'Ahead' },
  running: { kind: 'updating', word: 'Running' },
  waiting: { kind: 'warn', word: 'Waiting' },
  done: { kind: 'ok', word: 'Done' },
  skipped: { kind: 'offline', word: 'Skipped' },
  failed: { kind: 'bad', word: 'Failed' },
}
const verdicts: Readonly<Record<SiteVerdict['verdict'], Said>> = {
  better: { kind: 'ok', word: 'Better' },
  same: { kind: 'ok', word: 'As good' },
  worse: { kind: 'bad', word: 'Worse' },
  unknown: { kind: 'warn', word: 'Unknown' },
}

/** A round that waits for approval needs somebody, whatever else it is. */
export const sayPipeline = ({ state, last }: Pick<PipelineRow, 'state' | 'last'>): Said =>
  state === 'running' && last?.approval ? { kind: 'warn', word: 'Waits for approval' } : rows[state]
export const sayRound = ({ state, approval }: Pick<PipelineRound, 'state' | 'approval'>): Said =>
  approval ? { kind: 'warn', word: 'Waits for approval' } : rounds[state]
export const sayStep = ({ state }: Pick<PipelineStep, 'state'>): Said => steps[state]
export const sayVerdict = ({ verdict }: Pick<SiteVerdict, 'verdict'>): Said => verdicts[verdict]

export const stepWords: Readonly<Record<PipelineStep['name'], string>> = {
  freeze: 'Freeze',
  train: 'Train',
  gate: 'Gate',
  compile: 'Compile',
  publish: 'Publish',
  rollout: 'Rollout',
}

/** A figure with as many decimals as are worth reading; a dash where there is none. */
export const sayFigure = (value: number | null | undefined): string =>
  value === null || value === undefined ? '–' : value.toFixed(3)
