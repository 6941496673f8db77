/**
 * What a detector's head is taught: where a cell answers for a box, its box and its class; everywhere, whether it does.
 * The class of a box is wanted as strongly as the box overlaps it, so that what is surest is also what fits best. All
 * terms are divided by the number of cells that answer for a box.
 */
import type { Sym, Tape } from '../tape/tape.ts'
import type { AnchorSyms } from './anchors.ts'
import type { Head } from './head.ts'
import { binsOf, type Corners, cornersOf, lineUp, range } from './predictions.ts'
import { overlapsOf, sides, simOta, type TruthInputs } from './sim-ota.ts'

/** How far a box is from the one it should be: `iou` is 1 − IoU², `giou` also tells boxes apart that do not meet. */
export type BoxLoss = 'iou' | 'giou'

export type LossWeights = {
  readonly box: number
  readonly objectness: number
  readonly classes: number
  /** Of the bins of a side, for heads that have them. */
  readonly bins: number
}

export type DetectionLoss = {
  readonly head: Head
  readonly boxLoss: BoxLoss
  readonly weights: LossWeights
}

/** Keeps quotients of areas finite. */
const areaMin = 1e-6

/**
 * Writes the loss into the step graph.
 * @param outputs the cut values of the model
 * @param matched [N, G, A], where cells are assigned outside; undefined: by SimOTA, here
 */
export function detectionLoss(
  tape: Tape,
  { head, boxLoss, weights }: DetectionLoss,
  outputs: Readonly<Record<string, Sym>>,
  truths: TruthInputs,
  anchors: AnchorSyms,
  given?: Sym,
): { readonly total: Sym; readonly terms: Readonly<Record<string, Sym>>; readonly matched: Sym } {
  const op = tape.emit.bind(tape)
  const said = lineUp(tape, head, outputs)
  const corners = cornersOf(tape, head, said.box, anchors)
  const detached = {
    corners: op('Concat', [corners.leftTop, corners.rightBottom], { axis: { int: 1 } }),
    objectness: said.objectness && tape.stopGradient(said.objectness),
    classes: tape.stopGradient(said.classes),
  }
  const overlaps = overlapsOf(tape, detached.corners, truths.boxes)
  const matched = given ?? simOta(tape, detached, truths, overlaps, anchors)

  const keep = { keepdims: { int: 1 } }
  const isPositive = op('ReduceSum', [matched, tape.ints([1])], keep)
  const positives = op('Max', [
    op('ReduceSum', [isPositive], { keepdims: { int: 0 } }),
    tape.scalar(1),
  ])
  const mean = (loss: Sym) => tape.div(tape.reduceSum(loss), positives)

  const turned = (value: Sym) => op('Transpose', [value], { perm: { ints: [0, 2, 1] } })
  const wanted = op('MatMul', [turned(truths.boxes), matched])
  const [wantedLeftTop, wantedRightBottom] = tape.emitSeveral('Split', [wanted], 2, {
    axis: { int: 1 },
    num_outputs: { int: 2 },
  }) as readonly Sym[] as readonly [Sym, Sym]
  const wantedCorners = { leftTop: wantedLeftTop, rightBottom: wantedRightBottom }
  const box = mean(tape.mul(distanceOf(tape, boxLoss, corners, wantedCorners), isPositive))

  const overlap = op('ReduceSum', [op('Mul', [overlaps, matched]), tape.ints([1])], keep)
  const classTarget = op('Mul', [op('MatMul', [turned(truths.classes), matched]), overlap])
  const counted = op('Sub', [
    tape.scalar(1),
    op('Mul', [crowdCells(tape, truths, anchors), op('Sub', [tape.scalar(1), isPositive])]),
  ])
  const classWeight = said.objectness ? isPositive : counted
  const classes = mean(tape.mul(bceWithLogits(tape, said.classes, classTarget), classWeight))
  const terms: Record<string, Sym> = {
    box: tape.mul(box, weights.box),
    classes: tape.mul(classes, weights.classes),
  }
  if (said.objectness) {
    const objectness = tape.mul(bceWithLogits(tape, said.objectness, isPositive), counted)
    terms.objectness = tape.mul(mean(objectness), weights.objectness)
  }
  if (head.kind === 'distances') {
    const bins = tape.mul(binLoss(tape, head, said.box, wantedCorners, anchors), isPositive)
    terms.bins = tape.mul(mean(bins), weights.bins)
  }
  const total = Object.values(terms).reduce((sum, term) => tape.add(sum, term))
  return { total, terms, matched }
}

