/** The front door as a stranger meets it: the launcher, help, wrong usage, start, stop and start again. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { edgeloop, startUp, stopUp } from './running-up.ts'

type Health = { status: string; devicesOnline: number; eventsStored: number }
const healthOf = async (link: URL): Promise<Health> =>
  (await fetch(new URL('/api/health', link))).json() as Promise<Health>

test('edgeloop --help names every command, and every command has help with an example', async () => {
  const { code, stdout } = await edgeloop('--help')
  assert.equal(code, 0)
  for (const command of [
    'up',
    'hub',
    'agent',
    'detect',
    'device',
    'stream',
    'events',
    'user',
    'token',
  ]) {
    assert.match(stdout, new RegExp(`^ {2}${command}\\b`, 'm'))
    const help = await edgeloop(command, '--help')
    assert.equal(help.code, 0)
    assert.match(help.stdout, /Examples?:\n {2}\$ /, command)
  }
})

test('wrong usage names the nearest flag or command and exits with 2', async () => {
  const flag = await edgeloop('device', 'list', '--jsno')
  assert.equal(flag.code, 2)
  assert.match(flag.stderr, /unknown option '--jsno'[\s\S]*--json/)
  const command = await edgeloop('devcie')
  assert.equal(command.code, 2)
  assert.match(command.stderr, /device/)
  assert.equal(flag.stdout + command.stdout, '')
})

test('a command without a hub says how to get one and exits with 1', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'edgeloop-'))
  t.after(() => rm(data, { recursive: true }))
  const { code, stderr } = await edgeloop('device', 'list', '--data', data)
  assert.equal(code, 1)
  assert.match(stderr, /^error: Cannot find a hub: .*\nhint: .*npm start/)
})

test('edgeloop up starts, reports events, stops within 5 s, leaves no process and keeps what was there', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'edgeloop-'))
  t.after(() => rm(data, { recursive: true, force: true }))
  const first = await startUp(t, data)
  const page = await (await fetch(first.link)).text()
  assert.match(page, /<html/i)

  let health = await healthOf(first.link)
  assert.equal(health.status, 'ok')
  const deadline = performance.now() + 30_000
  while (health.eventsStored < 3 && performance.now() < deadline) {
    await sleep(250)
    health = await healthOf(first.link)
  }
  assert.ok(health.eventsStored >= 3, `events stored: ${health.eventsStored}\n${first.log()}`)
  assert.equal(health.devicesOnline, 1)

  const listed = await edgeloop('device', 'list', '--data', data, '--json')
  assert.equal(JSON.parse(listed.stdout.trim()).deviceId, 'demo')
  const shown = await edgeloop('device', 'show', 'demo', '--data', data)
  assert.match(shown.stdout, /^MODEL +RUNTIME +MEDIAN/m, shown.stderr)
  assert.match(shown.stdout, /^conveyor +\S+ +\d+\.\d ms +in use$/m)
  const link = await edgeloop('hub', 'link', '--data', data)
  assert.match(link.stdout, /^http:\/\/localhost:\d+\/#token=\S+$/m, link.stderr)
  const events = await edgeloop('events', '--data', data, '--json', '--limit', '3')
  assert.equal(events.stdout.trim().split('\n').length, 3)

  assert.ok((await stopUp(first.up)) <= 5000)
  await assert.rejects(fetch(first.link), 'the port still answers after the stop')

  const begin = performance.now()
  const second = await startUp(t, data)
  assert.ok(performance.now() - begin <= 10_000)
  assert.ok((await healthOf(second.link)).eventsStored >= health.eventsStored)
  await stopUp(second.up)
})
