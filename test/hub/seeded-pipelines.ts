/** Pipelines with rounds as a hub would have kept them, for tests of what is seen of them. */
import { randomUUID } from 'node:crypto'
import {
  type PipelineRequest,
  pipelineOf,
  pipelineSteps,
  type SiteVerdict,
} from '@edgeloop/protocol'
import {
  cellsOfPipeline,
  type KeptRound,
  type KeptStep,
  putRound,
  stepAhead,
} from '../../cloud-hub/src/pipelines/pipeline-rows.ts'
import type { TestHub } from './fixture.ts'

const minuteMs = 60_000
const dayMs = 86_400_000

const verdict = (
  by: 'site' | 'stream',
  name: string,
  [before, after]: readonly [number, number],
  more: Partial<SiteVerdict> = {},
): SiteVerdict => ({
  by,
  name,
  samples: 84,
  against: 4,
  before,
  after,
  dropMax: 0.051,
  verdict: 'same',
  ships: true,
  why: `${by} "${name}": ${after} after ${before} of version 4`,
  ...more,
})

/**
 * A pipeline in its fifth round: three that were done, one that the field stopped, and one that waits for approval.
 * @param model whose versions are there
 */
export async function seedPipeline(hub: TestHub, model: string, dataset: string): Promise<void> {
  const now = Date.now()
  const request: PipelineRequest = {
    dataset,
    trigger: { annotations: 200, drift: { kinds: [], annotationsMin: 30 }, intervalMinMs: dayMs },
    train: { from: 'new:mobilenet-v2', recipe: { epochs: 5 }, replayShare: 0.5 },
    rollout: { approve: true },
  }
  const config = pipelineOf(request)
  const round = (number: number, figures: readonly [number, number]): KeptRound => {
    const startedAt = now - (6 - number) * 3 * dayMs
    const steps = pipelineSteps.map(
      (name, at): KeptStep => ({
        ...stepAhead(name),
        state: 'done',
        attempt: 1,
        why: whys[name](number, model),
        startedAt: startedAt + at * 7 * minuteMs,
        endedAt: startedAt + (at * 7 + 6) * minuteMs,
        ids: name === 'train' ? { run: randomUUID() } : {},
      }),
    )
    return {
      model,
      round: number,
      state: 'done',
      why: `Version ${number} runs on its boxes`,
      cause: { kind: 'annotations', text: '200 of 200 new annotations' },
      config,
      annotations: 180 + number * 20,
      datasetVersion: number,
      version: number,
      championBefore: number - 1 || null,
      crowned: true,
      by: 'ada',
      startedAt,
      key: { name: 'ap50', before: figures[0], after: figures[1] },
      sites: [],
      endedAt: startedAt + 45 * minuteMs,
      revision: 9,
      steps,
    }
  }
  const stopped = round(4, [0.86, 0.88])
  const waiting = round(5, [0.86, 0.912])
  const rounds: KeptRound[] = [
    ...[round(1, [0.61, 0.74]), round(2, [0.71, 0.83]), round(3, [0.8, 0.87])],
    {
      ...stopped,
      state: 'stopped',
      why: 'The rollout was stopped: 2 of 2 devices of stage "canary" failed, and it stops at 2',
    },
    {
      ...waiting,
      state: 'running',
      endedAt: null,
      why: 'Waits for approval before version 5 is offered to boxes',
      cause: { kind: 'drift', text: 'Drift (data) on gate-7/belt' },
      sites: [
        verdict('site', 'mill', [0.87, 0.93], { verdict: 'better' }),
        verdict('site', 'quay', [0.85, 0.71], { verdict: 'worse', ships: false }),
        verdict('site', 'yard', [0.9, 0.9], { verdict: 'unknown', samples: 4, dropMax: null }),
        verdict('stream', 'belt', [0.87, 0.9]),
      ],
      steps: waiting.steps.map((step) =>
        step.name === 'rollout'
          ? {
              ...stepAhead('rollout'),
              state: 'waiting',
              why: 'Waits for approval before version 5 is offered to boxes',
            }
          : step,
      ),
    },
  ]
  await hub.inStore(async ({ writer }) => {
    await writer
      .insertInto('pipeline')
      .values(
        cellsOfPipeline({
          model,
          config,
          parked: null,
          asked: null,
          alarms: [],
          alarmsThrough: 0,
          dueAt: null,
          hurry: false,
          sitesBehind: {},
          by: 'ada',
          createdAt: now - 20 * dayMs,
          changedAt: now - dayMs,
          revision: 1,
        }),
      )
      .execute()
    for (const one of rounds) await putRound(writer, one)
  })
}

const whys: Readonly<
  Record<(typeof pipelineSteps)[number], (round: number, model: string) => string>
> = {
  freeze: (round) =>
    `Version ${round}: ${400 + round * 220} samples, ${300 + round * 150} to learn from, 40 to choose by, ${60 + round * 30} to test on`,
  train: (round, model) => `Version ${round} of ${model} after 620 steps, ap50 0.9120`,
  gate: () =>
    'ap50 0.9120 on the test samples, the champion (version 3) 0.8600; "quay" keeps what is there',
  compile: () => 'linux-arm64: int8, 2.3 MB; linux-x64-vnni: int8, 2.3 MB',
  publish: () => 'linux-x64-vnni: 121.4 kB as delta of 2.3 MB',
  rollout: () => 'Complete: 60 of 60 devices run it',
}
