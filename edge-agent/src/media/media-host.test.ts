import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type MediaDown, MediaHost } from './media-host.ts'
import type { FromMedia, Start } from './protocol.ts'

const start: Start = {
  kind: 'start',
  deviceId: 'box',
  snapshotFolder: '/nowhere',
  sampleFolder: '/nowhere',
  clipFolder: '/nowhere',
  cacheFolder: '/nowhere',
  models: [],
  describeModels: false,
  firstTrackId: 1,
  heartbeatIntervalMs: 100,
  figuresIntervalMs: 1000,
}

/** A host of a media process whose program is `source`; what it said and how it went down. */
async function hostOf(t: TestContext, source: string, startTimeoutMs = 4000) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-host-'))
  const module = join(folder, 'media.mjs')
  await writeFile(module, source)
  const abort = new AbortController()
  const messages: FromMedia[] = []
  const downs: MediaDown[] = []
  let steady = 0
  const host = new MediaHost({
    module,
    start: () => start,
    streamsMax: 4,
    heartbeatTimeoutMs: 600,
    startTimeoutMs,
    backoff: { firstMs: 100, maxMs: 200, resetAfterMs: 500 },
    onMessage: (message) => messages.push(message),
    onDown: (down) => downs.push(down),
    onSteady: () => steady++,
    monotonicMs: () => performance.now(),
    random: () => 0.5,
    signal: abort.signal,
  })
  t.after(async () => {
    abort.abort()
    await host.done
    await rm(folder, { recursive: true })
  })
  return { host, messages, downs, abort, steady: () => steady }
}

const beat = `
  const send = (m) => process.send(m)
  send({ kind: 'ready' })
  setInterval(() => send({ kind: 'heartbeat' }), 100)
  process.on('disconnect', () => process.exit(0))`

/** A zombie that nobody has reaped is not alive. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' && !existsSync('/proc')
  }
}

test('MediaHost kills a process that hangs, and what it had started, and starts another', async (t) => {
  const { host, downs, messages } = await hostOf(
    t,
    `${beat}
    import { spawn } from 'node:child_process'
    const decoder = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
    send({ kind: 'log', level: 'info', text: String(decoder.pid), fields: {} })
    setTimeout(() => { while (true); }, 300)`,
  )
  await t.waitFor(() => assert.equal(downs.length, 1), { timeout: 8000 })
  assert.equal(downs[0]?.code, 'mediaHung')
  assert.match(
    downs[0]?.text ?? '',
    /^Media process \d+ gave no heartbeat for 600 ms; starting it again in 0\.\d s$/,
  )
  const decoderPid = Number(messages.find((m) => m.kind === 'log')?.text)
  await t.waitFor(() => assert.equal(isAlive(decoderPid), false))
  await t.waitFor(() => assert.ok(host.pid), { timeout: 4000 })
})

test('MediaHost starts a process that crashes again and tells it everything anew', async (t) => {
  const { host, downs, messages } = await hostOf(
    t,
    `${beat}
    process.on('message', (m) => {
      if (m.kind === 'streams') send({ kind: 'log', level: 'info', text: String(m.streams.length), fields: {} })
      if (m.kind === 'live') process.kill(process.pid, 'SIGSEGV')
    })`,
  )
  host.setStreams([{ streamId: 'a', source: 'rtsp://camera' }])
  const told = () => messages.filter((m) => m.kind === 'log').map((m) => m.text)
  await t.waitFor(() => assert.ok(told().includes('1')), { timeout: 4000 })
  const before = told().length
  host.setLive({ until: '2026-01-01T00:00:00.000Z', streams: [] })
  await t.waitFor(() => assert.ok(downs.length >= 1), { timeout: 4000 })
  assert.match(downs[0]?.text ?? '', /^Media process \d+ ended with SIGSEGV; starting it again/)
  await t.waitFor(() => assert.ok(told().length > before), { timeout: 4000 })
  assert.equal(told().at(-1), '1')
})

test('MediaHost says when a process is steady, and leaves nothing behind when stopped', async (t) => {
  const { host, abort, steady, downs } = await hostOf(t, `${beat}\nprocess.on('SIGTERM', () => {})`)
  await t.waitFor(() => assert.equal(steady(), 1), { timeout: 8000 })
  const pid = host.pid ?? 0
  const startedMs = performance.now()
  abort.abort()
  // This program does not understand `stop`: it is killed when its time is over.
  await host.done
  assert.ok(performance.now() - startedMs < 3000)
  assert.equal(isAlive(pid), false)
  assert.deepEqual(downs, [])
})

test('MediaHost grants time to start and kills a process that never says that it is ready', async (t) => {
  const { downs } = await hostOf(t, 'setInterval(() => {}, 1000)', 1500)
  const startedMs = performance.now()
  await t.waitFor(() => assert.equal(downs.length, 1), { timeout: 5000 })
  assert.equal(downs[0]?.code, 'mediaHung')
  assert.match(downs[0]?.text ?? '', /was not ready 1500 ms after its start/)
  assert.ok(performance.now() - startedMs >= 1500)
})
