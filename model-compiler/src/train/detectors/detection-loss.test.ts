/** The loss of a detector and its gradient against the same in doubles, written as loops, differentiated by central differences. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  numbersFrom,
  tinyNanodet,
  tinyYolov8,
  tinyYolox,
} from '../../../../test/training/tiny-detectors.ts'
import { writeModel } from '../../onnx/write.ts'
import { openSession } from '../../runtime/session.ts'
import { Tape } from '../tape/tape.ts'
import { Anchors } from './anchors.ts'
import { type BoxLoss, detectionLoss, type LossWeights } from './detection-loss.ts'
import { cutsOf, type Head, type HeadPiece, recognizeHead } from './head.ts'
import { packTruths, type Truths } from './truths.ts'

const weights: LossWeights = { box: 5, objectness: 1, classes: 0.7, bins: 0.4 }
const pictures = 2
const slots = 16
type Outputs = Readonly<Record<string, Float64Array>>

/** Channels of each cut value. */
function channelsOf(head: Head): Map<string, { channels: number; cells: number }> {
  const sizes = new Map<string, { channels: number; cells: number }>()
  for (const level of head.levels) {
    for (const piece of [level.box, level.objectness, level.classes]) {
      if (!piece) continue
      const before = sizes.get(piece.value)?.channels ?? 0
      const channels = Math.max(before, piece.from + piece.channels)
      sizes.set(piece.value, { channels, cells: level.columns * level.rows })
    }
  }
  return sizes
}

/** The step graph: loss, its terms, the assignment and the gradients of the cut values. */
async function inGraph(head: Head, boxLoss: BoxLoss, outputs: Outputs, truths: Truths) {
  const tape = new Tape()
  const anchors = new Anchors(head).write(tape)
  const sizes = channelsOf(head)
  const cuts = cutsOf(head)
  const heads = new Map(
    head.levels.flatMap((level) => {
      const pieces = [level.box, level.objectness, level.classes]
      return pieces.flatMap((piece) => (piece ? [[piece.value, level] as const] : []))
    }),
  )
  const shapeOf = (cut: string) => {
    const { columns, rows } = heads.get(cut)!
    return [pictures, sizes.get(cut)!.channels, rows, columns]
  }
  const syms = Object.fromEntries(
    cuts.map((cut) => [cut, tape.input(cut, 'float32', shapeOf(cut), { needsGradient: true })]),
  )
  const f = (name: string, last: number) => tape.input(name, 'float32', [pictures, slots, last])
  const given = {
    boxes: f('boxes', 4),
    present: f('present', 1),
    crowd: f('crowd', 1),
    classes: f('kinds', head.classes),
  }
  const { total, terms, matched } = detectionLoss(
    tape,
    { head, boxLoss, weights },
    syms,
    given,
    anchors,
  )
  const gradients = tape.gradients(total, Object.values(syms))
  const named = Object.fromEntries(cuts.map((cut, at) => [`gradient ${cut}`, gradients[at]!]))
  const termsNamed = Object.fromEntries(
    Object.entries(terms).map(([name, sym]) => [`term ${name}`, sym]),
  )
  const model = tape.toModel('loss', { total, matched, ...termsNamed, ...named })
  await using session = await openSession(writeModel(model))
  const value = (dims: readonly number[], data: ArrayLike<number>) => ({
    type: 'float32' as const,
    dims,
    data: Float32Array.from(data),
  })
  const result = await session.run({
    ...Object.fromEntries(cuts.map((cut) => [cut, value(shapeOf(cut), outputs[cut]!)])),
    boxes: value([pictures, slots, 4], truths.boxes),
    present: value([pictures, slots, 1], truths.present),
    crowd: value([pictures, slots, 1], truths.crowd),
    kinds: value([pictures, slots, head.classes], truths.classes),
  })
  return {
    total: result.total!.data[0] as number,
    matched: result.matched!.data as Float32Array,
    gradients: Object.fromEntries(
      cuts.map((cut) => [cut, result[`gradient ${cut}`]!.data as Float32Array]),
    ),
  }
}

type Box = [number, number, number, number]

