/**
 * Looks at an ONNX file before a runtime gets it: is it one at all, is it whole, and does it reach
 * for other files? It walks the protobuf wire format (protobuf.dev/programming-guides/encoding) and
 * reads the few fields it needs; numbers are those of onnx.proto.
 */

/** Graphs inside of graphs (If, Loop); more is refused rather than recursed into. */
const depthMax = 32

/**
 * Bytes a ModelProto can begin with: the tags of its fields 1 to 8, and 14, 20 and 25 in their short
 * form. Writers begin with field 1, but the format does not demand it.
 */
const firstTags: ReadonlySet<number> = new Set([
  0x08, 0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72, 0xa2, 0xca,
])

export type OnnxFacts = {
  /** Names of tensors whose data lie in another file. */
  readonly externalTensors: readonly string[]
}

/**
 * @throws {OnnxError} saying in what way the bytes are no ONNX model
 */
export function inspectOnnx(bytes: Uint8Array): OnnxFacts {
  const disguise = disguiseOf(bytes)
  if (disguise !== undefined) throw new OnnxError(disguise)
  if (!firstTags.has(bytes[0] ?? 0))
    throw new OnnxError('it is no ONNX model: it does not begin like one')
  const externalTensors: string[] = []
  let graphs = 0
  for (const field of fields(bytes, 0, bytes.length)) {
    if (field.number === 7 && field.length !== undefined) {
      graphs++
      inspectGraph(bytes, field, externalTensors, 0)
    }
  }
  if (graphs === 0) throw new OnnxError('it is no ONNX model: there is no graph in it')
  return { externalTensors }
}

/** Why bytes are no ONNX model; without the name of the file, which the caller knows. */
export class OnnxError extends Error {
  constructor(text: string) {
    super(text)
    this.name = 'OnnxError'
  }
}

/** What people hand over by accident, told by its first bytes. */
function disguiseOf(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return 'the file is empty'
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, 512)).trimStart()
  if (/^(<!doctype html|<html|<\?xml|<!--)/i.test(head)) {
    return 'it is an HTML page; the download may have needed a sign-in or another address'
  }
  if (head.startsWith('version https://git-lfs.github.com/spec/')) {
    return 'it is a Git LFS pointer; fetch the real file with `git lfs pull`'
  }
  if (head.startsWith('PK\u0003\u0004')) return 'it is a ZIP archive; unpack it first'
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return 'it is gzip-compressed; unpack it first'
  if (head.slice(4, 8) === 'TFL3') return 'it is a TensorFlow Lite model; convert it to ONNX'
  return undefined
}

/** One field of a message. `length` and `start` are of its bytes; `value` of a varint. */
type Field = {
  readonly number: number
  readonly start: number
  readonly length: number | undefined
  readonly value: number
}

function inspectGraph(
  bytes: Uint8Array,
  graph: Field,
  externalTensors: string[],
  depth: number,
): void {
  if (depth > depthMax) throw new OnnxError(`its graphs are nested more than ${depthMax} deep`)
  for (const field of inside(bytes, graph)) {
    if (field.number === 1) inspectNode(bytes, field, externalTensors, depth)
    if (field.number === 5) inspectTensor(bytes, field, externalTensors)
  }
}

function inspectNode(
  bytes: Uint8Array,
  node: Field,
  externalTensors: string[],
  depth: number,
): void {
  for (const attribute of inside(bytes, node)) {
    if (attribute.number !== 5) continue
    for (const value of inside(bytes, attribute)) {
      if (value.number === 5 || value.number === 10) inspectTensor(bytes, value, externalTensors)
      if (value.number === 6 || value.number === 11) {
        inspectGraph(bytes, value, externalTensors, depth + 1)
      }
    }
  }
}

function inspectTensor(bytes: Uint8Array, tensor: Field, externalTensors: string[]): void {
  let name = ''
  let external = false
  for (const field of inside(bytes, tensor)) {
    if (field.number === 8) name = textOf(bytes, field)
    if (field.number === 13 || (field.number === 14 && field.value === 1)) external = true
  }
  if (external) externalTensors.push(name)
}

function textOf(bytes: Uint8Array, field: Field): string {
  return new TextDecoder().decode(bytes.subarray(field.start, field.start + (field.length ?? 0)))
}

/** The fields of an embedded message; none where the field is no message. */
function inside(bytes: Uint8Array, field: Field): Iterable<Field> {
  return field.length === undefined ? [] : fields(bytes, field.start, field.start + field.length)
}

function* fields(bytes: Uint8Array, from: number, to: number): Generator<Field> {
  let at = from
  while (at < to) {
    const tag = varint(bytes, at, to)
    at = tag.next
    const number = Math.floor(tag.value / 8)
    const wire = tag.value % 8
    if (number === 0) throw new OnnxError(`it is damaged: byte ${at} is in no field`)
    if (wire === 0) {
      const { value, next } = varint(bytes, at, to)
      yield { number, start: at, length: undefined, value }
      at = next
      continue
    }
    const size = wire === 2 ? varint(bytes, at, to) : undefined
    if (!size && wire !== 1 && wire !== 5) {
      throw new OnnxError(`it is damaged: byte ${at} is in a field of unknown kind ${wire}`)
    }
    const start = size?.next ?? at
    const length = size?.value ?? (wire === 1 ? 8 : 4)
    if (start + length > bytes.length) {
      const missing = start + length - bytes.length
      throw new OnnxError(`it is cut short: at least ${missing} bytes are missing at its end`)
    }
    if (start + length > to) {
      throw new OnnxError(`it is damaged: the field at byte ${start} is longer than what holds it`)
    }
    yield { number, start, length: size ? length : undefined, value: 0 }
    at = start + length
  }
}

function varint(bytes: Uint8Array, from: number, to: number): { value: number; next: number } {
  let value = 0
  let factor = 1
  for (let at = from; at < to && at < from + 10; at++) {
    const byte = bytes[at] ?? 0
    value += (byte & 127) * factor
    if (byte < 128) return { value, next: at + 1 }
    factor *= 128
  }
  throw new OnnxError(`it is damaged: the number at byte ${from} has no end`)
}
