/** The demo's world: the same for the same seed, closed in time, and true to what it says. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { beltBottom, beltTop } from './backdrop.ts'
import { demoLabels } from './parts.ts'
import { createScene, sceneFps, sceneHeight, sceneWidth } from './scene.ts'

const seconds = 20
const scene = createScene({ seed: 5, seconds })

function picture(
  from: { render(frame: number, rgb: Uint8Array): void },
  frame: number,
): Uint8Array {
  const rgb = new Uint8Array(sceneWidth * sceneHeight * 3)
  from.render(frame, rgb)
  return rgb
}

/** Mean difference of two pictures, in levels, over rows of the belt. */
function difference(a: Uint8Array, b: Uint8Array): number {
  const first = beltTop * sceneWidth * 3
  const last = beltBottom * sceneWidth * 3
  let sum = 0
  for (let at = first; at < last; at++) sum += Math.abs(a[at]! - b[at]!)
  return sum / (last - first)
}

test('createScene() draws the same frame for the same seed, in any order', () => {
  const later = picture(scene, 70)
  const again = createScene({ seed: 5, seconds })
  assert.deepEqual(picture(again, 70), later)
  assert.deepEqual(again.truth(70), scene.truth(70))
  assert.ok(difference(picture(createScene({ seed: 6, seconds }), 70), later) > 5)
})

test('createScene() closes its loop: the first frame follows the last', () => {
  assert.equal(scene.frameCount, seconds * sceneFps)
  assert.deepEqual(picture(scene, scene.frameCount + 3), picture(scene, 3))
  const seam = difference(picture(scene, scene.frameCount - 1), picture(scene, 0))
  const within = difference(picture(scene, 0), picture(scene, 1))
  assert.ok(seam < within * 1.5, `seam ${seam}, between frames ${within}`)
  assert.deepEqual(scene.truth(-1), scene.truth(scene.frameCount - 1))
})

test('truth() moves with the belt, which runs and stands', () => {
  const steps = new Set<number>()
  let standing = 0
  let now = scene.truth(0)
  for (let frame = 0; frame < scene.frameCount; frame++) {
    const next = scene.truth(frame + 1)
    const after = new Map(next.map((part) => [part.part, part]))
    const moved = now.flatMap((part) => {
      const same = after.get(part.part)
      // What is cut or covered shows less or more of itself in the next frame.
      if (part.visibleShare < 1 || same?.visibleShare !== 1) return []
      assert.equal(same.label, part.label)
      assert.ok(Math.abs(same.box[1] - part.box[1]) < 1e-9)
      return Math.round((same.box[0] - part.box[0]) * sceneWidth)
    })
    assert.ok(new Set(moved).size <= 1, `frame ${frame}: parts moved by ${moved}`)
    for (const step of moved) steps.add(step)
    if (moved[0] === 0) standing++
    now = next
  }
  assert.ok(Math.max(...steps) <= 6 && Math.min(...steps) === 0)
  assert.ok(standing > sceneFps, `stood for ${standing} frames`)
})

test('truth() boxes are tight: parts touch their sides and little lies beyond', () => {
  const touched = { on: 0, beyond: 0, all: 0 }
  for (const frame of [10, 60, 100, 150, 200]) {
    const rgb = picture(scene, frame)
    /** True where something brighter than the belt lies on a line of pixels. */
    const bright = (x: number, y: number, columns: number, rows: number): boolean => {
      for (let row = y; row < y + rows; row++) {
        for (let at = (row * sceneWidth + x) * 3; at < (row * sceneWidth + x + columns) * 3; at++) {
          if (rgb[at]! > 85) return true
        }
      }
      return false
    }
    const sides = (x: number, y: number, width: number, height: number): number =>
      [
        bright(x, y, width, 1),
        bright(x, y + height - 1, width, 1),
        bright(x, y, 1, height),
        bright(x + width - 1, y, 1, height),
      ].filter(Boolean).length
    for (const { box, visibleShare } of scene.truth(frame)) {
      if (visibleShare < 1) continue
      const x = Math.round(box[0] * sceneWidth)
      const y = Math.round(box[1] * sceneHeight)
      const width = Math.round(box[2] * sceneWidth)
      const height = Math.round(box[3] * sceneHeight)
      touched.all += 4
      touched.on += sides(x, y, width, height)
      touched.beyond += sides(x - 2, y - 2, width + 4, height + 4)
    }
  }
  // A painted corner in the shade is as dark as the belt, and a neighbour may lie close.
  const { on, beyond, all } = touched
  assert.ok(all > 80 && on > 0.7 * all && beyond < 0.35 * all, JSON.stringify(touched))
})

test('truth() tells all labels, some defects, and what is hidden', () => {
  const labels = new Map<string, number>()
  let hidden = 0
  let all = 0
  for (const seed of [1, 2]) {
    const { truth, frameCount } = createScene({ seed, seconds: 36 })
    for (let frame = 0; frame < frameCount; frame += 90) {
      for (const { label, kind, defective, box, visibleShare } of truth(frame)) {
        all++
        labels.set(label, (labels.get(label) ?? 0) + 1)
        assert.equal(label, defective ? 'defect' : kind)
        assert.ok(visibleShare > 0 && visibleShare <= 1)
        if (visibleShare < 0.9) hidden++
        const [left, top, width, height] = box
        assert.ok(left >= 0 && top >= 0 && left + width <= 1 && top + height <= 1)
      }
    }
  }
  for (const label of demoLabels) assert.ok((labels.get(label) ?? 0) / all > 0.05, label)
  assert.ok(labels.get('defect')! / all < 0.4)
  assert.ok(hidden / all > 0.05 && hidden / all < 0.5, `${hidden} of ${all} hidden`)
})

test('createScene() refuses a loop that is too short', () => {
  assert.throws(() => createScene({ seed: 1, seconds: 3 }), /of 3 s: it takes at least 10 s/)
})
