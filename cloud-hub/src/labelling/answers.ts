/**
 * Answers: each is taken once, by the number that its sender made. In one transaction it is kept, the task moves on,
 * what it says is in the dataset, and the change is in the audit log. What was looked at before somebody else answered
 * is a conflict, never an overwrite; what can never be kept is refused with the reason, and the others are kept.
 */
import type {
  DatasetSample,
  LabelAnswer,
  LabelOutcomes,
  SampleAnnotation,
  TaskState,
} from '@edgeloop/protocol'
import type { Transaction } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import { type DatasetDesk, find as findDataset, labelsOf } from '../datasets/datasets.ts'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import { answerFault, kindsOf } from './answer-fault.ts'
import { beginQueue, type Queue } from './queue-row.ts'
import {
  type AnswerPart,
  admitAnswer,
  type CountedAnswer,
  type Settled,
  settle,
  type Verdict,
} from './settle.ts'
import {
  type AnswerRow,
  annotationsOf,
  countedAnswers,
  suggestionsOf,
  type TaskRow,
} from './task-row.ts'

type Outcome = LabelOutcomes['outcomes'][number]

export type AnswerDesk = {
  /** @throws {Refusal} notFound where queue or dataset is none */
  take(
    queue: string,
    answers: readonly LabelAnswer[],
    person: string,
    note: AuditNote,
  ): Promise<LabelOutcomes>
}

export function openAnswerDesk(deps: {
  store: Store
  datasets: DatasetDesk
  clock: () => number
  /** Is told what was answered, when it is committed. */
  answered: (queue: Queue, taskIds: readonly number[]) => void
}): AnswerDesk {
  const { store, datasets, clock, answered } = deps
  return {
    take: async (name, answers, person, note) => {
      const { queue, outcomes } = await store.writer.transaction().execute(async (tx) => {
        const queue = await beginQueue(tx, name)
        const labels = labelsOf(await findDataset(tx, queue.config.dataset))
        const scene: Scene = { tx, datasets, queue, labels, person, now: clock() }
        const outcomes: Outcome[] = []
        // One after the other: a later one may speak of the same task.
        for (const answer of answers) {
          outcomes.push(await takeOne(scene, answer))
        }
        const kept = outcomes.filter(({ outcome }) => outcome === 'kept').length
        note.about({ detail: `${kept} of ${answers.length} kept` })
        await note.within(tx)
        return { queue, outcomes }
      })
      const kept = answers.flatMap(({ taskId }, at) =>
        outcomes[at]!.outcome === 'kept' ? [taskId] : [],
      )
      if (kept.length > 0) answered(queue, [...new Set(kept)])
      return { outcomes }
    },
  }
}

type Scene = {
  readonly tx: Transaction<Tables>
  readonly datasets: DatasetDesk
  readonly queue: Queue
  readonly labels: readonly string[]
  readonly person: string
  readonly now: number
}

async function takeOne(scene: Scene, answer: LabelAnswer): Promise<Outcome> {
  const { tx, queue, labels, person } = scene
  const { answerId, taskId, verdict } = answer
  const refused = (reason: string): Outcome => ({
    answerId,
    outcome: 'refused',
    reason: reason.slice(0, 500),
  })
  const task = await tx
    .selectFrom('label_task')
    .selectAll()
    .where('task_id', '=', taskId)
    .where('queue', '=', queue.name)
    .executeTakeFirst()
  const same = await tx
    .selectFrom('label_answer')
    .selectAll()
    .where('answer_id', '=', answerId)
    .executeTakeFirst()
  if (same && (same.person !== person || same.task_id !== taskId)) {
    return refused(`The number "${answerId}" is that of another answer; make a new one`)
  }
  if (!task) return refused(`There is no task ${taskId} in the queue "${queue.name}"`)
  const where = { state: task.state as TaskState, revision: task.revision }
  if (same) return { answerId, outcome: 'kept', ...where }

  const answers = (await countedAnswers(tx, [taskId])).get(taskId) ?? []
  // What somebody decided counts before what they had said as one of several.
  const own = answers.findLast(
    (one) => one.person === person && (one.verdict !== 'skip' || answer.again === true),
  )
  const admission = admitAnswer(
    queue.config,
    {
      ...where,
      ...(own && {
        own: { part: own.part as AnswerPart, madeFor: own.made_for, ledTo: own.led_to },
      }),
    },
    answer,
  )
  if ('reason' in admission) return refused(admission.reason)
  if ('outcome' in admission) return { answerId, outcome: 'conflict', ...where }
  const picture = await tx
    .selectFrom('sample')
    .select('digest')
    .where('digest', '=', task.digest)
    .executeTakeFirst()
  if (!picture) return refused('Cannot keep the answer: its picture is gone from the hub')
  const before = await saidBefore(scene, task)
  if (verdict === 'annotated') {
    const fault = answerFault(answer.annotations, {
      config: queue.config,
      labels,
      before: before ?? [],
    })
    if (fault !== undefined) return refused(`Cannot keep the answer: ${fault}`)
  }
  return await keep(scene, { task, before, answers, answer, as: admission.as })
}

