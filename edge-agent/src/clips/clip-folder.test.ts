import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { mountSmallDisk } from '../../../test/faults/small-disk.ts'
import { ClipFile, freeBytesMin } from './clip-file.ts'
import { ClipFolder, clipsToRemove, type KeptClip } from './clip-folder.ts'
import type { RingPacket } from './packet-ring.ts'

const dayMs = 86_400_000
const clip = (digest: string, at: number, more: Partial<KeptClip> = {}): KeptClip => ({
  digest,
  sizeBytes: 100,
  at,
  isKept: false,
  ...more,
})
const bounds = { now: 10 * dayMs, keptMs: 7 * dayMs, bytesMax: 1000, freeBytes: 4 * freeBytesMin }
const names = (clips: readonly KeptClip[]) => clips.map(({ digest }) => digest).join('')

test('clips go by days, and kept ones outlive them', () => {
  const clips = [clip('a', 2 * dayMs), clip('b', 4 * dayMs), clip('k', dayMs, { isKept: true })]
  assert.equal(names(clipsToRemove(clips, bounds)), 'a')
})

test('clips go by bytes, the oldest first and kept ones last', () => {
  const clips = [clip('n', 9 * dayMs), clip('k', 5 * dayMs, { isKept: true }), clip('o', 8 * dayMs)]
  assert.equal(names(clipsToRemove(clips, { ...bounds, bytesMax: 300 })), '')
  assert.equal(names(clipsToRemove(clips, { ...bounds, bytesMax: 200 })), 'o')
  assert.equal(names(clipsToRemove(clips, { ...bounds, bytesMax: 100 })), 'on')
  assert.equal(names(clipsToRemove(clips, { ...bounds, bytesMax: 0 })), 'onk')
})

test('clips go when the disk fills up, as many as it takes', () => {
  const clips = [8, 9, 7].map((day) => clip(String(day), day * dayMs, { sizeBytes: freeBytesMin }))
  const full = { ...bounds, bytesMax: 1e12 }
  assert.equal(names(clipsToRemove(clips, { ...full, freeBytes: freeBytesMin / 2 })), '78')
  assert.equal(names(clipsToRemove(clips, { ...full, freeBytes: 2 * freeBytesMin })), '')
})

async function emptyFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-clips-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const log = pino({ level: 'silent' })
const options = { bytesMax: 250, keptDays: 7, log, now: () => bounds.now }
const free = async () => 4 * freeBytesMin
const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')

async function put(folder: string, text: string, at: number): Promise<string> {
  const digest = digestOf(text)
  const file = join(folder, `${digest}.mp4`)
  await writeFile(file, Buffer.alloc(100))
  await utimes(file, at / 1000, at / 1000)
  return digest
}

test('a folder of clips is looked after from start to start', async (t) => {
  const folder = await emptyFolder(t)
  const [old, kept] = [await put(folder, 'old', 2 * dayMs), await put(folder, 'kept', dayMs)]
  await writeFile(join(folder, `${kept}.keep`), '')
  await writeFile(join(folder, `${digestOf('gone')}.keep`), '')
  await writeFile(join(folder, '.cut-off.part'), 'half a clip')
  await writeFile(join(folder, 'note.txt'), 'not ours')
  {
    await using clips = await ClipFolder.open({ ...options, folder, free })
    assert.deepEqual(clips.figures, { clips: 1, bytes: 100 })
    assert.equal(clips.find(old), undefined)
    assert.equal(clips.find(kept)?.file, join(folder, `${kept}.mp4`))
    for (const name of ['one', 'two']) clips.add(await put(folder, name, bounds.now), 100)
    await t.waitFor(() => assert.equal(clips.figures.clips, 2), { timeout: 10_000 })
    assert.ok(clips.find(kept) && clips.find(digestOf('two')), 'the oldest that nobody keeps goes')
    assert.ok(await clips.keep(kept, false))
    assert.equal(await clips.keep(old, true), false)
  }
  await using clips = await ClipFolder.open({ ...options, folder, free })
  assert.equal(clips.find(kept), undefined, 'no longer kept, and too old')
  assert.deepEqual((await readdir(folder)).sort(), [`${digestOf('two')}.mp4`, 'note.txt'].sort())
})

const packet: RingPacket = {
  coding: { configuration: Buffer.from([1]), width: 16, height: 16, packing: 'lengths' },
  data: Buffer.alloc(1000),
  isKey: true,
  at: 1,
  decodeMs: 0,
  shownMs: 0,
  number: 0,
  steadyMs: 0,
}

test('a clip that cannot be written leaves nothing behind', async (t) => {
  const folder = await emptyFolder(t)
  const full = new ClipFile({ folder, coding: packet.coding, free: async () => freeBytesMin - 1 })
  full.write(packet)
  await assert.rejects(full.finish(), /only 268 MB of its disk are free/)
  const nowhere = new ClipFile({ folder: join(folder, 'missing'), coding: packet.coding, free })
  nowhere.write(packet)
  await assert.rejects(nowhere.finish(), /Cannot keep a clip in ".*missing"/)
  const empty = new ClipFile({ folder, coding: packet.coding, free })
  await assert.rejects(empty.finish(), /no picture/)
  const slow = new ClipFile({ folder, coding: packet.coding, free: () => new Promise(() => {}) })
  let taken = 0
  const large = { ...packet, data: Buffer.alloc(1024 * 1024) }
  while (slow.write(large)) taken++
  assert.equal(taken, 32, 'a disk that does not keep up')
  assert.deepEqual(await readdir(folder), [])
})

test('a disk that fills up in the middle of a clip costs the clip and nothing else', async (t) => {
  const folder = await emptyFolder(t)
  using disk = mountSmallDisk(join(folder, 'disk'), 4 * 1024 * 1024)
  if (!disk) return t.skip('no right to mount a disk')
  const file = new ClipFile({ folder: disk.folder, coding: packet.coding, free })
  const piece = { ...packet, data: Buffer.alloc(1024 * 1024) }
  for (let n = 0; n < 8; n++) {
    file.write({ ...piece, number: n, steadyMs: n * 40 })
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await assert.rejects(file.finish(), /ENOSPC|the disk is full/)
  assert.deepEqual(await readdir(disk.folder), [])
})

test('a clip is named by its digest, and is there whole', async (t) => {
  const folder = await emptyFolder(t)
  const file = new ClipFile({ folder, coding: packet.coding, free })
  for (const n of [0, 1, 2])
    file.write({ ...packet, at: 1000 + n * 40, steadyMs: n * 40, number: n })
  const { digest, sizeBytes, startedAt, endedAt, durationMs } = await file.finish()
  assert.deepEqual([startedAt, endedAt, durationMs], [1000, 1080, 120])
  assert.deepEqual(await readdir(folder), [`${digest}.mp4`])
  assert.ok(sizeBytes > 3000)
})
