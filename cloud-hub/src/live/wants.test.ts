import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mergeWants } from './wants.ts'

test('mergeWants() takes the widest and fastest wish for each stream, by device', () => {
  const merged = mergeWants([
    { deviceId: 'gate', streamId: 'two', widthMax: 320, fpsMax: 10 },
    { deviceId: 'yard', streamId: 'one', widthMax: 640, fpsMax: 1 },
    { deviceId: 'gate', streamId: 'two', widthMax: 640, fpsMax: 5 },
    { deviceId: 'gate', streamId: 'one', widthMax: 64, fpsMax: 0.5 },
  ])
  assert.deepEqual(
    [...merged],
    [
      [
        'gate',
        [
          { streamId: 'one', widthMax: 64, fpsMax: 0.5 },
          { streamId: 'two', widthMax: 640, fpsMax: 10 },
        ],
      ],
      ['yard', [{ streamId: 'one', widthMax: 640, fpsMax: 1 }]],
    ],
  )
})

test('mergeWants() of nothing asks nobody', () => {
  assert.equal(mergeWants([]).size, 0)
})
