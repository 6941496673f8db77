/** A label queue with pictures of the conveyor, and what a model would propose for each: right, but for what is said. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type DatasetSample,
  type LabelQueueConfig,
  type SampleAnnotation,
  type Suggestion,
  writePack,
} from '@edgeloop/protocol'
import { unknowable } from '../../cloud-hub/src/labelling/task-row.ts'
import { digestOf, sendPack } from '../hub/dataset-parts.ts'
import type { TestHub } from '../hub/fixture.ts'
import { type Part, partsAt, pictureOf, sceneSize } from './scene.ts'

export const conveyorLabels = ['gear', 'bracket', 'washer', 'nut'] as const

export type SeededQueue = {
  readonly queue: string
  readonly dataset: string
  /** In the order in which tasks come up. */
  readonly frames: readonly { readonly digest: string; readonly parts: readonly Part[] }[]
  /** What the dataset says of a frame now; undefined where it is not in it. */
  said(frame: number): Promise<readonly SampleAnnotation[] | undefined>
}

/**
 * @param given.suggest what is proposed for a frame; its parts as they are where left out
 * @param given.config beside the dataset
 */
export async function seedQueue(
  hub: TestHub,
  count: number,
  given: {
    queue?: string
    suggest?: (parts: readonly Part[], frame: number) => Suggestion[]
    config?: Partial<LabelQueueConfig>
    /** Frames begin here: no two queues have the same pictures. */
    from?: number
  } = {},
): Promise<SeededQueue> {
  const { queue = 'belt', suggest = suggestionsOf, config = {}, from = 0 } = given
  const dataset = `${queue}-parts`
  const scenes = Array.from({ length: count }, (_, n) => partsAt((from + n) * 0.037, 1))
  const sent = await Promise.all(
    scenes.map(async (parts) => {
      const bytes = await pictureOf(parts)
      return { digest: digestOf(bytes), bytes, ...sceneSize, form: 'image/jpeg' as const }
    }),
  )
  const ok = async (method: string, path: string, body: object) => {
    const reply = await hub.api(method, path, body)
    assert.ok(reply.ok, `${method} ${path}: ${await reply.clone().text()}`)
  }
  const sending = await sendPack(hub, writePack(sent))
  assert.ok(sending.ok, await sending.text())
  await ok('POST', '/api/datasets', { name: dataset, labels: conveyorLabels })
  const samples: DatasetSample[] = sent.map(({ digest }, n) => ({
    digest,
    name: `${queue}/${n}.jpg`,
    ...sceneSize,
    annotations: [],
    site: 'plant',
    stream: 'belt',
    capturedAt: new Date(Date.UTC(2026, 10, 20, 8, n)).toISOString(),
  }))
  await ok('PUT', `/api/datasets/${dataset}/samples`, { samples })
  await ok('PUT', `/api/label-queues/${queue}`, { dataset, models: [], ...config })
  await ok('POST', `/api/label-queues/${queue}/tasks`, {
    digests: sent.map(({ digest }) => digest),
    why: 'the model was not sure',
  })
  // The hub looks at every picture by itself, and orders tasks by that: what is written below has to come after it.
  for (let tries = 0; ; tries++) {
    const { left } = await hub.inStore(({ writer }) =>
      writer
        .selectFrom('label_task')
        .select(({ fn }) => fn.countAll<number>().as('left'))
        .where('queue', '=', queue)
        .where('looks', '=', '')
        .executeTakeFirstOrThrow(),
    )
    if (Number(left) === 0) break
    assert.ok(tries < 600, `${left} tasks of "${queue}" were not looked at`)
    await sleep(100)
  }
  // What boxes and models would have proposed, in the order of the belt; an order by use is the same one, however often
  // it is made anew.
  await hub.inStore(async ({ writer }) => {
    for (const [n, { digest }] of sent.entries()) {
      await writer
        .updateTable('label_task')
        .set({
          suggestions: JSON.stringify(suggest(scenes[n] ?? [], n)),
          use_share: 1 - n / (count + 1),
          doubt: 1 - n / (count + 1),
          novelty: 1,
          looks: unknowable,
          embedding: '',
        })
        .where('queue', '=', queue)
        .where('digest', '=', digest)
        .execute()
    }
  })
  return {
    queue,
    dataset,
    frames: sent.map(({ digest }, n) => ({ digest, parts: scenes[n] ?? [] })),
    said: async (frame) => {
      const reply = await hub.api('GET', `/api/datasets/${dataset}/samples/${sent[frame]?.digest}`)
      if (reply.status === 404) return undefined
      return ((await reply.json()) as { sample: DatasetSample }).sample.annotations
    },
  }
}

/** What a good model would propose for a scene. */
export const suggestionsOf = (parts: readonly Part[]): Suggestion[] =>
  parts.map(({ label, score, box }) => ({ label, score, box: [...box], from: 'box:parts@1' }))
