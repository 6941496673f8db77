/** From the command line alone: an external broker is configured, started, and a hub meets its devices there. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePorts, runMosquitto } from '../broker/mosquitto.ts'
import { needs } from '../require.ts'

const edgeloop = fileURLToPath(new URL('../../edgeloop', import.meta.url))
const run = promisify(execFile)

test('hub broker-config writes what mosquitto needs, and the hub it names works with it', {
  ...needs('mosquitto'),
  timeout: 120_000,
}, async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'edgeloop-story-'))
  t.after(() => rm(data, { recursive: true, force: true }))
  const files = join(data, 'mosquitto')
  const [devicePort = 0, hubPort = 0] = await freePorts(2)
  const { stdout } = await run(process.execPath, [
    ...[edgeloop, 'hub', 'broker-config', '--for', 'mosquitto', '--out', files, '--data', data],
    ...['--bind', '127.0.0.1', '--port', `${devicePort}`, '--hub-port', `${hubPort}`, '--json'],
  ])
  const written = JSON.parse(stdout) as { broker: string; brokerPublic: string; files: string[] }
  assert.ok(written.files.includes('mosquitto.conf') && written.files.includes('devices.crl'))
  const server = await runMosquitto(files, { devicePort, hubPort })
  t.after(() => server[Symbol.asyncDispose]())
  assert.deepEqual([written.broker, written.brokerPublic], [server.hubUrl, server.deviceUrl])

  const hub = spawn(
    process.execPath,
    [
      ...[edgeloop, 'hub', '--data', data, '--port', '0', '--device-port', '0'],
      ...['--broker', written.broker, '--broker-public', written.brokerPublic],
      ...['--broker-files', files],
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  t.after(() => hub.kill('SIGKILL'))
  const ended = once(hub, 'exit').then(([code]) => assert.fail(`the hub ended with ${code}`))
  ended.catch(() => {})
  const lines = createInterface({ input: hub.stdout })
  const line = once(lines, 'line').then(([text]) => String(text))
  const url = /running: (\S+)$/.exec(await Promise.race([line, ended]))?.[1]
  assert.ok(url)
  await t.waitFor(
    async () => {
      const reply = await fetch(new URL('/api/health', url))
      assert.equal(((await reply.json()) as { status: string }).status, 'ok')
    },
    { interval: 100, timeout: 30_000 },
  )
  hub.kill('SIGTERM')
  await once(hub, 'exit')
})

test('an external broker that makes no sense is refused with what to do', async () => {
  const refused = async (...args: string[]) =>
    await run(process.execPath, [edgeloop, 'hub', '--port', '0', ...args]).then(
      () => assert.fail('it started'),
      ({ code, stderr }: { code: number; stderr: string }) => ({ code, stderr }),
    )
  const plain = await refused('--broker', 'mqtt://user:secret@broker', '--broker-files', 'x')
  assert.equal(plain.code, 1)
  assert.match(plain.stderr, /Name it mqtts:\/\/HOST:PORT/)
  assert.ok(!plain.stderr.includes('secret'))
  const half = await refused('--broker', 'mqtts://broker:8884')
  assert.match(half.stderr, /hub broker-config/)
  const unknown = await run(process.execPath, [
    ...[edgeloop, 'hub', 'broker-config', '--for', 'rabbit', '--out', 'x'],
  ]).catch(({ code }: { code: number }) => code)
  assert.equal(unknown, 2)
})
