/** What a payload is expected to be, from its counterpart in the base and from what is known of the new file already. */
import { type Elements, elementCount, inOrder32 } from './elements.ts'
import { matchPayloads, type Scales, scalesOf } from './match.ts'
import type { NodeFact, Payload, Walked } from './onnx-payloads.ts'

/** A file with its payloads: the base, or the new one as far as it is there. */
export type Side = {
  readonly bytes: Uint8Array
  readonly payloads: readonly Payload[]
  /** Offset of each payload in `bytes`. */
  readonly offsets: Float64Array
}

export function sideOf({ payloads }: Walked, bytes: Uint8Array): Side {
  return { bytes, payloads, offsets: Float64Array.from(payloads, ({ at }) => at) }
}

export const payloadBytes = ({ bytes, payloads, offsets }: Side, i: number): Uint8Array =>
  bytes.subarray(offsets[i]!, offsets[i]! + payloads[i]!.lengthBytes)

export class Prediction {
  readonly matches: Int32Array
  readonly #base: Side
  readonly #next: Side
  readonly #scales: Scales
  readonly #baseByTensor: ReadonlyMap<string, number>
  readonly #nextByTensor: ReadonlyMap<string, number>

  constructor(base: Side, next: Side, nodes: readonly NodeFact[]) {
    this.#base = base
    this.#next = next
    this.matches = matchPayloads(next.payloads, base.payloads)
    this.#scales = scalesOf(nodes)
    this.#baseByTensor = byTensor(base.payloads)
    this.#nextByTensor = byTensor(next.payloads)
  }

  /** Floats of the scale that the codes of payload `i` are counted in, as bits, with the exponent that each element has. */
  exponents(i: number): ((expected: number, at: number) => number) | undefined {
    const payload = this.#next.payloads[i]!
    const scale = this.#scaleOf(payload)
    if (scale === undefined) return undefined
    const floats = floatsAt(this.#next, scale)
    const channel = channelOf(payload, floats.length)
    if (channel === undefined) return undefined
    const found = Uint8Array.from(floats, (one) => exponentOf(one))
    return (_, at) => found[channel(at)]!
  }

  /**
   * The values of the base's counterpart counted in the new scale.
   * @returns undefined where one of the scales is not known
   */
  scaled(i: number, elements: Elements): Elements | undefined {
    const payload = this.#next.payloads[i]!
    const match = this.matches[i]!
    const isCodes = payload.kind === 'code8' && payload.signed
    if (match < 0 || payload.packed || !(isCodes || payload.kind === 'int32')) return undefined
    const scale = this.#scaleOf(payload)
    const before =
      scale === undefined ? undefined : this.#baseByTensor.get(this.#scaleName(payload)!)
    if (scale === undefined || before === undefined) return undefined
    const [now, then] = [floatsAt(this.#next, scale), floatsAt(this.#base, before)]
    const channel = channelOf(payload, now.length)
    if (channel === undefined || now.length !== then.length) return undefined
    const [low, high] = isCodes ? [-128, 127] : [-(2 ** 31), 2 ** 31 - 1]
    return elements.map((one, at) => {
      const code = isCodes ? (one << 24) >> 24 : one
      const index = channel(at)
      const exact = Math.floor((code * then[index]!) / now[index]! + 0.5)
      // Neither is a scale that says nothing allowed to say something else on another machine.
      return Number.isFinite(exact) ? Math.min(high, Math.max(low, exact)) : code
    })
  }

  /**
   * Payloads of the scales whose product payload `i` may be.
   * @returns undefined where the graph names none, or they have not as many elements
   */
  factors(i: number): readonly [input: number, weights: number] | undefined {
    const { tensor, kind, lengthBytes } = this.#next.payloads[i]!
    const names = kind === 'float32' ? this.#scales.products.get(tensor) : undefined
    const input = names && this.#nextByTensor.get(names[0])
    const weights = names && this.#nextByTensor.get(names[1])
    if (input === undefined || weights === undefined) return undefined
    const [a, b] = [this.#next.payloads[input]!, this.#next.payloads[weights]!]
    // A factor that is a product itself might not be there yet.
    if (this.#scales.products.has(a.tensor) || this.#scales.products.has(b.tensor)) return undefined
    const fits =
      a.kind === 'float32' &&
      b.kind === 'float32' &&
      a.lengthBytes === 4 &&
      b.lengthBytes === lengthBytes
    return fits ? [input, weights] : undefined
  }

  /** Bytes of the product of the scales that `factors` gave. */
  product([input, weights]: readonly [number, number]): Uint8Array {
    const [factor = 0] = floatsAt(this.#next, input)
    const made = floatsAt(this.#next, weights)
    const bytes = new Uint8Array(4 * made.length)
    const view = new DataView(bytes.buffer)
    for (const [i, one] of made.entries()) view.setFloat32(4 * i, factor * one, true)
    return bytes
  }

  #scaleName({ tensor }: Payload): string | undefined {
    return tensor === '' ? undefined : this.#scales.of.get(tensor)
  }

  /** The payload of the new file with the scale of these codes. */
  #scaleOf(payload: Payload): number | undefined {
    const name = this.#scaleName(payload)
    const found = name === undefined ? undefined : this.#nextByTensor.get(name)
    return found !== undefined && this.#next.payloads[found]!.kind === 'float32' ? found : undefined
  }
}

/** The first payload of each tensor that has a name. */
function byTensor(payloads: readonly Payload[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  for (const [i, { tensor }] of payloads.entries()) {
    if (tensor !== '' && !found.has(tensor)) found.set(tensor, i)
  }
  return found
}

function floatsAt(side: Side, i: number): Float32Array {
  const bytes = payloadBytes(side, i)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const floats = new Float32Array(bytes.length >> 2)
  for (let at = 0; at < floats.length; at++) floats[at] = view.getFloat32(4 * at, true)
  return floats
}

/** Which of `count` scales belongs to an element: one for all, or one for each step of the first or the second dimension. */
function channelOf(payload: Payload, count: number): ((at: number) => number) | undefined {
  if (count === 1) return () => 0
  const { dims } = payload
  const elements = elementCount(payload)
  if (dims.reduce((product, dim) => product * dim, 1) !== elements) return undefined
  const [first = 0, second = 0] = dims
  if (first === count) {
    const inner = elements / count
    return (at) => Math.floor(at / inner)
  }
  if (second === count) {
    const inner = elements / first / count
    return (at) => Math.floor(at / inner) % count
  }
  return undefined
}

const words = new DataView(new ArrayBuffer(4))
function exponentOf(float: number): number {
  words.setFloat32(0, float)
  return (words.getInt32(0) >>> 23) & 255
}

/** The exponent of an element that is a float, or how many bits an integer has. */
export function ownExponent({ kind }: Payload): (expected: number) => number {
  if (kind === 'float32') return (expected) => (inOrder32(expected) >>> 23) & 255
  if (kind === 'float16')
    return (expected) => ((expected < 0 ? expected ^ 0x7fff : expected) >>> 10) & 31
  return () => 0
}

/** Codes in a row: of what goes into one output. */
export function columnsOf(payload: Payload, count: number): number {
  const rows = payload.dims[0] ?? 1
  if (payload.kind === 'bytes') return Math.min(8, count)
  return payload.dims.length > 1 && rows > 0 && count % rows === 0 ? count / rows : count
}
