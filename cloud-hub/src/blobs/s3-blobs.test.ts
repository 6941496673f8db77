/** Blobs in an S3 server that is not ours (s3rver) pass the contract; and what only a server can do to us. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { testBlobs } from '../../../test/contracts/blobs.ts'
import { startS3 } from '../../../test/s3/s3.ts'
import { parseS3Address } from './blobs-address.ts'
import { openS3Blobs } from './s3-blobs.ts'

const bytesMax = 1000
const away = (why: string) => assert.fail(why)

testBlobs(
  'S3 blobs',
  async (t) => {
    const { url, credentials, damage } = await startS3(t)
    return { blobs: await openS3Blobs({ address: parseS3Address(url), credentials, away }), damage }
  },
  // S3 knows the second in which something was stored.
  { grainMs: 1100 },
)

test('S3 blobs: what was stored before the server went away is there when it is back', async (t) => {
  const s3 = await startS3(t)
  const blobs = await openS3Blobs({ ...s3, address: parseS3Address(s3.url), away })
  const [first, second] = [Buffer.from('before'), Buffer.from('while away')]
  await blobs.put(digestOf(first), pieces(first), { bytesMax })
  await s3.kill()
  await assert.rejects(blobs.put(digestOf(second), pieces(second), { bytesMax }), {
    code: 'unavailable',
  })
  await assert.rejects(blobs.read(digestOf(first)), { code: 'unavailable' })
  const late = blobs.put(digestOf(second), pieces(second), { bytesMax }).then(
    () => true,
    () => false,
  )
  await s3.start()
  // It may have come back within the attempts of that one; otherwise the box asks again.
  if (!(await late)) await blobs.put(digestOf(second), pieces(second), { bytesMax })
  assert.deepEqual(Buffer.from((await blobs.read(digestOf(first))) ?? []), first)
  assert.deepEqual(Buffer.from((await blobs.read(digestOf(second))) ?? []), second)
})

test('openS3Blobs() opens while the server is away, and says so', async (t) => {
  const s3 = await startS3(t)
  const { url } = s3
  await s3.kill()
  const said: string[] = []
  const blobs = await openS3Blobs({
    address: parseS3Address(url),
    credentials: s3.credentials,
    away: (why) => said.push(why),
  })
  assert.match(said.join(), /bucket "pictures" right now/)
  await s3.start()
  assert.equal(await blobs.read('0'.repeat(64)), undefined)
})

test('openS3Blobs() refuses a bucket that is not there and a key that is not known, without showing the key', async (t) => {
  const { url, credentials } = await startS3(t)
  const open = (text: string, more: object) =>
    openS3Blobs({ address: parseS3Address(text), credentials: { ...credentials, ...more }, away })
  await assert.rejects(open(url.replace('pictures', 'missing'), {}), /"missing": there is none/)
  await assert.rejects(open(url, { secretAccessKey: 'a-wrong-secret' }), (error: Error) => {
    assert.match(error.message, /403 SignatureDoesNotMatch/)
    return !JSON.stringify([error.message, error.stack, error]).includes('a-wrong-secret')
  })
  await assert.rejects(open(url, { accessKeyId: 'nobody' }), /403 InvalidAccessKeyId/)
})

test('prune() removes more than a page of the list, and only blobs', {
  timeout: 60_000,
}, async (t) => {
  const pages = [
    page(['x/aa/', 'x/notes.txt', `x/${name('a')}`, `x/${name('b')}`], 'next page'),
    page([`x/${name('c')}`]),
  ]
  const removed: string[] = []
  const asked: (string | null)[] = []
  const url = await serve(t, (method, path, query) => {
    if (method === 'DELETE') {
      removed.push(path)
      return [204, '']
    }
    asked.push(query.get('continuation-token'))
    return [200, pages[query.has('continuation-token') ? 1 : 0] ?? '']
  })
  const blobs = await openAt(url)
  const { signal } = new AbortController()
  assert.equal(await blobs.prune(Date.parse('2026-01-03'), signal), 3)
  assert.deepEqual(
    removed.sort(),
    ['a', 'b', 'c'].map((letter) => `/bucket/x/${name(letter)}`),
  )
  assert.deepEqual(asked.slice(1), [null, 'next page'])
  assert.equal(await blobs.prune(Date.parse('2026-01-02T00:00:00.500Z'), signal), 0, 'not sure')
})

test('a server that is busy is asked again, three times in all', async (t) => {
  let asked = 0
  const busy = () => [503, '<Error><Code>SlowDown</Code></Error>'] as const
  const url = await serve(t, (_method, path) => {
    if (path === '/bucket') return [200, page([])]
    asked++
    return busy()
  })
  const blobs = await openAt(url)
  await assert.rejects(blobs.read(digestOf(Buffer.from('x'))), {
    code: 'unavailable',
    message: /503 SlowDown/,
  })
  assert.equal(asked, 3)
})

test('a server that redirects, or answers nonsense, is not followed', async (t) => {
  const url = await serve(t, (_method, path) =>
    path === '/bucket' ? [200, page([])] : [307, '', { location: 'http://127.0.0.1:1/' }],
  )
  const blobs = await openAt(url)
  await assert.rejects(blobs.read('0'.repeat(64)), { code: 'unavailable' })
  const nonsense = await serve(t, () => [200, 'hello'])
  await assert.rejects(openAt(nonsense), /no list/)
})

test('parseS3Address() takes Amazon and others, and refuses what would go wrong later', () => {
  assert.deepEqual(parseS3Address('s3://fleet-pictures/a/b?region=eu-west-1'), {
    bucket: 'fleet-pictures',
    prefix: 'a/b/',
    region: 'eu-west-1',
    url: 'https://fleet-pictures.s3.eu-west-1.amazonaws.com',
    shown: 's3://fleet-pictures/a/b?region=eu-west-1',
  })
  const other = parseS3Address('s3://bucket?endpoint=https://minio.example.org:9000')
  assert.deepEqual([other.url, other.prefix], ['https://minio.example.org:9000/bucket', ''])
  for (const [text, why] of [
    ['https://bucket', /write s3:/],
    ['s3://key:secret@bucket', /AWS_ACCESS_KEY_ID/],
    ['s3://bucket?endpont=https://x', /did you mean "endpoint"/],
    ['s3://bucket?endpoint=http://example.org', /https:\/\/HOST/],
    ['s3://Bucket_1/', /Cannot use "/],
    ['s3://bucket/a%20b', /prefix/],
  ] as const) {
    assert.throws(
      () => parseS3Address(text),
      (error: Error) => why.test(error.message) && !error.message.includes('secret@'),
      text,
    )
  }
})

// Below: a server that says what a test wants.

type Answer = readonly [status: number, body: string, headers?: Record<string, string>]

async function serve(
  t: TestContext,
  answer: (method: string, path: string, query: URLSearchParams) => Answer,
): Promise<string> {
  const server = createServer((request, reply) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://s3')
    const [status, body, headers] = answer(request.method ?? '', pathname, searchParams)
    reply.writeHead(status, headers).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `s3://bucket/x?endpoint=http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const openAt = (url: string) =>
  openS3Blobs({
    address: parseS3Address(url),
    away,
    credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
  })

const name = (letter: string): string => `${letter.repeat(2)}/${letter.repeat(64)}`

function page(keys: readonly string[], next?: string): string {
  const contents = keys.map(
    (key) =>
      `<Contents><Key>${key}</Key><LastModified>2026-01-02T00:00:00.000Z</LastModified></Contents>`,
  )
  const more = next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`
  return `<?xml version="1.0"?><ListBucketResult><IsTruncated>${next !== undefined}</IsTruncated>${contents.join('')}${more}</ListBucketResult>`
}

async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
