/**
 * A box that has nothing but a shell and curl becomes a device by one line, is upgraded by the same line,
 * and is clean again after --uninstall. The hub, the agent and everything between are real; the box is an
 * empty home and a PATH without Node. No systemd runs here: the service is started without one.
 */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { EnrolmentToken, EventPage } from '@edgeloop/protocol'
import { installScriptFile } from '../../cli/bundle/bundle.ts'
import { openBundles } from '../../cli/bundle/bundles.ts'
import { ownPlatform } from '../../cli/bundle/platforms.ts'
import { openTestHub, type TestHub } from '../hub/fixture.ts'
import { needs } from '../require.ts'

/** What the installer may use of a box. */
const tools = [
  ...['sh', 'curl', 'tar', 'gzip', 'sha256sum', 'readlink', 'id', 'uname', 'mktemp', 'dirname'],
  ...['mkdir', 'mv', 'rm', 'rmdir', 'ln', 'ls', 'cut', 'sed', 'grep', 'cat', 'tr', 'find', 'chmod'],
  ...['nohup', 'setsid', 'sleep', 'printf'],
]
const cache = fileURLToPath(new URL('../../node_modules/.cache/edgeloop/bundles', import.meta.url))

type Box = {
  readonly home: string
  readonly prefix: string
  /** Types lines into the box's shell; the token is in what is typed, never in an argument. */
  shell(lines: string): Promise<{ code: number; said: string }>
}

/** An empty box; ffmpeg is on it where this machine has one. */
async function openBox(t: TestContext): Promise<Box> {
  const root = await mkdtemp(join(tmpdir(), 'edgeloop-box-'))
  const [home, bin] = [join(root, 'home'), join(root, 'bin')]
  const prefix = join(home, '.local/share/edgeloop')
  t.after(async () => {
    // Where the test failed an agent may still run; its number is in what is removed next.
    const pid = await readFile(join(prefix, 'agent.pid'), 'utf8').catch(() => undefined)
    if (pid && existsSync(`/proc/${Number(pid)}`)) process.kill(Number(pid), 'SIGKILL')
    await rm(root, { recursive: true, force: true })
  })
  await mkdir(home)
  await mkdir(bin)
  for (const tool of [...tools, 'ffmpeg', 'ffprobe']) {
    const found = ['/usr/bin', '/bin'].map((folder) => join(folder, tool)).find(existsSync)
    if (found) await symlink(found, join(bin, tool))
  }
  const shell = async (lines: string) => {
    const child = spawn(join(bin, 'sh'), [], { env: { HOME: home, PATH: bin }, cwd: home })
    child.stdin.end(`${lines}\n`)
    const exited = once(child, 'exit')
    const said = await Promise.all([text(child.stdout), text(child.stderr)])
    const [code] = await exited
    return { code: code as number, said: said.join('') }
  }
  return { home, prefix, shell }
}

async function commandFor(hub: TestHub, deviceId: string, prefix: string): Promise<string> {
  const reply = await hub.api('POST', '/api/enrolment-tokens', { deviceId })
  const { installCommand } = (await reply.json()) as EnrolmentToken
  assert.ok(installCommand)
  return `${installCommand} --prefix ${prefix}`
}

async function eventsOf(hub: TestHub, query: string): Promise<EventPage['events']> {
  const reply = await hub.api('GET', `/api/events?${query}`)
  return ((await reply.json()) as EventPage).events
}

async function until(what: string, is: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!(await is())) {
    if (Date.now() > deadline) throw new Error(`Not within 60 s: ${what}`)
    await sleep(200)
  }
}

const online = (hub: TestHub, deviceId: string) => async (): Promise<boolean> => {
  const reply = await hub.api('GET', `/api/devices/${deviceId}`)
  if (reply.status !== 200) return false
  const { device } = (await reply.json()) as { device: { connectivity: string } }
  return device.connectivity === 'online'
}

const skip = ownPlatform() ? {} : { skip: 'no bundle is made for this platform' }

