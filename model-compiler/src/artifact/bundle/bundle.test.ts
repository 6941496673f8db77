/** S11: whatever another program could put into a tar is refused; what ours writes is read again, and by tar. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { ArtifactError } from '../artifact-error.ts'
import { type BundleBytes, type BundlePart, readBundle, writeBundle } from './bundle.ts'

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const part = (name: string, bytes: Uint8Array): BundlePart => ({
  name,
  lengthBytes: bytes.length,
  bytes: [bytes],
})

async function bundleOf(parts: readonly BundlePart[]): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(writeBundle(parts)))
}

/** Bytes that count how many of them are asked for. */
function bytesOf(all: Uint8Array): BundleBytes & { asked: number } {
  const bytes = {
    asked: 0,
    lengthBytes: all.length,
    read: async (from: number, length: number) => {
      assert.ok(from >= 0 && length >= 0 && from + length <= all.length, 'read outside the file')
      bytes.asked += length
      return all.subarray(from, from + length)
    },
  }
  return bytes
}

const trust = Buffer.from('{"signed":{}}')
const artifact = Buffer.from('the bytes of a model'.repeat(5000))
const digest = digestOf(artifact)
const good = () =>
  bundleOf([part('trust/timestamp.json', trust), part(`artifacts/${digest}`, artifact)])

const refused = (reason: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ArtifactError && error.code === 'damaged', String(error))
  assert.match(error.message, reason)
  return true
}

