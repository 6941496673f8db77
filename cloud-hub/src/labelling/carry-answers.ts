/** What people said of a frame is proposed for its neighbours in the stream that still wait: most of it has only moved. */
import type { SampleAnnotation } from '@edgeloop/protocol'
import type { Store } from '../store/store.ts'
import { carryOver, mergeSuggestions } from './suggest.ts'
import { suggestionsOf, unknowable } from './task-row.ts'

/** Frames so far apart show the same things. */
const neighbourMs = 5000
/** Neighbours of one frame. */
const neighboursMax = 20

/** @param answered tasks that were answered since the last time */
export async function carryAnswers(
  store: Store,
  queue: string,
  dataset: string,
  answered: readonly number[],
): Promise<void> {
  const done = await store.reader
    .selectFrom('label_task')
    .innerJoin('dataset_sample', (join) =>
      join
        .onRef('dataset_sample.digest', '=', 'label_task.digest')
        .on('dataset_sample.dataset', '=', dataset),
    )
    .selectAll('label_task')
    .select('dataset_sample.annotations')
    .where('task_id', 'in', [...answered])
    .where('state', '=', 'done')
    .where('label_task.captured_at', 'is not', null)
    .where('label_task.stream_id', 'is not', null)
    .execute()
  for (const frame of done) {
    const { device_id, stream_id, captured_at } = frame
    const annotations = JSON.parse(frame.annotations) as SampleAnnotation[]
    if (annotations.length === 0 || captured_at === null) continue
    const from = { looks: looksOf(frame.looks), suggestions: suggestionsOf(frame) }
    await store.writer.transaction().execute(async (tx) => {
      const neighbours = await tx
        .selectFrom('label_task')
        .select(['task_id', 'looks', 'suggestions', 'captured_at'])
        .where('queue', '=', queue)
        .where('state', '=', 'open')
        .where('device_id', device_id === null ? 'is' : '=', device_id)
        .where('stream_id', '=', stream_id)
        .where('captured_at', '>=', captured_at - neighbourMs)
        .where('captured_at', '<=', captured_at + neighbourMs)
        .orderBy('captured_at')
        .limit(neighboursMax)
        .execute()
      for (const neighbour of neighbours) {
        const before = suggestionsOf(neighbour)
        const carried = carryOver(annotations, from, {
          looks: looksOf(neighbour.looks),
          suggestions: before,
        })
        if (carried.length === 0) continue
        // The frame that was answered last is the nearest to what people mean now.
        const others = before.filter((one) => one.from !== 'track')
        await tx
          .updateTable('label_task')
          .set({ suggestions: JSON.stringify(mergeSuggestions([carried, others])) })
          .where('task_id', '=', neighbour.task_id)
          .execute()
      }
    })
  }
}

const looksOf = (looks: string): string => (looks === unknowable ? '' : looks)
