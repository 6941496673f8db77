import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { crc32, deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { type Header, pack } from 'tar-stream'
import { placeOf, type Unpacked, type UnpackLimits, unpack, unpackLimits } from './unpack.ts'

async function open(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-unpack-'))
  t.after(() => rm(folder, { recursive: true }))
  let count = 0
  return async (archive: Uint8Array, limits: Partial<UnpackLimits> = {}) => {
    const into = join(folder, String(++count))
    const file = `${into}.archive`
    await mkdir(into)
    await writeFile(file, archive)
    const unpacked = await unpack(file, into, { limits: { ...unpackLimits, ...limits } })
    const names = await readdir(into, { recursive: true, withFileTypes: true })
    const files = names.filter((entry) => entry.isFile()).map(({ name }) => name)
    const read = (name: string) => readFile(join(into, name), 'utf8')
    return { unpacked, files: files.sort(), read }
  }
}

type Entry = readonly [header: string | Partial<Header>, text?: string]

async function tar(...entries: readonly Entry[]): Promise<Buffer> {
  const made = pack()
  for (const [header, text = ''] of entries) {
    made.entry(typeof header === 'string' ? { name: header } : (header as Header), text)
  }
  made.finalize()
  return await buffer(made)
}

/** A zip with deflated entries. */
function zip(
  ...entries: readonly {
    name: string
    text: string
    attributes?: number
    flags?: number
    says?: number
  }[]
): Buffer {
  const locals: Buffer[] = []
  const heads: Buffer[] = []
  let offset = 0
  for (const { name, text, attributes = 0, flags = 0x800, says } of entries) {
    const bytes = Buffer.from(text)
    const packed = deflateRawSync(bytes)
    const path = Buffer.from(name)
    const shared = Buffer.alloc(26)
    shared.writeUInt16LE(20, 0)
    shared.writeUInt16LE(flags, 2)
    shared.writeUInt16LE(8, 4)
    shared.writeUInt32LE(crc32(bytes), 10)
    shared.writeUInt32LE(packed.length, 14)
    shared.writeUInt32LE(says ?? bytes.length, 18)
    shared.writeUInt16LE(path.length, 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), shared, path, packed])
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(attributes, 6)
    tail.writeUInt32LE(offset, 10)
    heads.push(Buffer.concat([Buffer.from('PK\x01\x02'), Buffer.from([20, 3]), shared, tail, path]))
    locals.push(local)
    offset += local.length
  }
  const directory = Buffer.concat(heads)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06')
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...locals, directory, end])
}

test('zip and tar, packed or not, give their files', async (t) => {
  const take = await open(t)
  const plain = await tar(
    ['a/b.txt', 'one'],
    ['./c.txt', 'two'],
    [{ name: 'd', type: 'directory' }],
  )
  const zipped = zip({ name: 'a/b.txt', text: 'one' }, { name: 'c.txt', text: 'two' })
  for (const archive of [plain, gzipSync(plain), zstdCompressSync(plain), zipped]) {
    const { files, read, unpacked } = await take(archive)
    assert.deepEqual(files, ['b.txt', 'c.txt'])
    assert.equal(await read('a/b.txt'), 'one')
    assert.deepEqual(unpacked, { files: 2, bytes: 6, leftOut: 0 } satisfies Unpacked)
  }
})

test('links are left out, in a tar as in a zip', async (t) => {
  const take = await open(t)
  const linked = await tar(
    [{ name: 'passwords', type: 'symlink', linkname: '/etc/passwd' }],
    [{ name: 'hard', type: 'link', linkname: '/etc/passwd' }],
    ['a.txt', 'one'],
  )
  const symlink = 0o120777 * 0x10000
  const zipped = zip(
    { name: 'passwords', text: '/etc/passwd', attributes: symlink },
    { name: 'a.txt', text: 'one' },
  )
  assert.deepEqual((await take(linked)).unpacked, { files: 1, bytes: 3, leftOut: 2 })
  const { files, unpacked } = await take(zipped)
  assert.deepEqual([files, unpacked.leftOut], [['a.txt'], 1])
})

test('places outside, names that are none, and two files of one name are refused', async (t) => {
  const take = await open(t)
  for (const name of ['../a', 'a/../../b', '/etc/a', 'C:\\a', 'a\\b', 'x'.repeat(300), '.']) {
    assert.throws(
      () => placeOf(name),
      /names a place outside|has a name that no file can have/,
      name,
    )
  }
  assert.equal(placeOf('./a//b.txt'), 'a/b.txt')
  await assert.rejects(
    take(await tar(['../a', 'x'])),
    /Cannot unpack the archive: the entry "\.\.\/a"/,
  )
  await assert.rejects(
    take(zip({ name: '../a', text: 'x' })),
    /Cannot unpack the archive: .*\.\.\/a/,
  )
  await assert.rejects(take(await tar(['a', 'x'], ['a', 'y'])), /two files of one name/)
  await assert.rejects(
    take(await tar(['a', 'x'], ['a/b', 'y'])),
    /a file in it has the name of a folder/,
  )
})

test('an archive that unfolds to too much, or too many files, is stopped', async (t) => {
  const take = await open(t)
  const bomb = 'a'.repeat(5_000_000)
  const limits = { bytesMax: 1_000_000 }
  await assert.rejects(take(gzipSync(await tar(['a', bomb])), limits), /more than 1000000 bytes/)
  await assert.rejects(take(zip({ name: 'a', text: bomb }), limits), /more than 1000000 bytes/)
  // One that lies about how long its entry is.
  await assert.rejects(take(zip({ name: 'a', text: bomb, says: 10 }), limits), /Cannot unpack/)
  const many = await tar(...Array.from({ length: 11 }, (_, at): Entry => [`${at}`, 'x']))
  await assert.rejects(take(many, { filesMax: 10 }), /holds more than 10 files/)
  await assert.rejects(
    take(many, { freeBytesMin: Number.MAX_SAFE_INTEGER }),
    /the disk would be full/,
  )
})

test('what is damaged, encrypted, empty or no archive is refused with what it is', async (t) => {
  const take = await open(t)
  const zipped = zip({ name: 'a.txt', text: 'hello hello' })
  await assert.rejects(take(Buffer.from('hello')), /neither a zip nor a tar/)
  await assert.rejects(take(Buffer.alloc(0)), /neither a zip nor a tar/)
  await assert.rejects(take(zipped.subarray(0, 40)), /Cannot unpack the archive: /)
  await assert.rejects(
    take(gzipSync(await tar(['a', 'b'])).subarray(0, 60)),
    /Cannot unpack the archive: /,
  )
  await assert.rejects(take(zip({ name: 'a', text: 'x', flags: 0x801 })), /encrypted/)
  await assert.rejects(take(zip()), /there is no file in it/)
  const flipped = Buffer.from(zipped)
  flipped[36]! ^= 0xff
  await assert.rejects(take(flipped), /Cannot unpack the archive: /)
})
