/** Backups of a running hub through its routes and the command line, and a hub that comes back from one. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { appendFile, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Problem, type StoreBackup, topicFor } from '@edgeloop/protocol'
import { checkBackup, restoreBackup } from '../../cloud-hub/src/store/backup.ts'
import { runCommand } from './command.ts'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'

const wide = { timeout: 120_000 }

test(
  'a hub that lost everything comes back from its backup, and devices know it again',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const device = await hub.enrol('gate')
    await report(device, [1, 2, 3])
    const parent = await mkdtemp(join(tmpdir(), 'edgeloop-backups-'))
    t.after(() => rm(parent, { recursive: true, force: true }))
    const folder = join(parent, 'monday')
    const made = await runCommand(hub, 'store', 'backup', folder, '--json')
    assert.equal(made.code, 0, made.stderr)
    const row = JSON.parse(made.stdout) as StoreBackup
    assert.deepEqual([row.folder, row.state], [folder, 'whole'])
    assert.deepEqual(await backupsOf(hub), [], 'it was carried away')
    assert.match((await runCommand(hub, 'store', 'backup', folder)).stderr, /it exists already/)

    await hub.close()
    for (const name of await readdir(hub.dataDir)) {
      await rm(join(hub.dataDir, name), { recursive: true })
    }
    await restoreBackup(folder, hub.dataDir)
    await hub.reopen()
    // The old certificate, the old local token, and the mark as it was.
    assert.equal(await report(device, [4], bootOf(device)), 4)
    const { events } = (await (await hub.api('GET', '/api/events')).json()) as {
      events: { sequence: number }[]
    }
    assert.deepEqual(
      events.map(({ sequence }) => sequence),
      [4, 3, 2, 1],
    )
  },
)

test(
  'one backup is made at a time, and one that was damaged since is listed as failed',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const replies = await Promise.all([1, 2].map(() => hub.api('POST', '/api/store/backups')))
    assert.deepEqual(replies.map(({ status }) => status).sort(), [201, 409])
    await t.waitFor(
      async () =>
        assert.deepEqual(
          (await backupsOf(hub)).map(({ state }) => state),
          ['whole'],
        ),
      { timeout: 30_000 },
    )
    const [whole] = await backupsOf(hub)
    await appendFile(join(whole?.folder ?? '', 'manifest.json'), ' ')
    const [damaged] = await backupsOf(hub)
    assert.equal(damaged?.state, 'failed')
    assert.match(damaged?.problem ?? '', /manifest\.json is damaged/)
  },
)

test('commands restore into an empty folder, and back up what no hub has open', wide, async (t) => {
  const hub = await openTestHub(t)
  await hub.enrol('gate')
  const parent = await mkdtemp(join(tmpdir(), 'edgeloop-backups-'))
  t.after(() => rm(parent, { recursive: true, force: true }))
  const made = await runCommand(hub, 'store', 'backup', join(parent, 'first'), '--json')
  assert.equal(made.code, 0, made.stderr)
  const data = join(parent, 'data')
  const restored = await runCommand(hub, 'store', 'restore', join(parent, 'first'), '--data', data)
  assert.equal(restored.code, 0, restored.stderr)
  assert.equal(restored.stdout.trim(), join(data, 'hub'))
  const again = await runCommand(hub, 'store', 'restore', join(parent, 'first'), '--data', data)
  assert.equal(again.code, 1)
  assert.match(again.stderr, /it is not empty/)
  const info = await runCommand(hub, 'store', 'info', '--data', data, '--json')
  const { tables } = JSON.parse(info.stdout) as { tables: { table: string; rows: number }[] }
  assert.equal(tables.find(({ table }) => table === 'device')?.rows, 1)
  // Without a hub the command makes the backup itself.
  const main = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url))
  const { EDGELOOP_HUB: _, ...env } = process.env
  const second = join(parent, 'second')
  const words = [main, 'store', 'backup', second, '--data', data]
  const { stdout } = await promisify(execFile)(process.execPath, words, { env })
  assert.equal(stdout.trim(), second)
  await checkBackup(second)
})

test(
  'a store in PostgreSQL is not backed up from here, and the answer says how',
  wide,
  async (t) => {
    const { needs } = await import('../require.ts')
    const { skip } = needs('postgresql')
    if (skip) return t.skip(skip)
    const { createDatabase } = await import('../postgres/shared-cluster.ts')
    const hub = await openTestHub(t, { store: await createDatabase() })
    const reply = await hub.api('POST', '/api/store/backups')
    const problem = (await reply.json()) as Problem
    assert.deepEqual([reply.status, problem.code], [400, 'badRequest'])
    assert.match(problem.detail, /pg_dump/)
  },
)

async function backupsOf(hub: TestHub): Promise<StoreBackup[]> {
  return (await (await hub.api('GET', '/api/store/backups')).json()) as StoreBackup[]
}

const boots = new WeakMap<TestDevice, string>()
function bootOf(device: TestDevice): string {
  const bootId = boots.get(device) ?? randomUUID()
  boots.set(device, bootId)
  return bootId
}

/** Sends alarms and gives the mark that was acknowledged. */
async function report(
  device: TestDevice,
  sequences: readonly number[],
  bootId = bootOf(device),
): Promise<number> {
  const client = await device.connect()
  const acknowledged = Promise.withResolvers<number>()
  client.on('message', (topic, payload) => {
    if (topic === topicFor('acknowledged', device)) {
      acknowledged.resolve(JSON.parse(payload.toString()).through)
    }
  })
  await client.subscribeAsync(topicFor('acknowledged', device), { qos: 1 })
  const at = new Date().toISOString()
  const entries = sequences.map((sequence) => ({
    sequence,
    kind: 'alarm',
    at,
    code: 'diskFull',
    active: true,
    text: '',
  }))
  const batch = JSON.stringify({ bootId, acknowledgedThrough: 0, entries })
  await client.publishAsync(topicFor('events', device), batch, { qos: 1 })
  const mark = await acknowledged.promise
  client.end(true)
  return mark
}
