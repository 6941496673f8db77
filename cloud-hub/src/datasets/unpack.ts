/**
 * Unpacks an archive that somebody sent: a zip, or a tar, compressed or not. Only plain files come out, only below the
 * folder, each name once, and no more of them and no larger than allowed: a small archive can be made to unfold to
 * more than any disk holds.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { crc32, createGunzip, createZstdDecompress } from 'node:zlib'
import { extract } from 'tar-stream'
import yauzl from 'yauzl'

export type UnpackLimits = {
  readonly filesMax: number
  /** Of all files together. */
  readonly bytesMax: number
  /** What must stay free on the disk. */
  readonly freeBytesMin: number
}

export const unpackLimits: UnpackLimits = {
  filesMax: 500_000,
  bytesMax: 16 * 1024 ** 3,
  freeBytesMin: 1024 ** 3,
}

/** Of a path within the archive. */
const pathCharactersMax = 1000
const nameBytesMax = 255
/** Free space is looked at again after so many bytes. */
const lookBytes = 64 * 1024 * 1024

/** What came out, and how much was left out because it is no plain file. */
export type Unpacked = { readonly files: number; readonly bytes: number; readonly leftOut: number }

/**
 * @param into an empty folder
 * @throws {Error} when it is no archive, damaged, encrypted, holds too much, or names a place outside; what came
 * out before lies in the folder
 */
export async function unpack(
  file: string,
  into: string,
  options: {
    readonly limits?: UnpackLimits
    readonly tell?: (unpacked: Unpacked) => void
    readonly signal?: AbortSignal
  } = {},
): Promise<Unpacked> {
  const { limits = unpackLimits, tell = () => {}, signal } = options
  const counted = { files: 0, bytes: 0, leftOut: 0 }
  let unlooked = lookBytes
  const look = async (): Promise<void> => {
    const { bavail, bsize } = await statfs(into)
    if (bavail * bsize >= limits.freeBytesMin) return
    throw new Error('the disk would be full; make room, or send less at once')
  }

  async function take(name: string, contents: Readable): Promise<void> {
    const place = placeOf(name)
    if (++counted.files > limits.filesMax) {
      throw new Error(`it holds more than ${limits.filesMax} files`)
    }
    const target = join(into, place)
    await mkdir(dirname(target), { recursive: true })
    await pipeline(
      contents,
      async function* (chunks) {
        for await (const chunk of chunks as AsyncIterable<Buffer>) {
          signal?.throwIfAborted()
          counted.bytes += chunk.length
          unlooked += chunk.length
          if (counted.bytes > limits.bytesMax) {
            throw new Error(`it unfolds to more than ${limits.bytesMax} bytes`)
          }
          if (unlooked >= lookBytes) {
            unlooked = 0
            await look()
          }
          yield chunk
        }
      },
      createWriteStream(target, { flags: 'wx' }),
    )
    tell(counted)
  }

  try {
    const begin = await firstBytes(file)
    if (begin.subarray(0, 2).toString('latin1') === 'PK') await unzip(file, take, counted)
    else await untar(file, begin, take, counted)
  } catch (cause) {
    if (signal?.aborted) throw cause
    throw new Error(`Cannot unpack the archive: ${reasonOf(cause)}`, { cause })
  }
  if (counted.files > 0) return counted
  throw new Error('Cannot unpack the archive: there is no file in it')
}

type Take = (name: string, contents: Readable) => Promise<void>

async function unzip(file: string, take: Take, counted: { leftOut: number }): Promise<void> {
  const zip = await yauzl.openPromise(file, { validateEntrySizes: true, strictFileNames: true })
  try {
    for await (const entry of zip.eachEntry()) {
      const isFolder = entry.fileName.endsWith('/')
      if (isFolder) continue
      // The upper half of what Unix tools note: a link would name a place by its contents.
      const kind = (entry.externalFileAttributes >>> 28) & 0xf
      if (kind !== 0 && kind !== 0o10) counted.leftOut++
      else if (entry.isEncrypted()) throw new Error('it is encrypted; send it without a password')
      else {
        const contents = await zip.openReadStreamPromise(entry)
        // It may still fail when nobody reads it any more, because another entry was too much.
        contents.on('error', () => {})
        await take(entry.fileName, Readable.from(whole(contents, entry.crc32)))
      }
    }
  } finally {
    zip.close()
  }
}

/** @throws {Error} at the end, when the bytes are not those that were packed */
async function* whole(contents: Readable, checksum: number): AsyncGenerator<Buffer> {
  let found = 0
  for await (const chunk of contents as AsyncIterable<Buffer>) {
    found = crc32(chunk, found)
    yield chunk
  }
  if (found !== checksum) throw new Error('it is damaged: an entry has another checksum')
}

async function untar(
  file: string,
  begin: Buffer,
  take: Take,
  counted: { leftOut: number },
): Promise<void> {
  const source = createReadStream(file)
  const tar = extract()
  const isGzip = begin[0] === 0x1f && begin[1] === 0x8b
  const isZstd = begin.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]))
  if (!isGzip && !isZstd && begin.subarray(257, 262).toString('latin1') !== 'ustar') {
    throw new Error('it is neither a zip nor a tar (plain, gzip or zstd)')
  }
  const fed = isGzip
    ? pipeline(source, createGunzip(), tar)
    : isZstd
      ? pipeline(source, createZstdDecompress(), tar)
      : pipeline(source, tar)
  // Awaited below; an error there must not be without a listener meanwhile.
  fed.catch(() => {})
  for await (const entry of tar) {
    const { name, type } = entry.header
    if (type === 'file' || type === 'contiguous-file')
      await take(name, Readable.from(entry, { objectMode: false }))
    else {
      if (type !== 'directory') counted.leftOut++
      entry.resume()
    }
  }
  await fed
}

/** A name of the archive as a path below the folder. @throws {Error} when it would lead outside, or nowhere */
export function placeOf(name: string): string {
  const shown = JSON.stringify(name.slice(0, 200))
  const parts = name.split('/').filter((part) => part !== '' && part !== '.')
  if (/^[/\\]|^[a-z]:/i.test(name) || name.includes('\\') || parts.includes('..')) {
    throw new Error(`the entry ${shown} names a place outside of it`)
  }
  const isLong = parts.some((part) => Buffer.byteLength(part) > nameBytesMax)
  if (parts.length === 0 || name.includes('\0') || isLong || name.length > pathCharactersMax) {
    throw new Error(`the entry ${shown} has a name that no file can have`)
  }
  return parts.join('/')
}

async function firstBytes(file: string): Promise<Buffer> {
  await using handle = await open(file)
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(512), 0, 512, 0)
  return buffer.subarray(0, bytesRead)
}

function reasonOf(cause: unknown): string {
  const { code, message, syscall } = cause as NodeJS.ErrnoException
  if (code === 'EEXIST' && syscall !== 'mkdir') return 'it holds two files of one name'
  if (code === 'EEXIST' || code === 'ENOTDIR' || code === 'EISDIR')
    return 'a file in it has the name of a folder in it'
  if (code === 'ENOSPC') return 'the disk is full; make room, or send less at once'
  return message
}
