/** The stream of changes: what a page hears while it is open, and after it was away. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { type Change, Change as ChangeSchema, topicFor } from '@edgeloop/protocol'
import { fits } from '@edgeloop/protocol/check'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'

test('stored events and changed devices are told, as the protocol says', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  await using feed = await listen(hub)
  const client = await device.connect()
  await client.publishAsync(topicFor('status', device), status('online'), { qos: 1, retain: true })
  await sendAlarms(device, client, [1])
  const event = await feed.until(({ change }) => change?.kind === 'event')
  assert.ok(event.change?.kind === 'event')
  assert.equal(event.change.event.deviceId, 'gate')
  const online = await feed.until(
    ({ change }) => change?.kind === 'device' && change.patch.connectivity === 'online',
  )
  assert.ok(online.change?.kind === 'device' && online.change.revision > 0)
  await feed.until(({ change }) => change?.kind === 'counts' && change.eventsStored === 1)
  for (const { change } of feed.heard) assert.ok(fits(ChangeSchema, change))
})

test('who comes back with the last id hears what was missed, without gap or double', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const client = await device.connect()
  const bootId = randomUUID()
  let lastId = ''
  {
    await using feed = await listen(hub)
    await sendAlarms(device, client, [1], bootId)
    lastId = (await feed.until(isEvent)).id
  }
  await sendAlarms(device, client, [2, 3, 4], bootId)
  await using feed = await listen(hub, lastId)
  await sendAlarms(device, client, [5], bootId)
  await feed.until(({ change }) => change?.kind === 'event' && change.event.sequence === 5)
  const told = feed.heard.flatMap(({ change }) =>
    change?.kind === 'event' ? [change.event.sequence] : [],
  )
  assert.deepEqual(told, [2, 3, 4, 5])
})

test('after a restart of the hub, and with an id it does not know, everything is fetched anew', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  let lastId = ''
  {
    await using feed = await listen(hub)
    await sendAlarms(device, await device.connect(), [1])
    lastId = (await feed.until(isEvent)).id
  }
  const [epoch] = lastId.split('-')
  await hub.reopen()
  for (const id of [lastId, `${epoch}-999999`, 'nonsense', '-', `${lastId}x`]) {
    await using feed = await listen(hub, id)
    const first = await feed.until(() => true)
    assert.equal(first.name, 'reset', id)
    assert.notEqual(first.id, lastId)
  }
})

test('the hub closes at once though a stream of changes is open', async (t) => {
  const hub = await openTestHub(t)
  await using feed = await listen(hub)
  const startedAt = performance.now()
  await hub.close()
  assert.ok(performance.now() - startedAt < 3000)
  await assert.rejects(feed.until(() => true))
})

type Heard = { readonly id: string; readonly name: string; readonly change: Change | undefined }

const isEvent = ({ change }: Heard): boolean => change?.kind === 'event'

/** Opens the stream as a program does, and takes it apart as a browser does. */
async function listen({ hub }: TestHub, lastId = '') {
  const token = (await readFile(hub.localTokenFile, 'utf8')).trim()
  const gone = new AbortController()
  const reply = await fetch(`${hub.urls.browser}/api/changes`, {
    headers: { authorization: `Bearer ${token}`, ...(lastId ? { 'last-event-id': lastId } : {}) },
    signal: gone.signal,
  })
  assert.equal(reply.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  assert.ok(reply.body)
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader()
  const heard: Heard[] = []
  let rest = ''
  let seen = 0
  return {
    heard,
    /** The next that fits; whatever came before it is in `heard`. */
    async until(wanted: (heard: Heard) => boolean): Promise<Heard> {
      for (;;) {
        for (; seen < heard.length; seen++) {
          if (wanted(heard[seen]!)) return heard[seen++]!
        }
        const { value, done } = await reader.read()
        if (done) throw new Error('The stream of changes has ended')
        const parts = (rest + value).split('\n\n')
        rest = parts.pop() ?? ''
        heard.push(...parts.filter((part) => part.startsWith('id: ')).map(parse))
      }
    },
    async [Symbol.asyncDispose]() {
      gone.abort()
      await reader.closed.catch(() => {})
    },
  }
}

function parse(part: string): Heard {
  const fields = new Map(part.split('\n').map((line) => line.split(/: (.*)/) as [string, string]))
  const name = fields.get('event') ?? ''
  const data = JSON.parse(fields.get('data') ?? 'null') as Change
  return { id: fields.get('id') ?? '', name, change: name === 'reset' ? undefined : data }
}

async function sendAlarms(
  device: TestDevice,
  client: Awaited<ReturnType<TestDevice['connect']>>,
  sequences: readonly number[],
  bootId = randomUUID(),
): Promise<void> {
  const at = new Date().toISOString()
  const entries = sequences.map((sequence) => ({
    sequence,
    kind: 'alarm',
    at,
    code: 'diskFull',
    active: true,
    text: '',
  }))
  const payload = JSON.stringify({ bootId, acknowledgedThrough: 0, entries })
  const stored = new Promise<void>((resolve) => client.once('message', () => resolve()))
  await client.subscribeAsync(topicFor('acknowledged', device))
  await client.publishAsync(topicFor('events', device), payload, { qos: 1 })
  await stored
}

const status = (state: string): string =>
  JSON.stringify({ state, at: new Date().toISOString(), bootId: randomUUID() })
