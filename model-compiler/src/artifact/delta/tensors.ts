/**
 * Payloads one after the other, in an order in which each finds what predicts it: floats, then scales that are products of floats, then
 * everything else. Modes and residuals share one range coder. Docs: docs/artifact.md, "Payloads".
 */
import { ArtifactError } from '../artifact-error.ts'
import { compress } from '../zstd.ts'
import { CodeModel } from './code-model.ts'
import { costOf } from './costs.ts'
import { type Elements, elementCount, elementsOf, isCode, writeElements } from './elements.ts'
import { MixedBit } from './mixing.ts'
import { type Mode, modeCount, modes } from './modes.ts'
import { NumberModel } from './number-model.ts'
import type { NodeFact, Payload } from './onnx-payloads.ts'
import { columnsOf, ownExponent, Prediction, payloadBytes, type Side } from './predict.ts'
import type { Coder, RangeDecoder, RangeEncoder } from './range-coder.ts'

/** What one payload took. */
export type ToldPayload = {
  readonly name: string
  readonly lengthBytes: number
  readonly mode: keyof typeof modes
  /** Bits in the range coder, or bytes times eight beside it. */
  readonly bits: number
}

/** A file that is nothing but bytes. */
export function wholeFile(bytes: Uint8Array): Side {
  const payload: Payload = {
    name: '',
    tensor: '',
    dataType: 0,
    kind: 'bytes',
    packed: false,
    signed: false,
    dims: [],
    at: 0,
    lengthBytes: bytes.length,
  }
  const payloads = bytes.length > 0 ? [payload] : []
  return { bytes, payloads, offsets: new Float64Array(payloads.length) }
}

/** Codes the payloads of `next`; gives the bytes that go beside. */
export function writePayloads(
  coder: RangeEncoder,
  base: Side,
  next: Side,
  nodes: readonly NodeFact[],
): { readonly told: readonly ToldPayload[]; readonly apart: Uint8Array } {
  const prediction = new Prediction(base, next, nodes)
  const telling = new Telling(coder, base, next, prediction)
  const told: ToldPayload[] = []
  const apart: Uint8Array[] = []
  const take = (i: number, mode: Mode) => {
    const before = coder.bits
    telling.mode(mode)
    const bytes = payloadBytes(next, i)
    if (mode === modes.apart) apart.push(bytes)
    else if (mode !== modes.product) telling.content(i, mode, elementsOf(next.payloads[i]!, bytes))
    const { name, lengthBytes } = next.payloads[i]!
    const names = Object.keys(modes) as (keyof typeof modes)[]
    const bits = mode === modes.apart ? lengthBytes * 8 : coder.bits - before
    told.push({ name, lengthBytes, mode: names[mode]!, bits })
  }
  for (const isFirst of [true, false]) {
    for (const [i, payload] of next.payloads.entries()) {
      if (isFloat(payload) !== isFirst) continue
      take(i, chooseMode(i, base, next, prediction))
    }
  }
  return { told, apart: Buffer.concat(apart) }
}

/** Decodes the payloads of `next` into their places. */
export function readPayloads(
  coder: RangeDecoder,
  base: Side,
  next: Side,
  nodes: readonly NodeFact[],
  apart: Uint8Array,
): void {
  const prediction = new Prediction(base, next, nodes)
  const telling = new Telling(coder, base, next, prediction)
  const products: number[] = []
  let used = 0
  for (const isFirst of [true, false]) {
    for (const [i, payload] of next.payloads.entries()) {
      if (isFloat(payload) !== isFirst) continue
      const mode = telling.mode(0)
      if (mode === modes.product) products.push(i)
      else if (mode === modes.apart) {
        const bytes = apart.subarray(used, used + payload.lengthBytes)
        if (bytes.length < payload.lengthBytes) throw damaged('bytes beside it are missing')
        payloadBytes(next, i).set(bytes)
        used += payload.lengthBytes
      } else telling.content(i, mode, undefined)
    }
    // Their factors are there now.
    for (const i of products.splice(0)) {
      const factors = prediction.factors(i)
      if (factors === undefined) throw damaged('a product has no factors')
      payloadBytes(next, i).set(prediction.product(factors))
    }
  }
  if (used < apart.length) throw damaged('bytes beside it were not used')
}

const isFloat = ({ kind }: Payload): boolean => kind === 'float32' || kind === 'float16'

/** What is the same for both directions. */
class Telling {
  readonly #coder: Coder
  readonly #base: Side
  readonly #next: Side
  readonly #prediction: Prediction
  readonly #modes = new MixedBit([modeCount * 8], 1, { limit: 30 })
  readonly #codes = new CodeModel()
  readonly #numbers = { float: new NumberModel(), integer: new NumberModel() }
  #modeBefore: Mode = modes.same

  constructor(coder: Coder, base: Side, next: Side, prediction: Prediction) {
    this.#coder = coder
    this.#base = base
    this.#next = next
    this.#prediction = prediction
  }

