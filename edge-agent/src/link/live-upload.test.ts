import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeviceHttps } from './device-https.ts'
import { resultOf } from './device-https.ts'
import { LiveUpload } from './live-upload.ts'
import { openUploadBudget } from './upload-budget.ts'

const { signal } = new AbortController()
const tick = () => new Promise((resolve) => setImmediate(resolve))

test('LiveUpload sends the newest picture of a stream and drops what it replaces', async () => {
  const sent: string[] = []
  let answer = Promise.withResolvers<{ kind: 'stored' }>()
  const https: Pick<DeviceHttps, 'put'> = {
    put: (path, _type, bytes) => {
      sent.push(`${path} ${bytes[0]}`)
      return answer.promise
    },
  }
  const live = new LiveUpload(https, openUploadBudget(0), signal)
  for (const number of [1, 2, 3]) {
    live.show('a', new Uint8Array([number]))
    await tick()
  }
  live.show('b', new Uint8Array([9]))
  await tick()
  assert.deepEqual(sent, ['/streams/a/picture 1', '/streams/b/picture 9'])
  const first = answer
  answer = Promise.withResolvers()
  answer.resolve({ kind: 'stored' })
  first.resolve({ kind: 'stored' })
  await tick()
  assert.deepEqual(sent.slice(2), ['/streams/a/picture 3'])
  assert.equal(live.dropped, 1)
  live.show('a', new Uint8Array(2_000_000))
  assert.equal(live.dropped, 2)
})

test('resultOf() tells what will never be taken from what may be taken later', () => {
  const problem = {
    type: 'x',
    title: 't',
    status: 422,
    code: 'digestDiffers',
    detail: 'it differs',
  }
  assert.deepEqual(resultOf(204, ''), { kind: 'stored' })
  assert.deepEqual(resultOf(422, JSON.stringify(problem)), { kind: 'refused', why: 'it differs' })
  assert.deepEqual(resultOf(503, '<html>'), { kind: 'later', why: 'HTTP 503' })
  assert.deepEqual(resultOf(403, ''), { kind: 'later', why: 'HTTP 403' })
})
