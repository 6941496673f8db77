/**
 * The frames that lie before somebody, what was drawn on them and said of them, and the way back. Everything that
 * changes is one step with what was before and after, so its inverse is the step turned round; the last 50 can be
 * taken back, in whatever frames they were.
 */
import type { LabelAnswer, LabelTask, SampleAnnotation } from '@edgeloop/protocol'
import type { Tool } from './gesture.ts'
import { annotationOf, areaOf, type Shape, shapeOf } from './shapes.ts'

/** A box, an outline, or a word about the whole picture. */
export type Piece = {
  readonly pieceId: number
  readonly label: string
  readonly shape: Shape
  /** Difficult, or a crowd: found or not, it counts neither way. */
  readonly crowd: boolean
  /** How sure the model was that proposes it; undefined where a person drew it or took it over. */
  readonly score: number | undefined
  /** Who said it first: a model, a neighbouring frame, an earlier answer. */
  readonly from?: string
}

export type Verdict = LabelAnswer['verdict']
export type Answered = {
  readonly answerId: string
  readonly verdict: Verdict
  /** What was in the frame then. */
  readonly of?: readonly Piece[]
}

export type Frame = {
  readonly task: LabelTask
  readonly pieces: readonly Piece[]
  /** As it came: edits are counted against it. */
  readonly proposed: readonly Piece[]
  /** What the canvas cannot show (masks, numbers) goes back as it came. */
  readonly untold: readonly SampleAnnotation[]
  /** What was said of it here; undefined while it waits. */
  readonly answered: Answered | undefined
  /** An answer of ours has been sent: the next one takes its place. */
  readonly again: boolean
  /** Time that it has been looked at, ms. */
  readonly lookedMs: number
  /** Of the annotators in a review, the one whose answer it began from. */
  readonly basis: number
  /** What was drawn on it came back from an earlier page. */
  readonly restored?: true
}

type PieceChange = {
  readonly before?: Piece
  readonly after?: Piece
  /** Place in the list. */
  readonly at: number
}

export type Step = {
  readonly taskId: number
  /** What was done, in words: `moved a box`. */
  readonly word: string
  readonly changes: readonly PieceChange[]
  readonly answer?: { readonly before: Answered | undefined; readonly after: Answered | undefined }
}

/** What was done in a frame and not said to the hub yet: it outlives the page. */
export type Draft = {
  readonly taskId: number
  /** The task as it was then: an answer is for this one. */
  readonly revision: number
  readonly pieces: readonly Piece[]
  readonly proposed: readonly Piece[]
  /** What can still be taken back. */
  readonly steps: readonly Step[]
  readonly basis: number
  readonly again: boolean
  readonly lookedMs: number
}

export type Desk = {
  readonly frames: readonly Frame[]
  readonly at: number
  readonly selected: number | undefined
  readonly tool: Tool
  /** Class of the next box: it stays until another is chosen. */
  readonly label: string
  /** From which score suggestions are shown, and taken when all are accepted. */
  readonly threshold: number
  readonly steps: readonly Step[]
  readonly undone: readonly Step[]
  readonly nextId: number
}

export const stepsMax = 50
/** Frames that stay after they were answered: as many as steps can reach, and some to look back at. */
export const answeredFramesMax = 100
export const standardThreshold = 0.5

export const emptyDesk = (label: string, threshold = standardThreshold): Desk => ({
  frames: [],
  at: 0,
  selected: undefined,
  tool: 'select',
  label,
  threshold,
  steps: [],
  undone: [],
  nextId: 1,
})

export const frameAt = (desk: Desk): Frame | undefined => desk.frames[desk.at]

/** What is drawn and would be accepted: everything of people, and what models are sure enough of. */
export const shownPieces = (
  { pieces }: Pick<Frame, 'pieces'>,
  threshold: number,
): readonly Piece[] => pieces.filter(({ score }) => score === undefined || score >= threshold)

/**
 * Puts tasks behind the frames that are there; of one that is there already, nothing changes but who else has it
 * open and, while nothing was done here, what is proposed.
 */
export function withTasks(desk: Desk, tasks: readonly LabelTask[]): Desk {
  let next: Desk = desk
  for (const task of tasks) {
    const known = next.frames.findIndex((frame) => frame.task.taskId === task.taskId)
    const frame = known < 0 ? undefined : next.frames[known]
    if (frame && isTouched(next, frame)) {
      if (frame.answered) continue
      const held = { ...frame.task, ...(task.heldBy !== undefined && { heldBy: task.heldBy }) }
      next = withFrame(next, { ...frame, task: held })
      continue
    }
    const { frame: made, nextId } = madeFrame(task, frame?.basis ?? 0, next.nextId)
    next = {
      ...next,
      nextId,
      frames: frame
        ? next.frames.with(known, { ...made, lookedMs: frame.lookedMs })
        : [...next.frames, made],
    }
  }
  return trimmed(next)
}

