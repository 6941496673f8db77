/**
 * Blobs in S3, or in a server that speaks its protocol: `PREFIX/ab/abcd…`. A PUT is signed over the digest of its body, which
 * is its name, and an object appears whole or not at all. What comes back is hashed before anybody gets it.
 */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Refusal } from '@edgeloop/protocol'
import { AwsClient } from 'aws4fetch'
import { XMLParser } from 'fast-xml-parser'
import type { Blobs, PutOptions } from './blobs.ts'
import type { S3Address } from './blobs-address.ts'

/** A request is tried so often where the server is away, busy or broken. */
const attemptsMax = 3
const attemptTimeoutMs = 20_000
const retryMs = 200
/** A larger blob is not read: it would have to fit into memory. */
const readBytesMax = 256 * 1024 * 1024
/** Bytes of a reply that is no blob: a page of the list has 1000 names. */
const replyBytesMax = 4 * 1024 * 1024
const removalsAtOnce = 8
/** Bytes of a part that are asked for at a time. */
const partBytes = 4 * 1024 * 1024
/** Servers say when an object was stored in whole seconds, cut off. */
const clockGrainMs = 1000

export type S3Credentials = {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of temporary credentials; empty for none. */
  readonly sessionToken?: string
}

/** The server is there and says no: trying again changes nothing. */
class S3Refused extends Error {}

/**
 * Opens the blobs of a bucket that exists. A server that is away is no error: it is asked again whenever something is wanted.
 * @throws {Error} when the server does not know the bucket or the key
 */
export async function openS3Blobs(deps: {
  address: S3Address
  credentials: S3Credentials
  /** Told once, when the server could not be asked at the start. */
  away: (why: string) => void
}): Promise<Blobs> {
  const { address, credentials } = deps
  const { bucket, prefix, region, url } = address
  const client = new AwsClient({ ...credentials, region, service: 's3', retries: 0 })
  const parser = new XMLParser({
    ignoreAttributes: true,
    parseTagValue: false,
    isArray: (name) => name === 'Contents',
  })

  async function call(
    what: string,
    path: string,
    init: {
      method: string
      body?: Uint8Array<ArrayBuffer>
      digest?: string
      headers?: Record<string, string>
    },
    signal?: AbortSignal,
  ): Promise<Response> {
    const sha256 = init.digest ?? createHash('sha256').digest('hex')
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted()
      const late = AbortSignal.timeout(attemptTimeoutMs)
      let why: string
      try {
        const request = await client.sign(url + path, {
          method: init.method,
          headers: { 'x-amz-content-sha256': sha256, ...init.headers },
          ...(init.body ? { body: init.body } : {}),
        })
        const reply = await fetch(request, {
          redirect: 'error',
          signal: signal ? AbortSignal.any([signal, late]) : late,
        })
        if (reply.ok || reply.status === 404) return reply
        why = `${reply.status} ${codeOf(await textOf(reply))}`.trim()
        if (reply.status < 500 && reply.status !== 429) {
          throw new S3Refused(`Cannot ${what} in bucket "${bucket}": the server answered ${why}`)
        }
      } catch (error) {
        if (error instanceof S3Refused || signal?.aborted) throw error
        const { message, cause } = error as Error
        why = late.aborted
          ? `no answer in ${attemptTimeoutMs} ms`
          : (cause as Error | undefined)?.message || message
      }
      if (attempt === attemptsMax) {
        throw new Refusal('unavailable', `Cannot ${what} in bucket "${bucket}" right now: ${why}`)
      }
      await sleep(retryMs * 2 ** attempt * (0.5 + Math.random()), undefined, { signal })
    }
  }

  async function put(
    digest: string,
    chunks: AsyncIterable<Uint8Array>,
    options: PutOptions,
  ): Promise<void> {
    const path = pathOf(digest)
    // Its length must be known before it is sent, and it may have to be sent again.
    const body = await gather(digest, chunks, options)
    // From here on without the caller's signal: fastify's aborts as soon as a request has been read to its end.
    const reply = await call(`store ${digest}`, path, { method: 'PUT', body, digest })
    await reply.body?.cancel()
    if (reply.status === 404) throw new Error(`Cannot store ${digest}: no bucket "${bucket}"`)
  }

  async function read(digest: string): Promise<Uint8Array | undefined> {
    const reply = await call(`read ${digest}`, pathOf(digest), { method: 'GET' })
    if (reply.status === 404) {
      await reply.body?.cancel()
      return undefined
    }
    const bytes = await bytesOf(reply, readBytesMax)
    const found = createHash('sha256').update(bytes).digest('hex')
    if (found === digest) return bytes
    throw new Error(`Cannot read blob ${digest}: its bytes have changed in S3 (now ${found})`)
  }

  async function lay(digest: string, file: string): Promise<boolean> {
    const bytes = await read(digest)
    if (bytes) await writeFile(file, bytes, { flag: 'wx' })
    return bytes !== undefined
  }

  async function sizeOf(digest: string): Promise<number | undefined> {
    const reply = await call(`look for ${digest}`, pathOf(digest), { method: 'HEAD' })
    await reply.body?.cancel()
    return reply.status === 404 ? undefined : Number(reply.headers.get('content-length'))
  }

  /** In requests of a few MB: who plays a video slowly would else hold one for too long. */
  async function* part(digest: string, from: number, through: number): AsyncGenerator<Uint8Array> {
    for (let at = from; at <= through; at += partBytes) {
      const end = Math.min(through, at + partBytes - 1)
      const headers = { range: `bytes=${at}-${end}` }
      const reply = await call(`read ${digest}`, pathOf(digest), { method: 'GET', headers })
      if (reply.status !== 206) {
        await reply.body?.cancel()
        throw new Error(`Cannot read a part of blob ${digest}: the server answered ${reply.status}`)
      }
      yield await bytesOf(reply, partBytes)
    }
  }

  async function prune(before: number, signal: AbortSignal): Promise<number> {
    let removed = 0
    let next: string | undefined
    try {
      do {
        const page = await list(1000, next, signal)
        const old = page.entries.filter(({ storedAt }) => storedAt + clockGrainMs <= before)
        for (let i = 0; i < old.length; i += removalsAtOnce) {
          signal.throwIfAborted()
          const some = old.slice(i, i + removalsAtOnce)
          await Promise.all(some.map(({ digest }) => remove(digest, signal)))
          removed += some.length
        }
        next = page.next
      } while (next !== undefined)
    } catch (error) {
      if (!signal.aborted) throw error
    }
    return removed
  }

  async function survey(before: number, signal: AbortSignal) {
    let count = 0
    let oldestKeptAt: number | null = null
    let next: string | undefined
    do {
      const page = await list(1000, next, signal)
      for (const { storedAt } of page.entries) {
        if (storedAt + clockGrainMs <= before) count++
        else oldestKeptAt = Math.min(storedAt, oldestKeptAt ?? storedAt)
      }
      next = page.next
    } while (next !== undefined)
    return { count, oldestKeptAt }
  }

  async function remove(digest: string, signal?: AbortSignal): Promise<void> {
    const reply = await call(`remove ${digest}`, pathOf(digest), { method: 'DELETE' }, signal)
    await reply.body?.cancel()
  }

  async function list(count: number, after: string | undefined, signal?: AbortSignal) {
    const query = new URLSearchParams({ 'list-type': '2', 'max-keys': String(count), prefix })
    if (after !== undefined) query.set('continuation-token', after)
    // Without a slash after the bucket, which some servers leave out of what they sign.
    const reply = await call('list', `?${query}`, { method: 'GET' }, signal)
    const text = await textOf(reply)
    if (reply.status === 404) throw new S3Refused(`Cannot use bucket "${bucket}": there is none`)
    const { ListBucketResult: result } = parser.parse(text) as { ListBucketResult?: ListResult }
    if (!result) throw new Error(`Cannot list bucket "${bucket}": the reply is no list`)
    const entries = (result.Contents ?? []).flatMap(({ Key, LastModified }) => {
      // What is not ours by its name is left alone.
      const digest = /^[0-9a-f]{2}\/([0-9a-f]{64})$/.exec(Key.slice(prefix.length))?.[1]
      const storedAt = Date.parse(LastModified)
      return digest === undefined || Number.isNaN(storedAt) ? [] : [{ digest, storedAt }]
    })
    const more = result.IsTruncated === 'true'
    return { entries, next: more ? result.NextContinuationToken : undefined }
  }

  const pathOf = (digest: string): string => {
    if (!/^[0-9a-f]{64}$/.test(digest)) throw new Error(`Cannot name a blob "${digest}"`)
    return `/${prefix}${digest.slice(0, 2)}/${digest}`
  }

  await list(1, undefined).catch((error: Error) => {
    if (!(error instanceof Refusal)) throw error
    deps.away(error.message)
  })
  return { put, read, lay, sizeOf, part, remove, prune, survey }
}