  /** Three bits, each in the context of those before it and of the payload before. */
  mode(value: Mode): Mode {
    let node = 1
    for (let k = 2; k >= 0; k--) {
      this.#modes.at[0] = this.#modeBefore * 8 + node
      node = node * 2 + this.#modes.code(this.#coder, 0, (value >> k) & 1)
    }
    const mode = node - 8
    if (mode >= modeCount) throw damaged(`there is no mode ${mode}`)
    this.#modeBefore = mode as Mode
    return mode as Mode
  }

  /** Payload `i` in a mode with residuals, or none. `known` are its elements while encoding. */
  content(i: number, mode: Mode, known: Elements | undefined): void {
    const payload = this.#next.payloads[i]!
    const target = payloadBytes(this.#next, i)
    if (mode === modes.same) {
      const match = this.#prediction.matches[i]!
      if (match < 0 || this.#base.payloads[match]!.lengthBytes !== payload.lengthBytes) {
        throw damaged('there is nothing that a payload could be the same as')
      }
      if (known === undefined) target.set(payloadBytes(this.#base, match))
      return
    }
    const count = this.#count(payload, known)
    const expected = expectedIn(mode, i, count, this.#base, this.#prediction)
    if (mode !== modes.alone && expected === undefined) {
      throw damaged('there is nothing that a payload could be told by')
    }
    const isBytes = payload.kind === 'code8' || payload.kind === 'bytes'
    const values =
      known ??
      (isBytes && !payload.packed
        ? target
        : isCode(payload.kind)
          ? new Uint8Array(count)
          : new Int32Array(count))
    if (isCode(payload.kind)) {
      this.#codes.run(this.#coder, values as Uint8Array, expected as Uint8Array | undefined, {
        columns: columnsOf(payload, values.length),
        bits: payload.kind === 'code4' ? 4 : 8,
      })
    } else {
      const { float, integer } = this.#numbers
      const exponentOf =
        (isFloat(payload) ? undefined : this.#prediction.exponents(i)) ?? ownExponent(payload)
      const model = isFloat(payload) ? float : integer
      model.run(this.#coder, values as Int32Array, expected as Int32Array | undefined, exponentOf)
    }
    if (known === undefined && !writeElements(payload, values, target)) {
      throw damaged('numbers do not fill their place')
    }
  }

  /** Elements of a payload; varints are counted, as their bytes say nothing. */
  #count(payload: Payload, known: Elements | undefined): number {
    if (payload.packed) {
      const high = this.#coder.plain(16, (known?.length ?? 0) >>> 16)
      const count = high * 65536 + this.#coder.plain(16, (known?.length ?? 0) & 65535)
      if (count > payload.lengthBytes) throw damaged('there are more numbers than bytes')
      return count
    }
    const count = elementCount(payload)
    if (!Number.isInteger(count)) throw damaged('numbers do not fill their place')
    return count
  }
}

/** What a payload of `count` elements is expected to be in a mode; undefined where nothing is known. */
function expectedIn(
  mode: Mode,
  i: number,
  count: number,
  base: Side,
  prediction: Prediction,
): Elements | undefined {
  const match = prediction.matches[i]!
  if (match < 0 || (mode !== modes.base && mode !== modes.scaled)) return undefined
  const elements = elementsOf(base.payloads[match]!, payloadBytes(base, match))
  if (elements === undefined) return undefined
  const expected = mode === modes.scaled ? prediction.scaled(i, elements) : elements
  if (expected === undefined || expected.length === count) return expected
  const fitting = expected instanceof Uint8Array ? new Uint8Array(count) : new Int32Array(count)
  fitting.set(expected.subarray(0, count))
  return fitting
}

/** Payloads up to this length are tried with zstd too, where nothing is known of them. */
const apartBytesMax = 64 * 1024

function chooseMode(i: number, base: Side, next: Side, prediction: Prediction): Mode {
  const bytes = payloadBytes(next, i)
  const match = prediction.matches[i]!
  if (match >= 0 && equal(payloadBytes(base, match), bytes)) return modes.same
  const factors = prediction.factors(i)
  if (factors !== undefined && equal(prediction.product(factors), bytes)) return modes.product
  const elements = elementsOf(next.payloads[i]!, bytes)
  if (elements === undefined) return modes.apart
  let best: Mode = modes.alone
  let least = costOf(elements, undefined)
  for (const mode of [modes.base, modes.scaled]) {
    const expected = expectedIn(mode, i, elements.length, base, prediction)
    if (expected === undefined) continue
    const cost = costOf(elements, expected)
    if (cost < least) [best, least] = [mode, cost]
  }
  // A file that is nothing but bytes has nothing beside it.
  const hasBeside = next.payloads[i]!.lengthBytes < next.bytes.length
  const mayBeText = hasBeside && (best === modes.alone || next.payloads[i]!.kind === 'bytes')
  if (mayBeText && bytes.length <= apartBytesMax && compress(bytes).length * 8 < least) {
    return modes.apart
  }
  return best
}

const equal = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && Buffer.compare(a, b) === 0

const damaged = (why: string) =>
  new ArtifactError('damaged', `Cannot decode the tensors of a delta: ${why}`)