/** What the dataset says of the sample that no answer of this task has said; null where it was not in it. */
async function saidBefore(
  { tx, queue }: Scene,
  { before, digest, state }: TaskRow,
): Promise<SampleAnnotation[] | null> {
  if (state === 'done' || state === 'bad')
    return before === null ? null : (JSON.parse(before) as SampleAnnotation[])
  const row = await tx
    .selectFrom('dataset_sample')
    .select('annotations')
    .where('dataset', '=', queue.config.dataset)
    .where('digest', '=', digest)
    .executeTakeFirst()
  return row ? (JSON.parse(row.annotations) as SampleAnnotation[]) : null
}

type Given = {
  readonly task: TaskRow
  readonly before: SampleAnnotation[] | null
  readonly answers: readonly AnswerRow[]
  readonly answer: LabelAnswer
  readonly as: AnswerPart
}

async function keep(scene: Scene, given: Given): Promise<Outcome> {
  const { tx, queue, person, now } = scene
  const { task, before, answers, answer, as } = given
  const { answerId, verdict } = answer
  // One's own earlier word goes, and whatever was decided before: it was about other words, or is decided anew.
  const replaced = answers.filter(
    (one) =>
      (one.person === person && one.part === as) ||
      (one.part === 'review' && (as === 'label' || verdict !== 'skip')),
  )
  const counted: CountedAnswer[] = [
    ...answers
      .filter((one) => !replaced.includes(one))
      .map((one) => ({
        person: one.person,
        part: one.part as AnswerPart,
        verdict: one.verdict as Verdict,
        annotations: annotationsOf(one),
      })),
    { person, part: as, verdict, annotations: answer.annotations },
  ]
  const settled = settle(queue.config, counted)
  // Where several are asked, the word of one of them changes nothing for the others.
  const moves = settled.state !== 'open' || task.state !== 'open'
  const revision = task.revision + (moves ? 1 : 0)
  await writeDataset(scene, given, settled)
  if (replaced.length > 0) {
    const ids = replaced.map(({ answer_id }) => answer_id)
    await tx.updateTable('label_answer').set({ counts: 0 }).where('answer_id', 'in', ids).execute()
  }
  await tx
    .insertInto('label_answer')
    .values({
      answer_id: answerId,
      task_id: task.task_id,
      queue: queue.name,
      person,
      part: as,
      verdict,
      annotations: JSON.stringify(verdict === 'annotated' ? answer.annotations : []),
      note: answer.note ?? '',
      looked_ms: answer.lookedMs,
      edits: answer.edits,
      suggested: suggestionsOf(task).length,
      counts: 1,
      made_for: answer.revision,
      led_to: revision,
      at: now,
    })
    .execute()
  await tx
    .updateTable('label_task')
    .set({
      state: settled.state,
      revision,
      changed_at: now,
      before:
        (settled.state === 'done' || settled.state === 'bad') && before !== null
          ? JSON.stringify(before)
          : null,
      ...('why' in settled &&
        settled.why !== undefined && { why: `People disagree: ${settled.why}`.slice(0, 500) }),
    })
    .where('task_id', '=', task.task_id)
    .execute()
  await tx
    .deleteFrom('label_hold')
    .where('task_id', '=', task.task_id)
    .where('person', '=', person)
    .execute()
  return { answerId, outcome: 'kept', state: settled.state, revision }
}

/** Puts into the dataset what was agreed on; or puts back what it said before, where that is taken back. */
async function writeDataset(
  { tx, datasets, queue, person }: Scene,
  { task, before }: Given,
  settled: Settled,
): Promise<void> {
  const { dataset } = queue.config
  const put = async (annotations: readonly SampleAnnotation[]): Promise<void> => {
    const sample: DatasetSample = {
      digest: task.digest,
      name: task.name,
      width: task.width,
      height: task.height,
      ...(task.site !== null && { site: task.site }),
      ...(task.stream_id !== null && { stream: task.stream_id }),
      ...(task.captured_at !== null && { capturedAt: new Date(task.captured_at).toISOString() }),
      annotations: [...annotations],
    }
    await datasets.putWithin(tx, dataset, [sample], person)
  }
  if (settled.state === 'done') {
    const asked = kindsOf(queue.config)
    const others = (before ?? []).filter(({ kind }) => !asked.includes(kind))
    const said = settled.annotations.filter(({ kind }) => asked.includes(kind))
    await put([...others, ...said])
  } else if (settled.state === 'bad') {
    await datasets.takeOutWithin(tx, dataset, [task.digest])
  } else if (task.state === 'done' || task.state === 'bad') {
    if (before === null) await datasets.takeOutWithin(tx, dataset, [task.digest])
    else await put(before)
  }
}
