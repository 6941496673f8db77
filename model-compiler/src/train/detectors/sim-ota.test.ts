/** SimOTA in the step graph against the paper in plain loops. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { numbersFrom, tinyYolov8, tinyYolox } from '../../../../test/training/tiny-detectors.ts'
import type { Annotation } from '../../datasets/dataset.ts'
import { writeModel } from '../../onnx/write.ts'
import { openSession } from '../../runtime/session.ts'
import { Tape } from '../tape/tape.ts'
import { Anchors } from './anchors.ts'
import { type Head, recognizeHead } from './head.ts'
import { overlapsOf, simOta } from './sim-ota.ts'
import { packTruths, type Truths } from './truths.ts'

type Said = {
  readonly corners: Float32Array
  readonly objectness: Float32Array | undefined
  readonly classes: Float32Array
}

/** What the step graph decides: [N, G, A]. */
async function decided(head: Head, said: Said, truths: Truths, pictures: number) {
  const tape = new Tape()
  const anchors = new Anchors(head)
  const { slots } = truths
  const f = (name: string, ...shape: number[]) => tape.input(name, 'float32', shape)
  const corners = f('corners', pictures, 4, anchors.count)
  const objectness = said.objectness && f('objectness', pictures, 1, anchors.count)
  const classes = f('classes', pictures, head.classes, anchors.count)
  const given = {
    boxes: f('boxes', pictures, slots, 4),
    present: f('present', pictures, slots, 1),
    crowd: f('crowd', pictures, slots, 1),
    classes: f('kinds', pictures, slots, head.classes),
  }
  const overlaps = overlapsOf(tape, corners, given.boxes)
  const cells = anchors.write(tape)
  const matched = simOta(tape, { corners, objectness, classes }, given, overlaps, cells)
  const model = tape.toModel('assignment', { matched })
  await using session = await openSession(writeModel(model))
  const value = (data: Float32Array, ...dims: number[]) => ({
    type: 'float32' as const,
    dims,
    data,
  })
  const result = await session.run({
    corners: value(said.corners, pictures, 4, anchors.count),
    ...(said.objectness && { objectness: value(said.objectness, pictures, 1, anchors.count) }),
    classes: value(said.classes, pictures, head.classes, anchors.count),
    boxes: value(truths.boxes, pictures, slots, 4),
    present: value(truths.present, pictures, slots, 1),
    crowd: value(truths.crowd, pictures, slots, 1),
    kinds: value(truths.classes, pictures, slots, head.classes),
  })
  return result.matched!.data as Float32Array
}

/** The same decision, box by box and cell by cell: for each cell the slot that it answers for, or −1. */
function expected(head: Head, said: Said, truths: Truths, picture: number): Int32Array {
  const { slots } = truths
  const anchors = new Anchors(head)
  const all = Array.from({ length: anchors.count }, (_, at) => at)
  const here = Array.from({ length: slots }, (_, slot) => slot).filter(
    (slot) => truths.present[picture * slots + slot] === 1,
  )
  const boxOf = (slot: number) =>
    [0, 1, 2, 3].map((side) => truths.boxes[(picture * slots + slot) * 4 + side]!)
  const cornerOf = (at: number) =>
    [0, 1, 2, 3].map((side) => said.corners[(picture * 4 + side) * anchors.count + at]!)
  const where = (slot: number, at: number) => {
    const [l, t, r, b] = boxOf(slot) as [number, number, number, number]
    const [x, y] = [anchors.x[at]!, anchors.y[at]!]
    const away = Math.max(Math.abs(x - (l + r) / 2), Math.abs(y - (t + b) / 2))
    return {
      within: x > l && x < r && y > t && y < b,
      central: away < 2.5 * anchors.stride[at]!,
    }
  }
  const asked = all.filter((at) =>
    here.some((slot) => {
      const { within, central } = where(slot, at)
      return within || central
    }),
  )
  const overlap = (slot: number, at: number) => {
    const [l, t, r, b] = boxOf(slot) as [number, number, number, number]
    const [l2, t2, r2, b2] = cornerOf(at) as [number, number, number, number]
    const w = Math.max(0, Math.min(r, r2) - Math.max(l, l2))
    const h = Math.max(0, Math.min(b, b2) - Math.max(t, t2))
    const area2 = Math.max(0, r2 - l2) * Math.max(0, b2 - t2)
    return (w * h) / Math.max((r - l) * (b - t) + area2 - w * h, 1e-8)
  }
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
  const cost = (slot: number, at: number) => {
    let sum = 0
    for (let kind = 0; kind < head.classes; kind++) {
      const shown = sigmoid(said.classes[(picture * head.classes + kind) * anchors.count + at]!)
      const there = said.objectness
        ? sigmoid(said.objectness[picture * anchors.count + at]!)
        : undefined
      const p = there === undefined ? shown : Math.sqrt(shown * there)
      const isIt = truths.classes[(picture * slots + slot) * head.classes + kind] === 1
      sum -= isIt ? Math.log(p) : Math.log(1 - Math.min(p, 1 - 1e-6))
    }
    const { within, central } = where(slot, at)
    return sum - 3 * Math.log(overlap(slot, at) + 1e-8) + (within && central ? 0 : 1000)
  }
  const takers: number[][] = all.map(() => [])
  for (const slot of here) {
    const best = asked.map((at) => overlap(slot, at)).sort((a, b) => b - a)
    const sum = best.slice(0, 10).reduce((a, b) => a + b, 0)
    const wanted = Math.max(1, Math.floor(sum))
    const cheapest = asked.toSorted((a, b) => cost(slot, a) - cost(slot, b) || a - b)
    for (const at of cheapest.slice(0, wanted)) takers[at]!.push(slot)
  }
  return Int32Array.from(takers, (slots, at) => {
    const [first] = slots.toSorted((a, b) => cost(a, at) - cost(b, at) || a - b)
    return first ?? -1
  })
}

