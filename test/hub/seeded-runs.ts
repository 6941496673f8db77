/** Runs and model versions as a hub would have kept them, for tests of what is done with them afterwards. */
import { randomUUID } from 'node:crypto'
import type { RunState } from '@edgeloop/protocol'
import type { TestHub } from './fixture.ts'

/** A run in a state, of which nothing else is there. @returns its id */
export async function seedRun(
  hub: TestHub,
  state: RunState,
  more: Readonly<Record<string, string | number>> = {},
): Promise<string> {
  const runId = randomUUID()
  const now = Date.now()
  await hub.inStore(({ writer }) =>
    writer
      .insertInto('run')
      .values({
        ...{ run_id: runId, job_id: randomUUID(), state, asked: '', dataset: 'digits' },
        ...{ dataset_version: 1, dataset_digest: 'd'.repeat(64), fold: null, seed: 1, note: '' },
        ...{ parent: 'new:lenet', model: 'digits', layout: 'classifier', recipe: '{}' },
        ...{ compile: '', step: 0, steps: 0, epoch: 0, eta_ms: null, images_per_second: 0 },
        ...{ phase: '', loss: null, key_figure: '', error: '', resumed: 0, result: '' },
        ...{ code_version: '0.1.0', log: '[]', author: 'ada', schedule: '', created_at: now },
        ...{ started_at: null, ended_at: null, heard_at: now, active_ms: 0 },
        ...more,
      })
      .execute(),
  )
  return runId
}

/** Versions of a model, the first of them the champion. */
export async function seedVersions(hub: TestHub, name: string, count: number): Promise<void> {
  const inspection = JSON.stringify({
    ...{ inputs: [], outputs: [], opset: 18, parameters: 1, macs: null },
    ...{ operators: {}, warnings: [] },
  })
  const rows = Array.from({ length: count }, (_, i) => ({
    ...{ name, version: i + 1, layout: 'classifier', labels: '[]', description: '', note: '' },
    ...{ digest: 'e'.repeat(64), size_bytes: 1, inspection, author: 'ada', created_at: i },
    champion: i === 0 ? 1 : 0,
  }))
  await hub.inStore(({ writer }) => writer.insertInto('model_version').values(rows).execute())
}

/** A loss that falls with one spike, and an accuracy that rises. @param steps of the run */
export async function seedCurves(hub: TestHub, runId: string, steps: number): Promise<void> {
  const step = Array.from({ length: steps }, (_, i) => i + 1)
  const loss = step.map((at) => (at === Math.floor(steps / 2) ? 9 : 2 / at))
  const figures = { loss, learningRate: step.map((at) => 0.001 * (1 - at / steps)) }
  await hub.inStore(async ({ writer }) => {
    await writer
      .insertInto('run_curve')
      .values({
        ...{ run_id: runId, first_step: 1, last_step: steps, points: steps },
        data: JSON.stringify({ step, figures }),
      })
      .execute()
    const evaluation = (samples: string, accuracy: number, at: number) => ({
      ...{ run_id: runId, step: at, samples, at: Date.now(), best: 0 },
      figures: JSON.stringify({ accuracy }),
    })
    await writer
      .insertInto('run_evaluation')
      .values([
        evaluation('validation', 0.5, Math.floor(steps / 2)),
        evaluation('validation', 0.9, steps),
        evaluation('test', 0.88, steps),
      ])
      .execute()
  })
}
