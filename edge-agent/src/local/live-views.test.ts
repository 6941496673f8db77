/** The hub and people beside the box look at the same streams, and each gets what it asked for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LiveRequest } from '@edgeloop/protocol'
import { LiveViews } from './live-views.ts'

const message = Uint8Array.of(1)

function scene() {
  const clock = { now: 1_000_000 }
  const asked: LiveRequest[] = []
  const forwarded: string[] = []
  const views = new LiveViews({
    ask: (request) => void asked.push(request),
    forward: (streamId) => void forwarded.push(streamId),
    now: () => clock.now,
  })
  const hub = (ms: number, ...streams: LiveRequest['streams']) =>
    views.hubAsks({ until: new Date(clock.now + ms).toISOString(), streams })
  return { clock, asked, forwarded, views, hub, last: () => asked.at(-1) }
}

test('without local views the hub’s request goes through as it is', () => {
  const { views, hub, asked, forwarded, clock } = scene()
  hub(9_000, { streamId: 'a', widthMax: 320, fpsMax: 1 })
  assert.deepEqual(asked, [
    {
      until: new Date(clock.now + 9_000).toISOString(),
      streams: [{ streamId: 'a', widthMax: 320, fpsMax: 1 }],
    },
  ])
  views.take('a', message)
  views.take('b', message)
  assert.deepEqual(forwarded, ['a'])
  clock.now += 9_001
  views.take('a', message)
  assert.deepEqual(forwarded, ['a'])
})

test('the larger and faster of two wishes is asked for, and the hub gets no more than its own', () => {
  const { views, hub, last, forwarded, clock } = scene()
  hub(60_000, { streamId: 'a', widthMax: 320, fpsMax: 1 })
  let shown = 0
  using _view = views.look({ streamId: 'a', widthMax: 1280, fpsMax: 10 }, () => void shown++)
  using _other = views.look({ streamId: 'b', widthMax: 64, fpsMax: 2 }, () => assert.fail('not b'))
  assert.deepEqual(last()?.streams, [
    { streamId: 'a', widthMax: 1280, fpsMax: 10 },
    { streamId: 'b', widthMax: 64, fpsMax: 2 },
  ])
  for (let i = 0; i < 20; i++) {
    views.take('a', message)
    clock.now += 100
  }
  assert.equal(shown, 20)
  assert.ok(forwarded.length >= 2 && forwarded.length <= 3, `${forwarded.length} to the hub`)
})

test('when the last local view goes, the hub’s request is what is left, while it holds', () => {
  const { views, hub, last, clock } = scene()
  hub(5_000, { streamId: 'a', widthMax: 320, fpsMax: 1 })
  const view = views.look({ streamId: 'b', widthMax: 640, fpsMax: 5 }, () => {})
  assert.equal(last()?.streams.length, 2)
  view[Symbol.dispose]()
  view[Symbol.dispose]()
  assert.deepEqual(last()?.streams, [{ streamId: 'a', widthMax: 320, fpsMax: 1 }])
  clock.now += 5_001
  const again = views.look({ streamId: 'b', widthMax: 640, fpsMax: 5 }, () => {})
  assert.deepEqual(last()?.streams, [{ streamId: 'b', widthMax: 640, fpsMax: 5 }])
  again[Symbol.dispose]()
  assert.deepEqual(last()?.streams, [])
  views[Symbol.dispose]()
})
