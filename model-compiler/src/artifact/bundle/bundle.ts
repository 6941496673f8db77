/**
 * A bundle: what boxes would fetch from a hub, as one file that is carried to where no hub is. It is a plain tar that
 * holds nothing but two kinds of names, so any `tar tf` shows what is in it:
 *
 * - `trust/FILE`: the trust repository, every root from the first on, with a timestamp that is made to travel
 * - `artifacts/DIGEST`: manifests and encodings
 *
 * Written by us, always alike; read by a reader of our own that takes this form and no other. It never makes a file of a
 * name: names are looked up in an index, and bytes are believed by what is signed about them.
 */
import { artifactBytesMax, trustFilePattern } from '@edgeloop/protocol'
import { ArtifactError } from '../artifact-error.ts'
import { bytesMax } from '../trust/metadata.ts'
import type { TrustSource } from '../trust/trust.ts'

const blockBytes = 512
/** More entries than any bundle has. */
export const bundleEntriesMax = 20_000
/** A file of trust in a bundle is no longer than this. */
const trustBytesMax = Math.max(...Object.values(bytesMax))

const trustName = new RegExp(trustFilePattern)
const digestName = /^[0-9a-f]{64}$/

/** Where a bundle lies: a file, or bytes. */
export type BundleBytes = {
  readonly lengthBytes: number
  /** Exactly these bytes, or an error. */
  read(from: number, lengthBytes: number): Promise<Uint8Array>
}

export type BundleEntry = { readonly from: number; readonly lengthBytes: number }

export type Bundle = {
  /** The trust repository in it. */
  readonly trust: TrustSource
  /** Everything that lies under a digest; whether it has that digest is seen when it is read. */
  readonly digests: ReadonlySet<string>
  /** Length of what lies under a digest; undefined where there is nothing. */
  lengthOf(digest: string): number | undefined
  /** Its bytes from a place on, a little at a time. @throws {ArtifactError} damaged, where there is nothing */
  open(digest: string, from?: number): AsyncGenerator<Uint8Array>
}

/**
 * Reads the index of a bundle: headers alone, so that time and memory do not grow with what it claims to hold.
 * @throws {ArtifactError} damaged, for anything that this program would not have written
 */
export async function readBundle(bytes: BundleBytes): Promise<Bundle> {
  const entries = await readIndex(bytes)
  const entryOf = (name: string): BundleEntry | undefined => entries.get(name)
  const digests = [...entries.keys()].flatMap((name) =>
    name.startsWith('artifacts/') ? [name.slice('artifacts/'.length)] : [],
  )
  return {
    digests: new Set(digests),
    trust: {
      fetch: async (file, most) => {
        const entry = entryOf(`trust/${file}`)
        if (!entry) return undefined
        if (entry.lengthBytes > most) {
          throw damaged(`"trust/${file}" has ${entry.lengthBytes} bytes, and ${most} are allowed`)
        }
        return await bytes.read(entry.from, entry.lengthBytes)
      },
    },
    lengthOf: (digest) => entryOf(`artifacts/${digest}`)?.lengthBytes,
    async *open(digest, from = 0) {
      const entry = entryOf(`artifacts/${digest}`)
      if (!entry) throw damaged(`there is no "artifacts/${digest}"`)
      for (let at = from; at < entry.lengthBytes; at += pieceBytes) {
        const length = Math.min(pieceBytes, entry.lengthBytes - at)
        yield await bytes.read(entry.from + at, length)
      }
    },
  }
}

const pieceBytes = 64 * 1024

async function readIndex(bytes: BundleBytes): Promise<Map<string, BundleEntry>> {
  const entries = new Map<string, BundleEntry>()
  let at = 0
  for (;;) {
    if (at + blockBytes > bytes.lengthBytes) throw damaged('it ends without an end')
    const header = Buffer.from(await bytes.read(at, blockBytes))
    if (header.every((byte) => byte === 0)) break
    const { name, lengthBytes } = readHeader(header)
    if (entries.has(name)) throw damaged(`"${name}" is in it twice`)
    if (entries.size >= bundleEntriesMax)
      throw damaged(`it has more than ${bundleEntriesMax} files`)
    const from = at + blockBytes
    const padded = Math.ceil(lengthBytes / blockBytes) * blockBytes
    if (from + padded > bytes.lengthBytes) throw damaged(`it ends in the middle of "${name}"`)
    const padding = await bytes.read(from + lengthBytes, padded - lengthBytes)
    if (padding.some((byte) => byte !== 0)) throw damaged(`something is hidden behind "${name}"`)
    entries.set(name, { from, lengthBytes })
    at = from + padded
  }
  // Two blocks of zeros, and nothing behind them.
  if (at + 2 * blockBytes !== bytes.lengthBytes) throw damaged('something is behind its end')
  const end = await bytes.read(at, 2 * blockBytes)
  if (end.some((byte) => byte !== 0)) throw damaged('something is behind its end')
  return entries
}

