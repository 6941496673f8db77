/** Runs and model versions as a hub would have kept them, for tests of what is done with them afterwards. */
import { randomUUID } from 'node:crypto'
import type { RunState, SearchState } from '@edgeloop/protocol'
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
        run_id: runId,
        job_id: randomUUID(),
        state,
        asked: '',
        dataset: 'digits',
        dataset_version: 1,
        dataset_digest: 'd'.repeat(64),
        fold: null,
        seed: 1,
        note: '',
        parent: 'new:lenet',
        model: 'digits',
        layout: 'classifier',
        recipe: '{}',
        compile: '',
        step: 0,
        steps: 0,
        epoch: 0,
        eta_ms: null,
        images_per_second: 0,
        phase: '',
        loss: null,
        key_figure: '',
        error: '',
        resumed: 0,
        result: '',
        code_version: '0.1.0',
        log: '[]',
        author: 'ada',
        schedule: '',
        created_at: now,
        started_at: null,
        ended_at: null,
        heard_at: now,
        active_ms: 0,
        ...more,
      })
      .execute(),
  )
  return runId
}

/**
 * A search by halving in a state, with the trials that it has had.
 * @param more of the row of the search
 * @returns its id
 */
export async function seedSearch(
  hub: TestHub,
  state: SearchState,
  trials: readonly {
    readonly trial: string
    readonly settings: Readonly<Record<string, number | string>>
    readonly accuracy?: number
    /** A run that is not over: neither is the trial. */
    readonly open?: string
  }[] = [],
  more: Readonly<Record<string, string | number>> = {},
): Promise<string> {
  const searchId = randomUUID()
  const now = Date.now()
  await hub.inStore(async ({ writer }) => {
    await writer
      .insertInto('run_search')
      .values({
        search_id: searchId,
        state,
        seed: 1,
        trials: Math.max(1, trials.length),
        request: JSON.stringify({ dataset: { name: 'digits', version: 1 }, parent: 'new:lenet' }),
        plan: JSON.stringify({
          method: 'random',
          trials: trials.length || 1,
          keys: { batch: [8] },
        }),
        dataset: 'digits',
        dataset_version: 1,
        parent: 'new:lenet',
        model: 'digits',
        note: '',
        metric: '',
        better: '',
        best_trial: '',
        best_value: null,
        ended: trials.length,
        result: '',
        error: '',
        author: 'ada',
        created_at: now,
        ended_at: null,
        ...more,
      })
      .execute()
    for (const [at, { trial, settings, accuracy, open }] of trials.entries()) {
      await writer
        .insertInto('run_trial')
        .values({
          search_id: searchId,
          trial,
          run_id: open ?? randomUUID(),
          candidate: at,
          round: 0,
          share: 1,
          settings: JSON.stringify(settings),
          figures: JSON.stringify(accuracy === undefined ? {} : { accuracy }),
          seconds: 12 + at,
          failure: accuracy === undefined && open === undefined ? 'NaN in step 3' : '',
          created_at: now + at,
          ended_at: open === undefined ? now + at + 1 : null,
        })
        .execute()
    }
  })
  return searchId
}

/** Versions of a model, the first of them the champion. */
export async function seedVersions(hub: TestHub, name: string, count: number): Promise<void> {
  const inspection = JSON.stringify({
    inputs: [],
    outputs: [],
    opset: 18,
    parameters: 1,
    macs: null,
    operators: {},
    warnings: [],
  })
  const rows = Array.from({ length: count }, (_, i) => ({
    name,
    version: i + 1,
    layout: 'classifier',
    labels: '[]',
    description: '',
    note: '',
    digest: 'e'.repeat(64),
    size_bytes: 1,
    inspection,
    author: 'ada',
    created_at: i,
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
        run_id: runId,
        first_step: 1,
        last_step: steps,
        points: steps,
        data: JSON.stringify({ step, figures }),
      })
      .execute()
    const evaluation = (samples: string, accuracy: number, at: number) => ({
      run_id: runId,
      step: at,
      samples,
      at: Date.now(),
      best: 0,
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
