/** A run as the store has it, and as it is shown. Pure. */
import type { Run, RunState } from '@edgeloop/protocol'
import type { Selectable } from 'kysely'
import type { RunTable } from '../store/tables.ts'

const timeOf = (at: number | null) => (at === null ? null : new Date(at).toISOString())

export const runOf = (row: Selectable<RunTable>): Run => ({
  runId: row.run_id,
  state: row.state as RunState,
  asked: row.state === 'running' ? (row.asked as Run['asked']) : '',
  dataset: { name: row.dataset, version: row.dataset_version, digest: row.dataset_digest },
  fold: row.fold,
  parent: row.parent,
  model: row.model,
  layout: row.layout,
  seed: row.seed,
  note: row.note,
  teacher: row.teacher,
  external: row.external === 1,
  step: row.step,
  steps: row.steps,
  epoch: row.epoch,
  etaMs: row.state === 'running' ? row.eta_ms : null,
  imagesPerSecond: row.images_per_second,
  phase: row.phase,
  loss: row.loss,
  key: row.key_figure === '' ? null : (JSON.parse(row.key_figure) as Run['key']),
  error: row.error,
  resumed: row.resumed,
  result: row.result === '' ? null : (JSON.parse(row.result) as Run['result']),
  codeVersion: row.code_version,
  by: row.author,
  schedule: row.schedule,
  searchId: row.search_id,
  createdAt: new Date(row.created_at).toISOString(),
  startedAt: timeOf(row.started_at),
  endedAt: timeOf(row.ended_at),
  heardAt: timeOf(row.heard_at),
  activeMs: row.active_ms,
})
