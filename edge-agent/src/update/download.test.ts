import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { chunkBytes, type Encoding } from '@edgeloop/protocol'
import {
  type ArtifactSource,
  chooseEncoding,
  type DownloadOptions,
  download,
  type Progress,
  type SourceAnswer,
} from './download.ts'
import { digestOf } from './model-record.ts'
import { localUpdateDisk } from './update-disk.ts'

const file = randomBytes(5 * chunkBytes + 1234)

function encodingOf(bytes: Uint8Array): Encoding {
  const chunks: string[] = []
  for (let from = 0; from < bytes.length; from += chunkBytes) {
    chunks.push(digestOf(bytes.subarray(from, from + chunkBytes)))
  }
  return { codec: 'zstd', digest: digestOf(bytes), lengthBytes: bytes.length, chunks }
}
const encoding = encodingOf(file)

/** A source that does with each request what it is told, the last again and again. */
function source(
  name: string,
  ...manners: ((from: number) => SourceAnswer | Error | Iterable<Uint8Array>)[]
): ArtifactSource & { asked: number[] } {
  const asked: number[] = []
  return {
    name,
    asked,
    async open(_digest, from) {
      const manner = manners[Math.min(asked.length, manners.length - 1)]
      asked.push(from)
      const answer = manner?.(from)
      if (answer === undefined) throw new Error('nothing is asked of it')
      if (answer instanceof Error) throw answer
      if ('kind' in answer) return answer
      return { kind: 'bytes', bytes: inTurn(answer) }
    },
  }
}

async function* inTurn(parts: Iterable<Uint8Array>): AsyncIterable<Uint8Array> {
  yield* parts
}

const wholeFrom = (from: number) => [file.subarray(from)]
const unused = () => undefined as never

async function prepared(t: TestContext, of: Partial<DownloadOptions> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'download-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const disk = localUpdateDisk(folder)
  await disk.makeFolder('in')
  const slept: number[] = []
  const bad: string[] = []
  let progress: Progress | undefined
  const options: DownloadOptions = {
    encoding,
    disk,
    path: 'in/file',
    hub: source('hub', wholeFrom),
    mirrors: [],
    bytesPerSecondMax: undefined,
    told: (newest) => {
      progress = newest
    },
    onBadMirror: (name) => void bad.push(name),
    sleep: async (ms) => void slept.push(ms),
    monotonicMs: () => slept.reduce((sum, ms) => sum + ms, 0),
    random: () => 0.5,
    signal: new AbortController().signal,
    ...of,
  }
  const arrived = async () =>
    assert.equal(digestOf((await disk.read('in/file')) ?? new Uint8Array()), encoding.digest)
  return { options, disk, slept, bad, arrived, progress: () => progress }
}

test('a transfer that is cut goes on at the byte where it was, and loses none', async (t) => {
  const cut = 2 * chunkBytes + 77
  function* cutAt(from: number) {
    yield file.subarray(from, cut)
    throw new Error('connection reset')
  }
  const hub = source('hub', cutAt, () => new Error('no route'), wholeFrom)
  const { options, arrived, progress } = await prepared(t, { hub })
  await download(options)
  await arrived()
  assert.deepEqual(hub.asked, [0, cut, cut])
  assert.deepEqual(progress(), { done: file.length, fromHub: file.length, fromMirrors: 0 })
})

test('after a power cut only whole pieces count, and damaged ones are fetched again', async (t) => {
  const { options, disk, arrived } = await prepared(t)
  const torn = Buffer.from(file.subarray(0, 3 * chunkBytes + 500))
  torn[chunkBytes + 3] = (torn[chunkBytes + 3] ?? 0) ^ 1
  await disk.write('in/file', torn)
  const hub = source('hub', wholeFrom)
  await download({ ...options, hub })
  assert.deepEqual(hub.asked, [chunkBytes])
  await arrived()
  // What lies behind the last byte is cut off.
  await disk.write('in/file', Buffer.concat([file, file.subarray(0, 9)]))
  const silent = source('hub', unused)
  await download({ ...options, hub: silent })
  assert.deepEqual(silent.asked, [])
  await arrived()
})

test('mirrors are asked first; one with wrong bytes is dropped and told, one that is away is left', async (t) => {
  const wrong = Buffer.from(file)
  wrong[chunkBytes + 5] = (wrong[chunkBytes + 5] ?? 0) ^ 1
  const liar = source('https://liar', (from) => [wrong.subarray(from)])
  const gone = source('https://gone', () => new Error('refused'))
  const hub = source('hub', wholeFrom)
  const { options, bad, arrived, progress } = await prepared(t, { hub, mirrors: [liar, gone] })
  await download(options)
  await arrived()
  assert.deepEqual(bad, ['https://liar'])
  assert.deepEqual([liar.asked, gone.asked], [[0], [chunkBytes, chunkBytes]])
  assert.deepEqual(hub.asked, [chunkBytes])
  assert.equal(progress()?.fromHub, file.length - chunkBytes)
  assert.equal(progress()?.fromMirrors, file.length)
  // A good mirror leaves nothing to the hub.
  const good = source('https://good', wholeFrom)
  const second = await prepared(t, { hub: source('hub', unused), mirrors: [good] })
  await download(second.options)
  assert.deepEqual(second.progress(), { done: file.length, fromHub: 0, fromMirrors: file.length })
})

