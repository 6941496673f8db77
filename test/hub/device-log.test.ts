/** The log of a device, asked for by somebody: answered by that device alone, and said where there is no answer. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import {
  type DeviceLog,
  type LogAnswer,
  type LogRequest,
  type Problem,
  topicFor,
} from '@edgeloop/protocol'
import type { MqttClient } from 'mqtt'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'

const bootId = randomUUID()
const answer: LogAnswer = {
  bootId,
  lines: [
    {
      sequence: 7,
      at: '2026-11-21T10:00:00.000Z',
      level: 'warn',
      text: 'No frame',
      facts: 'of=one',
    },
  ],
  omitted: 2,
}

test('the lines that a device answers are what who asks gets', async (t) => {
  const hub = await openTestHub(t)
  const { device, requests } = await enrolled(hub, 'gate')
  const asked = read(hub, 'gate', `?lines=20&boot=${bootId}&after=4`)
  const request = await requests.next()
  assert.deepEqual([request.linesMax, request.after], [20, { bootId, sequence: 4 }])
  assert.equal((await put(device, request.requestId, answer)).status, 204)
  assert.deepEqual(await asked, { state: 'answered', reason: '', ...answer })
  assert.equal((await put(device, request.requestId, answer)).status, 404, 'a second answer')
})

test('a device that is away, and one that does not answer, are no errors but states', async (t) => {
  const hub = await openTestHub(t)
  await hub.enrol('away')
  const away = await read(hub, 'away')
  assert.deepEqual([away.state, away.bootId, away.lines], ['offline', null, []])
  assert.match(away.reason, /"away" is not connected/)
  await enrolled(hub, 'gate')
  const silent = await read(hub, 'gate')
  assert.equal(silent.state, 'silent')
  assert.match(silent.reason, /did not answer/)
})

test('nobody answers for another device, and nothing that is no answer is taken', async (t) => {
  const hub = await openTestHub(t)
  const { device, requests } = await enrolled(hub, 'gate')
  const other = await hub.enrol('other')
  const asked = read(hub, 'gate')
  const { requestId } = await requests.next()
  assert.equal((await put(other, requestId, answer)).status, 404)
  assert.equal((await put(device, randomUUID(), answer)).status, 404)
  assert.equal((await put(device, 'not-an-id', answer)).status, 400)
  const line = answer.lines[0] ?? assert.fail()
  for (const wrong of [
    { ...answer, more: 1 },
    { ...answer, lines: [{ ...line, level: 'loud' }] },
    { ...answer, lines: [{ ...line, text: 'x'.repeat(2001) }] },
    { ...answer, lines: new Array(1001).fill(line) },
  ]) {
    assert.equal((await put(device, requestId, wrong)).status, 400)
  }
  const large = { ...answer, lines: new Array(1000).fill({ ...line, text: 'x'.repeat(600) }) }
  assert.equal((await put(device, requestId, large)).status, 413)
  assert.equal((await put(device, requestId, answer)).status, 204)
  assert.equal((await asked).state, 'answered')
})

test('too many questions at once are refused, and a device hears of no more', async (t) => {
  const hub = await openTestHub(t)
  await enrolled(hub, 'gate')
  const replies = await Promise.all(
    Array.from({ length: 12 }, () => hub.api('GET', '/api/devices/gate/log')),
  )
  const refused = replies.filter(({ status }) => status === 429)
  assert.equal(refused.length, 4)
  const problem = (await refused[0]?.json()) as Problem
  assert.match(problem.detail, /try again/)
})

test('operators may read a log, viewers may not', async (t) => {
  const hub = await openTestHub(t)
  await hub.enrol('gate')
  for (const [role, status] of [
    ['viewer', 403],
    ['operator', 200],
  ] as const) {
    const headers = await hub.signIn(role, role)
    const reply = await fetch(`${hub.hub.urls.browser}/api/devices/gate/log`, { headers })
    assert.equal(reply.status, status, role)
  }
})

async function read(hub: TestHub, deviceId: string, query = ''): Promise<DeviceLog> {
  const reply = await hub.api('GET', `/api/devices/${deviceId}/log${query}`)
  assert.equal(reply.status, 200)
  return (await reply.json()) as DeviceLog
}

const put = (device: TestDevice, requestId: string, body: object) =>
  device.put(`/log-answers/${requestId}`, 'application/json', Buffer.from(JSON.stringify(body)))

/** A device that is connected and hears what is asked of it. */
async function enrolled(hub: TestHub, deviceId: string) {
  const device = await hub.enrol(deviceId)
  const client = await device.connect()
  const requests = requestsOf(client, topicFor('logRequest', device))
  await client.subscribeAsync(topicFor('logRequest', device))
  const status = { state: 'online', at: new Date().toISOString(), bootId: randomUUID() }
  await client.publishAsync(topicFor('status', device), JSON.stringify(status), {
    qos: 1,
    retain: true,
  })
  for (;;) {
    const reply = await hub.api('GET', `/api/devices/${deviceId}`)
    const { device: row } = (await reply.json()) as { device: { connectivity: string } }
    if (row.connectivity === 'online') break
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return { device, requests }
}

function requestsOf(client: MqttClient, topic: string) {
  const heard: LogRequest[] = []
  let wake = () => {}
  client.on('message', (on, payload) => {
    if (on === topic) heard.push(JSON.parse(payload.toString()) as LogRequest)
    wake()
  })
  return {
    async next(): Promise<LogRequest> {
      for (;;) {
        const first = heard.shift()
        if (first) return first
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
  }
}