/** The loss in doubles for a given assignment; `targets` says how strongly each class is wanted, and is no variable. */
function inLoops(
  head: Head,
  boxLoss: BoxLoss,
  outputs: Outputs,
  truths: Truths,
  matched: Float32Array,
  targets: { overlaps?: Float64Array },
): number {
  const anchors = new Anchors(head)
  const { count } = anchors
  const sizes = channelsOf(head)
  const firstOf = head.levels.map((_, level) => anchors.level.indexOf(level))
  const at = (piece: HeadPiece, picture: number, channel: number, cell: number) => {
    const { channels, cells } = sizes.get(piece.value)!
    return outputs[piece.value]![(picture * channels + piece.from + channel) * cells + cell]!
  }
  const softplus = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)))
  const sums = { box: 0, objectness: 0, classes: 0, bins: 0 }
  let positives = 0
  const overlapTargets = targets.overlaps
  const noted = new Float64Array(pictures * count)
  for (let picture = 0; picture < pictures; picture++) {
    for (let cell = 0; cell < count; cell++) {
      const level = head.levels[anchors.level[cell]!]!
      const own = cell - firstOf[anchors.level[cell]!]!
      const [x, y, stride] = [anchors.x[cell]!, anchors.y[cell]!, anchors.stride[cell]!]
      let slot = -1
      let inCrowd = false
      for (let one = 0; one < slots; one++) {
        if (matched[(picture * slots + one) * count + cell] === 1) slot = one
        const [l, t, r, b] = truths.boxes.subarray((picture * slots + one) * 4) as unknown as Box
        if (truths.crowd[picture * slots + one] === 1 && x > l && x < r && y > t && y < b)
          inCrowd = true
      }
      const isPositive = slot >= 0
      let overlap = 0
      if (isPositive) {
        positives++
        const wanted = [...truths.boxes.subarray((picture * slots + slot) * 4).slice(0, 4)] as Box
        let said: Box
        if (head.kind === 'sized') {
          const raw = [0, 1, 2, 3].map((side) => at(level.box, picture, side, own)) as Box
          const [cx, cy] = [x - stride / 2 + raw[0] * stride, y - stride / 2 + raw[1] * stride]
          const [w, h] = [Math.exp(raw[2]) * stride, Math.exp(raw[3]) * stride]
          said = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
        } else {
          const distances = [0, 1, 2, 3].map((side) => {
            const bins = Array.from({ length: head.bins }, (_, bin) =>
              at(level.box, picture, side * head.bins + bin, own),
            )
            const sum = bins.reduce((total, one) => total + Math.exp(one), 0)
            const real =
              [x - wanted[0], y - wanted[1], wanted[2] - x, wanted[3] - y][side]! / stride
            const target = Math.min(head.bins - 1, Math.max(0, real))
            for (const [bin, one] of bins.entries()) {
              const share = Math.max(0, 1 - Math.abs(bin - target))
              sums.bins -= (share * (one - Math.log(sum))) / 4
            }
            return (bins.reduce((total, one, bin) => total + bin * Math.exp(one), 0) / sum) * stride
          }) as Box
          said = [x - distances[0], y - distances[1], x + distances[2], y + distances[3]]
        }
        const area = ([l, t, r, b]: Box) => Math.max(0, r - l) * Math.max(0, b - t)
        const shared = area([
          Math.max(said[0], wanted[0]),
          Math.max(said[1], wanted[1]),
          Math.min(said[2], wanted[2]),
          Math.min(said[3], wanted[3]),
        ])
        const union = area(said) + area(wanted) - shared
        overlap = shared / (union + 1e-6)
        const hull =
          area([
            Math.min(said[0], wanted[0]),
            Math.min(said[1], wanted[1]),
            Math.max(said[2], wanted[2]),
            Math.max(said[3], wanted[3]),
          ]) + 1e-6
        sums.box += boxLoss === 'iou' ? 1 - overlap ** 2 : 1 - overlap + (hull - union) / hull
      }
      noted[picture * count + cell] = overlap
      const counted = isPositive || !inCrowd ? 1 : 0
      if (level.objectness) {
        const logit = at(level.objectness, picture, 0, own)
        sums.objectness += counted * (softplus(logit) - logit * Number(isPositive))
      }
      if (isPositive || (!level.objectness && counted)) {
        for (let kind = 0; kind < head.classes; kind++) {
          const logit = at(level.classes, picture, kind, own)
          const isIt =
            isPositive && truths.classes[(picture * slots + slot) * head.classes + kind] === 1
          const target = isIt ? (overlapTargets?.[picture * count + cell] ?? overlap) : 0
          sums.classes += softplus(logit) - logit * target
        }
      }
    }
  }
  targets.overlaps ??= noted
  const total =
    weights.box * sums.box +
    weights.classes * sums.classes +
    (head.kind === 'sized' ? weights.objectness * sums.objectness : weights.bins * sums.bins)
  return total / Math.max(1, positives)
}