const isTouched = (desk: Desk, frame: Frame): boolean =>
  frame.answered !== undefined ||
  frame.pieces !== frame.proposed ||
  desk.steps.some(({ taskId }) => taskId === frame.task.taskId)

function madeFrame(
  task: LabelTask,
  basis: number,
  firstId: number,
): { frame: Frame; nextId: number } {
  let nextId = firstId
  const { sample } = task
  // What people said comes before what a model proposes.
  const answer = task.answers[basis]
  const said = answer?.annotations ?? []
  const isAnswered = answer !== undefined && answer.verdict === 'annotated'
  const pieces = isAnswered
    ? said.flatMap((one): Piece[] => {
        if (one.kind === 'mask' || one.kind === 'number') return []
        const shape = shapeOf(
          {
            ...(one.kind === 'box' && { box: one.box }),
            ...(one.kind === 'polygon' && { points: one.points }),
          },
          sample,
        )
        const crowd = one.kind === 'box' && one.crowd === true
        return [
          {
            pieceId: nextId++,
            label: one.label,
            shape,
            crowd,
            score: undefined,
            from: `answer:${answer.by}`,
          },
        ]
      })
    : task.suggestions.map(
        (one): Piece => ({
          pieceId: nextId++,
          label: one.label,
          shape: shapeOf(one, sample),
          crowd: false,
          score: one.score,
          from: one.from,
        }),
      )
  const untold = said.filter(({ kind }) => kind === 'mask' || kind === 'number')
  const frame: Frame = {
    task,
    pieces,
    proposed: pieces,
    untold,
    basis,
    answered: undefined,
    again: false,
    lookedMs: 0,
  }
  return { frame, nextId }
}

/** In a review: begins from another annotator's answer. What was changed in the frame is given up. */
export function withBasis(desk: Desk, basis: number): Desk {
  const frame = frameAt(desk)
  if (!frame || frame.answered || !frame.task.answers[basis]) return desk
  const { frame: made, nextId } = madeFrame(frame.task, basis, desk.nextId)
  const { taskId } = frame.task
  return {
    ...withFrame(desk, { ...made, lookedMs: frame.lookedMs, again: frame.again }),
    nextId,
    selected: undefined,
    steps: desk.steps.filter((step) => step.taskId !== taskId),
    undone: desk.undone.filter((step) => step.taskId !== taskId),
  }
}

/** Without the oldest answered frames, where there are more than can be reached. */
function trimmed(desk: Desk): Desk {
  const answered = desk.frames.filter(({ answered }) => answered !== undefined)
  const gone = new Set(answered.slice(0, -answeredFramesMax).map(({ task }) => task.taskId))
  if (answered.length <= answeredFramesMax || gone.size === 0) return desk
  const here = frameAt(desk)
  if (here) gone.delete(here.task.taskId)
  const frames = desk.frames.filter(({ task }) => !gone.has(task.taskId))
  return { ...desk, frames, at: here ? frames.indexOf(here) : 0 }
}

/** Without frames that somebody else answered, or that the hub has no more; the one that is looked at stays. */
export function withoutTasks(desk: Desk, taskIds: ReadonlySet<number>): Desk {
  const here = frameAt(desk)
  const frames = desk.frames.filter((one) => one === here || !taskIds.has(one.task.taskId))
  return { ...desk, frames, at: here ? frames.indexOf(here) : 0 }
}

const withFrame = (desk: Desk, frame: Frame): Desk => ({
  ...desk,
  frames: desk.frames.map((one) => (one.task.taskId === frame.task.taskId ? frame : one)),
})

/** What of a frame would be lost with the page; undefined where the hub has, or is sent, what is in it. */
export function draftOf(desk: Desk, frame: Frame): Draft | undefined {
  const { task, pieces, proposed, answered, basis, again, lookedMs } = frame
  const isOurs = answered ? isChangedSince(frame) : !areSame(pieces, proposed)
  if (!isOurs) return undefined
  const { taskId, revision } = task
  const own = desk.steps.filter((step) => step.taskId === taskId)
  // What was said before is taken back by saying something else.
  const steps = own.slice(own.findLastIndex(({ answer }) => answer !== undefined) + 1)
  return {
    taskId,
    revision,
    pieces,
    proposed,
    steps,
    basis,
    lookedMs,
    again: again || answered !== undefined,
  }
}

