import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LabelTask } from '@edgeloop/protocol'
import fc from 'fast-check'
import {
  added,
  aheadOf,
  answered,
  answeredEmpty,
  answerOf,
  changed,
  copiedFromPrevious,
  copiedToNext,
  type Desk,
  draftOf,
  editsOf,
  emptyDesk,
  frameAt,
  goneTo,
  redone,
  removed,
  selectedNext,
  selectedPiece,
  stepsMax,
  undone,
  withBasis,
  withDraft,
  withTasks,
} from './desk.ts'
import { taskOf } from './label-task.test-rows.ts'
import { boxBetween } from './shapes.ts'

const answerId = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const accept = (desk: Desk, n: number) =>
  answered(desk, { answerId: answerId(n), verdict: 'annotated' })
const opened = (...tasks: LabelTask[]) => withTasks(emptyDesk('bolt'), tasks)
const drawn = (desk: Desk) => frameAt(desk)?.pieces.map(({ label, shape }) => [label, shape])

test('suggestions that a model is sure enough of are accepted as they are', () => {
  const desk = accept(opened(taskOf(1), taskOf(2)), 1)
  const [first] = desk.frames
  assert.equal(desk.at, 1, 'the next frame came up')
  assert.ok(first)
  assert.deepEqual(answerOf(first, desk.threshold), {
    answerId: answerId(1),
    taskId: 1,
    revision: 0,
    verdict: 'annotated',
    lookedMs: 0,
    edits: 0,
    annotations: [{ kind: 'box', label: 'bolt', box: [0.1, 0.1, 0.2, 0.2] }],
  })
  assert.equal(answerOf(first, 0.2)?.annotations.length, 2)
})

test('edits are what was changed, added and removed of what is shown', () => {
  let desk = opened(taskOf(1))
  const edits = () => editsOf(frameAt(desk)!, desk.threshold)
  assert.equal(edits(), 0)
  desk = selectedNext(desk, 1)
  desk = changed(desk, 'said it is another', { label: 'nut' })
  assert.equal(edits(), 1)
  desk = added(desk, boxBetween([1, 1], [20, 20]))
  assert.equal(edits(), 2)
  desk = removed(desk)
  assert.equal(edits(), 1)
  desk = selectedNext({ ...desk, selected: undefined }, 1)
  desk = removed(desk)
  assert.equal(edits(), 1)
  assert.deepEqual(drawn(desk)?.length, 1, 'the unsure one is still there, and not shown')
})

test('undo goes back over five frames, and redo forward again', () => {
  let desk = opened(...[1, 2, 3, 4, 5, 6].map((n) => taskOf(n)))
  const before = desk.frames
  for (let n = 1; n <= 5; n++) {
    desk = added({ ...desk, label: 'nut' }, boxBetween([n, n], [n + 30, n + 30]))
    desk = accept(desk, n)
  }
  const after = desk.frames
  assert.equal(desk.at, 5)
  for (let n = 5; n >= 1; n--) {
    const back = undone(desk)
    assert.equal(back.step?.answer?.after?.answerId, answerId(n))
    assert.equal(back.desk.at, n - 1, 'the frame is shown again')
    desk = undone(back.desk).desk
  }
  assert.deepEqual(desk.frames, before)
  for (let n = 0; n < 10; n++) desk = redone(desk).desk
  assert.deepEqual(desk.frames, after)
  assert.equal(redone(desk).step, undefined)
})

test('at most 50 steps are kept; a held arrow is one of them', () => {
  let desk = added(opened(taskOf(1)), boxBetween([0, 0], [10, 10]))
  for (let n = 1; n <= 30; n++)
    desk = changed(desk, 'nudged a box', { shape: boxBetween([n, 0], [n + 10, 10]) })
  assert.equal(desk.steps.length, 2)
  desk = undone(desk).desk
  assert.deepEqual(drawn(desk)?.at(-1), ['bolt', boxBetween([0, 0], [10, 10])])
  for (let n = 0; n < 80; n++) desk = added(desk, boxBetween([0, 0], [n + 5, 10]))
  assert.equal(desk.steps.length, stepsMax)
})

test('any steps, all taken back, leave what was there before; all done again, what came of them', () => {
  const act = fc.constantFrom('add', 'remove', 'label', 'select', 'accept', 'none', 'copy', 'back')
  fc.assert(
    fc.property(fc.array(act, { maxLength: 40 }), (acts) => {
      const begin = opened(...[1, 2, 3, 4].map((n) => taskOf(n)))
      let desk = begin
      for (const [n, one] of acts.entries()) {
        if (one === 'add') desk = added(desk, boxBetween([n, n], [n + 20, n + 20]))
        if (one === 'remove') desk = removed(desk)
        if (one === 'label') desk = changed(desk, 'said it is another', { label: `l${n}` })
        if (one === 'select') desk = selectedNext(desk, 1)
        if (one === 'accept') desk = accept(desk, n)
        if (one === 'none')
          desk = answeredEmpty(desk, { answerId: answerId(n), verdict: 'annotated' })
        if (one === 'copy') desk = copiedFromPrevious(desk)
        if (one === 'back') desk = goneTo(desk, Math.max(0, desk.at - 1))
      }
      const end = desk.frames
      while (desk.steps.length > 0) desk = undone(desk).desk
      assert.deepEqual(desk.frames, begin.frames)
      while (desk.undone.length > 0) desk = redone(desk).desk
      assert.deepEqual(desk.frames, end)
    }),
    { verbose: true },
  )
})

