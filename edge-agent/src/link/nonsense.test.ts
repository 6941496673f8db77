/** A broker that is not ours, and a hub behind it that says what makes no sense. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { messages } from '@edgeloop/protocol'
import mqtt from 'mqtt'
import { pino } from 'pino'
import { needs } from '../../../test/require.ts'
import { readAgentConfig } from '../configuration.ts'
import { openOutbox } from '../outbox/outbox.ts'
import { openSamples } from '../sampling/open-samples.ts'
import { openLink } from './link.ts'

/** Starts mosquitto on a port that was free a moment ago. */
async function startMosquitto(t: TestContext, folder: string): Promise<string> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  const port = typeof address === 'object' ? address?.port : undefined
  await new Promise((resolve) => probe.close(resolve))
  const file = join(folder, 'mosquitto.conf')
  await writeFile(file, `listener ${port} 127.0.0.1\nallow_anonymous true\n`)
  const broker = spawn('mosquitto', ['-c', file], { stdio: 'ignore' })
  t.after(async () => {
    broker.kill()
    if (broker.exitCode === null) await once(broker, 'exit')
  })
  return `mqtt://127.0.0.1:${port}`
}

test(
  'openLink() takes nonsense from a hub without harm, and goes on when sense comes',
  needs('mosquitto'),
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'nonsense-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const mqttUrl = await startMosquitto(t, folder)
    const bootId = randomUUID()
    await using outbox = await openOutbox({ file: join(folder, 'outbox.db'), bootId })
    const at = new Date().toISOString()
    await outbox.append({ kind: 'stream', at, streamId: 'cam', state: 'live', reason: '' })

    const hub = await mqtt.connectAsync(mqttUrl, { reconnectPeriod: 50 })
    t.after(() => hub.end(true))
    const root = 'edgeloop/v1/main/box'
    const batches: string[] = []
    hub.on('message', (_topic, payload) => batches.push(String(payload)))
    await hub.subscribeAsync(`${root}/${messages.events.topic}`)

    const desired: unknown[] = []
    const config = await readAgentConfig(folder)
    const log = pino({ level: 'silent' })
    const identity = { site: 'main', deviceId: 'box', mqttUrl, deviceUrl: 'https://127.0.0.1:1' }
    await using _link = await openLink({
      outbox,
      snapshotFolder: folder,
      log,
      random: () => 0,
      identity: { ...identity, key: '', certificate: '', ca: '' },
      clips: { find: () => undefined, keep: async () => false },
      config,
      samples: await openSamples(join(folder, 'samples'), config.samples, log),
      record: (event) => outbox.append(event),
      onDesired: (value) => desired.push(value),
      onLiveRequest: () => assert.fail('nobody asked for pictures'),
      onSampleRequest: () => assert.fail('nobody asked for frames'),
      onOffers: () => assert.fail('nothing was offered'),
      readLog: () => assert.fail('nobody asked for the log'),
    })
    while (batches.length === 0) await sleep(10)
    const say = (topic: string, text: string) => hub.publishAsync(`${root}/${topic}`, text)
    for (const topic of ['acknowledged', 'desired', 'request/live']) {
      await say(topic, '{"half":')
      await say(topic, '')
      await say(topic, '\u0000\u0001')
    }
    await say('acknowledged', JSON.stringify({ bootId, through: -1 }))
    await say('acknowledged', JSON.stringify({ bootId: randomUUID(), through: 1 }))
    await say('request/live', JSON.stringify({ until: 'tomorrow', streams: 7 }))
    await sleep(100)
    assert.equal(outbox.figures.entries, 1, 'nothing was believed')
    assert.deepEqual(desired, [])
    await say('acknowledged', JSON.stringify({ bootId, through: 1_000_000 }))
    while (outbox.figures.entries > 0) await sleep(10)
  },
)
