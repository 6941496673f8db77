/** A small dataset that a net learns in seconds: a bright square in one of four corners, in grey, with noise. */
import assert from 'node:assert/strict'
import {
  type DatasetSample,
  type DatasetVersion,
  isOver,
  type Job,
  type PackedPicture,
  type SplitRequest,
  writePack,
} from '@edgeloop/protocol'
import { digestOf, type ReachedHub, sampleOf, sendPack } from './dataset-parts.ts'
import type { TestHub } from './fixture.ts'

export const cornerLabels = ['north-east', 'north-west', 'south-east', 'south-west'] as const
const side = 28
/** Seeds of pictures that look quite otherwise. */
export const darkSquares = 100_000

/** @param seed differs from that of every other picture; from 100,000 on the square is dark on a bright ground */
function corner(label: number, seed: number): PackedPicture {
  const bytes = new Uint8Array(side * side)
  // A plain generator: the same pictures on every machine.
  let state = seed * 2_654_435_761 + 1
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const [x, y] = [label % 2 === 0 ? 14 : 0, label < 2 ? 0 : 14]
  const [dx, dy] = [Math.floor(next() * 6), Math.floor(next() * 6)]
  for (let at = 0; at < bytes.length; at++) {
    const [column, row] = [at % side, Math.floor(at / side)]
    const inside = column >= x + dx && column < x + dx + 8 && row >= y + dy && row < y + dy + 8
    const value = Math.floor(next() * 90) + (inside ? 120 : 0)
    bytes[at] = seed >= darkSquares ? 255 - value : value
  }
  return { digest: digestOf(bytes), bytes, width: side, height: side, form: 'raw-grey' }
}

/**
 * Puts samples into a dataset, as many of each label.
 * @param from of the first picture's seed
 * @param facts what else is known of a picture, by its seed
 */
export async function putCorners(
  hub: ReachedHub,
  dataset: string,
  count: number,
  from = 0,
  facts: (at: number) => Partial<DatasetSample> = () => ({}),
): Promise<DatasetSample[]> {
  const sent = Array.from({ length: count }, (_, i) => corner(i % 4, from + i))
  assert.equal((await sendPack(hub, writePack(sent))).status, 200)
  const samples = sent.map((one, i) => ({
    ...sampleOf(one, `${from + i}`, [{ kind: 'class', label: cornerLabels[i % 4] ?? '' }]),
    ...facts(from + i),
  }))
  const put = await hub.api('PUT', `/api/datasets/${dataset}/samples`, { samples })
  assert.ok(put.ok, await put.text())
  return samples
}

/** A dataset of corners, frozen. */
export async function addCorners(
  hub: TestHub,
  dataset = 'corners',
  count = 120,
  split: SplitRequest = { holdout: 0.25, seed: 1 },
): Promise<DatasetVersion> {
  const labels = [...cornerLabels]
  const added = await hub.api('POST', '/api/datasets', { name: dataset, labels })
  assert.ok(added.ok, await added.text())
  await putCorners(hub, dataset, count)
  return await freeze(hub, dataset, split)
}

export async function freeze(
  hub: TestHub,
  dataset: string,
  split: SplitRequest,
): Promise<DatasetVersion> {
  const asked = await hub.api('POST', `/api/datasets/${dataset}/versions`, { split })
  assert.ok(asked.ok, await asked.clone().text())
  let job = (await asked.json()) as Job
  while (!isOver(job)) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    job = (await (await hub.api('GET', `/api/jobs/${job.jobId}`)).json()) as Job
  }
  assert.equal(job.error, '')
  const versions = await hub.api('GET', `/api/datasets/${dataset}/versions`)
  const [newest] = (await versions.json()) as DatasetVersion[]
  return newest ?? assert.fail('nothing was frozen')
}
