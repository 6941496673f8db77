import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { newRecord, readRecord, recordFile, writeRecord } from './model-record.ts'
import { isDiskFull, localUpdateDisk, removeFolder, replaceFile } from './update-disk.ts'

async function tempDisk(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'update-disk-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return localUpdateDisk(join(folder, 'update'))
}

test('the local disk writes, goes on behind a place, replaces, lists and removes', async (t) => {
  const disk = await tempDisk(t)
  assert.equal(await disk.read('x/file'), undefined)
  assert.equal(await disk.size('x/file'), undefined)
  assert.equal(await disk.readPart('x/file', 0, 3), undefined)
  assert.deepEqual(await disk.list('x'), [])
  await disk.makeFolder('x')
  await disk.write('x/file', Buffer.from('abcdef'))
  await disk.write('x/file', Buffer.from('XY'), 3)
  await disk.sync('x/file')
  await disk.syncFolder('x')
  assert.equal(Buffer.from((await disk.read('x/file')) ?? []).toString(), 'abcXY')
  assert.equal(Buffer.from((await disk.readPart('x/file', 2, 9)) ?? []).toString(), 'cXY')
  await disk.write('x/file', Buffer.from('z'), 0)
  assert.equal(await disk.size('x/file'), 1)
  await replaceFile(disk, 'x/deep/whole', Buffer.from('whole'))
  assert.deepEqual(await disk.list('x'), ['deep', 'file'])
  assert.deepEqual(await disk.list('x/deep'), ['whole'])
  await removeFolder(disk, 'x/deep')
  await removeFolder(disk, 'x')
  await removeFolder(disk, 'x')
  assert.deepEqual(await disk.list(''), [])
  assert.ok((await disk.freeBytes()) > 0)
})

test('a file that cannot be replaced stays as it was', async (t) => {
  const disk = await tempDisk(t)
  await replaceFile(disk, 'file', Buffer.from('before'))
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' })
  assert.ok(isDiskFull(full) && !isDiskFull(new Error('other')) && !isDiskFull(undefined))
  const failing = { ...disk, sync: () => Promise.reject(full) }
  await assert.rejects(replaceFile(failing, 'file', Buffer.from('after')), full)
  assert.equal(Buffer.from((await disk.read('file')) ?? []).toString(), 'before')
  assert.deepEqual(await disk.list(''), ['file'])
})

test('a record that is not what was written is damaged, and never read as something else', async (t) => {
  const disk = await tempDisk(t)
  assert.equal(await readRecord(disk, 'parts'), undefined)
  const record = { ...newRecord('parts'), floor: 7 }
  await writeRecord(disk, record)
  assert.deepEqual(await readRecord(disk, 'parts'), record)
  const file = disk.at(recordFile('parts'))
  const good = await readFile(file)
  for (let place = 0; place < good.length; place += 7) {
    const bad = Buffer.from(good)
    bad[place] = (bad[place] ?? 0) ^ 1
    await writeFile(file, bad)
    // The one byte between digest and text says nothing.
    if (place !== 64) assert.equal(await readRecord(disk, 'parts'), 'damaged', `byte ${place}`)
  }
  await writeFile(file, good.subarray(0, good.length - 1))
  assert.equal(await readRecord(disk, 'parts'), 'damaged')
  await writeFile(file, '')
  assert.equal(await readRecord(disk, 'parts'), 'damaged')
  await writeFile(file, good)
  await appendFile(file, ' ')
  assert.equal(await readRecord(disk, 'parts'), 'damaged')
})