test('one line makes a bare box a device, and --uninstall leaves nothing', skip, async (t) => {
  const bundles = await openBundles({ folder: cache, onProgress: (line) => t.diagnostic(line) })
  const hub = await openTestHub(t, {}, Date.now, { bundles })
  const box = await openBox(t)
  const none = await box.shell('command -v node npm npx')
  assert.equal(none.said, '', 'the box has no Node')

  const command = await commandFor(hub, 'gate', box.prefix)
  const installed = await box.shell(command)
  assert.equal(installed.code, 0, installed.said)
  assert.match(installed.said, /device "gate"/)
  await until('the box is online', online(hub, 'gate'))
  const first = Number(await readFile(join(box.prefix, 'agent.pid'), 'utf8'))
  const link = await readdir(join(box.prefix, 'versions'))
  assert.equal(link.length, 1)

  // The same line with a fresh token: the identity stays, the agent is started anew. It now has a model.
  const conveyor = join(box.prefix, 'current/app/edge-agent/demo/conveyor.onnx')
  const settings = { models: [{ name: 'conveyor', file: conveyor }] }
  await writeFile(join(box.prefix, 'data/agent.yaml'), JSON.stringify(settings))
  const again = await box.shell(await commandFor(hub, 'gate', box.prefix))
  assert.equal(again.code, 0, again.said)
  assert.match(again.said, /stays device "gate"/)
  assert.ok(!existsSync(`/proc/${first}`), 'the agent before it has ended')
  await until('the box is online again', online(hub, 'gate'))
  assert.deepEqual(await readdir(join(box.prefix, 'versions')), link)

  if (!needs('ffmpeg').skip) {
    const stream = { streamId: 'belt', source: 'demo:1', model: 'conveyor' }
    const added = await hub.api('POST', '/api/devices/gate/streams', stream)
    assert.equal(added.status, 201)
    const seen = async () => (await eventsOf(hub, 'device=gate&kind=appeared')).length > 0
    await until('the box sees something', seen).catch(async (error: Error) => {
      t.diagnostic(await readFile(join(box.prefix, 'agent.log'), 'utf8'))
      throw error
    })
  }

  const pid = Number(await readFile(join(box.prefix, 'agent.pid'), 'utf8'))
  const removed = await box.shell(
    `${box.prefix}/current/bin/install.sh --uninstall --prefix ${box.prefix}`,
  )
  assert.equal(removed.code, 0, removed.said)
  assert.ok(!existsSync(`/proc/${pid}`), 'the agent has ended')
  assert.deepEqual(await readdir(box.home, { recursive: true }), [])
})

test('the service is one that systemd takes', needs('systemd-analyze'), async (t) => {
  const script = await readFile(installScriptFile, 'utf8')
  const [, template = ''] = /<<UNIT\n([\s\S]*?)\nUNIT\n/.exec(script) ?? []
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-unit-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const values: Record<string, string> = {
    agent: '/bin/true',
    data: folder,
    prefix: folder,
    wanted_by: 'multi-user.target',
    runs_as: 'User=root',
  }
  const unit = template.replace(/\$(\w+)/g, (_, name: string) => {
    assert.ok(values[name], `the unit uses ${name}, which this test does not know`)
    return values[name]
  })
  assert.match(unit, /ExecStart=\/bin\/true agent --data/)
  const file = join(folder, 'edgeloop-agent.service')
  await writeFile(file, unit)
  const { stderr } = await promisify(execFile)('systemd-analyze', ['verify', file])
  // What it says of units of this machine is not ours.
  assert.doesNotMatch(stderr, /edgeloop-agent/)
})

test('an install that is refused says why and leaves nothing that runs', skip, async (t) => {
  const bundles = await openBundles({ folder: cache, onProgress: (line) => t.diagnostic(line) })
  const hub = await openTestHub(t, {}, Date.now, { bundles })
  const box = await openBox(t)
  const good = await commandFor(hub, 'gate', box.prefix)

  const wrongToken = await box.shell(good.replace(/TOKEN='[^']+'/, "TOKEN='not-a-token'"))
  assert.equal(wrongToken.code, 1)
  assert.match(wrongToken.said, /gave no agent[\s\S]*Add device/)

  const [fetching = '', installing = ''] = good.split(' | ')
  const wrongPin = installing.replace(/--pin '[^']+'/, `--pin '${'A'.repeat(43)}='`)
  const pinned = await box.shell(`${fetching} | ${wrongPin}`)
  assert.equal(pinned.code, 1, pinned.said)

  const wrongAuthority = await box.shell(good.replace(/--ca '[^']+'/, `--ca '${'A'.repeat(43)}='`))
  assert.equal(wrongAuthority.code, 1)
  assert.match(wrongAuthority.said, /Cannot trust the hub/)

  const unknown = await box.shell(`${good} --prefixx /tmp/x`)
  assert.equal(unknown.code, 1)
  assert.match(unknown.said, /unknown option "--prefixx"/)

  const taken = join(box.home, 'taken')
  await mkdir(taken)
  await writeFile(join(taken, 'mine'), 'not yours')
  const occupied = await box.shell(good.replace(box.prefix, taken))
  assert.match(occupied.said, /in use by something else/)
  const foreign = await box.shell(`${fetching} | sh -s -- --uninstall --prefix ${taken}`)
  assert.match(foreign.said, /nothing of Edgeloop is installed/)
  assert.equal(await readFile(join(taken, 'mine'), 'utf8'), 'not yours')

  assert.ok(!existsSync(join(box.prefix, 'agent.pid')))
  assert.ok(!existsSync(join(box.prefix, 'current')))
})
