/** What looks at pictures of boxes, and what becomes of it when a picture hangs, kills or bloats it. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Refusal } from '@edgeloop/protocol'
import sharp from 'sharp'
import { openPictureCheck } from './picture-check.ts'

/** A decoder that some files are too much for, as decoders are. */
const weakDecoder = `process.on('message', ({ file }) => {
  if (file === 'hangs') while (true);
  if (file === 'crashes') process.abort()
  if (file === 'bloats') for (const all = []; ; ) all.push(new Array(1e6).fill(all.length))
  process.send({ thumbnail: new Uint8Array([process.pid & 255]) })
})
`

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'picture-check-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const refusedAs = (text: RegExp) => (error: Error) =>
  error instanceof Refusal && error.code === 'wrongMediaType' && text.test(error.message)

test('a picture that hangs, crashes or bloats its decoder is refused, and the next one is looked at', {
  timeout: 120_000,
}, async (t) => {
  const program = join(await folderOf(t), 'weak.mjs')
  await writeFile(program, weakDecoder)
  using check = openPictureCheck({ program, timeoutMs: 3_000 })
  const size = { width: 8, height: 8 }
  assert.equal((await check.look('good', size)).length, 1)
  await assert.rejects(check.look('hangs', size), refusedAs(/took longer than 3 s$/))
  assert.equal((await check.look('good', size)).length, 1)
  await assert.rejects(check.look('crashes', size), refusedAs(/ended the decoder$/))
  // Several at once are looked at one after the other: what one of them does is not another's fault.
  const looks = ['good', 'crashes', 'good', 'hangs', 'good'].map((file) => check.look(file, size))
  assert.deepEqual(
    (await Promise.allSettled(looks)).map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'],
  )
  check[Symbol.dispose]()
  await assert.rejects(check.look('good', size), /the hub closes/)
})

test('what a decoder would need too much memory for ends the decoder alone', {
  timeout: 120_000,
}, async (t) => {
  const program = join(await folderOf(t), 'weak.mjs')
  await writeFile(program, weakDecoder)
  using check = openPictureCheck({ program, timeoutMs: 60_000 })
  const size = { width: 8, height: 8 }
  await assert.rejects(check.look('bloats', size), refusedAs(/ended the decoder$/))
  assert.equal((await check.look('good', size)).length, 1)
})

test('a real JPEG gets a small picture, and one of another size than was said gets none', async (t) => {
  const file = join(await folderOf(t), 'one.jpg')
  const [width, height] = [640, 360]
  await sharp({ create: { width, height, channels: 3, background: 'green' } })
    .jpeg()
    .toFile(file)
  using check = openPictureCheck()
  const small = await sharp(await check.look(file, { width, height })).metadata()
  assert.equal(small.format, 'webp')
  assert.ok((small.width ?? 0) > 0 && (small.width ?? 0) < width)
  await assert.rejects(check.look(file, { width, height: 361 }), refusedAs(/361|360/))
})