type ListResult = {
  Contents?: { Key: string; LastModified: string }[]
  IsTruncated?: string
  NextContinuationToken?: string
}

/** All chunks, where they have the digest and are not too many. */
async function gather(
  digest: string,
  chunks: AsyncIterable<Uint8Array>,
  { bytesMax, signal }: PutOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = []
  const hash = createHash('sha256')
  let sizeBytes = 0
  for await (const chunk of chunks) {
    signal?.throwIfAborted()
    sizeBytes += chunk.length
    if (sizeBytes > bytesMax) {
      throw new Refusal('tooLarge', `Cannot store more than ${bytesMax} bytes under one digest`)
    }
    hash.update(chunk)
    parts.push(chunk)
  }
  const found = hash.digest('hex')
  if (found !== digest) {
    throw new Refusal('digestDiffers', `Cannot store ${digest}: the bytes have digest ${found}`)
  }
  return Buffer.concat(parts)
}

/** @throws {Error} for a body that is longer than `bytesMax` */
async function bytesOf(reply: Response, bytesMax: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let sizeBytes = 0
  for await (const part of reply.body ?? []) {
    sizeBytes += part.length
    if (sizeBytes > bytesMax) throw new Error(`Cannot read more than ${bytesMax} bytes from S3`)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

const textOf = async (reply: Response): Promise<string> =>
  new TextDecoder().decode(await bytesOf(reply, replyBytesMax))

/** The code of an error reply, such as `AccessDenied`; its text may say more than others should read. */
const codeOf = (xml: string): string => /<Code>(\w{1,60})<\/Code>/.exec(xml)?.[1] ?? ''
