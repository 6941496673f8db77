/** What any place for blobs must do. Run it for the folder, and for whatever comes next. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Blobs } from '../../cloud-hub/src/blobs/blobs.ts'

const bytesMax = 1000

/**
 * @param open an empty place; `damage` changes a byte of what is stored under a digest
 * @param grainMs how well the place knows when something was stored
 */
export function testBlobs(
  name: string,
  open: (t: TestContext) => Promise<{ blobs: Blobs; damage: (digest: string) => Promise<void> }>,
  { grainMs = 20 }: { grainMs?: number } = {},
): void {
  test(`${name}: read() gives what put() stored, in one piece`, async (t) => {
    const { blobs } = await open(t)
    const bytes = Buffer.from('a picture of a gate')
    await blobs.put(digestOf(bytes), pieces(bytes), { bytesMax })
    assert.deepEqual(Buffer.from((await blobs.read(digestOf(bytes))) ?? []), bytes)
  })

  test(`${name}: read() of what is not there is undefined`, async (t) => {
    const { blobs } = await open(t)
    assert.equal(await blobs.read('0'.repeat(64)), undefined)
  })

  test(`${name}: sizeOf() and part() give what is asked for of what is there`, async (t) => {
    const { blobs } = await open(t)
    const bytes = Buffer.from('a video of a gate')
    const digest = digestOf(bytes)
    assert.equal(await blobs.sizeOf(digest), undefined)
    await blobs.put(digest, pieces(bytes), { bytesMax })
    assert.equal(await blobs.sizeOf(digest), bytes.length)
    for (const [from, through] of [
      [0, bytes.length - 1],
      [2, 6],
      [bytes.length - 1, bytes.length - 1],
    ] as const) {
      const found: Uint8Array[] = []
      for await (const chunk of blobs.part(digest, from, through)) found.push(chunk)
      assert.deepEqual(Buffer.concat(found), bytes.subarray(from, through + 1))
    }
    await assert.rejects(async () => {
      for await (const _ of blobs.part('0'.repeat(64), 0, 1));
    })
  })

  test(`${name}: remove() takes one blob away, and no other; it may be asked twice`, async (t) => {
    const { blobs } = await open(t)
    const [one, other] = [Buffer.from('one'), Buffer.from('other')]
    for (const bytes of [one, other]) await blobs.put(digestOf(bytes), pieces(bytes), { bytesMax })
    await blobs.remove(digestOf(one))
    await blobs.remove(digestOf(one))
    assert.equal(await blobs.read(digestOf(one)), undefined)
    assert.deepEqual(Buffer.from((await blobs.read(digestOf(other))) ?? []), other)
  })

  test(`${name}: put() refuses bytes that do not have the digest, and stores nothing`, async (t) => {
    const { blobs } = await open(t)
    const digest = digestOf(Buffer.from('other'))
    const put = blobs.put(digest, pieces(Buffer.from('bytes')), { bytesMax })
    await assert.rejects(put, { code: 'digestDiffers' })
    assert.equal(await blobs.read(digest), undefined)
  })

  test(`${name}: put() refuses more bytes than allowed without reading them all`, async (t) => {
    const { blobs } = await open(t)
    let asked = 0
    async function* endless() {
      for (;;) {
        asked++
        yield Buffer.alloc(bytesMax / 2)
      }
    }
    const put = blobs.put('0'.repeat(64), endless(), { bytesMax })
    await assert.rejects(put, { code: 'tooLarge' })
    assert.ok(asked <= 4, `asked for ${asked} chunks`)
  })

  test(`${name}: put() of the same bytes twice, also at once, is no error`, async (t) => {
    const { blobs } = await open(t)
    const bytes = Buffer.from('twice')
    const digest = digestOf(bytes)
    await Promise.all([1, 2, 3].map(() => blobs.put(digest, pieces(bytes), { bytesMax })))
    assert.deepEqual(Buffer.from((await blobs.read(digest)) ?? []), bytes)
  })

  test(`${name}: read() refuses bytes that have changed, put() repairs them`, async (t) => {
    const { blobs, damage } = await open(t)
    const bytes = Buffer.from('to be damaged')
    const digest = digestOf(bytes)
    await blobs.put(digest, pieces(bytes), { bytesMax })
    await damage(digest)
    await assert.rejects(blobs.read(digest), /have changed/)
    await blobs.put(digest, pieces(bytes), { bytesMax })
    assert.deepEqual(Buffer.from((await blobs.read(digest)) ?? []), bytes)
  })

  test(`${name}: lay() puts the bytes where they are wanted, and nothing over another file`, async (t) => {
    const { blobs } = await open(t)
    const folder = await mkdtemp(join(tmpdir(), 'edgeloop-laid-'))
    t.after(() => rm(folder, { recursive: true }))
    const bytes = Buffer.from('to be laid somewhere')
    await blobs.put(digestOf(bytes), pieces(bytes), { bytesMax })
    assert.equal(await blobs.lay(digestOf(bytes), join(folder, 'a')), true)
    assert.deepEqual(await readFile(join(folder, 'a')), bytes)
    await assert.rejects(blobs.lay(digestOf(bytes), join(folder, 'a')), /EEXIST/)
    assert.equal(await blobs.lay('0'.repeat(64), join(folder, 'b')), false)
    await assert.rejects(readFile(join(folder, 'b')), /ENOENT/)
    // What becomes of the file is nothing to the blob's name.
    await rm(join(folder, 'a'))
    assert.deepEqual(Buffer.from((await blobs.read(digestOf(bytes))) ?? []), bytes)
  })

  test(`${name}: a body that breaks off leaves nothing behind`, async (t) => {
    const { blobs } = await open(t)
    const bytes = Buffer.from('cut off')
    async function* broken() {
      yield bytes.subarray(0, 3)
      throw new Error('the connection is gone')
    }
    const digest = digestOf(bytes)
    await assert.rejects(blobs.put(digest, broken(), { bytesMax }), /gone/)
    assert.equal(await blobs.read(digest), undefined)
  })

  test(`${name}: prune() removes what is older, and nothing else`, async (t) => {
    const { blobs } = await open(t)
    const digests = []
    let between = 0
    for (const text of ['older', 'newer']) {
      const bytes = Buffer.from(text)
      await blobs.put(digestOf(bytes), pieces(bytes), { bytesMax })
      digests.push(digestOf(bytes))
      if (between === 0) {
        await new Promise((resolve) => setTimeout(resolve, grainMs))
        between = Date.now()
        await new Promise((resolve) => setTimeout(resolve, grainMs))
      }
    }
    const { signal } = new AbortController()
    const survey = await blobs.survey(between, signal)
    assert.equal(survey.count, 1)
    assert.ok(Math.abs((survey.oldestKeptAt ?? 0) - between) < 10_000)
    assert.equal(await blobs.prune(between, signal), 1)
    assert.deepEqual(await blobs.survey(between, signal), { ...survey, count: 0 })
    const left = await Promise.all(digests.map((digest) => blobs.read(digest)))
    assert.deepEqual(
      left.map((bytes) => bytes !== undefined),
      [false, true],
    )
    assert.equal(await blobs.prune(Date.now() + 1000, AbortSignal.abort()), 0)
  })

  test(`${name}: names that are no digests are refused`, async (t) => {
    const { blobs } = await open(t)
    for (const digest of ['../../etc/passwd', 'ABCDEF', '']) {
      await assert.rejects(blobs.put(digest, pieces(Buffer.from('x')), { bytesMax }))
      await assert.rejects(blobs.read(digest))
    }
  })
}

async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let i = 0; i < bytes.length; i += 4) yield bytes.subarray(i, i + 4)
}

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
