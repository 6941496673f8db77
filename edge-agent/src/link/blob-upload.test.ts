import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { BlobUpload, type BlobUploadOptions } from './blob-upload.ts'
import type { DeviceHttps, PutResult } from './device-https.ts'
import { openUploadBudget } from './upload-budget.ts'

async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'blobs-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function put(folder: string, text: string, ageSeconds = 0): Promise<string> {
  const digest = createHash('sha256').update(text).digest('hex')
  const file = join(folder, `${digest}.jpg`)
  await writeFile(file, text)
  const at = Date.now() / 1000 - ageSeconds
  await utimes(file, at, at)
  return digest
}

/** Runs the upload against a hub that `answer` plays, until nothing waits. */
async function upload(
  folder: string,
  answer: (text: string, count: number) => PutResult,
  options: Partial<BlobUploadOptions> = {},
): Promise<{ sent: string[]; dropped: number }> {
  const stop = new AbortController()
  const sent: string[] = []
  const https: Pick<DeviceHttps, 'put'> = {
    put: async (_path, _type, bytes) => {
      sent.push(Buffer.from(bytes).toString())
      return answer(sent.at(-1) ?? '', sent.length)
    },
  }
  const queue = await BlobUpload.open({
    folder,
    bytesMax: 1000,
    https,
    budget: openUploadBudget(0),
    turn: async () => {},
    log: pino({ level: 'silent' }),
    random: () => 0,
    signal: stop.signal,
    ...options,
  })
  const running = queue.run()
  while (queue.figures.waiting > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  stop.abort()
  await running
  return { sent, dropped: queue.figures.dropped }
}

const stored = (): PutResult => ({ kind: 'stored' })

test('BlobUpload sends what an earlier start left, oldest first, and clears the folder', async (t) => {
  const folder = await tempFolder(t)
  await put(folder, 'new', 1)
  await put(folder, 'old', 60)
  await writeFile(join(folder, '.half.part'), 'x')
  assert.deepEqual(await upload(folder, stored), { sent: ['old', 'new'], dropped: 0 })
  assert.deepEqual(await readdir(folder), [])
})

test('BlobUpload lets the oldest give way when the folder is full, and counts it', async (t) => {
  const folder = await tempFolder(t)
  for (let i = 0; i < 5; i++) await put(folder, `${i}`.repeat(300), 60 - i)
  const { sent, dropped } = await upload(folder, stored)
  assert.deepEqual(
    sent.map((text) => text[0]),
    ['2', '3', '4'],
  )
  assert.equal(dropped, 2)
})

test('BlobUpload tries again later, and drops what the hub will never take or what is damaged', async (t) => {
  const folder = await tempFolder(t)
  await put(folder, 'a', 60)
  await put(folder, 'b', 50)
  const damaged = await put(folder, 'c', 40)
  await writeFile(join(folder, `${damaged}.jpg`), 'not what it was')
  const { sent, dropped } = await upload(folder, (text, count) => {
    if (count === 1) return { kind: 'later', why: 'HTTP 503' }
    return text === 'b' ? { kind: 'refused', why: 'no JPEG' } : { kind: 'stored' }
  })
  assert.deepEqual(sent, ['a', 'a', 'b'])
  assert.equal(dropped, 2)
  assert.equal((await readdir(folder)).length <= 1, true)
})
