/** What labelling and drift know of streams, for whoever deals out what they may send: read from their tables. */
import { sql } from 'kysely'
import type { Store } from '../store/store.ts'
import type { StreamKnowledge } from './sample-purse.ts'

const dayMs = 86_400_000
/** How far back answers of people tell whether a stream is worth their time. */
const lookedBackDays = 30

export const openStreamKnowledge = (deps: {
  store: Store
  clock: () => number
}): StreamKnowledge => ({
  labelled: async () => {
    const rows = await deps.store.reader
      .selectFrom('label_answer')
      .innerJoin('label_task', 'label_task.task_id', 'label_answer.task_id')
      .select(['label_task.device_id', 'label_task.stream_id'])
      .select(({ fn }) => [
        fn.countAll<number>().as('labelled'),
        fn.sum<number>(sql`case when label_answer.edits > 0 then 1 else 0 end`).as('mended'),
      ])
      .where('label_answer.verdict', '=', 'annotated')
      .where('label_answer.at', '>=', deps.clock() - lookedBackDays * dayMs)
      .groupBy(['label_task.device_id', 'label_task.stream_id'])
      .execute()
    return new Map(
      rows.map(({ device_id, stream_id, labelled, mended }) => [
        `${device_id}/${stream_id}`,
        { labelled: Number(labelled), mended: Number(mended) },
      ]),
    )
  },
  alarms: async () => {
    const rows = await deps.store.reader
      .selectFrom('drift_alarm')
      .innerJoin('device', 'device.device_key', 'drift_alarm.device_key')
      .select(['device.device_id', 'drift_alarm.stream_id'])
      .where('drift_alarm.ended_at', 'is', null)
      .execute()
    return new Set(rows.map(({ device_id, stream_id }) => `${device_id}/${stream_id}`))
  },
})
