/** The log of a real agent, read from afar by the command line: what it says, and never a camera's password. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { DeviceLog, EnrolmentToken, LogLine } from '@edgeloop/protocol'
import { runCommand } from '../hub/command.ts'
import { openTestHub } from '../hub/fixture.ts'

const main = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url))
const soon = { timeout: 60_000, interval: 200 }

test('the log of a box is read from afar, without passwords', { timeout: 180_000 }, async (t) => {
  const hub = await openTestHub(t)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-log-'))
  const made = await hub.api('POST', '/api/enrolment-tokens', { deviceId: 'gate' })
  const { token, deviceUrl, caFingerprint } = (await made.json()) as EnrolmentToken
  const place = ['--data', folder, '--hub', deviceUrl, '--ca-fingerprint', caFingerprint]
  // Silent in the terminal, and read from afar all the same.
  const agent = spawn(process.execPath, [main, 'agent', ...place, '--log-level', 'silent'], {
    env: { ...process.env, EDGELOOP_ENROLMENT_TOKEN: token },
    stdio: 'ignore',
  })
  t.after(async () => {
    await stop(agent)
    await rm(folder, { recursive: true, force: true })
  })
  const read = async () =>
    (await (await hub.api('GET', '/api/devices/gate/log')).json()) as DeviceLog
  await t.waitFor(async () => assert.equal((await read()).state, 'answered'), soon)

  const password = 'S3cret p@ss'
  const source = `rtsp://viewer:${encodeURIComponent(password)}@127.0.0.1:9/stream`
  const config = { streams: [{ streamId: 'one', source }] }
  const put = await hub.api('PUT', '/api/devices/gate/desired', { version: 0, config })
  assert.equal(put.status, 200)
  await t.waitFor(async () => {
    const { lines } = await read()
    assert.ok(lines.some(({ text }) => text === 'Desired configuration is in force'))
  }, soon)

  const printed = await runCommand(hub, 'device', 'logs', 'gate', '--json')
  assert.equal(printed.code, 0, printed.stderr)
  const lines = printed.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LogLine)
  assert.ok(lines.some(({ text, level }) => level === 'info' && text === 'Connected to the hub'))
  for (const secret of [password, encodeURIComponent(password), token]) {
    assert.ok(!printed.stdout.includes(secret), printed.stdout)
  }
  const warnings = await runCommand(hub, 'device', 'logs', 'gate', '--level', 'error')
  assert.equal(warnings.stdout, '')

  const env = {
    ...process.env,
    EDGELOOP_HUB: hub.hub.urls.browser,
    EDGELOOP_TOKEN: (await readFile(hub.hub.localTokenFile, 'utf8')).trim(),
  }
  const follower = spawn(process.execPath, [main, 'device', 'logs', 'gate', '--follow'], { env })
  t.after(() => stop(follower))
  let followed = ''
  let said = ''
  follower.stdout.on('data', (chunk) => (followed += chunk))
  follower.stderr.on('data', (chunk) => (said += chunk))
  await t.waitFor(() => assert.match(followed, /Connected to the hub/), soon)
  const other = { streams: [{ streamId: 'two', source }] }
  await hub.api('PUT', '/api/devices/gate/desired', { version: 1, config: other })
  await t.waitFor(() => assert.match(followed, /in force {2}version=2/), soon)
  await stop(agent)
  await t.waitFor(() => assert.match(said, /"gate" is not connected/), soon)

  const away = await runCommand(hub, 'device', 'logs', 'gate')
  assert.equal(away.code, 1)
  assert.match(away.stderr, /Cannot show the log: Device "gate" is not connected/)
})

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  await gone
}
