import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openFolderBlobs } from '../blobs/folder-blobs.ts'
import { checkBackup, makeBackup, restoreBackup } from './backup.ts'
import { openSqliteStore } from './sqlite-store.ts'
import type { Store } from './store.ts'

const picture = Buffer.from('as good as a JPEG')
const digest = createHash('sha256').update(picture).digest('hex')

test('a backup made while events are stored is one moment of them, and is restored whole', async (t) => {
  const { dataDir, store, folder, backup } = await running(t)
  const stop = new AbortController()
  const writing = storeEvents(store, stop.signal)
  await t.waitFor(async () => assert.ok((await countEvents(store)) > 200))
  const manifest = await backup()
  const during = await countEvents(store)
  await t.waitFor(async () => assert.ok((await countEvents(store)) > during + 100))
  stop.abort()
  await writing
  assert.equal(manifest.blobs, 1)
  assert.equal((await stat(folder)).mode & 0o777, 0o700)

  const restored = join(dataDir, '..', 'restored')
  await restoreBackup(folder, restored)
  await using again = await openSqliteStore({ file: join(restored, 'hub.db') })
  const kept = await countEvents(again)
  assert.ok(kept >= 200 && kept <= during, `${kept} of ${during}`)
  const boot = await again.reader.selectFrom('boot').select('through').executeTakeFirstOrThrow()
  assert.equal(boot.through, kept, 'the mark is that of the same moment')
  const key = join(restored, 'keys', 'ca.key')
  assert.equal(await readFile(key, 'utf8'), 'secret')
  assert.deepEqual(await readdir(join(restored, 'keys')), ['ca.key'])
  assert.equal((await stat(key)).mode & 0o777, 0o600)
  assert.equal(await readFile(join(restored, 'local-token'), 'utf8'), 'token')
  const blobs = await openFolderBlobs(join(restored, 'blobs'))
  assert.deepEqual(Buffer.from((await blobs.read(digest)) ?? []), picture)
  assert.ok(!existsSync(join(restored, 'address.json')), 'what is only of a running hub stays out')
})

test('a backup in which any one byte is another is refused before anything is touched', async (t) => {
  const { dataDir, folder, backup } = await running(t)
  await backup()
  const restored = join(dataDir, '..', 'restored')
  const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  assert.ok(files.length >= 6)
  for (const file of files) {
    const { size } = await stat(file)
    for (const at of new Set([0, Math.floor(size / 2), size - 1])) {
      await flip(file, at)
      await assert.rejects(
        restoreBackup(folder, restored),
        /^Error: Cannot use the backup ".*": .* (is damaged|is missing|is no database)/,
        `byte ${at} of ${file}`,
      )
      assert.ok(!existsSync(restored) && !existsSync(`${restored}.restoring`))
      await flip(file, at)
    }
  }
  // Nor where one is missing or cut short.
  for (const file of files) {
    const bytes = await readFile(file)
    await rm(file)
    await assert.rejects(restoreBackup(folder, restored), /Cannot use the backup/, `no ${file}`)
    await writeFile(file, bytes.subarray(0, -1))
    await assert.rejects(restoreBackup(folder, restored), /Cannot use the backup/, `short ${file}`)
    await writeFile(file, bytes)
  }
  assert.ok(!existsSync(restored))
  await checkBackup(folder)
})

test('a manifest that leads out of its folder is refused', async (t) => {
  const { dataDir, folder, backup } = await running(t)
  const manifest = await backup()
  for (const name of ['../outside', 'keys/../../outside', '/etc/passwd', 'keys//x']) {
    const files = [...manifest.files, { ...manifest.files[0], name }]
    const text = JSON.stringify({ ...manifest, files })
    const sum = createHash('sha256').update(text).digest('hex')
    await writeFile(join(folder, 'manifest.json'), text)
    await writeFile(join(folder, 'manifest.json.sha256'), `${sum}  manifest.json\n`)
    await assert.rejects(restoreBackup(folder, join(dataDir, '..', 'restored')), /files/, name)
  }
})

test('a backup overwrites nothing, and a restore neither', async (t) => {
  const { dataDir, folder, backup } = await running(t)
  await backup()
  await assert.rejects(backup(), /it exists already/)
  await assert.rejects(restoreBackup(folder, dataDir), /it is not empty.*--data/)
  await assert.rejects(
    restoreBackup(join(folder, 'keys'), join(dataDir, '..', 'restored')),
    /there is no manifest\.json in it/,
  )
})

/** A store with a device, keys and a picture, as in the data folder of a hub. */
async function running(t: TestContext) {
  const parent = await mkdtemp(join(tmpdir(), 'edgeloop-backup-'))
  t.after(() => rm(parent, { recursive: true, force: true }))
  const dataDir = join(parent, 'hub')
  const file = join(dataDir, 'hub.db')
  const store = await openSqliteStore({ file })
  t.after(() => store[Symbol.asyncDispose]())
  await mkdir(join(dataDir, 'keys'))
  await writeFile(join(dataDir, 'keys', 'ca.key'), 'secret', { mode: 0o600 })
  await writeFile(join(dataDir, 'keys', 'half.new'), 'half')
  await writeFile(join(dataDir, 'local-token'), 'token', { mode: 0o600 })
  await writeFile(join(dataDir, 'address.json'), '{}')
  const blobs = await openFolderBlobs(join(dataDir, 'blobs'))
  const bytes = (async function* () {
    yield picture
  })()
  await blobs.put(digest, bytes, { bytesMax: 1000 })
  await store.writer
    .insertInto('device')
    .values({
      device_id: 'gate',
      site: 'main',
      name: '',
      enrolled_at: 0,
      certificate_serial: '',
      certificate_not_after: 0,
    })
    .execute()
  const folder = join(parent, 'backup')
  const backup = () =>
    makeBackup({ file, dataDir, folder, blobs: true, version: '0', now: Date.now() })
  return { dataDir, store, folder, backup }
}

async function storeEvents(store: Store, signal: AbortSignal): Promise<void> {
  const bootId = randomUUID()
  for (let from = 0; !signal.aborted; from += 10) {
    const events = Array.from({ length: 10 }, (_, i) => [
      from + i + 1,
      ...['alarm', 0, 0, null, null, null, null, '{}'],
    ])
    const batch = { deviceKey: 1, bootId, expected: from, through: from + 10, receivedAt: 0 }
    await store.commit([{ ...batch, events: events.flat(), health: [], quarantined: [] }])
  }
}

async function countEvents({ reader }: Store): Promise<number> {
  const row = await reader
    .selectFrom('event')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return row.count
}

async function flip(file: string, at: number): Promise<void> {
  await using handle = await open(file, 'r+')
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, at)
  await handle.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, at)
}
