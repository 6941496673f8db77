/** What people did in a queue: how fast, how much they had to mend, and how much they agree. */
import type { AnnotatorFigures, QueueStatistics, SampleAnnotation } from '@edgeloop/protocol'
import type { Store } from '../store/store.ts'
import { comparedOf, kappaOf } from './consensus.ts'
import { findQueue } from './queue-row.ts'
import { ruleDefaults } from './settle.ts'
import { annotationsOf } from './task-row.ts'

const dayMs = 86_400_000
const daysShown = 30
/** Answers that figures are made of, the newest. */
const answersMax = 20_000
/** Tasks whose answers are compared, the newest. */
const comparedTasksMax = 2000
/** A frame that lay open for longer was left alone: it says nothing of how fast somebody is. */
const lookedMsMax = 10 * 60_000

/** @throws {Refusal} notFound */
export async function readStatistics(
  store: Store,
  name: string,
  now: number,
): Promise<QueueStatistics> {
  const { config } = await findQueue(store.reader, name)
  const answers = await store.reader
    .selectFrom('label_answer')
    .select(['task_id', 'person', 'part', 'verdict', 'looked_ms', 'edits', 'suggested', 'at'])
    .where('queue', '=', name)
    .where('counts', '=', 1)
    .where('verdict', '<>', 'skip')
    .orderBy('at', 'desc')
    .limit(answersMax)
    .execute()
  const { count } = await store.reader
    .selectFrom('label_answer')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('queue', '=', name)
    .where('counts', '=', 1)
    .where('verdict', '<>', 'skip')
    .executeTakeFirstOrThrow()
  const compared = await compare(store, name, config.agreeIou ?? ruleDefaults.agreeIou)
  const people = [...Map.groupBy(answers, ({ person }) => person)].map(
    ([by, own]): AnnotatorFigures => ({
      by,
      answers: own.length,
      untouched: own.filter(isUntouched).length,
      lookedMs: median(own.map(({ looked_ms }) => looked_ms)),
      perMinute: perMinute(own),
      editsPerFrame: own.reduce((sum, { edits }) => sum + edits, 0) / own.length,
      agreement: compared.people.get(by) ?? null,
    }),
  )
  const annotated = answers.filter(
    ({ verdict, suggested }) => verdict === 'annotated' && suggested > 0,
  )
  return {
    queue: name,
    answers: Number(count),
    perMinute: perMinute(answers),
    untouched:
      annotated.length === 0 ? null : annotated.filter(isUntouched).length / annotated.length,
    agreement: compared.all,
    people: people.toSorted((a, b) => b.answers - a.answers || a.by.localeCompare(b.by)),
    days: await daysOf(store, name, now),
  }
}

type Timed = { readonly looked_ms: number; readonly edits: number; readonly verdict: string }

const isUntouched = ({ verdict, edits, suggested }: Timed & { readonly suggested: number }) =>
  verdict === 'annotated' && edits === 0 && suggested > 0

function perMinute(answers: readonly Timed[]): number {
  const looked = answers
    .map(({ looked_ms }) => looked_ms)
    .filter((ms) => ms > 0 && ms <= lookedMsMax)
  const total = looked.reduce((sum, ms) => sum + ms, 0)
  return total === 0 ? 0 : (looked.length * 60_000) / total
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Answers of each of the last days; one query, and the days without any as well. */
async function daysOf(store: Store, queue: string, now: number): Promise<QueueStatistics['days']> {
  const today = Math.floor(now / dayMs)
  const rows = await store.reader
    .selectFrom('label_answer')
    .select(({ fn, eb }) => [
      // Whole days since 1970: both stores divide integers to integers.
      eb('at', '/', eb.lit(dayMs)).as('day'),
      fn.countAll<number>().as('answers'),
    ])
    .where('queue', '=', queue)
    .where('at', '>=', (today - daysShown + 1) * dayMs)
    .where('counts', '=', 1)
    .where('verdict', '<>', 'skip')
    .groupBy('day')
    .execute()
  const counts = new Map(rows.map(({ day, answers }) => [Number(day), Number(answers)]))
  return Array.from({ length: daysShown }, (_, at) => {
    const day = today - daysShown + 1 + at
    return {
      day: new Date(day * dayMs).toISOString().slice(0, 10),
      answers: counts.get(day) ?? 0,
    }
  })
}

/** Each pair of people who saw the same task, and what they said of it. */
async function compare(
  store: Store,
  queue: string,
  iouMin: number,
): Promise<{ all: QueueStatistics['agreement']; people: Map<string, number> }> {
  const tasks = await store.reader
    .selectFrom('label_answer')
    .select(({ fn }) => ['task_id', fn.max('at').as('last')])
    .where('queue', '=', queue)
    .where('counts', '=', 1)
    .where('verdict', '=', 'annotated')
    .groupBy('task_id')
    .having(({ fn }) => fn.countAll(), '>', 1)
    .orderBy('last', 'desc')
    .limit(comparedTasksMax)
    .execute()
  const rows = []
  for (let at = 0; at < tasks.length; at += 500) {
    const some = await store.reader
      .selectFrom('label_answer')
      .select(['task_id', 'person', 'annotations'])
      .where(
        'task_id',
        'in',
        tasks.slice(at, at + 500).map(({ task_id }) => task_id),
      )
      .where('counts', '=', 1)
      .where('verdict', '=', 'annotated')
      .execute()
    rows.push(...some)
  }
  const labels: [string, string][] = []
  const sums = new Map<string, { matched: number; all: number }>()
  const total = { matched: 0, all: 0 }
  const add = (person: string, more: { matched: number; all: number }): void => {
    const sum = sums.get(person) ?? { matched: 0, all: 0 }
    sums.set(person, { matched: sum.matched + more.matched, all: sum.all + more.all })
  }
  let seen = 0
  for (const said of Map.groupBy(rows, ({ task_id }) => task_id).values()) {
    const read = said.map((row): { person: string; annotations: SampleAnnotation[] } => ({
      person: row.person,
      annotations: annotationsOf(row),
    }))
    seen++
    for (const [at, one] of read.entries()) {
      for (const other of read.slice(at + 1)) {
        if (other.person === one.person) continue
        const found = comparedOf(one.annotations, other.annotations, iouMin)
        labels.push(...found.labels)
        total.matched += found.matched
        total.all += found.all
        add(one.person, found)
        add(other.person, found)
      }
    }
  }
  const kappa = kappaOf(labels)
  return {
    all:
      total.all === 0
        ? null
        : { tasks: seen, matched: total.matched / total.all, kappa: kappa ?? null },
    people: new Map([...sums].map(([person, { matched, all }]) => [person, matched / all])),
  }
}