/** A header is good where it is the one that would have been written for its name and length. */
function readHeader(header: Buffer): { name: string; lengthBytes: number } {
  const name = textOf(header, 0, 100)
  const length = textOf(header, 124, 12)
  const shown = JSON.stringify(name.slice(0, 120))
  const kind = String.fromCharCode(header[156]!)
  if (kind !== '0') throw damaged(`${shown} is ${kinds[kind] ?? 'no plain file'}`)
  const lengthMax = lengthMaxOf(name)
  if (lengthMax === undefined) throw damaged(`${shown} is no name of a bundle`)
  // Other tars write lengths that do not fit as numbers in base 256; ours are shorter.
  if (!/^[0-7]{11}$/.test(length)) throw damaged(`${shown} says no length`)
  const lengthBytes = Number.parseInt(length, 8)
  if (lengthBytes > lengthMax) {
    throw damaged(`${shown} has ${lengthBytes} bytes, and ${lengthMax} are allowed`)
  }
  if (!headerOf(name, lengthBytes).equals(header)) throw damaged(`the header of ${shown} is wrong`)
  return { name, lengthBytes }
}

const kinds: Readonly<Record<string, string>> = {
  '1': 'a hard link',
  '2': 'a link',
  '3': 'a device',
  '4': 'a device',
  '5': 'a folder',
  '6': 'a pipe',
  S: 'a sparse file',
  L: 'a long name',
  K: 'a long link',
  x: 'an extended header',
  g: 'an extended header',
}

function lengthMaxOf(name: string): number | undefined {
  if (name.startsWith('trust/') && trustName.test(name.slice(6))) return trustBytesMax
  if (name.startsWith('artifacts/') && digestName.test(name.slice(10))) return artifactBytesMax
  return undefined
}

function textOf(header: Buffer, from: number, length: number): string {
  const field = header.subarray(from, from + length)
  const end = field.indexOf(0)
  return field.subarray(0, end === -1 ? length : end).toString('latin1')
}

/** A header as POSIX.1-1988 (ustar) has it: a plain file of nobody, readable by all, from 1970. */
function headerOf(name: string, lengthBytes: number): Buffer {
  const header = Buffer.alloc(blockBytes)
  header.write(name, 0, 100, 'latin1')
  header.write('0000644\0', 100, 'latin1')
  header.write('0000000\0', 108, 'latin1')
  header.write('0000000\0', 116, 'latin1')
  header.write(`${lengthBytes.toString(8).padStart(11, '0')}\0`, 124, 'latin1')
  header.write('00000000000\0', 136, 'latin1')
  header.write('        ', 148, 'latin1')
  header.write('0', 156, 'latin1')
  header.write('ustar\x0000', 257, 'latin1')
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

/** A file that goes into a bundle. */
export type BundlePart = {
  /** `trust/FILE` or `artifacts/DIGEST`. */
  readonly name: string
  readonly lengthBytes: number
  readonly bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

/**
 * Writes a bundle, a little at a time. The same parts in the same order make the same bytes.
 * @throws {ArtifactError} damaged, for a name, a length or a number of parts that could not be read again
 */
export async function* writeBundle(
  parts: Iterable<BundlePart> | AsyncIterable<BundlePart>,
): AsyncGenerator<Uint8Array> {
  const names = new Set<string>()
  for await (const { name, lengthBytes, bytes } of parts) {
    const lengthMax = lengthMaxOf(name)
    const fits = lengthMax !== undefined && lengthBytes <= lengthMax && !names.has(name)
    if (!fits || names.size >= bundleEntriesMax) {
      throw damaged(`"${name}" with ${lengthBytes} bytes cannot be in it`)
    }
    names.add(name)
    yield headerOf(name, lengthBytes)
    let length = 0
    for await (const chunk of bytes) {
      length += chunk.length
      yield chunk
    }
    if (length !== lengthBytes) {
      throw damaged(`"${name}" has ${length} bytes, and ${lengthBytes} were announced`)
    }
    yield new Uint8Array((blockBytes - (length % blockBytes)) % blockBytes)
  }
  yield new Uint8Array(2 * blockBytes)
}

const damaged = (why: string): ArtifactError =>
  new ArtifactError('damaged', `Cannot read the bundle: ${why}`)