/** Binary cross-entropy of a sigmoid, element by element; its slope is sigmoid − target, whatever the logit. */
export function bceWithLogits(tape: Tape, logits: Sym, target: Sym): Sym {
  const loss = tape.emit('Sub', [
    tape.emit('Softplus', [logits]),
    tape.emit('Mul', [logits, target]),
  ])
  return tape.record([logits], loss, (gradient) => [
    tape.emit('Mul', [gradient, tape.emit('Sub', [tape.emit('Sigmoid', [logits]), target])]),
  ])
}

/** [N, 1, A]: how far boxes are from those wanted. */
export function distanceOf(tape: Tape, loss: BoxLoss, said: Corners, wanted: Corners): Sym {
  const area = (leftTop: Sym, rightBottom: Sym) => {
    const size = tape.relu(tape.sub(rightBottom, leftTop))
    const [width, height] = tape.split(size, [1, 1], 1) as [Sym, Sym]
    return tape.mul(width, height)
  }
  const shared = area(
    tape.max(said.leftTop, wanted.leftTop),
    tape.min(said.rightBottom, wanted.rightBottom),
  )
  const areas = tape.add(
    area(said.leftTop, said.rightBottom),
    area(wanted.leftTop, wanted.rightBottom),
  )
  const union = tape.sub(areas, shared)
  const overlap = tape.div(shared, tape.add(union, areaMin))
  if (loss === 'iou') return tape.sub(1, tape.mul(overlap, overlap))
  const hull = tape.add(
    area(tape.min(said.leftTop, wanted.leftTop), tape.max(said.rightBottom, wanted.rightBottom)),
    areaMin,
  )
  return tape.add(tape.sub(1, overlap), tape.div(tape.sub(hull, union), hull))
}

/**
 * [N, 1, A]: the distribution focal loss (Li et al. 2020, arXiv:2006.04388): a distance lies between two bins, and each
 * should be as likely as the distance is near it; the mean over the four sides.
 */
function binLoss(tape: Tape, head: Head, box: Sym, wanted: Corners, anchors: AnchorSyms): Sym {
  const op = tape.emit.bind(tape)
  const middles = op('Concat', [anchors.x, anchors.y], { axis: { int: 1 } })
  const distances = op(
    'Concat',
    [op('Sub', [middles, wanted.leftTop]), op('Sub', [wanted.rightBottom, middles])],
    { axis: { int: 1 } },
  )
  const last = tape.scalar(head.bins - 1)
  const bounded = op('Clip', [op('Div', [distances, anchors.stride]), tape.scalar(0), last])
  const numbers = tape.constant([1, 1, head.bins, 1], range(head.bins))
  const away = op('Abs', [op('Sub', [numbers, op('Unsqueeze', [bounded, tape.ints([2])])])])
  const target = op('Max', [op('Sub', [tape.scalar(1), away]), tape.scalar(0)])
  const likely = tape.logSoftmax(binsOf(tape, head, box), 2)
  const perSide = tape.reduceSum(tape.mul(likely, target), [2])
  return tape.mul(tape.reduceSum(perSide, [1], true), -1 / 4)
}

/** [N, 1, A]: 1 where the middle of a cell lies in a crowd that nobody counted. */
function crowdCells(tape: Tape, truths: TruthInputs, { x, y }: AnchorSyms): Sym {
  const op = tape.emit.bind(tape)
  const [left, top, right, bottom] = sides(tape, truths.boxes, 2)
  const within = op('Min', [
    op('Min', [op('Sub', [x, left]), op('Sub', [right, x])]),
    op('Min', [op('Sub', [y, top]), op('Sub', [bottom, y])]),
  ])
  const inCrowd = op('Mul', [
    op('Cast', [op('Greater', [within, tape.scalar(0)])], { to: { int: 1 } }),
    truths.crowd,
  ])
  return op('ReduceMax', [inCrowd, tape.ints([1])], { keepdims: { int: 1 } })
}
