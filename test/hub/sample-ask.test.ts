/** Somebody asks for frames of a stream: its box hears it, and whoever may not or cannot is told why. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import {
  type Problem,
  type SampleAsked,
  type SampleRequest,
  SampleRequest as Schema,
  topicFor,
} from '@edgeloop/protocol'
import { fits } from '@edgeloop/protocol/check'
import { runCommand } from './command.ts'
import { openTestHub } from './fixture.ts'

const path = '/api/devices/gate/streams/cam/samples'

test('a box is asked for frames of a stream that keeps some, by whoever may ask', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const ask = async (body: object, to = path) => {
    const reply = await hub.api('POST', to, body)
    return { status: reply.status, body: (await reply.json()) as SampleAsked & Problem }
  }
  const none = await ask({})
  assert.equal(none.status, 404)
  assert.match(none.body.detail, /device "gate" has no such stream/)
  await hub.api('POST', '/api/devices/gate/streams', { streamId: 'plain', source: 'demo:1' })
  const plain = await ask({}, path.replace('cam', 'plain'))
  assert.equal(plain.status, 409)
  assert.match(plain.body.detail, /it keeps none; give it "sampling"/)
  const stream = { streamId: 'cam', source: 'demo:1', sampling: {} }
  await hub.api('POST', '/api/devices/gate/streams', stream)
  const away = await ask({})
  assert.deepEqual([away.status, away.body.state, away.body.frames], [200, 'offline', 0])
  assert.match(away.body.reason, /"gate" is not connected/)
  const command = await runCommand(hub, 'stream', 'sample', 'gate', 'cam')
  assert.equal(command.code, 1)
  assert.match(command.stderr, /Cannot ask for frames: Device "gate" is not connected/)

  const client = await device.connect()
  const heard: SampleRequest[] = []
  client.on('message', (topic, payload) => {
    if (topic === topicFor('sampleRequest', device)) heard.push(JSON.parse(payload.toString()))
  })
  await client.subscribeAsync(topicFor('sampleRequest', device), { qos: 1 })
  const status = { state: 'online', at: new Date().toISOString(), bootId: randomUUID() }
  await client.publishAsync(topicFor('status', device), JSON.stringify(status), {
    qos: 1,
    retain: true,
  })
  const soon = { timeout: 20_000, interval: 20 }
  await t.waitFor(async () => assert.equal((await ask({ frames: 3 })).body.state, 'asked'), soon)
  await t.waitFor(() => assert.equal(heard.length, 1), soon)
  const [first] = heard
  assert.ok(fits(Schema, first))
  assert.deepEqual([first.streamId, first.frames], ['cam', 3])
  assert.match(first.why, / asked for it$/)
  assert.ok(Date.parse(first.until) > Date.now())
  const asked = await runCommand(
    hub,
    ...['stream', 'sample', 'gate', 'cam', '--frames', '2', '--why', 'new pallets', '--json'],
  )
  assert.deepEqual(JSON.parse(asked.stdout), { state: 'asked', reason: '', frames: 2 })
  await t.waitFor(() => assert.match(heard.at(-1)?.why ?? '', /: new pallets$/), soon)

  for (const body of [{ frames: 0 }, { frames: 51 }, { count: 2 }, { why: 'x'.repeat(201) }]) {
    assert.equal((await ask(body)).status, 400, JSON.stringify(body))
  }
  for (const [role, wanted] of [
    ['viewer', 403],
    ['operator', 200],
  ] as const) {
    const headers = await hub.signIn(role, role)
    const reply = await fetch(`${hub.hub.urls.browser}${path}`, {
      method: 'POST',
      body: '{}',
      headers: { ...headers, 'content-type': 'application/json' },
    })
    assert.equal(reply.status, wanted, role)
  }
})
