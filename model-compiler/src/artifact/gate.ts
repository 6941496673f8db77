/**
 * What stands between bytes from elsewhere and a runtime's native code: an ONNX file passes when everything in it is known, is
 * allowed, and is as large as it says. The file is walked by its wire format, with a bound on everything: what a full
 * parser would merge, skip or guess is refused, so that nothing is hidden between this reading and the runtime's.
 */
import { artifactBytesMax } from '@edgeloop/protocol'
import { ArtifactError } from './artifact-error.ts'
import { gateHolders, gateOperators } from './gate-operators.ts'
import { countVarints, varint, type WireField, wireFields } from './wire.ts'

/** What a model may have at most; real ones stay far below. */
export const gateLimits = {
  nodes: 100_000,
  tensors: 100_000,
  attributes: 200,
  /** Bytes of a name. */
  nameBytes: 1024,
  /** Inputs of a node, and outputs. */
  ports: 10_000,
  dimensions: 16,
  /** Graphs within graphs: the body of a loop within a branch. */
  depth: 2,
} as const

export type GatedModel = {
  /** Version of ai.onnx that it asks for. */
  readonly opset: number
  readonly nodes: number
  readonly tensors: number
}

/** Bits of an element in `raw_data`, by TensorProto.DataType; text is not taken. */
const elementBits: Readonly<Record<number, number>> = {
  1: 32,
  2: 8,
  3: 8,
  4: 16,
  5: 16,
  6: 32,
  7: 64,
  9: 8,
  10: 16,
  11: 64,
  12: 32,
  13: 64,
  14: 64,
  15: 128,
  16: 16,
  17: 8,
  18: 8,
  19: 8,
  20: 8,
  21: 4,
  22: 4,
  23: 4,
  24: 8,
  25: 2,
  26: 2,
}
/** The typed fields of a tensor: how an entry is written, and which types of elements use it. */
const typedFields: Readonly<Record<number, { wire: 0 | 1 | 5; types: readonly number[] }>> = {
  4: { wire: 5, types: [1, 14] },
  5: { wire: 0, types: [2, 3, 4, 5, 6, 9, 10, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26] },
  7: { wire: 0, types: [7] },
  10: { wire: 1, types: [11, 15] },
  11: { wire: 0, types: [12, 13] },
}

/** What may stand in a message: `one` at most once; `many` any number of times; bytes unless it says `varint` or `fixed32`. */
type Shape = Readonly<
  Record<number, { readonly wire: number; readonly many?: true; readonly packed?: true }>
>
const one = { wire: 2 } as const
const many = { wire: 2, many: true } as const
const oneVarint = { wire: 0 } as const
const shapes = {
  model: { 1: oneVarint, 2: one, 3: one, 4: one, 5: oneVarint, 6: one, 7: one, 8: many, 14: many },
  opsetImport: { 1: one, 2: oneVarint },
  graph: { 1: many, 2: one, 5: many, 10: one, 11: many, 12: many, 13: many, 14: many, 16: many },
  node: { 1: many, 2: many, 3: one, 4: one, 5: many, 6: one, 7: one, 9: many },
  attribute: {
    1: one,
    2: { wire: 5 },
    3: oneVarint,
    4: one,
    5: one,
    6: one,
    7: { wire: 5, many: true, packed: true },
    8: { wire: 0, many: true, packed: true },
    9: many,
    10: many,
    13: one,
    14: one,
    15: many,
    20: oneVarint,
  },
  tensor: {
    1: { wire: 0, many: true, packed: true },
    2: oneVarint,
    4: { wire: 5, many: true, packed: true },
    5: { wire: 0, many: true, packed: true },
    7: { wire: 0, many: true, packed: true },
    8: one,
    9: one,
    10: { wire: 1, many: true, packed: true },
    11: { wire: 0, many: true, packed: true },
    12: one,
    14: oneVarint,
    16: many,
  },
  valueInfo: { 1: one, 2: one, 3: one, 4: many },
} as const satisfies Record<string, Shape>

/** Fields that are refused by name, where "not known" would say too little. */
const refusedFields: Readonly<Record<string, string>> = {
  'model 20': 'training information is not taken',
  'model 25': 'functions are not taken',
  'graph 15': 'sparse tensors are not taken',
  'node 8': 'overloads of functions are not taken',
  'attribute 11': 'an attribute of several graphs is not taken',
  'attribute 21': 'references to attributes of functions are not taken',
  'attribute 22': 'sparse tensors are not taken',
  'attribute 23': 'sparse tensors are not taken',
  'tensor 3': 'tensors in segments are not taken',
  'tensor 6': 'tensors of text are not taken',
  'tensor 13': 'tensors in other files (external data) are not taken',
}

/**
 * Looks whether a file may be given to a runtime. Time and memory grow with the file's length alone.
 * @returns what it asks of a runtime
 * @throws {ArtifactError} `too-large`; `damaged` where it is no ONNX file; `model-refused` with what is not taken, and where
 */