/** Puts a frame on the desk as it was left, behind those that are there; with the way back. */
export function withDraft(desk: Desk, task: LabelTask, draft: Draft): Desk {
  const { taskId, revision, pieces, proposed, steps, basis, again, lookedMs } = draft
  const { frame: made } = madeFrame(task, basis, desk.nextId)
  const frame: Frame = {
    ...made,
    pieces,
    proposed,
    basis,
    again,
    lookedMs,
    restored: true,
    task: { ...task, revision },
  }
  const known = desk.frames.findIndex((one) => one.task.taskId === taskId)
  const changes = steps.flatMap((step) => step.changes)
  const ids = [...pieces, ...proposed, ...changes.flatMap(({ before, after }) => [before, after])]
  return {
    ...desk,
    frames: known < 0 ? [...desk.frames, frame] : desk.frames.with(known, frame),
    nextId: Math.max(desk.nextId, ...ids.map((one) => (one?.pieceId ?? 0) + 1)),
    steps: [...desk.steps.filter((step) => step.taskId !== taskId), ...steps].slice(-stepsMax),
  }
}

const areSame = (some: readonly Piece[], others: readonly Piece[]): boolean =>
  some.length === others.length && some.every((one, at) => one === others[at])

/** Changes facts of one frame that nobody takes back. */
export function withFacts(
  desk: Desk,
  taskId: number,
  facts: Partial<Pick<Frame, 'again' | 'lookedMs' | 'task' | 'answered'>>,
): Desk {
  const frame = desk.frames.find(({ task }) => task.taskId === taskId)
  return frame ? withFrame(desk, { ...frame, ...facts }) : desk
}

/** Does a step, and keeps it to be taken back. */
export function done(desk: Desk, step: Step): Desk {
  if (step.changes.length === 0 && !step.answer) return desk
  return { ...applied(desk, step), steps: [...desk.steps, step].slice(-stepsMax), undone: [] }
}

function applied(desk: Desk, step: Step): Desk {
  const frame = desk.frames.find(({ task }) => task.taskId === step.taskId)
  if (!frame) return desk
  const pieces = [...frame.pieces]
  for (const { before, after, at } of step.changes) {
    const index = before ? pieces.findIndex(({ pieceId }) => pieceId === before.pieceId) : -1
    if (before && after && index >= 0) pieces[index] = after
    else if (before && index >= 0) pieces.splice(index, 1)
    else if (after) pieces.splice(at, 0, after)
  }
  const next = withFrame(desk, {
    ...frame,
    pieces: step.changes.length === 0 ? frame.pieces : pieces,
    ...(step.answer && { answered: step.answer.after }),
  })
  const isGone = !pieces.some(({ pieceId }) => pieceId === desk.selected)
  return isGone && frameAt(desk) === frame ? { ...next, selected: undefined } : next
}

/** The step that takes `step` back. */
export const inverseOf = (step: Step): Step => ({
  ...step,
  changes: step.changes.toReversed().map(({ before, after, at }) => ({
    at,
    ...(after && { before: after }),
    ...(before && { after: before }),
  })),
  ...(step.answer && { answer: { before: step.answer.after, after: step.answer.before } }),
})

/** Takes the last step back, and shows the frame that it was in. */
export function undone(desk: Desk): { desk: Desk; step: Step | undefined } {
  const step = desk.steps.at(-1)
  if (!step) return { desk, step }
  const shown = gone(applied(desk, inverseOf(step)), step)
  return {
    desk: { ...shown, steps: desk.steps.slice(0, -1), undone: [...desk.undone, step] },
    step,
  }
}

/** Does the step again that was taken back last. */
export function redone(desk: Desk): { desk: Desk; step: Step | undefined } {
  const step = desk.undone.at(-1)
  if (!step) return { desk, step }
  const shown = gone(applied(desk, step), step)
  return {
    desk: { ...shown, steps: [...desk.steps, step], undone: desk.undone.slice(0, -1) },
    step,
  }
}

function gone(desk: Desk, { taskId, changes }: Step): Desk {
  const at = desk.frames.findIndex(({ task }) => task.taskId === taskId)
  if (at < 0) return desk
  const frame = desk.frames[at]
  const [change] = changes
  const touched = (change?.after ?? change?.before)?.pieceId
  const isThere = frame?.pieces.some(({ pieceId }) => pieceId === touched)
  return { ...desk, at, selected: isThere ? touched : undefined }
}

/** Goes to another frame; nothing is selected there. */
export const goneTo = (desk: Desk, at: number): Desk =>
  at === desk.at || !desk.frames[at] ? desk : { ...desk, at, selected: undefined }