test('nothing is in it: the boxes go, and come back with one undo', () => {
  const begin = opened(taskOf(1), taskOf(2))
  const desk = answeredEmpty(begin, { answerId: answerId(1), verdict: 'annotated' })
  assert.deepEqual(answerOf(desk.frames[0]!, 0)?.annotations, [])
  assert.equal(answerOf(desk.frames[0]!, desk.threshold)?.edits, 1)
  assert.deepEqual(undone(desk).desk.frames, begin.frames)
})

test('boxes are copied from and to neighbouring frames, once each, and wait to be accepted', () => {
  let desk = added(
    opened(taskOf(1), taskOf(2, { suggestions: [] }), taskOf(3)),
    boxBetween([3, 3], [33, 33]),
  )
  desk = copiedToNext(desk)
  desk = goneTo(desk, 1)
  assert.deepEqual(
    frameAt(desk)?.pieces.map(({ from, score }) => [from, score]),
    [['track', 1]],
  )
  desk = copiedFromPrevious(desk)
  assert.equal(frameAt(desk)?.pieces.length, 2, 'what was there already is not copied')
  assert.equal(copiedFromPrevious(desk).steps.length, desk.steps.length)
})

test('tasks that come again change nothing that was begun, and renew what was not', () => {
  let desk = added(opened(taskOf(1), taskOf(2)), boxBetween([3, 3], [33, 33]))
  const task = taskOf(1, { suggestions: [], heldBy: 'ben' })
  desk = withTasks(desk, [task, taskOf(2, { suggestions: [], revision: 1 })])
  assert.equal(desk.frames.length, 2)
  assert.equal(desk.frames[0]?.pieces.length, 3)
  assert.equal(desk.frames[0]?.task.heldBy, 'ben')
  assert.equal(desk.frames[1]?.pieces.length, 0)
  assert.equal(desk.frames[1]?.task.revision, 1)
})

test('an hour of work keeps a bounded number of frames', () => {
  let desk = opened(taskOf(1))
  for (let n = 1; n <= 300; n++) {
    desk = accept(withTasks(desk, [taskOf(n + 1)]), n)
    assert.equal(frameAt(desk)?.task.taskId, n + 1)
  }
  assert.ok(desk.frames.length <= 102, `${desk.frames.length} frames`)
  assert.equal(aheadOf(desk), 1)
  for (let n = 300; n > 250; n--) {
    const back = undone(desk)
    assert.equal(frameAt(back.desk)?.task.taskId, n)
    desk = back.desk
  }
})

test('a review begins from one answer, and from another when asked', () => {
  const answers = ['anna', 'ben'].map((by, n) => ({
    by,
    at: '2026-11-21T10:00:00.000Z',
    verdict: 'annotated',
    note: '',
    annotations: [{ kind: 'box' as const, label: 'nut', box: [0.1 * n, 0, 0.5, 0.5] }],
  }))
  let desk = opened(taskOf(1, { state: 'review', answers }))
  assert.deepEqual(drawn(desk), [['nut', boxBetween([0, 0], [100, 50])]])
  assert.equal(editsOf(frameAt(desk)!, 0.5), 0)
  desk = withBasis(desk, 1)
  assert.deepEqual(drawn(desk), [['nut', boxBetween([20, 0], [120, 50])]])
  assert.equal(withBasis(desk, 2), desk)
  assert.equal(selectedPiece(desk), undefined)
})

test('what is drawn and not accepted goes to another page and back, with the way back', () => {
  const box = boxBetween([10, 10], [50, 40])
  const before = opened(taskOf(1), taskOf(2))
  assert.equal(draftOf(before, before.frames[0]!), undefined, 'nothing was done yet')
  let desk = removed(selectedNext(added(before, box), 1))
  const draft = structuredClone(draftOf(desk, frameAt(desk)!))
  assert.ok(draft)
  assert.equal(draftOf(undone(undone(desk).desk).desk, before.frames[0]!), undefined)

  // The next page has other frames, whose boxes have the same numbers.
  const next = opened(taskOf(7), taskOf(8))
  const back = withDraft(next, taskOf(1, { revision: 3 }), draft)
  assert.equal(back.frames.length, 3)
  const restored = goneTo(back, 2)
  assert.deepEqual(drawn(restored), drawn(desk))
  assert.equal(frameAt(restored)?.task.revision, 0, 'it is an answer to what was seen')
  assert.ok(restored.nextId > Math.max(...frameAt(restored)!.pieces.map((one) => one.pieceId)))
  assert.equal(new Set(frameAt(added(restored, box))!.pieces.map((one) => one.pieceId)).size, 3)

  desk = undone(restored).desk
  desk = undone(desk).desk
  assert.deepEqual(drawn(desk), drawn(before), 'all of it can be taken back')
  assert.equal(desk.steps.length, 0)
})

test('what the hub has is no draft; what was changed after it was answered is one', () => {
  const box = boxBetween([10, 10], [50, 40])
  let desk = accept(added(opened(taskOf(1), taskOf(2)), box), 1)
  const first = () => desk.frames[0]!
  assert.equal(draftOf(desk, first()), undefined)
  desk = added(goneTo(desk, 0), boxBetween([60, 10], [90, 40]))
  const draft = draftOf(desk, first())
  assert.equal(draft?.again, true, 'the next answer takes the place of the one before')
  assert.equal(draft.steps.length, 1, 'what was done before is in the answer')
  const back = withDraft(opened(), taskOf(1), draft)
  assert.deepEqual(drawn(back), drawn(desk))
  assert.equal(draftOf(back, back.frames[0]!)?.pieces.length, 4)
})
