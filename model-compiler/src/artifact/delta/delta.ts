/**
 * One file told by another, losslessly. Of two ONNX models the numbers of each tensor are told by those of its counterpart, with a range coder
 * whose predictions learn as they go; everything else is a skeleton that zstd tells by the other skeleton. Of two files of
 * any other kind the bytes are told by the bytes at the same place. Where zstd alone is shorter, it is taken. Format: docs/artifact.md.
 */
import { ArtifactError } from '../artifact-error.ts'
import { type Bounds, checkBase, checkBounds, checkOutput, digestOf } from '../bounds.ts'
import { compress, decompress, roughSize } from '../zstd.ts'
import { type Walked, walk } from './onnx-payloads.ts'
import { type Side, sideOf } from './predict.ts'
import { RangeDecoder, RangeEncoder } from './range-coder.ts'
import { readPayloads, type ToldPayload, wholeFile, writePayloads } from './tensors.ts'

/** "ELD" and the version of the format. */
const magic = Uint8Array.of(0x45, 0x4c, 0x44, 0x01)
/** How what follows the head is to be read. */
const methods = { zstd: 0, tensors: 1, bytes: 2 } as const
/** Magic, method, length of the output (6 bytes), digests of base and output. */
const headBytes = 4 + 1 + 6 + 32 + 32

/** What a delta says of itself. */
export type DeltaHead = {
  readonly method: keyof typeof methods
  /** SHA-256, hex. */
  readonly baseDigest: string
  readonly digest: string
  readonly lengthBytes: number
}

/**
 * Bytes that turn `base` into `next`. The same two files give the same bytes.
 * @returns at most a few bytes more than zstd with the base as dictionary needs
 */
export function makeDelta(base: Uint8Array, next: Uint8Array): Uint8Array {
  return makeDeltaInDetail(base, next).patch
}

/** Below this zstd is tried in earnest in any case, in bytes of `next`. */
const smallBytes = 64 * 1024
/** Level 19 leaves at least this share of what the quick level leaves; seen from 0.7 to 1. */
const slackOfQuick = 0.6

/** `makeDelta` with what each tensor took, in their order; empty where zstd alone was shorter. */
export function makeDeltaInDetail(
  base: Uint8Array,
  next: Uint8Array,
): { readonly patch: Uint8Array; readonly told: readonly ToldPayload[] } {
  const { method, body, told } = residuals(base, next)
  const mayBeShorter =
    next.length <= smallBytes || roughSize(next, base) * slackOfQuick < body.length
  const whole = mayBeShorter ? compress(next, base) : undefined
  return whole !== undefined && whole.length < body.length
    ? { patch: joined([head('zstd', base, next), whole]), told: [] }
    : { patch: joined([head(method, base, next), body]), told }
}

/**
 * The file that a delta makes of `base`. The digest of the base is looked at first, that of what came out last; in between nothing is
 * reserved that `bounds` do not allow.
 * @throws {ArtifactError} `wrong-base`, `damaged`, `unsupported` or `too-large`; never gives a wrong byte
 */
export function applyDelta(base: Uint8Array, patch: Uint8Array, bounds: Bounds): Uint8Array {
  checkBounds(bounds)
  const { method, baseDigest, digest, lengthBytes } = readDeltaHead(patch)
  checkBase(base, baseDigest)
  if (lengthBytes !== bounds.lengthBytes || digest !== bounds.digest) {
    throw damaged(
      `it makes the file ${digest} of ${lengthBytes} bytes, and ${bounds.digest} of ${bounds.lengthBytes} is wanted`,
    )
  }
  const body = patch.subarray(headBytes)
  switch (method) {
    case 'zstd':
      return checkOutput(decompress(body, lengthBytes, base), bounds)
    case 'bytes': {
      const next = new Uint8Array(lengthBytes)
      const coder = new RangeDecoder(body)
      readPayloads(coder, wholeFile(base), wholeFile(next), [], new Uint8Array(0))
      coder.finish()
      return checkOutput(next, bounds)
    }
    case 'tensors':
      return checkOutput(fromTensors(base, body, lengthBytes), bounds)
  }
}

/**
 * What a delta was made of and makes.
 * @throws {ArtifactError} when it is none
 */
