import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type DeviceDetail,
  type EventPage,
  encodeLiveFrame,
  type HubHealth,
  type NewEvent,
  type Reported,
} from '@edgeloop/protocol'
import { pino } from 'pino'
import { type HubProcess, startHub } from '../../../test/faults/hub-process.ts'
import { openTcpProxy } from '../../../test/faults/tcp-proxy.ts'
import type { LinkDeps } from '../agent.ts'
import { readAgentConfig } from '../configuration.ts'
import { enrol } from '../identity/enrol.ts'
import { type Identity, readIdentity } from '../identity/identity.ts'
import { type Outbox, openOutbox } from '../outbox/outbox.ts'
import { openSamples } from '../sampling/open-samples.ts'
import { openLink } from './link.ts'

const { signal } = new AbortController()
const log = pino({ level: 'silent' })

const appeared = (trackId: number): NewEvent => ({
  kind: 'appeared',
  at: new Date().toISOString(),
  streamId: 'cam',
  trackId,
  label: 'part',
  score: 0.5,
  box: [0.1, 0.1, 0.2, 0.2],
})

async function until<T>(what: string, ask: () => Promise<T | undefined | false>): Promise<T> {
  for (const endAt = performance.now() + 15_000; performance.now() < endAt; await sleep(50)) {
    const answer = await ask()
    if (answer) return answer
  }
  throw new Error(`Waited in vain: ${what}`)
}

async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'link-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

type Rig = { hub: HubProcess; identity: Identity; outbox: Outbox; deps: LinkDeps; folder: string }

async function openRig(t: TestContext, stack: AsyncDisposableStack): Promise<Rig> {
  const folder = await tempFolder(t)
  const hub = stack.use(await startHub({ dataDir: join(folder, 'hub') }))
  const { token, caFingerprint, deviceUrl } = await hub.createToken('box')
  const dataDir = join(folder, 'agent')
  const identity = await enrol({ deviceUrl, token, caFingerprint, folder: dataDir, signal })
  const snapshotFolder = join(dataDir, 'snapshots')
  await mkdir(snapshotFolder)
  const file = join(dataDir, 'outbox.db')
  const outbox = stack.use(await openOutbox({ file, bootId: randomUUID() }))
  const config = await readAgentConfig(dataDir)
  const record = (event: NewEvent) => outbox.append(event)
  const [onDesired, onLiveRequest, onOffers] = [() => {}, () => {}, () => {}]
  const onSampleRequest = () => {}
  const readLog = () => ({ bootId: outbox.bootId, lines: [], omitted: 0 })
  const clips = { find: () => undefined, keep: async () => false }
  const asked = { onDesired, onLiveRequest, onSampleRequest, onOffers, readLog }
  const samples = await openSamples(join(dataDir, 'samples'), config.samples, log)
  const deps = { outbox, config, snapshotFolder, clips, samples, log, record, ...asked }
  return { hub, identity, outbox, deps, folder }
}

const reportOf = (outbox: Outbox): Reported => ({
  at: new Date().toISOString(),
  bootId: outbox.bootId,
  startedAt: new Date().toISOString(),
  agentVersion: '0.1.0',
  platform: 'linux x64',
  cpu: 'test',
  cores: 2,
  memoryBytes: 1,
  configVersion: 0,
  streams: [],
  models: [],
})

test('openLink() takes status, report, events, snapshots and pictures to a real hub', async (t) => {
  await using stack = new AsyncDisposableStack()
  const { hub, identity, outbox, deps } = await openRig(t, stack)
  const desired: unknown[] = []
  const link = stack.use(
    await openLink({ ...deps, identity, onDesired: (value) => desired.push(value) }),
  )
  link.report(reportOf(outbox))
  for (let i = 1; i <= 30; i++) await outbox.append(appeared(i))
  const jpeg = new Uint8Array([0xff, 0xd8, 0xff, 0xe0, 1, 2, 3])
  const digest = createHash('sha256').update(jpeg).digest('hex')
  await writeFile(join(deps.snapshotFolder, `${digest}.jpg`), jpeg)
  link.offerSnapshot(digest, jpeg.length)

  await until('the outbox is empty', async () => outbox.figures.entries === 0)
  const { events } = await hub.api<EventPage>('GET', '/api/events?limit=100')
  assert.deepEqual(
    events.map(({ sequence }) => sequence).sort((a, b) => a - b),
    Array.from({ length: 30 }, (_, i) => i + 1),
  )
  const detail = () => hub.api<DeviceDetail>('GET', '/api/devices/box')
  await until('the report is there', async () => (await detail()).reported?.cpu === 'test')
  assert.equal((await detail()).device.connectivity, 'online')
  await until('the snapshot is sent', async () => (await readdir(deps.snapshotFolder)).length === 0)

  const stream = { streamId: 'cam', source: 'demo:1' }
  await hub.api('POST', '/api/devices/box/streams', stream)
  await until('the wish came', async () => desired.length > 0)
  assert.match(JSON.stringify(desired[0]), /demo:1/)

  const header = { deviceId: 'box', streamId: 'cam', frame: 1, at: new Date().toISOString() }
  const picture = encodeLiveFrame({ ...header, width: 4, height: 3, detections: [] }, jpeg)
  link.showLive('cam', picture)
  await link[Symbol.asyncDispose]()
  await until('it is offline', async () => (await detail()).device.connectivity === 'offline')
})

