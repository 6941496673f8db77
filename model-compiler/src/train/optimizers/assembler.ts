/**
 * WebAssembly written by code: as much of the binary format as loops over vectors of float32 need, four numbers at a
 * time. Numbers are those of the WebAssembly specification 2.0 (§5.4 instructions, §5.5 modules).
 */

export type WasmType = 'i32' | 'f32' | 'f64' | 'v128'
const typeCodes: Readonly<Record<WasmType, number>> = {
  i32: 0x7f,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
}

export type Bytes = readonly number[]

export type WasmFunction = {
  readonly name: string
  readonly parameters: readonly WasmType[]
  readonly result?: WasmType
  /** After the parameters, in one numbering with them. */
  readonly locals: readonly WasmType[]
  readonly body: Bytes
}

/** Bytes of one page of memory. */
export const pageBytes = 65_536

/** A module with one memory of a size that never changes, so that views of it stay valid, and these functions. */
export function assemble(
  pages: number,
  functions: readonly WasmFunction[],
): Uint8Array<ArrayBuffer> {
  const types = functions.map(({ parameters, result }) => [
    0x60,
    ...list(parameters.map((type) => [typeCodes[type]])),
    ...list(result === undefined ? [] : [[typeCodes[result]]]),
  ])
  const bodies = functions.map(({ locals, body }) =>
    sized([...list(locals.map((type) => [1, typeCodes[type]])), ...body, 0x0b]),
  )
  const names = functions.map(({ name }, index) => [...text(name), 0x00, ...unsigned(index)])
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, list(types)),
    ...section(3, list(functions.map((_, index) => unsigned(index)))),
    ...section(5, list([[0x01, ...unsigned(pages), ...unsigned(pages)]])),
    ...section(7, list([[...text('memory'), 0x02, 0x00], ...names])),
    ...section(10, list(bodies)),
  ])
}

const section = (id: number, content: Bytes): Bytes => [id, ...sized(content)]
const sized = (content: Bytes): Bytes => [...unsigned(content.length), ...content]
const list = (items: readonly Bytes[]): Bytes => [...unsigned(items.length), ...items.flat()]
const text = (name: string): Bytes => sized([...new TextEncoder().encode(name)])

/** A number in LEB128, as indexes and sizes are written. */
export function unsigned(value: number): Bytes {
  const low = value % 128
  const rest = Math.floor(value / 128)
  return rest === 0 ? [low] : [low + 128, ...unsigned(rest)]
}

/** A constant in signed LEB128. */
function signed(value: number): Bytes {
  const low = value & 0x7f
  const rest = value >> 7
  const ends = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)
  return ends ? [low] : [low | 0x80, ...signed(rest)]
}

const simd = (code: number): Bytes => [0xfd, ...unsigned(code)]
/** No alignment is promised, no offset is added. */
const anywhere = [0x00, 0x00] as const

export const get = (local: number): Bytes => [0x20, ...unsigned(local)]
export const set = (local: number): Bytes => [0x21, ...unsigned(local)]
export const i32 = {
  constant: (value: number): Bytes => [0x41, ...signed(value)],
  add: [0x6a],
  and: [0x71],
  shiftLeft: [0x74],
  lessUnsigned: [0x49],
} as const

/** The same arithmetic on one number and on four. */
export type Lane = {
  readonly type: WasmType
  /** Numbers at a time. */
  readonly numbers: number
  readonly load: Bytes
  readonly store: Bytes
  readonly add: Bytes
  readonly sub: Bytes
  readonly mul: Bytes
  readonly div: Bytes
  readonly sqrt: Bytes
}

export const oneNumber: Lane = {
  type: 'f32',
  numbers: 1,
  load: [0x2a, ...anywhere],
  store: [0x38, ...anywhere],
  add: [0x92],
  sub: [0x93],
  mul: [0x94],
  div: [0x95],
  sqrt: [0x91],
}

export const fourNumbers: Lane = {
  type: 'v128',
  numbers: 4,
  load: [...simd(0x00), ...anywhere],
  store: [...simd(0x0b), ...anywhere],
  add: simd(0xe4),
  sub: simd(0xe5),
  mul: simd(0xe6),
  div: simd(0xe7),
  sqrt: simd(0xe3),
}

/** Four times the same number. */
export const splat: Bytes = simd(0x13)
export const f64 = { add: [0xa0], mul: [0xa2], ofF32: [0xbb] } as const
export const f64x2 = {
  add: simd(0xf0),
  mul: simd(0xf2),
  /** Of the first two numbers of four. */
  ofF32: simd(0x5f),
  lane: (index: 0 | 1): Bytes => [...simd(0x21), index],
} as const
/** The last two of four numbers where the first two were; wants its operand twice. */
export const upperHalf: Bytes = [...simd(0x0d), ...Array.from({ length: 16 }, (_, i) => 8 + i)]

/** Repeats `body` with the byte offset in local `offset` from where it is up to below local `end`. */
export function loop(offset: number, end: number, stride: number, body: Bytes): Bytes {
  const again = [...get(offset), ...get(end), ...i32.lessUnsigned]
  const next = [...get(offset), ...i32.constant(stride), ...i32.add, ...set(offset)]
  // if (offset < end) do { body; offset += stride } while (offset < end)
  return [...again, 0x04, 0x40, 0x03, 0x40, ...body, ...next, ...again, 0x0d, 0x00, 0x0b, 0x0b]
}
