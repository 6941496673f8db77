/** `./edgeloop keys …` against a real hub: rotation with two of three keys, and a targets key that is elsewhere. */
import assert from 'node:assert/strict'
import { cp, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { digestOf } from '@edgeloop/model-compiler/artifact'
import type { TrustShown } from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { assertAudited } from './audited.ts'
import { runCommand } from './command.ts'
import { openTestHub } from './fixture.ts'

const long = { timeout: 300_000, ...needs('time') }

test('keys are rotated and taken elsewhere from the terminal', long, async (t) => {
  const hub = await openTestHub(t)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-keys-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const run = async (...words: string[]) => {
    const { code, stdout, stderr } = await runCommand(hub, 'keys', ...words)
    assert.equal(code, 0, stderr)
    return stdout.trim()
  }
  const shown = async () => (await (await hub.api('GET', '/api/trust')).json()) as TrustShown
  const keysOf = async (role: string) =>
    (await shown()).roles.find((one) => one.role === role)?.keys ?? assert.fail(role)
  const [one, two, three] = [1, 2, 3].map((n) => join(hub.dataDir, 'root-keys', `root-${n}.key`))

  assert.match(await run('list'), /^timestamp +[0-9a-f]{12} +at this hub +1 of 1 +\d+ +\d{4}-/m)

  // One key is not enough, and no key was made for it.
  const online = async () => (await readdir(join(hub.dataDir, 'keys', 'trust'))).toSorted()
  const before = await online()
  const refused = await runCommand(hub, 'keys', 'rotate', 'timestamp', '--key', one!)
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /2 different keys, and 1 of them are there\nhint: give more keys/)
  assert.deepEqual(await online(), before)
  const [old] = await keysOf('timestamp')
  assert.equal(
    await run('rotate', 'timestamp', '--key', one!, '--key', two!),
    'The hub has taken version 2 of the root',
  )
  assert.notDeepEqual(await keysOf('timestamp'), [old])

  // Root keys that are at two places sign one after the other; a lost one is replaced.
  const draft = join(folder, 'next.json')
  const fresh = join(folder, 'root-4.key')
  const [, , lost] = await keysOf('root')
  await run(
    'rotate',
    'root',
    '--replace',
    lost!.keyId.slice(0, 8),
    '--new',
    fresh,
    '--key',
    one!,
    '-o',
    draft,
  )
  assert.equal((await stat(fresh)).mode & 0o777, 0o600)
  const early = await runCommand(hub, 'keys', 'send', draft)
  assert.match(early.stderr, /and 1 of them are there/)
  assert.match(await run('sign', draft, '--key', two!), /has 3 signatures/)
  assert.deepEqual(JSON.parse(await run('send', draft, '--json')), { sent: 'root', version: 3 })
  assert.ok(!(await keysOf('root')).some(({ keyId }) => keyId === lost!.keyId))
  const stale = await runCommand(
    hub,
    'keys',
    'rotate',
    'root',
    '--renew',
    '--key',
    one!,
    '--key',
    three!,
  )
  assert.match(stale.stderr, /and 1 of them are there/)

  // From now on somebody else approves what is published.
  const targetsKey = join(folder, 'targets.key')
  await run('rotate', 'targets', '--new', targetsKey, '--key', two!, '--key', fresh)
  assert.deepEqual(
    (await keysOf('targets')).map((key) => key.online),
    [false],
  )
  const path = 'manifests/gate/1/any.json'
  await hub.inStore(async ({ writer }) => {
    const row = { path, digest: digestOf(Buffer.from('{}')), length_bytes: 2, at: Date.now() }
    await writer.insertInto('trust_staged').values(row).execute()
  })
  const wrong = await runCommand(hub, 'keys', 'sign', '--key', one!)
  assert.match(wrong.stderr, /signatures of 1 different keys, and 0 of them/)
  assert.equal(await run('sign', '--key', targetsKey), `1 manifests are signed\n  ${path}`)
  const { targets, staged } = await shown()
  assert.deepEqual([targets, staged.length], [1, 0])
  await assertAudited(hub, 'trustTargets')
  const root = await run('export-root')
  assert.equal(JSON.parse(root).signed.version, 4)
})

test('keys that were made elsewhere become those of a hub', { timeout: 120_000 }, async (t) => {
  const hub = await openTestHub(t)
  const folder = join(hub.dataDir, 'fleet')
  const words = ['keys', 'init', folder, '--targets-elsewhere', '--json']
  const made = await runCommand(hub, ...words)
  assert.equal(made.code, 0, made.stderr)
  const { fleet, root, targets } = JSON.parse(made.stdout)
  assert.deepEqual(await readdir(root), ['root-1.key', 'root-2.key', 'root-3.key'])
  assert.match(await readFile(join(targets, 'targets.key'), 'utf8'), /PRIVATE KEY/)
  assert.match((await runCommand(hub, ...words)).stderr, /it is there already/)
  const other = await mkdtemp(join(tmpdir(), 'edgeloop-keys-'))
  t.after(() => rm(other, { recursive: true, force: true }))
  await cp(join(folder, 'trust'), join(other, 'keys', 'trust'), { recursive: true })
  const second = await openTestHub(t, { dataDir: other })
  const shown = (await (await second.api('GET', '/api/trust')).json()) as TrustShown
  assert.equal(shown.fleet, fleet)
  assert.match(shown.problems.join(), /No targets are signed/)
  assert.ok(!(await readdir(other)).includes('root-keys'))
})