test('what is written is read again, and by other tars too', async (t) => {
  const bytes = await good()
  const source = bytesOf(bytes)
  const bundle = await readBundle(source)
  assert.ok(source.asked < 8 * 512, 'the index is read, not the bytes')
  const { signal } = new AbortController()
  assert.deepEqual(await bundle.trust.fetch('timestamp.json', 1000, signal), trust)
  assert.equal(await bundle.trust.fetch('2.root.json', 1000, signal), undefined)
  await assert.rejects(bundle.trust.fetch('timestamp.json', 5, signal), refused(/5 are allowed/))
  assert.deepEqual([...bundle.digests], [digest])
  assert.equal(bundle.lengthOf(digest), artifact.length)
  assert.deepEqual(Buffer.concat(await Array.fromAsync(bundle.open(digest))), artifact)
  const rest = Buffer.concat(await Array.fromAsync(bundle.open(digest, 70_000)))
  assert.deepEqual(rest, artifact.subarray(70_000))
  await assert.rejects(bundle.open('0'.repeat(64)).next(), refused(/there is no/))
  assert.deepEqual(await good(), bytes, 'the same parts make the same bytes')

  const folder = await mkdtemp(join(tmpdir(), 'bundle-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'b.tar'), bytes)
  const listed = execFileSync('tar', ['tf', join(folder, 'b.tar')], { encoding: 'utf8' })
  assert.equal(listed, `trust/timestamp.json\nartifacts/${digest}\n`)
})

/** One header with another field, its sum set right again. */
function edited(header: Uint8Array, edit: (header: Buffer) => void): Buffer {
  const changed = Buffer.from(header)
  edit(changed)
  changed.write('        ', 148, 'latin1')
  const sum = changed.reduce((total, byte) => total + byte, 0)
  changed.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return changed
}

test('S11: names that lead elsewhere, and everything that is no plain file, are refused', async () => {
  const bytes = await bundleOf([part(`artifacts/${digest}`, artifact)])
  const [header, rest] = [bytes.subarray(0, 512), bytes.subarray(512)]
  const withName = (name: string) => (one: Buffer) => {
    one.fill(0, 0, 100)
    one.write(name, 0, 'latin1')
  }
  const kind = (type: string) => (one: Buffer) => void one.write(type, 156, 'latin1')
  const cases: [string, (header: Buffer) => void, RegExp][] = [
    ['an absolute path', withName('/etc/passwd'), /"\/etc\/passwd" is no name/],
    ['a way up', withName('../outside'), /no name/],
    ['a way up inside', withName(`artifacts/../${digest}`), /no name/],
    ['a way up in trust', withName('trust/../../root.json'), /no name/],
    ['a folder more', withName(`artifacts/x/${digest}`), /no name/],
    ['a folder', withName('artifacts/'), /no name/],
    ['a dot', withName(`./artifacts/${digest}`), /no name/],
    ['a digest in capitals', withName(`artifacts/${digest.toUpperCase()}`), /no name/],
    ['a backslash', withName('trust\\root.json'), /no name/],
    ['another file', withName('model.onnx'), /no name/],
    ['no name', withName(''), /"" is no name/],
    ['a line break', withName(`artifacts/${digest}\n`), /no name/],
    ['a hard link', kind('1'), /is a hard link/],
    ['a link', kind('2'), /is a link/],
    ['a character device', kind('3'), /is a device/],
    ['a block device', kind('4'), /is a device/],
    ['a folder as its kind', kind('5'), /is a folder/],
    ['a pipe', kind('6'), /is a pipe/],
    ['a file that must be contiguous', kind('7'), /no plain file/],
    ['the old kind of a plain file', kind('\0'), /no plain file/],
    ['a sparse file', kind('S'), /is a sparse file/],
    ['a long name', kind('L'), /is a long name/],
    ['an extended header', kind('x'), /an extended header/],
    ['one for all that follow', kind('g'), /an extended header/],
    ['where a link leads', (one) => void one.write('/etc', 157, 'latin1'), /header of .* is wrong/],
    ['a prefix', (one) => void one.write('..', 345, 'latin1'), /header of .* is wrong/],
    ['an owner', (one) => void one.write('0000001', 108, 'latin1'), /header of .* is wrong/],
    [
      'a program that runs as its owner',
      (one) => void one.write('0004755', 100, 'latin1'),
      /is wrong/,
    ],
    ['another format', (one) => void one.write('ustar  ', 257, 'latin1'), /is wrong/],
    ['a length in base 256', (one) => void one.writeUInt8(0x80, 124), /says no length/],
    ['a negative length', (one) => void one.write('-0000000001', 124, 'latin1'), /no length/],
    ['a length that is none', (one) => void one.write('99999999999', 124, 'latin1'), /no length/],
    ['more than is allowed', (one) => void one.write('77777777777', 124, 'latin1'), /are allowed/],
    [
      'more than is there',
      (one) => void one.write('00000700000', 124, 'latin1'),
      /ends in the middle/,
    ],
  ]
  for (const [what, edit, reason] of cases) {
    const all = Buffer.concat([edited(header, edit), rest])
    await assert.rejects(readBundle(bytesOf(all)), refused(reason), what)
  }
  const sum = Buffer.from(bytes)
  sum.write('000000', 148, 'latin1')
  await assert.rejects(readBundle(bytesOf(sum)), refused(/header of .* is wrong/))
})

test('S11: a name twice, bytes behind a file or the end, and a cut are refused', async () => {
  const bytes = await good()
  const one = await bundleOf([part('trust/timestamp.json', trust)])
  const twice = Buffer.concat([one.subarray(0, 1024), one])
  await assert.rejects(
    readBundle(bytesOf(twice)),
    refused(/"trust\/timestamp.json" is in it twice/),
  )
  const hidden = Buffer.from(bytes)
  hidden[512 + trust.length + 3] = 7
  await assert.rejects(readBundle(bytesOf(hidden)), refused(/hidden behind "trust/))
  const more = Buffer.concat([bytes, Buffer.alloc(512)])
  await assert.rejects(readBundle(bytesOf(more)), refused(/behind its end/))
  const second = Buffer.concat([bytes, bytes])
  await assert.rejects(readBundle(bytesOf(second)), refused(/behind its end/))
  for (let length = 0; length < bytes.length; length += 509) {
    await assert.rejects(readBundle(bytesOf(bytes.subarray(0, length))), ArtifactError, `${length}`)
  }
})

test('S11: damaged bundles are refused or read as what they are, and nothing else happens', async () => {
  const bytes = await good()
  const indexed = (await readBundle(bytesOf(bytes))).digests
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 4,
      }),
      async (flips) => {
        const bad = Buffer.from(bytes)
        for (const [at, bits] of flips) bad[at]! ^= bits
        try {
          const { digests } = await readBundle(bytesOf(bad))
          assert.ok([...digests].every((one) => /^[0-9a-f]{64}$/.test(one)))
          assert.equal(digests.size, indexed.size)
        } catch (error) {
          assert.ok(error instanceof ArtifactError, String(error))
        }
      },
    ),
    { numRuns: 300 },
  )
})

test('writeBundle() writes nothing that could not be read', async () => {
  const wrong = [
    [part('../x', trust)],
    [part('trust/root.key', trust)],
    [part('trust/timestamp.json', trust), part('trust/timestamp.json', trust)],
    [{ ...part('trust/timestamp.json', trust), lengthBytes: 3 }],
    [{ ...part('trust/timestamp.json', trust), lengthBytes: 2 ** 33 }],
  ]
  for (const parts of wrong) await assert.rejects(bundleOf(parts), ArtifactError)
})
