/**
 * Where the numbers lie in an ONNX file. A walk over the protobuf wire format that knows just the messages that lead to tensors. It reads a
 * whole file, and it reads a skeleton: the same file without those numbers, whose lengths still count them. So where payloads
 * belong is said by the skeleton itself. Docs: docs/artifact.md, "Skeleton".
 */

/** How a payload's bytes are read. `bytes`: nothing is known of them. */
export type ElementKind = 'code8' | 'code4' | 'int16' | 'float16' | 'int32' | 'float32' | 'bytes'

export type Payload = {
  /** What it is found by in another version of the model. */
  readonly name: string
  /** The tensor's own name, which nodes refer to; empty for what has none. */
  readonly tensor: string
  readonly dataType: number
  readonly kind: ElementKind
  /** Whether its numbers are varints instead of little-endian words. */
  readonly packed: boolean
  /** Whether codes have a sign. */
  readonly signed: boolean
  readonly dims: readonly number[]
  /** Offset of its first byte in what was walked; where it would be, in a skeleton. */
  readonly at: number
  readonly lengthBytes: number
}

/** What is known of a node that reads tensors by name. */
export type NodeFact = {
  readonly operator: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
}

export type Walked = {
  readonly payloads: readonly Payload[]
  readonly nodes: readonly NodeFact[]
  /** Length of the file that was walked or that the skeleton stands for, in bytes. */
  readonly fileBytes: number
}

/** Field numbers of messages that lead to tensors, by message. What is not listed is stepped over. */
const paths: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  Model: { 7: 'Graph', 20: 'Training', 25: 'Function' },
  Training: { 1: 'Graph', 2: 'Graph' },
  Function: { 7: 'Node', 11: 'Attribute' },
  Graph: { 1: 'Node', 5: 'Tensor', 15: 'Sparse' },
  Node: { 5: 'Attribute' },
  Attribute: { 5: 'Tensor', 6: 'Graph', 10: 'Tensor', 11: 'Graph', 22: 'Sparse', 23: 'Sparse' },
  Sparse: { 1: 'Tensor', 2: 'Tensor' },
}

/** Deeper messages are stepped over. */
const depthMax = 40

/** Number of the data type → how its numbers are kept in `raw_data`. */
const kinds: Readonly<Record<number, ElementKind>> = {
  1: 'float32',
  2: 'code8',
  3: 'code8',
  4: 'int16',
  5: 'int16',
  6: 'int32',
  9: 'code8',
  10: 'float16',
  12: 'int32',
  16: 'float16',
  17: 'code8',
  18: 'code8',
  19: 'code8',
  20: 'code8',
  21: 'code4',
  22: 'code4',
}
/** float_data, int32_data, int64_data, raw_data, double_data and uint64_data, all of them packed. */
const payloadTags = new Set([0x22, 0x2a, 0x3a, 0x4a, 0x52, 0x5a])
const signedTypes = new Set([3, 5, 6, 22])

/** The bytes are not what this walk can read; never leaves the codec. */
class NotWalkable extends Error {}

/**
 * Walks a file, or a skeleton where `isSkeleton`.
 * @returns undefined where the bytes are no ONNX model in every detail that the walk looks at
 */
export function walk(bytes: Uint8Array, isSkeleton = false): Walked | undefined {
  const walker = new Walker(bytes, isSkeleton)
  try {
    return walker.model()
  } catch (error) {
    if (error instanceof NotWalkable) return undefined
    throw error
  }
}

class Walker {
  readonly #bytes: Uint8Array
  readonly #isSkeleton: boolean
  readonly #payloads: Payload[] = []
  readonly #nodes: NodeFact[] = []
  #at = 0
  /** Bytes of payloads that a skeleton has left out so far. */
  #left = 0

  constructor(bytes: Uint8Array, isSkeleton: boolean) {
    this.#bytes = bytes
    this.#isSkeleton = isSkeleton
  }

