/**
 * SimOTA (Ge et al. 2021, arXiv:2107.08430): which cells of a head answer for which box, decided by what the head itself
 * says of them. Written into the step graph with standard operators, so that no second pass over the pictures is needed;
 * no gradient flows through it.
 *
 * A box wants as many cells as its ten best overlaps sum up to, at least one, and takes the cheapest: those that already
 * name its class and overlap it. Only cells within a box or near the middle of one are asked. A cell that several boxes
 * want goes to the one for which it is cheapest; among equals the first box, and the first cell, wins.
 */
import type { Sym, Tape } from '../tape/tape.ts'
import type { AnchorSyms } from './anchors.ts'

/** Cells are near the middle of a box within this many strides. */
const centreRadius = 2.5
/** Overlaps that are summed up for the number of cells, and the most cells a box can have. */
export const candidatesMax = 10
/** Weight of the overlap beside the class. */
const overlapWeight = 3
/** What it costs that a cell is not both within the box and near its middle: more than any other difference. */
const outsideCost = 1e3
/** A cell that is not asked at all. */
const farCost = 1e6
/** Keeps logarithms finite. */
const logMin = 1e-8
const probabilityMax = 1 - 1e-6

/** What the head says, detached: no gradient is taken through any of it. */
export type Said = {
  /** [N, 4, A]: left, top, right, bottom in pixels. */
  readonly corners: Sym
  /** [N, 1, A], before the sigmoid; undefined for a head without it. */
  readonly objectness: Sym | undefined
  /** [N, K, A], before the sigmoid. */
  readonly classes: Sym
}

/** Inputs of the step graph that hold `Truths`. */
export type TruthInputs = {
  readonly boxes: Sym
  readonly present: Sym
  readonly crowd: Sym
  readonly classes: Sym
}

/** @returns [N, G, A]: 1 where a cell answers for a box */
export function simOta(
  tape: Tape,
  said: Said,
  truths: TruthInputs,
  overlaps: Sym,
  anchors: AnchorSyms,
): Sym {
  const op = tape.emit.bind(tape)
  const number = (value: number) => tape.scalar(value)
  const { x, y, stride } = anchors
  const [left, top, right, bottom] = sides(tape, truths.boxes, 2)
  const half = number(0.5)
  const float = (condition: Sym) => op('Cast', [condition], { to: { int: 1 } })

  const within = op('Min', [
    op('Min', [op('Sub', [x, left]), op('Sub', [right, x])]),
    op('Min', [op('Sub', [y, top]), op('Sub', [bottom, y])]),
  ])
  const middle = (from: Sym, to: Sym) => op('Mul', [op('Add', [from, to]), half])
  const away = op('Max', [
    op('Abs', [op('Sub', [x, middle(left, right)])]),
    op('Abs', [op('Sub', [y, middle(top, bottom)])]),
  ])
  const isWithin = float(op('Greater', [within, number(0)]))
  const isCentral = float(op('Less', [away, op('Mul', [stride, number(centreRadius)])]))
  const asked = op('Mul', [op('Max', [isWithin, isCentral]), truths.present])
  const near = op('ReduceMax', [asked, tape.ints([1])], { keepdims: { int: 1 } })
  const both = op('Mul', [isWithin, isCentral])

  const useful = op('Mul', [op('Mul', [overlaps, near]), truths.present])
  const few = Math.min(candidatesMax, anchors.count)
  const [best] = tape.emitSeveral('TopK', [useful, tape.ints([few])], 2, { axis: { int: 2 } })
  const sum = op('ReduceSum', [best, tape.ints([2])], { keepdims: { int: 1 } })
  const wanted = op('Max', [op('Floor', [sum]), number(1)])

  const misfit = op('Mul', [
    op('Log', [op('Add', [overlaps, number(logMin)])]),
    number(-overlapWeight),
  ])
  const outside = op('Mul', [op('Sub', [number(1), both]), number(outsideCost)])
  const far = op('Mul', [op('Sub', [number(1), near]), number(farCost)])
  const cost = op('Add', [
    op('Add', [classCost(tape, said, truths.classes), misfit]),
    op('Add', [outside, far]),
  ])

  const [, cheapest] = tape.emitSeveral('TopK', [cost, tape.ints([few])], 2, {
    axis: { int: 2 },
    largest: { int: 0 },
  })
  const ranks = tape.constant(
    [1, 1, few],
    Array.from({ length: few }, (_, rank) => rank),
  )
  const taken = float(op('Less', [ranks, wanted]))
  const nothing = op('Mul', [cost, number(0)])
  const picked = op('ScatterElements', [nothing, cheapest, taken], { axis: { int: 2 } })
  const matched = op('Mul', [op('Mul', [picked, near]), truths.present])

  // A cell answers for one box: the one for which it is cheapest among those that took it.
  const contested = op('Add', [
    op('Mul', [cost, matched]),
    op('Mul', [op('Sub', [number(1), matched]), number(2 * farCost)]),
  ])
  const first = op('ArgMin', [contested], { axis: { int: 1 }, keepdims: { int: 1 } })
  const slots = truths.boxes.shape[1]!
  const numbers = tape.constant(
    [1, slots, 1],
    Array.from({ length: slots }, (_, slot) => slot),
    { type: 'int64' },
  )
  return op('Mul', [matched, float(op('Equal', [first, numbers]))], {}, { name: 'matched' })
}

