/**
 * A box that reaches no hub gets a model from a file: the hub writes a bundle and is gone, somebody carries it to the box, and the
 * agent there takes it up by the same states as over the wire, also when it is killed in the middle. What was changed on the way,
 * is of another hub, or leads out of its folder is refused, and the box is as it was.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { EnrolmentToken } from '@edgeloop/protocol'
import { pack } from 'tar-stream'
import { enrol } from '../../edge-agent/src/identity/enrol.ts'
import { readRecord } from '../../edge-agent/src/update/model-record.ts'
import { localUpdateDisk } from '../../edge-agent/src/update/update-disk.ts'
import { json, publishModel } from '../attacks/published-model.ts'
import type { AgentOrder } from '../faults/agent-program.ts'
import { type CommandResult, runCommand } from '../hub/command.ts'
import { openTestHub } from '../hub/fixture.ts'
import { needs } from '../require.ts'

/** The program on a box: without anything of a hub. */
const boxProgram = fileURLToPath(new URL('../../cli/src/box.ts', import.meta.url))
const soon = { interval: 100, timeout: 120_000 }

const onBox = (...words: string[]): Promise<CommandResult> =>
  new Promise((resolve) => {
    execFile(process.execPath, [boxProgram, ...words], (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    })
  })

test('a model is carried to a box that reaches no hub', {
  ...needs('time'),
  timeout: 300_000,
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-carried-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  const hub = await openTestHub(t)
  const dataDir = join(folder, 'agent')
  const made = await json<EnrolmentToken>(hub, 'POST', '/api/enrolment-tokens', { deviceId: 'pit' })
  const { token, caFingerprint, deviceUrl } = made
  const { signal } = new AbortController()
  const identity = await enrol({ deviceUrl, token, caFingerprint, folder: dataDir, signal })
  const published = await publishModel(t, hub)
  const file = join(folder, 'parts.bundle')
  const exported = await runCommand(hub, 'bundle', 'export', 'parts/1', '-o', file)
  assert.equal(exported.code, 0, exported.stderr)
  // Another hub has a model of the same name.
  const stranger = await openTestHub(t)
  await publishModel(t, stranger)
  const foreign = join(folder, 'foreign.bundle')
  assert.equal((await runCommand(stranger, 'bundle', 'export', 'parts/1', '-o', foreign)).code, 0)
  await stranger.close()
  await hub.close()

  const disk = localUpdateDisk(join(dataDir, 'update'))
  const before = await listing(dataDir)
  const give = (given: string, ...more: string[]) =>
    onBox('bundle', 'import', given, '--agent-data', dataDir, ...more)
  const refusedWith = async (what: string, bytes: Buffer, reason: RegExp) => {
    const bad = join(folder, 'bad.bundle')
    await writeFile(bad, bytes)
    const { code, stderr } = await give(bad)
    assert.equal(code, 1, `${what}: ${stderr}`)
    assert.match(stderr, reason, what)
    assert.deepEqual(await listing(dataDir), before, what)
  }
  const bundle = await readFile(file)
  const flipped = (at: number) => {
    const bad = Buffer.from(bundle)
    bad[at]! ^= 1
    return bad
  }
  await refusedWith('another hub', await readFile(foreign), /signatures of|without a gap|fleet/)
  await refusedWith(
    'manifest',
    flipped(bundle.indexOf('"edgeloop-manifest/1"') + 3),
    /not what was signed/,
  )
  const encoding = published.encodings[0]?.digest
  await refusedWith('model', flipped(bundle.indexOf(`artifacts/${encoding}`) + 612), /is damaged/)
  const stamp = bundle.indexOf('"sig": "', bundle.indexOf('trust/timestamp.json')) + 9
  await refusedWith('signature', flipped(stamp), /signatures of/)
  await refusedWith('cut', bundle.subarray(0, 5000), /ends/)
  // S11: names and kinds of entries that would reach out of its folder, had anything been unpacked.
  const escapes = [
    { name: '../../../identity/ca.crt' },
    { name: '/etc/edgeloop-escaped' },
    { name: 'trust/timestamp.json', type: 'symlink', linkname: '/etc/passwd' },
    { name: 'trust/timestamp.json', type: 'link', linkname: '../identity/device.key' },
  ] as const
  for (const entry of escapes) {
    const tar = pack()
    const isLink = 'type' in entry
    if (isLink) tar.entry({ ...entry })
    else tar.entry({ ...entry }, 'x')
    tar.finalize()
    const reason = isLink ? /link/ : /no name of a bundle/
    await refusedWith(JSON.stringify(entry), await buffer(tar), reason)
  }
  const elsewhere = await onBox('bundle', 'import', file, '--agent-data', folder)
  assert.match(elsewhere.stderr, /holds no identity/)

  // The agent runs, and there is no hub.
  const order: AgentOrder = { dataDir, mqttUrl: identity.mqttUrl, file: {}, ownMedia: true }
  let agent: ChildProcess | undefined
  const start = () => {
    agent = fork(new URL('../faults/agent-program.ts', import.meta.url), [JSON.stringify(order)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
  }
  const end = async (how: NodeJS.Signals) => {
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return
    const gone = once(agent, 'exit')
    agent.kill(how)
    await gone
  }
  t.after(() => end('SIGKILL'))
  start()
  const record = async () => {
    const found = await readRecord(disk, 'parts')
    assert.ok(found && found !== 'damaged', 'there is no record yet')
    return found
  }
  const stateIs = async (state: string) =>
    await t.waitFor(async () => {
      const told = (await record()).passages.at(-1)?.told
      assert.equal(told?.state, state, JSON.stringify(told))
    }, soon)
  const given = await give(file, '--shadow', '0', '--probation', '0.1', '--json')
  assert.equal(given.code, 0, given.stderr)
  assert.deepEqual(JSON.parse(given.stdout).models, [
    { name: 'parts', version: 1, digest: published.file.digest, refused: '' },
  ])
  // It does not need the file it came from.
  await rm(file)
  await stateIs('probation')
  await end('SIGKILL')
  start()
  await stateIs('committed')
  const { active, slots, floor, passages } = await record()
  const content = active && slots[active]
  assert.deepEqual([content?.digest, content?.committed, floor], [published.file.digest, true, 1])
  assert.deepEqual(
    passages[0]?.told.history.map(({ state }) => state),
    [
      ...['offered', 'downloading', 'verified', 'staged', 'probed', 'shadowing', 'activating'],
      ...['probation', 'committed'],
    ],
  )
  await t.waitFor(async () => assert.deepEqual(await disk.list('carried'), []), soon)

  // Once more: it is there already.
  await writeFile(file, bundle)
  const again = await give(file)
  assert.equal(again.code, 1)
  assert.match(again.stdout, /it runs here already/)
  await end('SIGTERM')
})

/** Every file under a folder with its length. */
async function listing(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name))
  const lengths = await Promise.all(
    files.sort().map(async (name) => `${name} ${(await readFile(name)).length}`),
  )
  return lengths
}
