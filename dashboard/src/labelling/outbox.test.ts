import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CallFailed, type LabelAnswer, type LabelOutcomes } from '@edgeloop/protocol'
import type { AnswerStore, WaitingAnswer } from './answer-store.ts'
import { Outbox } from './outbox.ts'

const answerOf = (n: number): LabelAnswer => ({
  answerId: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
  taskId: n,
  revision: 0,
  verdict: 'annotated',
  annotations: [],
  lookedMs: 1,
  edits: 0,
})

/** A store as a browser has it, which outlives what uses it. */
function storeOf(
  rows = new Map<string, WaitingAnswer>(),
  room = Number.POSITIVE_INFINITY,
): AnswerStore {
  return {
    put: async (waiting) => {
      if (rows.size >= room && !rows.has(waiting.answer.answerId)) throw new Error('QuotaExceeded')
      rows.set(waiting.answer.answerId, structuredClone(waiting))
    },
    list: async () => [...rows.values()],
    remove: async (answerId) => rows.delete(answerId),
  }
}

type Hub = (queue: string, answers: readonly LabelAnswer[]) => LabelOutcomes

function open(t: TestContext, store: AnswerStore, hub: Hub, user = 'anna') {
  const stop = new AbortController()
  const outbox = new Outbox({
    user,
    store,
    now: () => 5,
    random: () => 0,
    announce: () => {},
    post: async (queue, answers) => {
      await sleep(1)
      return hub(queue, answers)
    },
    // As long as it is told to in tests of waiting; here nobody waits.
    wait: async (ms, signal) => {
      await sleep(Math.min(ms, 5), undefined, { signal }).catch(() => {})
    },
    alone: async (act) => await act(),
  })
  const running = outbox.run(stop.signal)
  const close = async () => {
    stop.abort()
    await running
  }
  t.after(close)
  return { outbox, close }
}

const kept: Hub = (_, answers) => ({
  outcomes: answers.map(({ answerId }) => ({
    answerId,
    outcome: 'kept',
    state: 'done',
    revision: 1,
  })),
})

const until = async (t: TestContext, ready: () => boolean) =>
  await t.waitFor(() => assert.ok(ready()), { timeout: 10_000 })

test('answers go in order, whatever fails on the way, and each is kept once', async (t) => {
  const had: string[] = []
  let asked = 0
  const { outbox } = open(t, storeOf(), (queue, answers) => {
    asked++
    if (asked <= 3) throw new CallFailed('unreachable', 0, 'The hub does not answer')
    if (asked === 4) throw new CallFailed('internal', 500, 'broken')
    for (const { answerId } of answers) if (!had.includes(answerId)) had.push(answerId)
    // The answer of the hub is lost once.
    if (asked === 5) throw new CallFailed('unreachable', 0, 'cut')
    return kept(queue, answers)
  })
  for (let n = 1; n <= 120; n++) await outbox.put('parts', answerOf(n))
  await until(t, () => outbox.state.unsent === 0)
  assert.deepEqual(
    had,
    Array.from({ length: 120 }, (_, n) => answerOf(n + 1).answerId),
  )
  assert.equal(outbox.state.why, undefined)
})

test('what waits is still there after the page has gone', async (t) => {
  const rows = new Map<string, WaitingAnswer>()
  const before = open(t, storeOf(rows), () => {
    throw new CallFailed('unreachable', 0, 'The hub does not answer')
  })
  for (let n = 1; n <= 30; n++) await before.outbox.put('parts', answerOf(n))
  assert.equal(before.outbox.state.unsent, 30)
  await until(t, () => before.outbox.state.why === 'The hub does not answer')
  await before.close()
  const had: number[] = []
  const after = open(t, storeOf(rows), (queue, answers) => {
    had.push(...answers.map(({ taskId }) => taskId))
    return kept(queue, answers)
  })
  await until(t, () => had.length === 30 && after.outbox.state.unsent === 0)
  assert.equal(new Set(had).size, 30)
})

