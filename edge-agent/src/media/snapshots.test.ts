import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Snapshots } from './snapshots.ts'

test('Snapshots write a picture only when an event is about to name it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-snapshots-'))
  t.after(() => rm(folder, { recursive: true }))
  const announced: string[] = []
  const snapshots = new Snapshots(folder, (digest, sizeBytes) => {
    announced.push(`${digest} ${sizeBytes}`)
  })
  const jpeg = Buffer.from('a picture')
  const digest = await snapshots.hold(jpeg)
  assert.equal(digest, createHash('sha256').update(jpeg).digest('hex'))
  const replaced = await snapshots.hold(Buffer.from('a worse picture'))
  snapshots.drop(replaced)
  assert.deepEqual(await readdir(folder), [])
  await snapshots.publish(digest)
  await snapshots.publish(digest)
  await snapshots.publish(replaced)
  assert.deepEqual(await readdir(folder), [`${digest}.jpg`])
  assert.deepEqual(await readFile(join(folder, `${digest}.jpg`)), jpeg)
  assert.deepEqual(announced, [`${digest} 9`])
})

test('Snapshots write the oldest when too many wait', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-snapshots-'))
  t.after(() => rm(folder, { recursive: true }))
  const snapshots = new Snapshots(folder, () => {})
  const digests: string[] = []
  for (let i = 0; i < 6; i++) digests.push(await snapshots.hold(Buffer.alloc(1024 * 1024, i)))
  assert.deepEqual(
    new Set(await readdir(folder)),
    new Set(digests.slice(0, 2).map((digest) => `${digest}.jpg`)),
  )
})

test('Snapshots say why a picture cannot be kept', async () => {
  const snapshots = new Snapshots('/no/such/folder', () => {})
  const digest = await snapshots.hold(Buffer.from('x'))
  await assert.rejects(snapshots.publish(digest), {
    message: /^Cannot keep a snapshot in "\/no\/such\/folder": ENOENT/,
  })
})
