import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fitted, panned, scaleMax, toCanvas, toPicture, zoomed, zoomedTo } from './view.ts'

const area = { width: 800, height: 600 }
const picture = { width: 1600, height: 900 }

test('a picture is shown whole and centred at first', () => {
  assert.deepEqual(fitted(area, picture), { scale: 0.5, x: 0, y: 75 })
})

test('what is under the pointer stays there while the picture grows', () => {
  const at = [300, 250] as const
  const before = toPicture(at, fitted(area, picture))
  const near = zoomed(fitted(area, picture), 4, at, area, picture)
  const after = toPicture(at, near)
  assert.ok(Math.hypot(after[0] - before[0], after[1] - before[1]) < 1e-9)
  assert.deepEqual(toCanvas(after, near), at)
  assert.deepEqual(zoomed(near, 0.01, at, area, picture), fitted(area, picture))
  assert.equal(zoomed(near, 1e6, at, area, picture).scale, scaleMax)
})

test('however far it is moved, some of the picture is on the canvas', () => {
  const near = zoomed(fitted(area, picture), 4, [400, 300], area, picture)
  const away = panned(near, 1e6, -1e6, area, picture)
  assert.ok(away.x < area.width && away.y + picture.height * away.scale > 0)
})

test('a box is shown in the middle with room around it', () => {
  const box = { kind: 'box', left: 100, top: 100, right: 200, bottom: 150 } as const
  const view = zoomedTo(box, area, picture)
  assert.equal(view.scale, 4)
  assert.deepEqual(toCanvas([150, 125], view), [400, 300])
})