export function readDeltaHead(patch: Uint8Array): DeltaHead {
  if (patch.length < headBytes)
    throw damaged(`it has ${patch.length} bytes, and its head alone ${headBytes}`)
  if (magic.some((byte, i) => i < 3 && patch[i] !== byte)) {
    throw damaged('it does not begin as deltas do')
  }
  if (patch[3] !== magic[3]) {
    throw new ArtifactError(
      'unsupported',
      `Cannot decode a delta of format ${patch[3]}: this program knows format ${magic[3]}`,
    )
  }
  const method = (Object.keys(methods) as (keyof typeof methods)[]).find(
    (name) => methods[name] === patch[4],
  )
  if (method === undefined) throw damaged(`it names method ${patch[4]}, which there is none of`)
  const bytes = Buffer.from(patch.buffer, patch.byteOffset, headBytes)
  return {
    method,
    lengthBytes: bytes.readUIntLE(5, 6),
    baseDigest: bytes.toString('hex', 11, 43),
    digest: bytes.toString('hex', 43, 75),
  }
}

function head(method: keyof typeof methods, base: Uint8Array, next: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(headBytes)
  bytes.set(magic)
  bytes[4] = methods[method]
  bytes.writeUIntLE(next.length, 5, 6)
  bytes.write(digestOf(base), 11, 'hex')
  bytes.write(digestOf(next), 43, 'hex')
  return bytes
}

type Residuals = {
  readonly method: 'tensors' | 'bytes'
  readonly body: Uint8Array
  readonly told: readonly ToldPayload[]
}

function residuals(base: Uint8Array, next: Uint8Array): Residuals {
  const [from, to] = [walk(base), walk(next)]
  const coder = new RangeEncoder()
  if (from === undefined || to === undefined) {
    const { told } = writePayloads(coder, wholeFile(base), wholeFile(next), [])
    return { method: 'bytes', body: coder.finish(), told }
  }
  const { told, apart } = writePayloads(coder, sideOf(from, base), sideOf(to, next), to.nodes)
  const skeleton = skeletonOf(to, next)
  const frame = compress(joined([skeleton, apart]), skeletonOf(from, base))
  const lengths = Buffer.alloc(12)
  lengths.writeUInt32LE(skeleton.length, 0)
  lengths.writeUInt32LE(apart.length, 4)
  lengths.writeUInt32LE(frame.length, 8)
  return { method: 'tensors', body: joined([lengths, frame, coder.finish()]), told }
}

function fromTensors(base: Uint8Array, body: Uint8Array, lengthBytes: number): Uint8Array {
  if (body.length < 12) throw damaged('it ends too early')
  const words = new DataView(body.buffer, body.byteOffset, 12)
  const [skeletonBytes, apartBytes, frameBytes] = [0, 4, 8].map((at) =>
    words.getUint32(at, true),
  ) as [number, number, number]
  if (skeletonBytes + apartBytes > lengthBytes || frameBytes > body.length - 12) {
    throw damaged('its parts are longer than the whole')
  }
  const from = walk(base)
  if (from === undefined) throw damaged('its base is no model')
  const unpacked = decompress(
    body.subarray(12, 12 + frameBytes),
    skeletonBytes + apartBytes,
    skeletonOf(from, base),
  )
  const skeleton = unpacked.subarray(0, skeletonBytes)
  const to = walk(skeleton, true)
  if (to === undefined || to.fileBytes !== lengthBytes) {
    throw damaged('its skeleton is not that of the file it makes')
  }
  const next = new Uint8Array(lengthBytes)
  const side = fill(to, skeleton, next)
  const coder = new RangeDecoder(body.subarray(12 + frameBytes))
  readPayloads(coder, sideOf(from, base), side, to.nodes, unpacked.subarray(skeletonBytes))
  coder.finish()
  return next
}

/** A file without its payloads. */
function skeletonOf({ payloads }: Walked, bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = []
  let at = 0
  for (const payload of payloads) {
    parts.push(bytes.subarray(at, payload.at))
    at = payload.at + payload.lengthBytes
  }
  return joined([...parts, bytes.subarray(at)])
}

/** Puts a skeleton in its places in `next`, and says where its payloads belong. */
function fill({ payloads }: Walked, skeleton: Uint8Array, next: Uint8Array): Side {
  const offsets = new Float64Array(payloads.length)
  let [at, left] = [0, 0]
  for (const [i, payload] of payloads.entries()) {
    next.set(skeleton.subarray(at, payload.at), at + left)
    offsets[i] = payload.at + left
    at = payload.at
    left += payload.lengthBytes
  }
  next.set(skeleton.subarray(at), at + left)
  return { bytes: next, payloads, offsets }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}

const damaged = (why: string) => new ArtifactError('damaged', `Cannot decode a delta: ${why}`)