test('a conflict and a refusal stay with their reason; the others go on', async (t) => {
  const { outbox } = open(t, storeOf(), (_, answers) => ({
    outcomes: answers.map(({ answerId, taskId, again }) => {
      if (taskId === 2 && !again) return { answerId, outcome: 'conflict', revision: 4 }
      if (taskId === 3)
        return { answerId, outcome: 'refused', reason: 'the label "x" is not known' }
      return { answerId, outcome: 'kept', state: 'done', revision: 1 }
    }),
  }))
  for (const n of [1, 2, 3, 4]) await outbox.put('parts', answerOf(n))
  await until(t, () => outbox.state.unsent === 0)
  const troubles = () =>
    outbox.state.troubled.map(({ answer, trouble }) => [answer.taskId, trouble?.kind])
  assert.deepEqual(troubles(), [
    [2, 'conflict'],
    [3, 'refused'],
  ])
  await outbox.insist(answerOf(2).answerId, 4)
  await until(t, () => outbox.state.unsent === 0 && outbox.state.troubled.length === 1)
  await outbox.discard(answerOf(3).answerId)
  assert.deepEqual(troubles(), [])
})

test('of several answers that are refused whole, the one that it is about is found', async (t) => {
  const { outbox } = open(t, storeOf(), (queue, answers) => {
    if (answers.some(({ taskId }) => taskId === 2))
      throw new CallFailed('badRequest', 400, 'odd box')
    return kept(queue, answers)
  })
  for (const n of [1, 2, 3]) await outbox.put('parts', answerOf(n))
  await until(t, () => outbox.state.unsent === 0)
  assert.deepEqual(
    outbox.state.troubled.map(({ answer, trouble }) => [answer.taskId, trouble?.reason]),
    [[2, 'odd box']],
  )
})

test('nobody sends what another answered; both are counted', async (t) => {
  const rows = new Map<string, WaitingAnswer>()
  const had: number[] = []
  const away = open(t, storeOf(rows), () => {
    throw new CallFailed('notSignedIn', 401, 'Sign in first')
  })
  await away.outbox.put('parts', answerOf(1))
  await until(t, () => away.outbox.state.stopped === 'signedOut')
  await away.close()
  const { outbox } = open(
    t,
    storeOf(rows),
    (queue, answers) => {
      had.push(...answers.map(({ taskId }) => taskId))
      return kept(queue, answers)
    },
    'ben',
  )
  await outbox.put('parts', answerOf(2))
  await until(t, () => outbox.state.unsent === 0 && had.length === 1)
  assert.deepEqual(had, [2])
  assert.equal(outbox.state.ofOthers, 1)
})

test('an answer is withdrawn only while it has not left', async (t) => {
  let isAway = true
  const { outbox } = open(t, storeOf(), (queue, answers) => {
    if (isAway) throw new CallFailed('unreachable', 0, 'away')
    return kept(queue, answers)
  })
  await outbox.put('parts', answerOf(1))
  await until(t, () => outbox.state.why === 'away')
  // Between two tries.
  await until(t, () => outbox.state.unsent === 1)
  let withdrawn = false
  while (!withdrawn) {
    await sleep(1)
    withdrawn = await outbox.withdraw(answerOf(1).answerId)
  }
  assert.equal(outbox.state.unsent, 0)
  isAway = false
  await outbox.put('parts', answerOf(2))
  await until(t, () => outbox.state.unsent === 0)
  assert.equal(await outbox.withdraw(answerOf(2).answerId), false)
})

test('where the browser has no room, it is said, and the answer is sent all the same', async (t) => {
  let isAway = true
  const { outbox } = open(t, storeOf(new Map(), 1), (queue, answers) => {
    if (isAway) throw new CallFailed('unreachable', 0, 'away')
    return kept(queue, answers)
  })
  await outbox.put('parts', answerOf(1))
  assert.equal(outbox.state.durable, true)
  await outbox.put('parts', answerOf(2))
  assert.equal(outbox.state.durable, false)
  assert.equal(outbox.state.unsent, 2)
  isAway = false
  await until(t, () => outbox.state.unsent === 0)
  assert.equal(outbox.state.durable, true)
})