test('openLink() loses and doubles nothing when the hub is killed and the network fails', async (t) => {
  await using stack = new AsyncDisposableStack()
  const { hub, identity, outbox, deps } = await openRig(t, stack)
  const proxy = stack.use(await openTcpProxy(Number(new URL(hub.urls.mqtt).port)))
  const mqttUrl = `mqtts://localhost:${proxy.port}`
  const random = () => 0
  stack.use(await openLink({ ...deps, identity: { ...identity, mqttUrl }, random }))
  let recorded = 0
  const record = async (count: number) => {
    for (let i = 0; i < count; i++) if (await outbox.append(appeared(i + 1))) recorded++
  }
  await record(20)
  proxy.deafen()
  await record(20)
  proxy.cut()
  await record(20)
  await hub.kill()
  await record(20)
  await hub.start()
  proxy.down()
  await record(20)
  proxy.heal()
  await record(20)
  await until('the outbox is empty', async () => outbox.figures.entries === 0)
  assert.equal(recorded, 120)
  const { eventsStored } = await hub.api<HubHealth>('GET', '/api/health')
  assert.equal(eventsStored, 120)
})

test('openLink() renews the certificate by itself, and no event is lost while it changes', async (t) => {
  await using stack = new AsyncDisposableStack()
  const { hub, identity, outbox, deps } = await openRig(t, stack)
  const serialOf = async () =>
    (await hub.api<DeviceDetail>('GET', '/api/devices/box')).certificate.serial
  const before = await serialOf()
  let now = Date.now
  const options = { now: () => now(), renewalIntervalMs: 100, random: () => 0 }
  const link = stack.use(await openLink({ ...deps, identity, ...options }))
  for (let i = 1; i <= 20; i++) await outbox.append(appeared(i))
  await until('the outbox is empty', async () => outbox.figures.entries === 0)
  assert.equal(await serialOf(), before, 'it is not time yet')

  const clock = Date.now()
  now = () => clock + 61 * 86_400_000
  for (let i = 21; i <= 40; i++) await outbox.append(appeared(i))
  await until('the certificate is another', async () => (await serialOf()) !== before)
  now = Date.now
  for (let i = 41; i <= 60; i++) await outbox.append(appeared(i))
  await until('the outbox is empty', async () => outbox.figures.entries === 0)
  const { eventsStored } = await hub.api<HubHealth>('GET', '/api/health')
  assert.equal(eventsStored, 60)
  // Pictures go with the new one too.
  const jpeg = new Uint8Array([0xff, 0xd8, 0xff, 0xe0, 9])
  const digest = createHash('sha256').update(jpeg).digest('hex')
  await writeFile(join(deps.snapshotFolder, `${digest}.jpg`), jpeg)
  link.offerSnapshot(digest, jpeg.length)
  await until('the snapshot is sent', async () => (await readdir(deps.snapshotFolder)).length === 0)
  const kept = await readIdentity(join(deps.snapshotFolder, '..'))
  assert.notEqual(kept.certificate, identity.certificate)
  assert.notEqual(kept.key, identity.key)
})

test('openLink() tries a hub that does not renew again, later each time', async (t) => {
  await using stack = new AsyncDisposableStack()
  const { identity, deps } = await openRig(t, stack)
  const lines: { why?: string }[] = []
  const log = pino({ level: 'warn' }, { write: (line) => void lines.push(JSON.parse(line)) })
  const options = { now: () => Date.now() + 61 * 86_400_000, renewalIntervalMs: 50 }
  const away = { ...identity, deviceUrl: 'https://127.0.0.1:1' }
  stack.use(await openLink({ ...deps, log, identity: away, ...options, random: () => 0.001 }))
  const failures = () => lines.filter(({ why }) => why?.startsWith('Cannot renew'))
  await until('two tries', async () => failures().length >= 2)
  assert.match(failures()[0]?.why ?? '', /Cannot renew the certificate at https:\/\/127.0.0.1:1/)
})
