/** When a camera that speaks HTTP counts as silent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MjpegServer } from '../../../test/http/mjpeg-server.ts'
import { httpPictures } from './http-pictures.ts'
import { parseSource } from './source.ts'

const stallTimeoutMs = 200

async function watch(server: MjpegServer) {
  const source = await parseSource(server.url())
  assert.ok(source.kind === 'http')
  const signal = new AbortController().signal
  return httpPictures(source, { intervalMs: 30, openTimeoutMs: 20_000, stallTimeoutMs, signal })
}

test('httpPictures() does not take its own pause for the camera’s silence', async () => {
  await using server = await MjpegServer.open({ pictures: [Buffer.from('a picture')] })
  let came = 0
  for await (const picture of await watch(server)) {
    assert.equal(Buffer.from(picture).toString(), 'a picture')
    // Neither this thread nor anything on it does anything meanwhile.
    if (came % 2 === 1) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * stallTimeoutMs)
    }
    if (++came === 5) break
  }
})

test('httpPictures() says so when a camera has stopped sending', async () => {
  const faults = { stallAfterFrames: 3 }
  await using server = await MjpegServer.open({ pictures: [Buffer.from('a picture')], faults })
  let came = 0
  await assert.rejects(
    async () => {
      for await (const _ of await watch(server)) came++
    },
    { fault: 'stalled' },
  )
  // The end of a picture may only be seen by what follows it.
  assert.ok(came === 2 || came === 3, `${came} came`)
})