for (const make of [tinyYolox, tinyYolov8, tinyNanodet]) {
  for (const boxLoss of ['iou', 'giou'] as const) {
    test(`detectionLoss() with ${boxLoss} and its gradient are those of doubles for ${make.name}`, async (t) => {
      const seed = 31
      t.diagnostic(`seed ${seed}`)
      const head = recognizeHead(make({ classes: 3, side: 32 }))
      const random = numbersFrom(seed)
      const outputs: Outputs = Object.fromEntries(
        [...channelsOf(head)].map(([cut, { channels, cells }]) => [
          cut,
          Float64Array.from({ length: pictures * channels * cells }, () =>
            Math.fround((random() - 0.5) * 2),
          ),
        ]),
      )
      const any = (label: string, crowd = false) => {
        const [w, h] = [0.2 + random() * 0.4, 0.2 + random() * 0.4]
        const box = [random() * (1 - w), random() * (1 - h), w, h] as const
        return { kind: 'box' as const, label, box, crowd }
      }
      const truths = packTruths(
        [
          [any('a'), any('b'), any('c')],
          [any('b'), any('c', true)],
        ],
        ['a', 'b', 'c'],
        head,
        slots,
      )
      const found = await inGraph(head, boxLoss, outputs, truths)
      const targets = {}
      const total = inLoops(head, boxLoss, outputs, truths, found.matched, targets)
      assert.ok(Math.abs(found.total - total) < 1e-5 * total, `loss ${found.total}, ${total}`)
      let worst = 0
      let largest = 0
      for (const [cut, values] of Object.entries(outputs)) {
        for (let i = 0; i < values.length; i++) {
          const step = 1e-6
          const old = values[i]!
          values[i] = old + step
          const more = inLoops(head, boxLoss, outputs, truths, found.matched, targets)
          values[i] = old - step
          const less = inLoops(head, boxLoss, outputs, truths, found.matched, targets)
          values[i] = old
          const slope = (more - less) / (2 * step)
          largest = Math.max(largest, Math.abs(slope))
          worst = Math.max(worst, Math.abs(slope - found.gradients[cut]![i]!))
        }
      }
      t.diagnostic(`largest slope ${largest}, worst error ${worst}`)
      assert.ok(largest > 0.1)
      assert.ok(worst / largest < 1e-4, `${worst} of ${largest}`)
    })
  }
}

test('detectionLoss() of pictures without a box teaches objectness alone', async () => {
  const head = recognizeHead(tinyYolox({ classes: 3, side: 32 }))
  const outputs: Outputs = Object.fromEntries(
    [...channelsOf(head)].map(([cut, { channels, cells }]) => [
      cut,
      new Float64Array(pictures * channels * cells),
    ]),
  )
  const truths = packTruths([[], []], ['a', 'b', 'c'], head, slots)
  const { total, gradients } = await inGraph(head, 'iou', outputs, truths)
  // Each of 2 × 20 cells says a half.
  assert.ok(Math.abs(total - 40 * Math.log(2)) < 1e-3, `${total}`)
  for (const [cut, gradient] of Object.entries(gradients)) {
    assert.ok(
      gradient.every((one) => (cut.startsWith('obj') ? one === 0.5 : one === 0)),
      cut,
    )
  }
})