const compare = async (head: Head, said: Said, truths: Truths, pictures: number) => {
  const matched = await decided(head, said, truths, pictures)
  const { count } = new Anchors(head)
  let positives = 0
  for (let picture = 0; picture < pictures; picture++) {
    const wanted = expected(head, said, truths, picture)
    for (let at = 0; at < count; at++) {
      const found: number[] = []
      for (let slot = 0; slot < truths.slots; slot++) {
        if (matched[(picture * truths.slots + slot) * count + at] === 1) found.push(slot)
      }
      assert.deepEqual(found, wanted[at] === -1 ? [] : [wanted[at]], `${picture}, cell ${at}`)
      positives += found.length
    }
  }
  return positives
}

/** Boxes of any size, some in each other; the last picture has none. */
function randomTruths(random: () => number, pictures: number, most: number): Annotation[][] {
  return Array.from({ length: pictures }, (_, picture) =>
    Array.from({ length: picture === pictures - 1 ? 0 : 1 + Math.floor(random() * most) }, () => {
      const [w, h] = [0.05 + random() * 0.5, 0.05 + random() * 0.5]
      const box = [random() * (1 - w), random() * (1 - h), w, h] as const
      return { kind: 'box' as const, label: 'abc'[Math.floor(random() * 3)]!, box }
    }),
  )
}

/** Predictions as of a net that has learned something: boxes scattered around the true ones. */
function randomSaid(head: Head, truths: Truths, pictures: number, random: () => number): Said {
  const { count, x, y, stride } = new Anchors(head)
  const corners = new Float32Array(pictures * 4 * count)
  for (let picture = 0; picture < pictures; picture++) {
    for (let at = 0; at < count; at++) {
      const slot = Math.floor(random() * truths.slots)
      const row = (picture * truths.slots + slot) * 4
      const isNear = truths.present[picture * truths.slots + slot] === 1 && random() < 0.7
      const around = [x[at]!, y[at]!, x[at]!, y[at]!]
      for (let side = 0; side < 4; side++) {
        const out = (side < 2 ? -1 : 1) * stride[at]! * (0.3 + random())
        corners[(picture * 4 + side) * count + at] = isNear
          ? truths.boxes[row + side]! + (random() - 0.5) * 8
          : around[side]! + out
      }
    }
  }
  const logits = (channels: number) =>
    Float32Array.from({ length: pictures * channels * count }, () => (random() - 0.6) * 8)
  const hasObjectness = head.kind === 'sized'
  return {
    corners,
    objectness: hasObjectness ? logits(1) : undefined,
    classes: logits(head.classes),
  }
}

for (const make of [tinyYolox, tinyYolov8]) {
  test(`simOta() decides as the paper does for ${make.name}, in sparse pictures and crowds`, async (t) => {
    const head = recognizeHead(make({ classes: 3 }))
    for (const [seed, most, slots] of [
      [1, 3, 16],
      [2, 12, 16],
      [3, 60, 64],
    ] as const) {
      const random = numbersFrom(seed)
      const truths = packTruths(randomTruths(random, 3, most), ['a', 'b', 'c'], head, slots)
      const positives = await compare(head, randomSaid(head, truths, 3, random), truths, 3)
      t.diagnostic(`seed ${seed}: ${positives} cells answer for a box`)
      assert.ok(positives > 0)
    }
  })
}

test('simOta() gives equal cells and equal boxes to the first', async () => {
  const head = recognizeHead(tinyYolox({ classes: 3 }))
  const box = { kind: 'box' as const, label: 'a', box: [0.2, 0.2, 0.4, 0.4] as const }
  const truths = packTruths([[box, box]], ['a', 'b', 'c'], head, 16)
  const { count } = new Anchors(head)
  // Every cell says the same box and the same logits.
  const said: Said = {
    corners: Float32Array.from(
      { length: 4 * count },
      (_, at) => [13, 13, 38, 38][Math.floor(at / count)]!,
    ),
    objectness: new Float32Array(count),
    classes: new Float32Array(3 * count),
  }
  const matched = await decided(head, said, truths, 1)
  const of = (slot: number) => matched.subarray(slot * count, (slot + 1) * count)
  const cells = (slot: number) => [...of(slot).entries()].filter(([, one]) => one === 1)
  assert.ok(cells(0).length > 0)
  assert.equal(cells(1).length, 0)
  assert.ok((await compare(head, said, truths, 1)) > 0)
})

test('simOta() gives a box that nothing overlaps one cell, and an empty picture none', async () => {
  const head = recognizeHead(tinyYolox({ classes: 3 }))
  const { count } = new Anchors(head)
  const box = { kind: 'box' as const, label: 'b', box: [0.5, 0.5, 0.1, 0.1] as const }
  const truths = packTruths([[box], []], ['a', 'b', 'c'], head, 16)
  const random = numbersFrom(5)
  const said: Said = {
    corners: new Float32Array(2 * 4 * count).fill(1),
    objectness: Float32Array.from({ length: 2 * count }, () => random()),
    classes: Float32Array.from({ length: 2 * 3 * count }, () => random()),
  }
  assert.equal(await compare(head, said, truths, 2), 1)
})