/** [N, G, A]: binary cross-entropy between what a cell says of the classes and the one of a box. */
function classCost(tape: Tape, { objectness, classes }: Said, oneHot: Sym): Sym {
  const op = tape.emit.bind(tape)
  const logSigmoid = (logit: Sym) => op('Neg', [op('Softplus', [op('Neg', [logit])])])
  const joint = objectness
    ? op('Mul', [op('Add', [logSigmoid(classes), logSigmoid(objectness)]), tape.scalar(0.5)])
    : logSigmoid(classes)
  const probability = op('Min', [op('Exp', [joint]), tape.scalar(probabilityMax)])
  const absent = op('Log', [op('Sub', [tape.scalar(1), probability])])
  const allAbsent = op('ReduceSum', [absent, tape.ints([1])], { keepdims: { int: 1 } })
  const gain = op('MatMul', [oneHot, op('Sub', [joint, absent])])
  return op('Neg', [op('Add', [allAbsent, gain])])
}

/** [N, G, A]: intersection over union of each box with what each cell says. */
export function overlapsOf(tape: Tape, corners: Sym, boxes: Sym): Sym {
  const op = tape.emit.bind(tape)
  const zero = tape.scalar(0)
  const [left, top, right, bottom] = sides(tape, boxes, 2)
  const [l, t, r, b] = sides(tape, corners, 1)
  const length = (from: Sym, to: Sym) => op('Max', [op('Sub', [to, from]), zero])
  const shared = op('Mul', [
    length(op('Max', [left, l]), op('Min', [right, r])),
    length(op('Max', [top, t]), op('Min', [bottom, b])),
  ])
  const areas = op('Add', [
    op('Mul', [length(left, right), length(top, bottom)]),
    op('Mul', [length(l, r), length(t, b)]),
  ])
  const union = op('Sub', [areas, shared])
  return op('Div', [shared, op('Max', [union, tape.scalar(logMin)])], {}, { name: 'overlaps' })
}

/** Left, top, right and bottom, each with one element on `axis`. */
export function sides(tape: Tape, boxes: Sym, axis: number): readonly [Sym, Sym, Sym, Sym] {
  const parts = tape.emitSeveral('Split', [boxes], 4, {
    axis: { int: axis },
    num_outputs: { int: 4 },
  })
  return parts as readonly Sym[] as readonly [Sym, Sym, Sym, Sym]
}