export function checkModelFile(bytes: Uint8Array): GatedModel {
  if (bytes.length > artifactBytesMax) {
    throw new ArtifactError(
      'too-large',
      `Cannot take a model of ${bytes.length} bytes: at most ${artifactBytesMax} are taken`,
    )
  }
  // The runtime takes these four letters for its own format, whatever the rest is (FlatBuffers, file identifier).
  if (bytes.length >= 8 && latin(bytes, 4, 8) === 'ORTM') {
    throw refused('the file', 'it could be read as an ORT file, which is not taken')
  }
  return new Gate(bytes).model()
}

class Gate {
  readonly #bytes: Uint8Array
  #nodes = 0
  #tensors = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  model(): GatedModel {
    let graph: WireField | undefined
    let opset: number | undefined
    for (const field of this.#fields('model', 0, this.#bytes.length, 'the model')) {
      if (field.number === 7) graph = field
      if (field.number === 8) {
        const { domain, version } = this.#opsetImport(field)
        if (domain === '' || domain === 'ai.onnx') opset = version
      }
    }
    if (!graph) throw new ArtifactError('damaged', 'Cannot read the model: it holds no graph')
    if (opset === undefined) {
      throw refused('the model', 'it does not say which version of ai.onnx it was written for')
    }
    this.#graph(graph, 'the graph', 0)
    return { opset, nodes: this.#nodes, tensors: this.#tensors }
  }

