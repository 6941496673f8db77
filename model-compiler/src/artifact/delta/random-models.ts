/** Models and their successors by chance, for the tests of the codec: the ways in which ONNX keeps numbers, and in which versions differ. */
import { create } from '@bufbuild/protobuf'
import { model, node, value } from '../../onnx/build.ts'
import {
  AttributeProtoSchema,
  type NodeProto,
  SparseTensorProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from '../../onnx/schema.ts'
import { attributeTypes } from '../../onnx/types.ts'
import { writeModel } from '../../onnx/write.ts'

export type Random = () => number

/** Evenly spread numbers from 0 to 1 that `seed` decides. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

type Sketch = {
  readonly name: string
  readonly type: number
  readonly dims: readonly number[]
  /** Where the numbers are kept: as words, or in the field of their type. */
  readonly typed: boolean
  readonly place: 'initializer' | 'constant' | 'branch' | 'sparse'
  readonly words: Int32Array
}

/** float32, uint8, int8, uint16, int16, int32, int64, bool, float16, uint32, bfloat16, uint4, int4 and one that nobody knows. */
const types = [1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 16, 21, 22, 99]
const places = ['initializer', 'initializer', 'constant', 'branch', 'sparse'] as const

const below = (random: Random, count: number): number => Math.floor(random() * count)
const pick = <T>(random: Random, from: readonly T[]): T => from[below(random, from.length)]!

/** A model and a later version of it. */
export function randomPair(seed: number): { readonly base: Uint8Array; readonly next: Uint8Array } {
  const random = randomOf(seed)
  const sketches = Array.from({ length: 1 + below(random, 8) }, (_, i) => sketch(random, i))
  const later = sketches.flatMap((one) => successors(random, one))
  if (random() < 0.2) later.push(sketch(random, 90))
  if (random() < 0.2) later.reverse()
  return { base: fileOf(sketches), next: fileOf(later) }
}

function sketch(random: Random, i: number): Sketch {
  const dims = Array.from({ length: below(random, 4) }, () => 1 + below(random, 9))
  const count = dims.reduce((product, dim) => product * dim, 1)
  const spread = pick(random, [1, 16, 256, 2 ** 31])
  return {
    name: random() < 0.1 ? '' : `t${i}`,
    type: pick(random, types),
    dims,
    typed: random() < 0.3,
    place: pick(random, places),
    words: Int32Array.from({ length: count }, () => (random() - 0.5) * spread),
  }
}

function successors(random: Random, one: Sketch): Sketch[] {
  const change = below(random, 8)
  if (change === 0) return []
  if (change === 1) return [{ ...one, name: `${one.name}x` }]
  if (change === 2) return [sketch(random, Number(one.name.slice(1) || 0))]
  if (change === 3) return [one, one]
  if (change < 6) return [one]
  const step = pick(random, [1, 3, 1000])
  const words = one.words.map((word) => (random() < 0.5 ? word : word + (random() - 0.5) * step))
  return [{ ...one, words }]
}

function fileOf(sketches: readonly Sketch[]): Uint8Array {
  const of = (place: Sketch['place']) => sketches.filter((one) => one.place === place).map(tensorOf)
  const constants = of('constant').map((made, i) =>
    node('Constant', [], [`c${i}`], { value: { tensor: made } }),
  )
  const branch = create(AttributeProtoSchema, {
    name: 'then_branch',
    type: attributeTypes.graph,
    g: { name: 'branch', initializer: of('branch'), node: [node('Identity', ['x'], ['z'])] },
  })
  const choice: NodeProto = node('If', ['x'], ['b'])
  choice.attribute.push(branch)
  const made = model({
    name: 'chance',
    inputs: [value('x', 'float32', [1])],
    outputs: [value('b', 'float32', [1])],
    nodes: [...constants, choice, node('DequantizeLinear', ['t0', 't1'], ['d'])],
    initializers: of('initializer'),
  })
  made.graph!.sparseInitializer = of('sparse').map((values) =>
    create(SparseTensorProtoSchema, { values }),
  )
  return writeModel(made)
}

function tensorOf({ name, type, dims, typed, words }: Sketch): TensorProto {
  const tensor = create(TensorProtoSchema, { name, dims: dims.map(BigInt), dataType: type })
  if (typed && type === 1) tensor.floatData = [...words].map((word) => Math.fround(word / 7))
  else if (typed && type === 7) tensor.int64Data = [...words].map(BigInt)
  else if (typed && type !== 99) tensor.int32Data = [...words].map((word) => narrow(type, word))
  else
    tensor.rawData = new Uint8Array(words.buffer).slice(0, 4 * words.length - (type === 99 ? 1 : 0))
  return tensor
}

/** As an exporter keeps it, mostly: what does not fit its type is to be carried as well. */
const narrow = (type: number, word: number): number => {
  if (type === 3) return (word << 24) >> 24
  if (type === 2 || type === 9) return word & 255
  return type === 10 || type === 4 ? word & 0xffff : word
}
