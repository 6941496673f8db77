import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Asked, CallFailed, makeCaller } from './call.ts'
import { problemOf } from './problem.ts'

/** A caller of a hub that gives one answer, and what it was asked. */
function answering(reply: () => Response) {
  const asked: [string, Asked][] = []
  const caller = makeCaller(async (path, given) => {
    asked.push([path, given])
    return reply()
  })
  return { asked, ...caller }
}

const json = (body: unknown, init: ResponseInit = {}) =>
  new Response(JSON.stringify(body), {
    headers: { 'content-type': 'application/json; charset=utf-8' },
    ...init,
  })

test('call() sends what the row of the table says', async () => {
  const { call, asked } = answering(() => json({ version: 2 }))
  const { signal } = new AbortController()
  const body = { version: 1, to: 1 }
  const reply = await call('configRollback', { params: { deviceId: 'a' }, body, signal })
  assert.equal(reply.version, 2)
  assert.deepEqual(asked, [
    [
      '/api/devices/a/config/rollback',
      {
        method: 'POST',
        headers: { accept: 'application/json', 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal,
      },
    ],
  ])
})

test('call() of a route without a reply gives nothing', async () => {
  const { call } = answering(() => new Response(null, { status: 204 }))
  assert.equal(await call('signOut', {}), undefined)
})

test('callBytes() gives the bytes, or what says why there are none', async () => {
  const params = { deviceId: 'a', streamId: 'b' }
  const bytes = answering(() => new Response(new Uint8Array([1, 2])))
  assert.deepEqual(await bytes.callBytes('streamPicture', { params }), new Uint8Array([1, 2]))
  const none = { state: 'offline', reason: 'away' }
  const absent = answering(() => json(none))
  assert.deepEqual(await absent.callBytes('streamPicture', { params }), none)
  assert.equal(absent.asked[0]?.[1].headers.accept, 'application/octet-stream')
})

test('a refusal is thrown with its code and its words, also where it is no problem document', async () => {
  const newest = { version: 7, at: '2026-11-21T10:00:00.000Z', by: 'anna' }
  const conflict = { ...problemOf('conflict', 'Cannot replace version 1'), newest }
  const { call } = answering(() => json(conflict, { status: 409 }))
  await assert.rejects(call('session', {}), (error) => {
    assert.ok(error instanceof CallFailed)
    const { code, status, message } = error
    assert.deepEqual([code, status, message], ['conflict', 409, 'Cannot replace version 1'])
    assert.deepEqual(error.newest, newest)
    return true
  })
  const broken = answering(() => new Response('<html>', { status: 502, statusText: 'Bad Gateway' }))
  await assert.rejects(broken.call('session', {}), /The hub answered 502 Bad Gateway/)
})