  #opsetImport({ start, end }: WireField): { domain: string; version: number } {
    let domain = ''
    let version = 0
    for (const field of this.#fields('opsetImport', start, end, 'an operator set')) {
      if (field.number === 1) domain = this.#name(field, 'an operator set')
      else version = this.#varint(field)
    }
    // What is imported and not used does no harm: exporters name all domains that they know.
    if ((domain === '' || domain === 'ai.onnx') && !(version >= 1 && version <= 100)) {
      throw refused('the model', `it asks for version ${version} of ai.onnx`)
    }
    return { domain, version }
  }

  #graph({ start, end }: WireField, place: string, depth: number): void {
    if (depth > gateLimits.depth) {
      throw refused(place, `graphs are nested more than ${gateLimits.depth} deep`)
    }
    for (const field of this.#fields('graph', start, end, place)) {
      if (field.number === 1) this.#node(field, place, depth)
      else if (field.number === 2) this.#name(field, place)
      else if (field.number === 5) this.#tensor(field, place)
      else if (field.number >= 11 && field.number <= 13) this.#valueInfo(field, place)
    }
  }

  #node({ start, end }: WireField, graph: string, depth: number): void {
    this.#nodes++
    if (this.#nodes > gateLimits.nodes) {
      throw refused(graph, `there are more than ${gateLimits.nodes} nodes`)
    }
    let [name, operator, domain, inputs, outputs] = ['', '', '', 0, 0]
    const attributes: WireField[] = []
    const unnamed = `node ${this.#nodes - 1}`
    for (const field of this.#fields('node', start, end, unnamed)) {
      if (field.number === 5) attributes.push(field)
      else if (field.number === 6 || field.number === 9) continue
      else {
        const text = this.#name(field, unnamed)
        if (field.number === 1) inputs++
        else if (field.number === 2) outputs++
        else if (field.number === 3) name = text
        else if (field.number === 4) operator = text
        else domain = text
      }
    }
    const place = `${unnamed} (${shown(operator)}${name === '' ? '' : ` "${shown(name)}"`})`
    const allowed = gateOperators.get(domain === 'ai.onnx' ? '' : domain)
    if (!allowed) throw refused(place, `the domain "${shown(domain)}" is not taken`)
    if (!allowed.has(operator)) {
      const whose = domain === '' ? 'ai.onnx' : shown(domain)
      throw refused(place, `the operator "${shown(operator)}" of ${whose} is not taken`)
    }
    if (inputs > gateLimits.ports || outputs > gateLimits.ports) {
      throw refused(place, `it has ${inputs} inputs and ${outputs} outputs`)
    }
    if (attributes.length > gateLimits.attributes) {
      throw refused(place, `it has ${attributes.length} attributes`)
    }
    const holds = domain !== 'com.microsoft' && gateHolders.has(operator)
    for (const attribute of attributes) this.#attribute(attribute, place, depth, holds)
  }

  #attribute({ start, end }: WireField, node: string, depth: number, holds: boolean): void {
    for (const field of this.#fields('attribute', start, end, node)) {
      if (field.number === 1) this.#name(field, node)
      else if (field.number === 5 || field.number === 10) this.#tensor(field, node)
      else if (field.number === 6) {
        if (!holds) throw refused(node, 'it holds a graph')
        this.#graph(field, `a graph of ${node}`, depth + 1)
      }
    }
  }

  #valueInfo({ start, end }: WireField, graph: string): void {
    for (const field of this.#fields('valueInfo', start, end, graph)) {
      if (field.number === 1) this.#name(field, graph)
    }
  }

  #tensor({ start, end }: WireField, holder: string): void {
    this.#tensors++
    if (this.#tensors > gateLimits.tensors) {
      throw refused(holder, `there are more than ${gateLimits.tensors} tensors`)
    }
    const dims: number[] = []
    let type = 0
    let place = `a tensor of ${holder}`
    let raw: number | undefined
    let typed: { number: number; entries: number } | undefined
    for (const field of this.#fields('tensor', start, end, place)) {
      if (field.number === 1) this.#dims(field, dims, place)
      else if (field.number === 2) type = this.#varint(field)
      else if (field.number === 8) {
        const name = this.#name(field, place)
        if (name !== '') place = `tensor "${shown(name)}" of ${holder}`
      } else if (field.number === 9) raw = field.end - field.start
      else if (field.number === 14) {
        const where = this.#varint(field)
        if (where !== 0) {
          throw refused(place, 'tensors in other files (external data) are not taken')
        }
      } else if (typedFields[field.number]) {
        if (typed && typed.number !== field.number) {
          throw refused(place, 'its values are in more than one field')
        }
        typed ??= { number: field.number, entries: 0 }
        typed.entries += this.#entries(field)
      }
    }
    const bits = Object.hasOwn(elementBits, type) ? elementBits[type] : undefined
    if (bits === undefined) throw refused(place, `the type ${type} of its elements is not taken`)
    const elements = dims.reduce((product, size) => product * size, 1)
    // Every factor is below 2^53, so a product that is too large is not a small one by chance.
    if (!(elements * bits <= artifactBytesMax * 8)) {
      throw refused(place, `its shape [${dims}] makes it larger than any model`)
    }
    if (raw !== undefined && typed) throw refused(place, 'its values are in more than one field')
    if (typed) this.#checkTyped(typed, type, elements, bits, place)
    else if ((raw ?? 0) !== Math.ceil((elements * bits) / 8)) {
      throw refused(place, `it has ${raw ?? 0} bytes, and its shape [${dims}] needs others`)
    }
  }

  #checkTyped(
    { number, entries }: { number: number; entries: number },
    type: number,
    elements: number,
    bits: number,
    place: string,
  ): void {
    if (!typedFields[number]!.types.includes(type)) {
      throw refused(place, `elements of type ${type} do not stand in field ${number}`)
    }
    // Complex numbers take two entries; of codes below eight bits each entry holds a byte full.
    const expected =
      type === 14 || type === 15 ? elements * 2 : Math.ceil((elements * Math.min(bits, 8)) / 8)
    if (entries !== expected) {
      throw refused(place, `it has ${entries} values, and its shape needs ${expected}`)
    }
  }

  #dims(field: WireField, dims: number[], place: string): void {
    const { start, end, type } = field
    let at = start
    while (at < end) {
      let stop = at + 1
      while (this.#bytes[stop - 1]! >= 0x80 && stop < end) stop++
      const size = varint(this.#bytes, at, stop)
      if (!Number.isSafeInteger(size)) throw refused(place, 'one of its dimensions is below zero')
      dims.push(size)
      if (dims.length > gateLimits.dimensions) {
        throw refused(place, `it has more than ${gateLimits.dimensions} dimensions`)
      }
      at = type === 0 ? end : stop
    }
  }

  /** Values in one occurrence of a typed field. */
  #entries({ number, type, start, end }: WireField): number {
    const { wire } = typedFields[number]!
    if (type !== 2) return 1
    if (wire === 0) return countVarints(this.#bytes, start, end)
    return (end - start) / (wire === 5 ? 4 : 8)
  }

  /** Fields of a message that are known, each as often as it may stand there. */
  *#fields(
    message: keyof typeof shapes,
    start: number,
    end: number,
    place: string,
  ): Generator<WireField, void, undefined> {
    const shape: Shape = shapes[message]
    let seen = 0
    for (const field of wireFields(this.#bytes, start, end)) {
      const { number, type } = field
      const known = Object.hasOwn(shape, number) ? shape[number] : undefined
      if (!known) {
        throw refused(
          place,
          refusedFields[`${message} ${number}`] ?? `field ${number} of the ${message} is not known`,
        )
      }
      if (type !== known.wire && !(known.packed && type === 2)) {
        throw refused(place, `field ${number} of the ${message} has the wire type ${type}`)
      }
      if (!known.many) {
        const bit = 2 ** number
        if (seen & bit) throw refused(place, `field ${number} of the ${message} is there twice`)
        seen |= bit
      }
      yield field
    }
  }

  #varint({ start, end }: WireField): number {
    return varint(this.#bytes, start, end)
  }

  #name({ start, end }: WireField, place: string): string {
    if (end - start > gateLimits.nameBytes) {
      throw refused(
        place,
        `a name has ${end - start} bytes, at most ${gateLimits.nameBytes} are taken`,
      )
    }
    return latin(this.#bytes, start, end)
  }
}

const latin = (bytes: Uint8Array, start: number, end: number): string =>
  String.fromCharCode(...bytes.subarray(start, end))

/** What a file calls itself, as an error may show it. */
const shown = (name: string): string => name.replaceAll(/[^ -~]/g, '?').slice(0, 80)

const refused = (place: string, why: string): ArtifactError =>
  new ArtifactError('model-refused', `Cannot take the model: ${place}: ${why}`)
