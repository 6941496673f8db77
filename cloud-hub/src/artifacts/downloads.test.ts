import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { Refusal } from '@edgeloop/protocol'
import { openFolderBlobs } from '../blobs/folder-blobs.ts'
import { type DownloadLimits, type Downloads, openDownloads } from './downloads.ts'

const unlimited: DownloadLimits = { bytesPerSecond: 0, deviceBytesPerSecond: 0, max: 4 }
const sizeBytes = 200_000
const content = Buffer.from(Uint8Array.from({ length: sizeBytes }, (_, at) => (at * 31) % 251))
const digest = createHash('sha256').update(content).digest('hex')

test('a transfer gives the bytes that were asked for, and counts them by what they are', async (t) => {
  const { downloads, sent } = await openTest(t)
  const whole = await downloads.begin('gate', digest, { head: false })
  assert.equal(whole.status, 200)
  assert.ok(content.equals(await bytesOf(whole.body)))
  const part = await downloads.begin('gate', digest, { head: false, range: 'bytes=70000-' })
  assert.equal(part.status, 206)
  assert.ok(content.subarray(70_000).equals(await bytesOf(part.body)))
  assert.deepEqual([...sent], [['delta', sizeBytes + sizeBytes - 70_000]])
  assert.equal(downloads.open, 0)
})

test('no more than the rate goes out: to one device, and to all together', async (t) => {
  for (const limits of [
    { ...unlimited, deviceBytesPerSecond: 200_000 },
    { ...unlimited, bytesPerSecond: 400_000 },
  ]) {
    const { downloads } = await openTest(t, limits)
    const began = performance.now()
    const both = ['gate', 'yard'].map(async (device) =>
      bytesOf((await downloads.begin(device, digest, { head: false })).body),
    )
    await Promise.all(both)
    // A second for each, less the quarter that may go at once; a timer may ring a little early.
    assert.ok(performance.now() - began >= 700, `${performance.now() - began} ms`)
  }
})

test('who comes too many is told when to come again, each time another number', async (t) => {
  const { downloads, refused } = await openTest(t)
  const open: Readable[] = []
  const begin = async (device: string) => {
    const { body } = await downloads.begin(device, digest, { head: false })
    open.push(body!)
  }
  await begin('gate')
  await begin('gate')
  const third = await refusalOf(begin('gate'))
  assert.equal(third.code, 'tooManyRequests')
  assert.ok(third.retryAfterS! >= 2 && third.retryAfterS! <= 10, String(third.retryAfterS))
  await begin('yard')
  await begin('hall')
  const waits = new Set<number>()
  for (let time = 0; time < 20; time++) {
    const fifth = await refusalOf(begin('dock'))
    assert.equal(fifth.code, 'unavailable')
    assert.ok(fifth.retryAfterS! >= 5 && fifth.retryAfterS! <= 30, String(fifth.retryAfterS))
    waits.add(fifth.retryAfterS!)
  }
  assert.ok(waits.size > 5, `${[...waits]}`)
  // A head needs no place.
  assert.equal((await downloads.begin('dock', digest, { head: true })).status, 200)
  assert.deepEqual(refused.get('full'), 20)

  // One that breaks off makes room.
  const gone = once(open[0]!, 'close')
  open[0]!.destroy()
  await gone
  assert.equal(downloads.open, 3)
  await begin('dock')
  for (const body of open) body.destroy()
})

test('a device that does not take what it asked for is cut off, and its place is free again', async (t) => {
  const { downloads, refused } = await openTest(t, unlimited, 50)
  const { body } = await downloads.begin('gate', digest, { head: false })
  const failed = new Promise<Error>((resolve) => body!.once('error', resolve))
  // It takes one piece, and no more.
  await once(body!, 'readable')
  body!.read(1)
  const error = await failed
  assert.match(error.message, /does not take it/)
  assert.equal(downloads.open, 0)
  assert.equal(refused.get('slow'), 1)
})

test('a blob that went away breaks the transfer off, and not the hub', async (t) => {
  const { downloads, remove } = await openTest(t)
  await remove()
  const { body } = await downloads.begin('gate', digest, { head: false })
  await assert.rejects(bytesOf(body), /ENOENT/)
  assert.equal(downloads.open, 0)
})

// Below: downloads of one blob that is a delta.

async function openTest(t: TestContext, limits = unlimited, stallMs?: number) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-downloads-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const files = await openFolderBlobs(folder)
  await files.put(digest, pieces(), { bytesMax: sizeBytes })
  const sent = new Map<string, number>()
  const refused = new Map<string, number>()
  const count = (map: Map<string, number>, key: string, by = 1) => {
    map.set(key, (map.get(key) ?? 0) + by)
  }
  const downloads: Downloads = openDownloads({
    fileOf: async (asked) => (asked === digest ? { kind: 'delta', sizeBytes } : undefined),
    files,
    limits,
    ...(stallMs !== undefined && { stallMs }),
    metrics: {
      artifactBytes: { inc: ({ codec }, bytes) => count(sent, codec, bytes) },
      artifactsRefused: { inc: ({ reason }) => count(refused, reason) },
    },
  })
  return { downloads, sent, refused, remove: () => files.remove(digest) }
}

async function* pieces(): AsyncGenerator<Uint8Array> {
  yield content
}

async function bytesOf(body: Readable | undefined): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of body ?? []) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

async function refusalOf(act: Promise<unknown>): Promise<Refusal> {
  try {
    await act
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
  return assert.fail('it was not refused')
}
