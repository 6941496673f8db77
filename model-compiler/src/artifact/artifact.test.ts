import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { zstdCompressSync } from 'node:zlib'
import { ArtifactError, decode, digestOf, encodings } from './index.ts'

const repository = fileURLToPath(new URL('../../..', import.meta.url))

test('behind the door of artifacts there are no graphs, no runtime and no pictures', () => {
  // What an agent loads with this door. A new package here is a decision: it goes to every box.
  const allowed = new Set(['typebox', 'leven', '@tufjs/models', '@tufjs/canonical-json'])
  const seen = new Set<string>()
  const waiting = [join(repository, 'model-compiler/src/artifact/index.ts')]
  const wrong: string[] = []
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (seen.has(file)) continue
    seen.add(file)
    const text = readFileSync(file, 'utf8')
    for (const [, name = ''] of text.matchAll(/(?:from|import|import\()\s*['"]([^'"\s]+)['"]/g)) {
      const from = relative(repository, file)
      if (name.startsWith('.')) {
        const path = join(dirname(file), name)
        if (/^(?:protocol|model-compiler\/src\/artifact)\//.test(relative(repository, path))) {
          waiting.push(path)
        } else wrong.push(`${from} imports ${relative(repository, path)}`)
      } else if (name === '@edgeloop/protocol') {
        waiting.push(join(repository, 'protocol/src/index.ts'))
      } else if (name === '@edgeloop/protocol/check') {
        waiting.push(join(repository, 'protocol/src/check.ts'))
      } else {
        const [scope = '', rest] = name.split('/')
        const pack = name.startsWith('@') ? `${scope}/${rest}` : scope
        if (!name.startsWith('node:') && !allowed.has(pack)) wrong.push(`${from} imports ${name}`)
      }
    }
  }
  assert.ok(seen.size > 20, `only ${seen.size} files were found: the walk is broken`)
  assert.deepEqual(wrong, [])
})

const file = (seed: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  let state = seed >>> 0
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}
const boundsOf = (bytes: Uint8Array) => ({ lengthBytes: bytes.length, digest: digestOf(bytes) })

test('every encoding of a file decodes to it, and a near base makes it small', () => {
  const base = file(1, 50_000)
  const far = file(2, 50_000)
  const next = Uint8Array.from(base)
  next.set([1, 2, 3], 20_000)
  const made = encodings(next, [base, far])
  assert.deepEqual(
    made.map(({ baseDigest }) => baseDigest),
    [digestOf(base), undefined],
    'a base that does not help is left out',
  )
  assert.ok(made[0]!.bytes.length < 200)
  assert.equal(made.at(-1)!.codec, 'zstd')
  for (const one of made) {
    const from = one.baseDigest === undefined ? undefined : base
    assert.deepEqual(Buffer.from(decode(one, one.bytes, from, boundsOf(next))), Buffer.from(next))
  }
})

const code = (want: string) => (error: unknown) =>
  error instanceof ArtifactError && error.code === want

test('decode() refuses a wrong base, damaged bytes and another file', () => {
  const base = file(1, 10_000)
  const next = Uint8Array.from(base)
  next[77] = base[77]! ^ 1
  const [difference, full] = encodings(next, [base])
  assert.ok(difference && full)
  const bounds = boundsOf(next)
  assert.throws(
    () => decode(difference, difference.bytes, file(3, 10_000), bounds),
    code('wrong-base'),
  )
  assert.throws(() => decode(difference, difference.bytes, undefined, bounds), code('wrong-base'))
  assert.throws(() => decode(full, full.bytes.subarray(0, 99), undefined, bounds), code('damaged'))
  const other = encodings(base, []).at(-1)!
  assert.throws(() => decode(other, other.bytes, undefined, bounds), code('damaged'))
  assert.throws(
    () => decode(full, full.bytes, undefined, { ...bounds, lengthBytes: 2 ** 40 }),
    code('too-large'),
  )
})

test('decode() makes not one byte more than announced', () => {
  const bomb = zstdCompressSync(new Uint8Array(64 * 1024 * 1024))
  assert.ok(bomb.length < 10_000)
  const before = process.memoryUsage().rss
  assert.throws(
    () => decode({ codec: 'zstd' }, bomb, undefined, { lengthBytes: 1000, digest: digestOf(bomb) }),
    code('damaged'),
  )
  assert.ok(process.memoryUsage().rss - before < 32 * 1024 * 1024)
})