  model(): Walked | undefined {
    let hasGraph = false
    while (this.#at < this.#bytes.length) {
      if (this.#field('Model', '', 0, Number.POSITIVE_INFINITY) === 7) hasGraph = true
    }
    if (!hasGraph || this.#payloads.length === 0) return undefined
    const fileBytes = this.#at + this.#left
    return { payloads: this.#payloads, nodes: this.#nodes, fileBytes }
  }

  /** Reads one field of a message; gives its number. */
  #field(message: string, name: string, depth: number, end: number): number {
    const tag = this.#varint()
    const [number, wire] = [Math.floor(tag / 8), tag % 8]
    const below = wire === 2 && depth < depthMax ? paths[message]?.[number] : undefined
    if (below === undefined) this.#stepOver(wire, end)
    else this.#message(below, name, depth + 1, end)
    return number
  }

  #message(message: string, name: string, depth: number, outerEnd: number): void {
    const end = this.#end(outerEnd)
    if (message === 'Tensor') this.#tensor(name, end)
    else if (message === 'Node') this.#node(name, depth, end)
    else if (message === 'Attribute') this.#attribute(name, depth, end)
    else while (this.#here() < end) this.#field(message, name, depth, end)
    this.#atEnd(end)
  }

  #node(scope: string, depth: number, end: number): void {
    const inputs: string[] = []
    const outputs: string[] = []
    let operator = ''
    while (this.#here() < end) {
      const tag = this.#varint()
      if (tag === 0x0a) inputs.push(this.#text(end))
      else if (tag === 0x12) outputs.push(this.#text(end))
      else if (tag === 0x22) operator = this.#text(end)
      else if (tag === 0x2a && depth < depthMax) {
        this.#message('Attribute', `${scope}/${outputs[0] ?? ''}`, depth + 1, end)
      } else this.#stepOver(tag % 8, end)
    }
    this.#nodes.push({ operator, inputs, outputs })
  }

  #attribute(scope: string, depth: number, end: number): void {
    let name = scope
    while (this.#here() < end) {
      const tag = this.#varint()
      if (tag === 0x0a) name = `${scope}.${this.#text(end)}`
      else {
        const below = tag % 8 === 2 && depth < depthMax ? paths.Attribute![tag >> 3] : undefined
        if (below === undefined) this.#stepOver(tag % 8, end)
        else this.#message(below, name, depth + 1, end)
      }
    }
  }

  #tensor(scope: string, end: number): void {
    const dims: number[] = []
    const found: { field: number; at: number; lengthBytes: number }[] = []
    let [name, dataType] = ['', 0]
    while (this.#here() < end) {
      const tag = this.#varint()
      if (tag === 0x08) dims.push(this.#varint())
      else if (tag === 0x0a) {
        const dimsEnd = this.#end(end)
        while (this.#here() < dimsEnd) dims.push(this.#varint())
        this.#atEnd(dimsEnd)
      } else if (tag === 0x10) dataType = this.#varint()
      else if (tag === 0x42) name = this.#text(end)
      else if (payloadTags.has(tag)) {
        const lengthBytes = this.#end(end) - this.#here()
        // An empty payload is nothing to find again.
        if (lengthBytes > 0) found.push({ field: tag >> 3, at: this.#at, lengthBytes })
        if (this.#isSkeleton) this.#left += lengthBytes
        else this.#at += lengthBytes
      } else this.#stepOver(tag % 8, end)
    }
    for (const { field, at, lengthBytes } of found) {
      const packed = field === 5
      let kind: ElementKind = 'bytes'
      if (field === 4) kind = 'float32'
      else if (field === 5 || field === 9) kind = kinds[dataType] ?? 'bytes'
      // Two numbers of four bits lie in one word there.
      if (packed && kind === 'code4') kind = 'code8'
      const signed = signedTypes.has(dataType)
      const whole = `${scope}:${name}#${field}`
      this.#payloads.push({
        name: whole,
        tensor: name,
        dataType,
        kind,
        packed,
        signed,
        dims,
        at,
        lengthBytes,
      })
    }
  }

  /** Where in the file the walk is. */
  #here(): number {
    return this.#at + this.#left
  }

  /** The end of a field with a length, in the file. */
  #end(outerEnd: number): number {
    const length = this.#varint()
    const end = this.#here() + length
    if (end > outerEnd || (!this.#isSkeleton && end > this.#bytes.length)) throw new NotWalkable()
    return end
  }

  #atEnd(end: number): void {
    if (this.#here() !== end) throw new NotWalkable()
  }

  #text(outerEnd: number): string {
    const length = this.#end(outerEnd) - this.#here()
    if (this.#at + length > this.#bytes.length) throw new NotWalkable()
    const bytes = this.#bytes.subarray(this.#at, this.#at + length)
    this.#at += length
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  }

  #stepOver(wire: number, outerEnd: number): void {
    if (wire === 0) this.#varint()
    else if (wire === 1) this.#at += 8
    else if (wire === 5) this.#at += 4
    else if (wire === 2) {
      const length = this.#end(outerEnd) - this.#here()
      this.#at += length
    } else throw new NotWalkable()
    if (this.#at > this.#bytes.length) throw new NotWalkable()
  }

  /** Numbers above 2^53 count as one that fits nowhere. */
  #varint(): number {
    let value = 0
    let factor = 1
    for (let i = 0; i < 10; i++) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new NotWalkable()
      value += (byte & 127) * factor
      if (byte < 128) return value
      factor *= 128
    }
    throw new NotWalkable()
  }
}