/** The next frame that waits for an answer, or that somebody flagged; -1 where there is none. */
export const nextOpen = ({ frames, at }: Pick<Desk, 'frames' | 'at'>): number =>
  [...frames.keys()].slice(at + 1).find((index) => isOpen(frames[index])) ??
  [...frames.keys()].slice(0, at).find((index) => isOpen(frames[index])) ??
  -1

const isOpen = (frame: Frame | undefined): boolean =>
  frame !== undefined && (frame.answered === undefined || frame.answered.verdict === 'flag')

/** Frames ahead that wait for an answer. */
export const aheadOf = ({ frames, at }: Pick<Desk, 'frames' | 'at'>): number =>
  frames.slice(at).filter(({ answered }) => answered === undefined).length

/** The piece that is selected, where it is in the frame that is looked at. */
export const selectedPiece = (desk: Desk): Piece | undefined =>
  desk.selected === undefined
    ? undefined
    : frameAt(desk)?.pieces.find(({ pieceId }) => pieceId === desk.selected)

/** A new shape under the class of now; it becomes the selected one. */
export function added(desk: Desk, shape: Shape): Desk {
  const frame = frameAt(desk)
  if (!frame || desk.label === '') return desk
  const after: Piece = {
    pieceId: desk.nextId,
    label: desk.label,
    shape,
    crowd: false,
    score: undefined,
  }
  const step = stepIn(frame, 'drew a box', [{ after, at: frame.pieces.length }])
  return { ...done({ ...desk, nextId: desk.nextId + 1 }, step), selected: after.pieceId }
}

/** The selected piece (or another) with something else about it: what a person touched is the person's. */
export function changed(
  desk: Desk,
  word: string,
  facts: Partial<Pick<Piece, 'label' | 'shape' | 'crowd'>>,
  pieceId = desk.selected,
): Desk {
  const frame = frameAt(desk)
  const before = frame?.pieces.find((one) => one.pieceId === pieceId)
  if (!frame || !before) return desk
  const after: Piece = { ...before, ...facts, score: undefined }
  const at = frame.pieces.indexOf(before)
  // One arrow key held down is one step.
  const last = desk.steps.at(-1)
  const [one] = last?.changes ?? []
  const goesOn =
    word === 'nudged a box' &&
    last?.word === word &&
    last.taskId === frame.task.taskId &&
    one?.after === before &&
    one.before !== undefined
  if (!goesOn) return done(desk, stepIn(frame, word, [{ before, after, at }]))
  const joined: Step = { ...last, changes: [{ ...one, after }] }
  const next = applied(desk, stepIn(frame, word, [{ before, after, at }]))
  return { ...next, steps: [...desk.steps.slice(0, -1), joined], undone: [] }
}

/** Without the selected piece; the next one is selected. */
export function removed(desk: Desk): Desk {
  const frame = frameAt(desk)
  const before = selectedPiece(desk)
  if (!frame || !before) return desk
  const at = frame.pieces.indexOf(before)
  return done(desk, stepIn(frame, 'deleted a box', [{ before, at }]))
}

const stepIn = (frame: Frame, word: string, changes: readonly PieceChange[]): Step => ({
  taskId: frame.task.taskId,
  word,
  changes,
})

/** Selects the next (or the one before) of what is shown, in the order of their size, largest first. */
export function selectedNext(desk: Desk, by: 1 | -1): Desk {
  const frame = frameAt(desk)
  if (!frame) return desk
  const order = shownPieces(frame, desk.threshold).toSorted(
    (a, b) => areaOf(b.shape) - areaOf(a.shape) || a.pieceId - b.pieceId,
  )
  if (order.length === 0) return desk
  const now = order.findIndex(({ pieceId }) => pieceId === desk.selected)
  const next =
    now < 0 ? (by === 1 ? 0 : order.length - 1) : (now + by + order.length) % order.length
  return { ...desk, selected: order[next]?.pieceId }
}

/** Copies what is shown in the frame before, but what lies here already. */
export function copiedFromPrevious(desk: Desk): Desk {
  const frame = frameAt(desk)
  const previous = desk.frames[desk.at - 1]
  if (!frame || !previous) return desk
  return copied(desk, frame, shownPieces(previous, desk.threshold), previous)
}

/** Copies the selected piece to the next frame, where it waits to be accepted. */
export function copiedToNext(desk: Desk): Desk {
  const [frame, next] = [frameAt(desk), desk.frames[desk.at + 1]]
  const piece = selectedPiece(desk)
  if (!frame || !next || next.answered || !piece) return desk
  return copied(desk, next, [piece], frame)
}