test('a mirror that trickles is dropped', async (t) => {
  function* trickle(from: number) {
    for (let at = from; at < file.length; at++) yield file.subarray(at, at + 1)
  }
  const mirror = source('https://slow', trickle)
  const { options, bad, arrived } = await prepared(t, { mirrors: [mirror] })
  let clock = 0
  await download({ ...options, monotonicMs: () => (clock += 100) })
  assert.deepEqual(bad, ['https://slow'])
  await arrived()
})

test('a hub that gives other bytes than were signed, or has none, is not asked for ever', async (t) => {
  const wrong = Buffer.from(file)
  wrong[9] = (wrong[9] ?? 0) ^ 1
  const changed = source('hub', (from) => [wrong.subarray(from)])
  const { options } = await prepared(t, { hub: changed })
  await assert.rejects(download(options), { code: 'integrity' })
  assert.deepEqual(changed.asked, [0, 0])
  const empty = source('hub', () => ({ kind: 'absent', why: 'HTTP 404' }))
  await assert.rejects(download({ ...options, hub: empty }), {
    code: 'download',
    message: /does not have.*HTTP 404/,
  })
  // Pieces that are as listed, and a whole that is not.
  const lie = { ...encoding, digest: 'f'.repeat(64) }
  await assert.rejects(download({ ...options, encoding: lie, hub: source('hub', wholeFrom) }), {
    code: 'integrity',
  })
})

test('endless bytes are read no further than the last piece', async (t) => {
  let read = 0
  function* endless(from: number) {
    yield file.subarray(from)
    for (;;) {
      assert.ok(++read < 3)
      yield file
    }
  }
  const { options, arrived } = await prepared(t, { hub: source('hub', endless) })
  await download(options)
  await arrived()
})

test('a busy hub is asked again when it says; the limit of bytes per second is kept', async (t) => {
  const hub = source('hub', () => ({ kind: 'busy', afterMs: 30_000 }), wholeFrom)
  const { options, slept } = await prepared(t, { hub, bytesPerSecondMax: 100_000 })
  await download(options)
  assert.ok((slept[0] as number) > 30_000)
  const parts = function* (from: number) {
    for (let at = from; at < file.length; at += 10_000) yield file.subarray(at, at + 10_000)
  }
  const limited = await prepared(t, { hub: source('hub', parts), bytesPerSecondMax: 100_000 })
  await download(limited.options)
  const totalMs = limited.slept.reduce((sum, ms) => sum + ms, 0)
  assert.ok(totalMs > (file.length / 100_000) * 1000 * 0.9, `${totalMs} ms`)
})

test('a full disk and an abort end it; what is there stays good', async (t) => {
  const { options, disk, arrived } = await prepared(t)
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' })
  let writes = 0
  const small = {
    ...disk,
    write: (path: string, bytes: Uint8Array, from?: number) =>
      ++writes > 3 ? Promise.reject(full) : disk.write(path, bytes, from),
  }
  await assert.rejects(download({ ...options, disk: small }), full)
  const control = new AbortController()
  const stopping = source('hub', (from) => {
    control.abort(new Error('stop'))
    return [file.subarray(from, from + 10)]
  })
  await assert.rejects(download({ ...options, hub: stopping, signal: control.signal }), /stop/)
  assert.deepEqual(stopping.asked, [3 * chunkBytes])
  await download(options)
  await arrived()
})

test('chooseEncoding() takes the smallest that can be decoded with what is here', () => {
  const [small, large, whole] = [
    { ...encoding, codec: 'delta' as const, baseDigest: 'a'.repeat(64), lengthBytes: 10 },
    { ...encoding, codec: 'zstd-base' as const, baseDigest: 'b'.repeat(64), lengthBytes: 20 },
    { ...encoding, lengthBytes: 30 },
  ]
  const all = [whole, large, small]
  assert.equal(chooseEncoding(all, new Set(['a'.repeat(64), 'b'.repeat(64)])), small)
  assert.equal(chooseEncoding(all, new Set(['b'.repeat(64)])), large)
  assert.equal(chooseEncoding(all, new Set()), whole)
  assert.equal(chooseEncoding([small], new Set()), undefined)
})
