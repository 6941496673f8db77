import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { Change } from '@edgeloop/protocol'
import { backoffMs, backoffMsMax, ChangeFeed, isNewer } from './change-feed.ts'

type Answer = (reply: ServerResponse, lastEventId: string | undefined, request: number) => void

async function feedOn(t: TestContext, answer: Answer) {
  let requests = 0
  const server = createServer((request, reply) => {
    const last = request.headers['last-event-id']
    answer(reply, typeof last === 'string' ? last : undefined, requests++)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = new AbortController()
  const seen: string[] = []
  const feed = new ChangeFeed({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/changes`,
    onChange: (change: Change) =>
      seen.push(change.kind === 'device' ? change.deviceId : change.kind),
    onReset: () => seen.push('reset'),
    onSignedOut: () => seen.push('signedOut'),
    random: () => 0,
    signal: stop.signal,
  })
  const running = feed.run()
  t.after(async () => {
    stop.abort()
    await running
    server.closeAllConnections()
    server.close()
  })
  return { feed, seen, running }
}

const change = (sequence: number, deviceId = `d${sequence}`) =>
  `id: e-${sequence}\nevent: change\ndata: ${JSON.stringify({ kind: 'device', deviceId, revision: 1, patch: {} })}\n\n`

const open = (reply: ServerResponse) =>
  reply.writeHead(200, { 'content-type': 'text/event-stream' })

test('ChangeFeed resumes after the last id it saw: no gap, no double', async (t) => {
  const asked: (string | undefined)[] = []
  const { feed, seen } = await feedOn(t, (reply, last, request) => {
    asked.push(last)
    open(reply)
    if (request === 0) return void reply.end(change(1) + change(2))
    reply.write(change(2) + change(3)) // a replay may overlap
  })
  await t.waitFor(() => assert.deepEqual(seen, ['reset', 'd1', 'd2', 'd3']), { timeout: 5000 })
  assert.deepEqual(asked, [undefined, 'e-2'])
  assert.equal(feed.state().kind, 'live')
})

test('ChangeFeed goes on after a 503 and hands a reset on', async (t) => {
  const { seen } = await feedOn(t, (reply, _, request) => {
    if (request === 0) return void reply.writeHead(503).end()
    open(reply)
    reply.write('id: f-9\nevent: reset\ndata:\n\n')
    reply.write(change(1).replace('e-1', 'f-10'))
  })
  await t.waitFor(() => assert.deepEqual(seen, ['reset', 'reset', 'd1']), { timeout: 5000 })
})

test('ChangeFeed stops at a 401 and says so', async (t) => {
  const { seen, running } = await feedOn(t, (reply) => void reply.writeHead(401).end())
  await running
  assert.deepEqual(seen, ['signedOut'])
})

test('isNewer() compares sequences within an epoch and takes any id of another', () => {
  assert.equal(isNewer('a-10', 'a-9'), true)
  assert.equal(isNewer('a-9', 'a-9'), false)
  assert.equal(isNewer('b-c-1', 'a-900'), true)
  assert.equal(isNewer('b-c-1', 'b-c-2'), false)
})

test('backoffMs() doubles up to its cap and keeps at least half', () => {
  assert.equal(
    backoffMs(0, () => 0),
    500,
  )
  assert.equal(
    backoffMs(1, () => 1),
    2000,
  )
  assert.equal(
    backoffMs(50, () => 1),
    backoffMsMax,
  )
})