/** Shares of the picture stay as they are: neighbouring frames may differ in size. */
function copied(desk: Desk, to: Frame, pieces: readonly Piece[], from: Frame): Desk {
  let { nextId } = desk
  const size = from.task.sample
  const there = new Set(to.pieces.map(({ label, shape }) => JSON.stringify([label, shape])))
  const changes = pieces.flatMap((piece): PieceChange[] => {
    const { label, crowd } = piece
    const annotation = annotationOf(piece, size)
    const shape =
      annotation.kind === 'box' || annotation.kind === 'polygon'
        ? shapeOf(
            annotation.kind === 'box' ? { box: annotation.box } : { points: annotation.points },
            to.task.sample,
          )
        : ({ kind: 'whole' } as const)
    if (there.has(JSON.stringify([label, shape]))) return []
    const after: Piece = { pieceId: nextId++, label, shape, crowd, score: 1, from: 'track' }
    return [{ after, at: to.pieces.length }]
  })
  return done(
    { ...desk, nextId },
    stepIn(
      to,
      'copied boxes',
      changes.map((one, n) => ({ ...one, at: one.at + n })),
    ),
  )
}

/** Says something of the frame that is looked at; the next one that waits comes up. */
export function answered(desk: Desk, answer: Answered): Desk {
  const frame = frameAt(desk)
  if (!frame) return desk
  const step: Step = {
    ...stepIn(frame, wordsOf[answer.verdict], []),
    answer: { before: frame.answered, after: { ...answer, of: frame.pieces } },
  }
  const next = done(desk, step)
  return trimmed({ ...goneTo(next, nextOpenAfter(next)), selected: undefined })
}

/** Says that there is nothing in the frame: what is drawn goes with the same step. */
export function answeredEmpty(desk: Desk, answer: Answered): Desk {
  const frame = frameAt(desk)
  if (!frame) return desk
  const changes = frame.pieces.map((before, at) => ({ before, at })).toReversed()
  const step: Step = {
    ...stepIn(frame, wordsOf.annotated, changes),
    answer: { before: frame.answered, after: { ...answer, of: [] } },
  }
  const next = done(desk, step)
  return trimmed({ ...goneTo(next, nextOpenAfter(next)), selected: undefined })
}

/** Whether a frame was changed after it was answered: the hub has what was before. */
export const isChangedSince = ({ answered, pieces }: Frame): boolean =>
  answered?.of !== undefined && !areSame(answered.of, pieces)

const wordsOf: Readonly<Record<Verdict, string>> = {
  annotated: 'accepted a frame',
  skip: 'skipped a frame',
  bad: 'called a frame bad',
  flag: 'flagged a frame',
}

/** Where to go after an answer: the next that waits, else the one after, else nowhere. */
function nextOpenAfter({ frames, at }: Desk): number {
  const after = frames.findIndex((frame, index) => index > at && frame.answered === undefined)
  if (after >= 0) return after
  const before = frames.findIndex((frame) => frame.answered === undefined)
  return before >= 0 ? before : Math.min(at + 1, frames.length - 1)
}

/** How many suggestions were changed, added or removed; those that were not shown do not count. */
export function editsOf(frame: Frame, threshold: number): number {
  const before = new Map(frame.proposed.map((piece) => [piece.pieceId, piece]))
  const shown = shownPieces(frame, threshold)
  const now = new Set(frame.pieces.map(({ pieceId }) => pieceId))
  const removed = shownPieces({ pieces: frame.proposed }, threshold).filter(
    ({ pieceId }) => !now.has(pieceId),
  )
  const others = shown.filter((piece) => {
    const was = before.get(piece.pieceId)
    return (
      !was ||
      was.label !== piece.label ||
      was.crowd !== piece.crowd ||
      JSON.stringify(was.shape) !== JSON.stringify(piece.shape)
    )
  })
  return removed.length + others.length
}

/** The answer as the hub is told it. */
export function answerOf(frame: Frame, threshold: number): LabelAnswer | undefined {
  if (!frame.answered) return undefined
  const { answerId, verdict } = frame.answered
  const { sample, taskId, revision } = frame.task
  const annotations =
    verdict === 'annotated' || verdict === 'flag'
      ? [...shownPieces(frame, threshold).map((one) => annotationOf(one, sample)), ...frame.untold]
      : []
  return {
    answerId,
    taskId,
    revision,
    verdict,
    annotations,
    lookedMs: Math.min(Math.max(0, Math.round(frame.lookedMs)), 86_400_000),
    edits: editsOf(frame, threshold),
    ...(frame.again && { again: true }),
  }
}
