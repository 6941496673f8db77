import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InputView } from '../cameras/camera.ts'
import { seededRandom } from '../demo/random.ts'
import { cosineDistance, hashDistance, looksLength, looksOf } from './looks.ts'
import { isNearDuplicate } from './near-duplicate.ts'
import { type Cover, distanceTo, novel, withCentre } from './novel.ts'

const [width, height] = [160, 90]
const view: InputView = {
  width: 32,
  height: 32,
  channels: 'rgb',
  pad: 114,
  content: { left: 0, top: 4, width: 32, height: 18 },
}

/** A scene of blocks; the same seed gives the same blocks, `light` changes all, `noise` each pixel. */
function scene(seed: number, { light = 0, noise = 0, noiseSeed = 1 } = {}) {
  const random = seededRandom(seed)
  const blocks = Array.from({ length: 16 * 9 }, () => 30 + random() * 180)
  const chance = seededRandom(noiseSeed)
  const grey = Uint8Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)]
    const level = blocks[Math.floor(y / 10) * 16 + Math.floor(x / 10)]!
    return Math.min(255, Math.max(0, level + light + (chance() - 0.5) * 2 * noise))
  })
  const [red, green, blue] = [random() * 255, random() * 255, random() * 255]
  const bytes = Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => [red, green, blue][i % 3]!)
  return looksOf(grey, { bytes, view })
}

test('looksOf() gives 64 bits and a vector of length 1', () => {
  const { hash, embedding } = scene(1)
  assert.match(hash, /^[0-9a-f]{16}$/)
  assert.equal(embedding.length, looksLength)
  assert.ok(Math.abs(Math.hypot(...embedding) - 1) < 0.01)
})

test('looks are near for one scene under noise, and far for another', () => {
  const [a, b, other] = [scene(1), scene(1, { noise: 6, noiseSeed: 9 }), scene(2)]
  assert.ok(hashDistance(a.hash, b.hash) <= 4)
  assert.ok(cosineDistance(a.embedding, b.embedding) < 0.02)
  assert.ok(hashDistance(a.hash, other.hash) > 15)
  assert.ok(cosineDistance(a.embedding, other.embedding) > 0.2)
})

test('hashDistance() counts bits', () => {
  assert.equal(hashDistance('0000000000000000', 'ffffffffffffffff'), 64)
  assert.equal(hashDistance('8000000000000001', '0000000000000000'), 2)
})

test('isNearDuplicate() wants the same things in the same places', () => {
  const looks = scene(1)
  const cup = { label: 'cup', box: [0.4, 0.4, 0.1, 0.1] }
  const sent = [{ hash: looks.hash, embedding: [...looks.embedding], things: [cup] }]
  const again = scene(1, { noise: 4, noiseSeed: 3 })
  assert.equal(isNearDuplicate(again, [{ ...cup, box: [0.41, 0.4, 0.1, 0.1] }], sent), true)
  assert.equal(isNearDuplicate(again, [{ ...cup, box: [0.6, 0.4, 0.1, 0.1] }], sent), false)
  assert.equal(isNearDuplicate(again, [{ ...cup, label: 'bowl' }], sent), false)
  assert.equal(isNearDuplicate(again, [cup, { ...cup, box: [0.1, 0.1, 0.1, 0.1] }], sent), false)
  assert.equal(isNearDuplicate(scene(2), [cup], sent), false)
})

test('novel() finds what is far from all that was sent, and no longer once it was', () => {
  let cover: Cover = []
  for (let k = 0; k < 12; k++) {
    cover = withCentre(cover, scene(1, { noise: 10, noiseSeed: 20 + k }).embedding)
  }
  assert.equal(novel(cover, scene(1, { noise: 10, noiseSeed: 77 }).embedding), undefined)
  const strange = scene(5).embedding
  const finding = novel(cover, strange)
  assert.match(finding?.why ?? '', /^\d\.\d+ from the nearest of 12 pictures/)
  assert.equal(novel(withCentre(cover, strange), scene(5, { noise: 3 }).embedding), undefined)
})

test('withCentre() is bounded, and goes on covering the most different', () => {
  let cover: Cover = []
  for (const seed of [1, 2, 3, 4]) cover = withCentre(cover, scene(seed).embedding, 6)
  for (let k = 0; k < 40; k++) {
    cover = withCentre(cover, scene(1, { noise: 8, noiseSeed: k }).embedding, 6)
    assert.ok(cover.length <= 6)
  }
  for (const seed of [1, 2, 3, 4]) assert.ok(distanceTo(cover, scene(seed).embedding) < 0.03)
})

test('withCentre() begins anew when embeddings are of another kind', () => {
  const cover = withCentre([[1, 0]], [0, 1, 0])
  assert.deepEqual(cover, [[0, 1, 0]])
})
