import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pagesOf, qualityOf, readWallView, splitOne } from './wall-view.ts'

test('readWallView() keeps what fits and drops the rest and the defaults', () => {
  assert.deepEqual(
    readWallView({ layout: 16, page: 3, site: 'north', one: 'gate-1/north', boxes: 'off' }),
    { layout: 16, page: 3, site: 'north', one: 'gate-1/north', boxes: 'off' },
  )
  assert.deepEqual(
    readWallView({ layout: 9, page: 1, site: '', one: '../x/y', boxes: 'on', q: 7, z: 1 }),
    {},
  )
  assert.deepEqual(readWallView({ layout: 5, page: 1.5 }), {})
})

test('splitOne() takes one device and one stream and nothing else', () => {
  assert.deepEqual(splitOne('a/b'), { deviceId: 'a', streamId: 'b' })
  for (const wrong of ['a', 'a/', '/b', 'a/b/c', 'A/b']) assert.equal(splitOne(wrong), undefined)
})

test('pagesOf() has room for everything and is never none', () => {
  assert.deepEqual(
    [0, 1, 9, 10].map((total) => pagesOf(total, 9)),
    [1, 1, 1, 2],
  )
})

test('qualityOf() asks less of each the more there are', () => {
  assert.ok(qualityOf(1).widthMax > qualityOf(4).widthMax)
  assert.ok(qualityOf(9).widthMax > qualityOf(16).widthMax)
})
