/**
 * What any `Broker` must do, as a suite: the embedded one and an external one run it, with the same attacks on
 * both. What they may do in different ways (close, 0x80, or let it fall) is asked by what others get to hear.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { packetBytesMax, topicFor } from '@edgeloop/protocol'
import type { Broker, BrokerListener } from '../../cloud-hub/src/broker/broker.ts'
import { type Certified, ended, openClients } from '../broker/clients.ts'
import type { Told } from '../broker/embedded.ts'

export type BrokerRoom = {
  readonly broker: Broker
  readonly told: Told
  certify(deviceId: string, site?: string): Promise<Certified>
}

export type OpenBroker = (t: TestContext, room?: BrokerListener['room']) => Promise<BrokerRoom>

/** @param open a broker that nobody is connected to yet */
export function testBroker(name: string, options: { skip?: string }, open: OpenBroker): void {
  const broker = (what: string, run: (t: TestContext) => Promise<void>) =>
    test(`${name}: ${what}`, options, run)

  broker('what a device says is received under its name and site, as it was said', async (t) => {
    const { broker, told, certify } = await open(t)
    const gate = await certify('gate', 'north')
    const { client } = await gate.connect(broker.url)
    for (const [message, retain] of [
      ['status', true],
      ['reported', true],
      ['events', false],
    ] as const) {
      await client.publishAsync(topicFor(message, gate), `"${message}"`, { qos: 1, retain })
      await until(t, () => told.messages.some(({ name }) => name === message))
    }
    const device = { site: 'north', deviceId: 'gate' }
    assert.deepEqual(told.messages, [
      { name: 'status', device, text: '"status"' },
      { name: 'reported', device, text: '"reported"' },
      { name: 'events', device, text: '"events"' },
    ])
  })

  broker(
    'what the hub wants is kept for a device that comes later; the newest counts',
    async (t) => {
      const { broker, certify } = await open(t)
      const gate = await certify('gate')
      for (const version of [1, 2]) broker.publish('desired', gate, desired(version))
      const { client, heard } = await gate.connect(broker.url)
      await t.waitFor(
        async () => {
          await client.subscribeAsync(topicFor('desired', gate), { qos: 1 })
          assert.ok(heard.some(({ text }) => text === JSON.stringify(desired(2))))
        },
        { interval: 100, timeout: 20_000 },
      )
      broker.publish('desired', gate, desired(3))
      await until(t, () => heard.at(-1)?.text === JSON.stringify(desired(3)))
      assert.equal(heard.at(-1)?.retain, false)
    },
  )

  broker('what is cleared is not heard by those who come later', async (t) => {
    const { broker, told, certify } = await open(t)
    const gate = await certify('gate')
    const first = await comeOnline(gate, broker.url)
    await until(t, () => told.messages.length === 1)
    broker.publish('desired', gate, desired(1))
    await first.client.subscribeAsync(topicFor('desired', gate), { qos: 1 })
    await until(t, () => first.heard.length > 0)
    broker.clear('desired', gate)
    broker.clear('status', gate)
    await until(t, () => first.heard.at(-1)?.text === '')
    const second = await gate.connect(broker.url)
    await second.client.subscribeAsync(topicFor('desired', gate), { qos: 1 })
    await sleep(200)
    assert.deepEqual(second.heard, [])
    assert.equal(
      told.messages.filter(({ text }) => text === '').length,
      0,
      'the hub does not hear its own clearing',
    )
  })

  broker('an acknowledgement reaches its device, and no other', async (t) => {
    const { broker, certify } = await open(t)
    const [gate, yard] = [await certify('gate'), await certify('yard')]
    const devices = [await gate.connect(broker.url), await yard.connect(broker.url)] as const
    await devices[0].client.subscribeAsync(topicFor('acknowledged', gate))
    await devices[1].client.subscribeAsync(topicFor('acknowledged', yard))
    const acknowledged = { bootId: crypto.randomUUID(), through: 7 }
    broker.publish('acknowledged', gate, acknowledged)
    await until(t, () => devices[0].heard.length === 1)
    assert.equal(devices[0].heard[0]?.text, JSON.stringify(acknowledged))
    await sleep(100)
    assert.equal(devices[1].heard.length, 0)
  })

  broker('a device is connected from its status to the end of its connection', async (t) => {
    const { broker, told, certify } = await open(t)
    const gate = await certify('gate')
    assert.equal(broker.isConnected('gate'), false)
    const { client } = await comeOnline(gate, broker.url)
    await until(t, () => broker.isConnected('gate'))
    client.stream.destroy()
    await until(t, () => told.gone.includes('gate'))
    assert.equal(broker.isConnected('gate'), false)
    assert.equal(told.messages.at(-1)?.text, status('offline'))
  })

  broker('a second connection takes over, and the device stays connected', async (t) => {
    const { broker, told, certify } = await open(t)
    const gate = await certify('gate')
    const first = await comeOnline(gate, broker.url)
    await until(t, () => broker.isConnected('gate'))
    const second = await comeOnline(gate, broker.url)
    await ended(first.client)
    await until(t, () => told.messages.at(-1)?.text === status('online'))
    await sleep(200)
    assert.ok(broker.isConnected('gate') && second.client.connected)
  })

  broker('disconnect() cuts the connection of one device, whose last will is heard', async (t) => {
    const { broker, told, certify } = await open(t)
    const gate = await certify('gate')
    const { client } = await comeOnline(gate, broker.url)
    const yard = await comeOnline(await certify('yard'), broker.url)
    await until(t, () => broker.isConnected('gate') && broker.isConnected('yard'))
    broker.disconnect(gate)
    await ended(client)
    await until(t, () => told.gone.includes('gate'))
    assert.deepEqual(told.gone, ['gate'])
    assert.ok(yard.client.connected)
    await comeOnline(gate, broker.url)
    await until(t, () => broker.isConnected('gate'), 'it may come back where it is not refused')
  })

  broker('while there is no room events wait, and nothing else does', async (t) => {
    let room: PromiseWithResolvers<void> | undefined = Promise.withResolvers()
    const { broker, told, certify } = await open(t, (name) =>
      name === 'events' ? room?.promise : undefined,
    )
    const gate = await certify('gate')
    const yard = await certify('yard')
    const { client } = await gate.connect(broker.url)
    for (let i = 1; i <= 50; i++) client.publish(topicFor('events', gate), `${i}`, { qos: 1 })
    await sleep(500)
    const events = () => told.messages.filter(({ name }) => name === 'events')
    assert.ok(events().length <= 1, `${events().length} were taken`)
    await comeOnline(yard, broker.url)
    await until(t, () => broker.isConnected('yard'))
    const { resolve } = room
    room = undefined
    resolve()
    await until(t, () => events().length === 50)
    assert.deepEqual(
      events().map(({ text }) => Number(text)),
      Array.from({ length: 50 }, (_, index) => index + 1),
    )
  })

  broker('a device is heard under its own name only', async (t) => {
    const { broker, told, certify } = await open(t)
    const [gate, yard] = [await certify('gate'), await certify('yard')]
    for (const [topic, retain] of [
      [topicFor('events', yard), false],
      [topicFor('status', yard), true],
      [topicFor('reported', yard), true],
      [topicFor('desired', gate), true],
      [topicFor('desired', yard), true],
      ['$SYS/broker/version', false],
      ['edgeloop/v1/main/gate', false],
      ['edgeloop/v1/main/gate/status/more', false],
      ['edgeloop/v1/main/yard/../gate/status', false],
    ] as const) {
      const { client } = await gate.connect(broker.url)
      // Some brokers close, others let it fall.
      client.publish(topic, 'forged', { qos: 1, retain })
      await Promise.race([ended(client), sleep(150)])
      client.end(true)
    }
    const late = await yard.connect(broker.url)
    await late.client.subscribeAsync(topicFor('desired', yard), { qos: 1 })
    await sleep(200)
    assert.deepEqual([told.messages, late.heard], [[], []])
  })

  broker('a last will is heard under the own name only', async (t) => {
    const { broker, told, certify } = await open(t)
    const [gate, yard] = [await certify('gate'), await certify('yard')]
    for (const topic of [topicFor('status', yard), topicFor('desired', yard)]) {
      const will = { topic, payload: Buffer.from('forged'), qos: 1, retain: true } as const
      const connected = await gate.connect(broker.url, { will }).catch(() => undefined)
      connected?.client.stream.destroy()
    }
    const late = await yard.connect(broker.url)
    await late.client.subscribeAsync(topicFor('desired', yard), { qos: 1 })
    await sleep(300)
    assert.deepEqual([told.messages, late.heard], [[], []])
  })

  broker('a device hears what is for it only, whatever it asks for', async (t) => {
    const { broker, certify } = await open(t)
    const [gate, yard] = [await certify('gate'), await certify('yard')]
    const spy = await gate.connect(broker.url)
    for (const filter of [
      ...['#', '+/#', 'edgeloop/#', 'edgeloop/v1/+/+/desired', 'edgeloop/v1/+/yard/#'],
      ...['$share/all/#', `$share/all/${topicFor('desired', yard)}`, topicFor('status', yard)],
      topicFor('desired', yard),
    ]) {
      await spy.client.subscribeAsync(filter, { qos: 1 }).catch(() => {})
    }
    const other = await comeOnline(yard, broker.url)
    await until(t, () => broker.isConnected('yard'))
    broker.publish('desired', yard, desired(1))
    broker.publish('acknowledged', yard, { bootId: crypto.randomUUID(), through: 1 })
    await other.client.publishAsync(topicFor('events', yard), '{}', { qos: 1 })
    await sleep(300)
    assert.deepEqual(
      spy.heard.filter(({ topic }) => !topic.startsWith('edgeloop/v1/main/gate/')),
      [],
    )
  })

  broker('nobody takes over a device with the certificate of another', async (t) => {
    const { broker, told, certify } = await open(t)
    const [gate, yard] = [await certify('gate'), await certify('yard')]
    const good = await comeOnline(yard, broker.url)
    await until(t, () => broker.isConnected('yard'))
    const thief = await gate.connect(broker.url, { clientId: 'yard' }).catch(() => undefined)
    thief?.client.publish(topicFor('status', yard), status('offline'), { qos: 1, retain: true })
    await sleep(300)
    assert.ok(good.client.connected && broker.isConnected('yard'))
    assert.deepEqual(told.gone, [])
  })

  broker('nobody comes in without a certificate of this hub', async (t) => {
    const { broker, certify } = await open(t)
    const gate = await certify('gate')
    const foreign = await (await openClients(t)).certify('gate')
    const { ca } = gate
    const anonymous: object = { key: undefined, cert: undefined }
    await assert.rejects(gate.connect(broker.url, anonymous), 'no certificate')
    await assert.rejects(foreign.connect(broker.url, { ca }), 'of another hub')
    await assert.doesNotReject(gate.connect(broker.url))
  })

  broker('a message above its row of the table is not received', async (t) => {
    const { broker, told, certify } = await open(t)
    const gate = await certify('gate')
    for (const [message, bytes] of [
      ['status', 1025],
      ['events', 512 * 1024 + 1],
      ['events', packetBytesMax + 1],
    ] as const) {
      const { client } = await gate.connect(broker.url)
      client.publish(topicFor(message, gate), Buffer.alloc(bytes, 32), { qos: 1 })
      await Promise.race([ended(client), sleep(300)])
      client.end(true)
    }
    const { client } = await gate.connect(broker.url)
    await client.publishAsync(topicFor('events', gate), Buffer.alloc(512 * 1024, 32), { qos: 1 })
    await until(t, () => told.messages.length > 0)
    assert.deepEqual(
      told.messages.map(({ text }) => text.length),
      [512 * 1024],
    )
  })
}

/** Connects as an agent does: with its last will, then its status. */
export async function comeOnline(device: Certified, url: string) {
  const topic = topicFor('status', device)
  const will = { topic, payload: Buffer.from(status('offline')), qos: 1, retain: true } as const
  const connected = await device.connect(url, { will })
  await connected.client.publishAsync(topic, status('online'), { qos: 1, retain: true })
  return connected
}

export const bootId = crypto.randomUUID()
export const status = (state: 'online' | 'offline'): string =>
  JSON.stringify({ state, at: '2026-01-01T00:00:00.000Z', bootId })
export const desired = (version: number) => ({
  version,
  at: '2026-01-01T00:00:00.000Z',
  config: { streams: [] },
})

export async function until(t: TestContext, condition: () => boolean, what?: string) {
  await t.waitFor(() => assert.ok(condition(), what), { interval: 10, timeout: 30_000 })
}
