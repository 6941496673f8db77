/** Tasks as the store has them, and as people see them. */
import type {
  LabelTask,
  SampleAnnotation,
  SampleReason,
  Suggestion,
  TaskState,
} from '@edgeloop/protocol'
import type { Kysely, Selectable } from 'kysely'
import type { LabelAnswerTable, LabelTaskTable, Tables } from '../store/tables.ts'
import type { Looks } from './use.ts'

export type TaskRow = Selectable<LabelTaskTable>
export type AnswerRow = Selectable<LabelAnswerTable>

/** Looks of a picture that cannot be read, or is gone. */
export const unknowable = '?'

/** Rows in one query. */
export const queryRowsMax = 500

export const suggestionsOf = ({ suggestions }: Pick<TaskRow, 'suggestions'>): Suggestion[] =>
  JSON.parse(suggestions) as Suggestion[]

export const annotationsOf = ({ annotations }: Pick<AnswerRow, 'annotations'>) =>
  JSON.parse(annotations) as SampleAnnotation[]

export const looksOf = ({ looks, embedding }: Pick<TaskRow, 'looks' | 'embedding'>): Looks => ({
  hash: looks === unknowable ? '' : looks,
  embedding: embeddingOf(embedding),
})

/** @param text as `embeddingText` wrote it */
export const embeddingOf = (text: string): Float32Array =>
  text === '' ? new Float32Array() : new Float32Array(JSON.parse(text) as number[])

/** Four digits are more than any distance needs. */
export const embeddingText = (embedding: Float32Array): string =>
  JSON.stringify([...embedding].map((value) => Math.round(value * 1e4) / 1e4))

/** Answers that count, of each of these tasks, in the order in which they came. */
export async function countedAnswers(
  db: Kysely<Tables>,
  taskIds: readonly number[],
): Promise<Map<number, AnswerRow[]>> {
  const rows: AnswerRow[] = []
  for (let at = 0; at < taskIds.length; at += queryRowsMax) {
    const some = await db
      .selectFrom('label_answer')
      .selectAll()
      .where('task_id', 'in', taskIds.slice(at, at + queryRowsMax))
      .where('counts', '=', 1)
      .orderBy('at')
      .orderBy('answer_id')
      .execute()
    rows.push(...some)
  }
  return Map.groupBy(rows, ({ task_id }) => task_id)
}

/**
 * Tasks as somebody sees them.
 * @param person who asks: is not told of themselves, and not what others said of what they have still to answer
 */
export async function shownTasks(
  db: Kysely<Tables>,
  rows: readonly TaskRow[],
  person: string,
  now: number,
): Promise<LabelTask[]> {
  if (rows.length === 0) return []
  const taskIds = rows.map(({ task_id }) => task_id)
  const answers = await countedAnswers(db, taskIds)
  const holds = await db
    .selectFrom('label_hold')
    .selectAll()
    .where('task_id', 'in', taskIds)
    .where('until', '>', now)
    .where('person', '<>', person)
    .orderBy('until', 'desc')
    .execute()
  return rows.map((row): LabelTask => {
    const heldBy = holds.find(({ task_id }) => task_id === row.task_id)?.person
    const said = (answers.get(row.task_id) ?? []).filter(
      (answer) => answer.verdict !== 'skip' && (row.state !== 'open' || answer.person === person),
    )
    return {
      taskId: row.task_id,
      queue: row.queue,
      state: row.state as TaskState,
      sample: {
        digest: row.digest,
        width: row.width,
        height: row.height,
        ...(row.site !== null && { site: row.site }),
        ...(row.device_id !== null && { deviceId: row.device_id }),
        ...(row.stream_id !== null && { streamId: row.stream_id }),
        ...(row.captured_at !== null && { capturedAt: new Date(row.captured_at).toISOString() }),
      },
      ...(row.reason !== '' && { reason: row.reason as SampleReason }),
      why: row.why,
      use: row.use_share,
      suggestions: suggestionsOf(row),
      answers: said.map((answer) => ({
        by: answer.person,
        at: new Date(answer.at).toISOString(),
        verdict: answer.verdict,
        annotations: annotationsOf(answer),
        note: answer.note,
      })),
      ...(heldBy !== undefined && { heldBy }),
      revision: row.revision,
    }
  })
}
