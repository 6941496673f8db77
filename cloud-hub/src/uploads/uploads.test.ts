/** Files in parts: whole, interrupted, in the wrong order, too many, too large, of somebody else. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Refusal } from '@edgeloop/protocol'
import { openUploads, uploadKeptMs, uploadSilentMs, uploadsMax } from './uploads.ts'

async function open(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-uploads-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'of-an-earlier-start'), 'x')
  let now = 0
  const uploads = await openUploads({ folder, clock: () => now })
  t.after(() => uploads[Symbol.asyncDispose]())
  const pass = (ms: number): void => {
    now += ms
  }
  return { uploads, folder, pass }
}
const refused = (code: string) => (error: unknown) =>
  error instanceof Refusal && error.code === code

test('parts make the file, and a part that comes twice does no harm', async (t) => {
  const { uploads, folder } = await open(t)
  assert.deepEqual(readdirSync(folder), [], 'what an earlier start left is gone')
  const bytes = randomBytes(1000)
  const { uploadId } = await uploads.begin(1000, 'ada')
  await uploads.take(uploadId, 'ada', 0, bytes.subarray(0, 400))
  await uploads.take(uploadId, 'ada', 0, bytes.subarray(0, 400))
  await assert.rejects(
    uploads.use(uploadId, 'ada', async () => {}),
    refused('conflict'),
  )
  await assert.rejects(uploads.take(uploadId, 'ada', 401, bytes.subarray(401)), refused('conflict'))
  await assert.rejects(uploads.take(uploadId, 'ada', 400, randomBytes(601)), refused('tooLarge'))
  const { receivedBytes } = await uploads.take(uploadId, 'ada', 400, bytes.subarray(400))
  assert.equal(receivedBytes, 1000)
  let place = ''
  await uploads.use(uploadId, 'ada', async (file, digest) => {
    place = file
    assert.ok((await readFile(file)).equals(bytes))
    assert.equal(digest, createHash('sha256').update(bytes).digest('hex'))
  })
  assert.equal(existsSync(place), false)
  await assert.rejects(
    uploads.use(uploadId, 'ada', async () => {}),
    refused('notFound'),
  )
})

test('an upload is its user’s alone', async (t) => {
  const { uploads } = await open(t)
  const { uploadId } = await uploads.begin(3, 'ada')
  await assert.rejects(uploads.take(uploadId, 'bob', 0, Buffer.from('abc')), refused('notFound'))
  await uploads.take(uploadId, 'ada', 0, Buffer.from('abc'))
  await assert.rejects(
    uploads.use(uploadId, 'bob', async () => {}),
    refused('notFound'),
  )
})

test('uploads are bounded, and old ones make room', async (t) => {
  const { uploads, folder, pass } = await open(t)
  for (let i = 0; i < uploadsMax; i++) {
    const { uploadId } = await uploads.begin(3, 'ada')
    await uploads.take(uploadId, 'ada', 0, Buffer.from('abc'))
  }
  await assert.rejects(uploads.begin(3, 'bob'), refused('tooManyRequests'))
  pass(uploadSilentMs)
  await uploads.begin(3, 'bob')
  assert.equal(readdirSync(folder).length, uploadsMax - 1, 'one that was given up made room')
  pass(uploadKeptMs)
  await uploads.begin(3, 'bob')
  assert.deepEqual(readdirSync(folder), [])
})

test('one part at a time', async (t) => {
  const { uploads } = await open(t)
  const { uploadId } = await uploads.begin(6, 'ada')
  const both = [0, 0].map(() => uploads.take(uploadId, 'ada', 0, Buffer.from('abc')))
  const [first, second] = await Promise.allSettled(both)
  assert.equal(first?.status, 'fulfilled')
  assert.equal(second?.status, 'rejected')
})
