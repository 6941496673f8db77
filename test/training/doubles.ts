/**
 * What a model computes, in doubles and the slow way: one loop per operator, written down from what the operator means. It is
 * what gradients are held against, so nothing here is shared with what is tested, and nothing is clever.
 */
import { floatOf, intOf, intsOf, stringOf } from '../../model-compiler/src/graph/attributes.ts'
import type { ModelProto, NodeProto } from '../../model-compiler/src/onnx/schema.ts'
import { valuesOf } from '../../model-compiler/src/onnx/tensor.ts'

/** Numbers of any type, held as doubles. */
export type Doubles = { readonly shape: readonly number[]; readonly data: Float64Array }

type Operator = (inputs: readonly (Doubles | undefined)[], node: NodeProto) => Doubles | Doubles[]

/**
 * All values of a model by name.
 * @param given inputs, and constants to be used in place of those of the file
 * @param operators in place of `doubleOperators`
 */
export function evaluate(
  model: ModelProto,
  given: Readonly<Record<string, Doubles>>,
  operators = doubleOperators,
): Map<string, Doubles> {
  const values = new Map<string, Doubles>()
  for (const constant of model.graph!.initializer) {
    const data = Float64Array.from(valuesOf(constant) as ArrayLike<number | bigint>, Number)
    values.set(constant.name, { shape: constant.dims.map(Number), data })
  }
  for (const [name, value] of Object.entries(given)) values.set(name, value)
  for (const node of model.graph!.node) {
    const key = node.domain === '' ? node.opType : `${node.domain}.${node.opType}`
    const operator = operators[key]
    if (!operator) throw new Error(`Cannot evaluate ${key}: it is not written down in doubles`)
    const results = operator(
      node.input.map((name) => values.get(name)),
      node,
    )
    for (const [at, result] of (Array.isArray(results) ? results : [results]).entries()) {
      if (node.output[at]) values.set(node.output[at], result)
    }
  }
  return values
}

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)

/** A tensor filled by its places. */
export function filled(
  shape: readonly number[],
  compute: (at: readonly number[]) => number,
): Doubles {
  const data = new Float64Array(size(shape))
  const at = shape.map(() => 0)
  for (let index = 0; index < data.length; index++) {
    data[index] = compute(at)
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at[axis]!++
      if (at[axis]! < shape[axis]!) break
      at[axis] = 0
    }
  }
  return { shape, data }
}

/** An element; places before the tensor's own first axis are left out, and where it has length 1 it repeats. */
export function element({ shape, data }: Doubles, at: readonly number[]): number {
  let index = 0
  const extra = at.length - shape.length
  for (const [axis, length] of shape.entries()) {
    index = index * length + (length === 1 ? 0 : at[axis + extra]!)
  }
  return data[index]!
}

const stretched = (shapes: readonly (readonly number[])[]): number[] => {
  const rank = Math.max(...shapes.map(({ length }) => length))
  return Array.from({ length: rank }, (_, axis) =>
    Math.max(...shapes.map((shape) => shape[axis - rank + shape.length] ?? 1)),
  )
}

const unary =
  (compute: (x: number, node: NodeProto) => number): Operator =>
  ([x], node) => ({ shape: x!.shape, data: x!.data.map((one) => compute(one, node)) })

const several =
  (compute: (...values: number[]) => number): Operator =>
  (inputs) => {
    const all = inputs as Doubles[]
    return filled(stretched(all.map(({ shape }) => shape)), (at) =>
      compute(...all.map((one) => element(one, at))),
    )
  }

const inOrder = (compute: (a: number, b: number) => number): Operator =>
  several((...values) => values.reduce((a, b) => compute(a, b)))

/** The error function, by its series near 0 and its continued fraction far out; right to 1e-15. */
function erf(x: number): number {
  const z = Math.abs(x)
  if (z > 6) return Math.sign(x)
  if (z < 3) {
    let term = z
    let sum = z
    for (let n = 1; n < 200; n++) {
      term *= (-z * z) / n
      sum += term / (2 * n + 1)
    }
    return Math.sign(x) * sum * (2 / Math.sqrt(Math.PI))
  }
  let fraction = 0
  for (let n = 100; n >= 1; n--) fraction = n / 2 / (z + fraction)
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction))
}

const axesOf = (node: NodeProto, input: Doubles | undefined, rank: number): number[] => {
  const said = intsOf(node, 'axes', undefined) ?? (input ? [...input.data] : [])
  const axes = said.length === 0 ? Array.from({ length: rank }, (_, axis) => axis) : said
  return axes.map((axis) => (axis < 0 ? axis + rank : axis))
}

const reduction =
  (combine: (values: readonly number[]) => number): Operator =>
  ([x, list], node) => {
    const { shape } = x!
    const axes = axesOf(node, list, shape.length)
    const kept = shape.map((length, axis) => (axes.includes(axis) ? 1 : length))
    const groups = filled(kept, () => 0)
    const members = Array.from({ length: groups.data.length }, (): number[] => [])
    filled(shape, (at) => {
      let index = 0
      for (const [axis, length] of kept.entries())
        index = index * length + (length === 1 ? 0 : at[axis]!)
      members[index]!.push(element(x!, at))
      return 0
    })
    const data = Float64Array.from(members, combine)
    const keep = intOf(node, 'keepdims', 1) !== 0
    return { shape: keep ? kept : shape.filter((_, axis) => !axes.includes(axis)), data }
  }

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

function matMul([a, b]: readonly (Doubles | undefined)[]): Doubles {
  const left = a!.shape.length === 1 ? { ...a!, shape: [1, ...a!.shape] } : a!
  const right = b!.shape.length === 1 ? { ...b!, shape: [...b!.shape, 1] } : b!
  const batch = stretched([left.shape.slice(0, -2), right.shape.slice(0, -2)])
  const inner = left.shape.at(-1)!
  const product = filled([...batch, left.shape.at(-2)!, right.shape.at(-1)!], (at) => {
    const place = at.slice(0, -2)
    let total = 0
    for (let k = 0; k < inner; k++) {
      total += element(left, [...place, at.at(-2)!, k]) * element(right, [...place, k, at.at(-1)!])
    }
    return total
  })
  const shape = [...batch]
  if (a!.shape.length > 1) shape.push(left.shape.at(-2)!)
  if (b!.shape.length > 1) shape.push(right.shape.at(-1)!)
  return { shape, data: product.data }
}

const gemm: Operator = ([a, b, c], node) => {
  const turned = (x: Doubles) => filled(x.shape.toReversed(), ([i, j]) => element(x, [j!, i!]))
  const left = intOf(node, 'transA', 0) ? turned(a!) : a!
  const right = intOf(node, 'transB', 0) ? turned(b!) : b!
  const product = matMul([left, right])
  const [alpha, beta] = [floatOf(node, 'alpha', 1), floatOf(node, 'beta', 1)]
  return filled(
    product.shape,
    (at) => alpha * element(product, at) + (c ? beta * element(c, at) : 0),
  )
}

/** begin and end of each axis behind the first two, with automatic padding settled. */
function padsOf(
  node: NodeProto,
  space: readonly number[],
  reach: readonly number[],
  strides: readonly number[],
) {
  const mode = stringOf(node, 'auto_pad', 'NOTSET')
  const none = space.map(() => 0)
  if (mode === 'VALID') return [...none, ...none]
  if (!mode.startsWith('SAME')) return intsOf(node, 'pads', [...none, ...none])
  const total = space.map((length, axis) =>
    Math.max(0, (Math.ceil(length / strides[axis]!) - 1) * strides[axis]! + reach[axis]! - length),
  )
  const less = total.map((one) => Math.floor(one / 2))
  const more = total.map((one) => Math.ceil(one / 2))
  return mode === 'SAME_UPPER' ? [...less, ...more] : [...more, ...less]
}

/** Every place of a small box. */
function* places(shape: readonly number[]): Generator<number[]> {
  for (let index = 0; index < size(shape); index++) {
    let rest = index
    const at = shape.map(() => 0)
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at[axis] = rest % shape[axis]!
      rest = Math.floor(rest / shape[axis]!)
    }
    yield at
  }
}

const convolution: Operator = ([x, w, b], node) => {
  const space = x!.shape.slice(2)
  const kernel = w!.shape.slice(2)
  const ones = space.map(() => 1)
  const strides = intsOf(node, 'strides', ones)
  const dilations = intsOf(node, 'dilations', ones)
  const reach = kernel.map((length, axis) => dilations[axis]! * (length - 1) + 1)
  const pads = padsOf(node, space, reach, strides)
  const group = intOf(node, 'group', 1)
  const out = space.map((length, axis) =>
    Math.floor(
      (length + pads[axis]! + pads[axis + space.length]! - reach[axis]!) / strides[axis]! + 1,
    ),
  )
  const perGroup = w!.shape[1]!
  const outPerGroup = w!.shape[0]! / group
  return filled([x!.shape[0]!, w!.shape[0]!, ...out], ([n, o, ...at]) => {
    let total = b ? b.data[o!]! : 0
    for (let c = 0; c < perGroup; c++) {
      for (const k of places(kernel)) {
        const from = at.map(
          (one, axis) => one * strides[axis]! + k[axis]! * dilations[axis]! - pads[axis]!,
        )
        if (from.some((one, axis) => one < 0 || one >= space[axis]!)) continue
        const channel = Math.floor(o! / outPerGroup) * perGroup + c
        total += element(x!, [n!, channel, ...from]) * element(w!, [o!, c, ...k])
      }
    }
    return total
  })
}

const pool =
  (combine: (values: readonly number[], windowSize: number, node: NodeProto) => number): Operator =>
  ([x], node) => {
    const space = x!.shape.slice(2)
    const kernel = intsOf(node, 'kernel_shape', space as number[])
    const ones = space.map(() => 1)
    const strides = intsOf(node, 'strides', ones)
    const dilations = intsOf(node, 'dilations', ones)
    const reach = kernel.map((length, axis) => dilations[axis]! * (length - 1) + 1)
    const pads = padsOf(node, space, reach, strides)
    const ceil = intOf(node, 'ceil_mode', 0) !== 0
    const out = space.map((length, axis) => {
      const room = length + pads[axis]! + pads[axis + space.length]! - reach[axis]!
      const steps = ceil ? Math.ceil(room / strides[axis]!) : Math.floor(room / strides[axis]!)
      // A last window that would begin in the padding behind is left out.
      return steps * strides[axis]! >= length + pads[axis]! ? steps : steps + 1
    })
    return filled([x!.shape[0]!, x!.shape[1]!, ...out], ([n, c, ...at]) => {
      const values: number[] = []
      let counted = 0
      for (const k of places(kernel)) {
        const from = at.map(
          (one, axis) => one * strides[axis]! + k[axis]! * dilations[axis]! - pads[axis]!,
        )
        // Padding counts, what lies beyond it does not.
        if (from.every((one, axis) => one < space[axis]! + pads[axis + space.length]!)) counted++
        if (from.some((one, axis) => one < 0 || one >= space[axis]!)) continue
        values.push(element(x!, [n!, c!, ...from]))
      }
      return combine(values, counted, node)
    })
  }

const globalPool =
  (combine: (values: readonly number[]) => number): Operator =>
  ([x]) =>
    filled([x!.shape[0]!, x!.shape[1]!, ...x!.shape.slice(2).map(() => 1)], ([n, c]) =>
      combine([...places(x!.shape.slice(2))].map((at) => element(x!, [n!, c!, ...at]))),
    )

const softmax: Operator = ([x], node) => {
  const rank = x!.shape.length
  const axis = (intOf(node, 'axis', -1) + rank) % rank
  const exp = (at: readonly number[], k: number) => Math.exp(element(x!, at.with(axis, k)))
  return filled(x!.shape, (at) => {
    let total = 0
    for (let k = 0; k < x!.shape[axis]!; k++) total += exp(at, k)
    return exp(at, at[axis]!) / total
  })
}

const batchNorm: Operator = ([x, scale, bias, mean, variance], node) => {
  const epsilon = floatOf(node, 'epsilon', 1e-5)
  return filled(x!.shape, (at) => {
    const c = at[1]!
    const normal = (element(x!, at) - mean!.data[c]!) / Math.sqrt(variance!.data[c]! + epsilon)
    return normal * scale!.data[c]! + bias!.data[c]!
  })
}

/** In training: by mean and variance of the batch. */
const batchNormOfBatch: Operator = ([x, scale, bias], node) => {
  const { shape } = x!
  const epsilon = floatOf(node, 'epsilon', 1e-5)
  const figures = Array.from({ length: shape[1]! }, (_, c) => {
    const box = [...places([shape[0]!, ...shape.slice(2)])]
    const values = box.map(([n, ...at]) => element(x!, [n!, c, ...at]))
    const mean = sum(values) / values.length
    const variance = sum(values.map((one) => (one - mean) ** 2)) / values.length
    return { mean, deviation: Math.sqrt(variance + epsilon) }
  })
  return filled(shape, (at) => {
    const { mean, deviation } = figures[at[1]!]!
    return ((element(x!, at) - mean) / deviation) * scale!.data[at[1]!]! + bias!.data[at[1]!]!
  })
}

const layerNorm: Operator = ([x, scale, bias], node) => {
  const { shape } = x!
  const rank = shape.length
  const axis = (intOf(node, 'axis', -1) + rank) % rank
  const inner = shape.slice(axis)
  const epsilon = floatOf(node, 'epsilon', 1e-5)
  return filled(shape, (at) => {
    const values = [...places(inner)].map((k) => element(x!, [...at.slice(0, axis), ...k]))
    const mean = sum(values) / values.length
    const variance = sum(values.map((one) => (one - mean) ** 2)) / values.length
    const normal = (element(x!, at) - mean) / Math.sqrt(variance + epsilon)
    return normal * element(scale!, at) + (bias ? element(bias, at) : 0)
  })
}

const reshape: Operator = ([x, list], node) => {
  const target = [...list!.data].map((one, axis) =>
    one === 0 && !intOf(node, 'allowzero', 0) ? x!.shape[axis]! : one,
  )
  const known = target.filter((one) => one !== -1).reduce((a, b) => a * b, 1)
  return { shape: target.map((one) => (one === -1 ? size(x!.shape) / known : one)), data: x!.data }
}

const transpose: Operator = ([x], node) => {
  const perm = intsOf(node, 'perm', [...x!.shape.keys()].toReversed())
  return filled(
    perm.map((axis) => x!.shape[axis]!),
    (at) => {
      const from = x!.shape.map(() => 0)
      for (const [to, axis] of perm.entries()) from[axis] = at[to]!
      return element(x!, from)
    },
  )
}

const concat: Operator = (inputs, node) => {
  const all = inputs as Doubles[]
  const rank = all[0]!.shape.length
  const axis = (intOf(node, 'axis', 0) + rank) % rank
  const total = sum(all.map(({ shape }) => shape[axis]!))
  return filled(all[0]!.shape.with(axis, total), (at) => {
    let place = at[axis]!
    for (const one of all) {
      if (place < one.shape[axis]!) return element(one, at.with(axis, place))
      place -= one.shape[axis]!
    }
    throw new Error('beyond the parts')
  })
}

const split: Operator = ([x, list], node) => {
  const rank = x!.shape.length
  const axis = (intOf(node, 'axis', 0) + rank) % rank
  const length = x!.shape[axis]!
  const chunk = Math.ceil(length / node.output.length)
  const lengths = list
    ? [...list.data]
    : node.output.map((_, at) => Math.min(chunk, length - at * chunk))
  let start = 0
  return lengths.map((count) => {
    const from = start
    start += count
    return filled(x!.shape.with(axis, count), (at) => element(x!, at.with(axis, at[axis]! + from)))
  })
}

const slice: Operator = ([x, starts, ends, axes, steps]) => {
  const { shape } = x!
  const from = shape.map(() => 0)
  const step = shape.map(() => 1)
  const out = [...shape]
  for (const [at, start] of starts!.data.entries()) {
    const axis = axes ? (axes.data[at]! + shape.length) % shape.length : at
    const length = shape[axis]!
    const by = steps?.data[at] ?? 1
    const bound = (value: number, least: number, most: number) =>
      Math.min(most, Math.max(least, value < 0 ? value + length : value))
    const first = by > 0 ? bound(start, 0, length) : bound(start, 0, length - 1)
    const end = by > 0 ? bound(ends!.data[at]!, 0, length) : bound(ends!.data[at]!, -1, length - 1)
    from[axis] = first
    step[axis] = by
    out[axis] = Math.max(0, Math.ceil((end - first) / by))
  }
  return filled(out, (at) =>
    element(
      x!,
      at.map((one, axis) => from[axis]! + one * step[axis]!),
    ),
  )
}

const pad: Operator = ([x, list, fill, axes], node) => {
  const rank = x!.shape.length
  const over = axes ? [...axes.data].map((axis) => (axis + rank) % rank) : [...x!.shape.keys()]
  const before = x!.shape.map(() => 0)
  const out = [...x!.shape]
  for (const [at, axis] of over.entries()) {
    before[axis] = list!.data[at]!
    out[axis] = out[axis]! + list!.data[at]! + list!.data[at + over.length]!
  }
  const mode = stringOf(node, 'mode', 'constant')
  return filled(out, (at) => {
    const from = at.map((one, axis) => one - before[axis]!)
    const inner = from.map((one, axis) => {
      const length = x!.shape[axis]!
      if (mode === 'edge') return Math.min(length - 1, Math.max(0, one))
      if (mode === 'reflect') return one < 0 ? -one : one >= length ? 2 * (length - 1) - one : one
      if (mode === 'wrap') return (one + length) % length
      return one
    })
    if (inner.some((one, axis) => one < 0 || one >= x!.shape[axis]!)) return fill?.data[0] ?? 0
    return element(x!, inner)
  })
}

const gather: Operator = ([x, indices], node) => {
  const rank = x!.shape.length
  const axis = (intOf(node, 'axis', 0) + rank) % rank
  const shape = [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)]
  return filled(shape, (at) => {
    const picked = element(indices!, at.slice(axis, axis + indices!.shape.length))
    const index = picked < 0 ? picked + x!.shape[axis]! : picked
    return element(x!, [...at.slice(0, axis), index, ...at.slice(axis + indices!.shape.length)])
  })
}

const squeeze: Operator = ([x, list]) => {
  const rank = x!.shape.length
  const axes = list ? [...list.data].map((axis) => (axis + rank) % rank) : undefined
  const kept = x!.shape.filter((length, axis) => (axes ? !axes.includes(axis) : length !== 1))
  return { shape: kept, data: x!.data }
}
const unsqueeze: Operator = ([x, list]) => {
  const rank = x!.shape.length + list!.data.length
  const axes = [...list!.data].map((axis) => (axis + rank) % rank)
  const shape: number[] = []
  let next = 0
  for (let axis = 0; axis < rank; axis++) {
    shape.push(axes.includes(axis) ? 1 : x!.shape[next++]!)
  }
  return { shape, data: x!.data }
}
const flatten: Operator = ([x], node) => {
  const said = intOf(node, 'axis', 1)
  const axis = said < 0 ? said + x!.shape.length : said
  return { shape: [size(x!.shape.slice(0, axis)), size(x!.shape.slice(axis))], data: x!.data }
}

const depthToSpace: Operator = ([x], node) => {
  const [n, c, h, w] = x!.shape as [number, number, number, number]
  const b = intOf(node, 'blocksize', 1)
  const rest = c / b ** 2
  const blocksFirst = stringOf(node, 'mode', 'DCR') === 'DCR'
  return filled([n, rest, h * b, w * b], ([i, k, y, z]) => {
    const block = (y! % b) * b + (z! % b)
    const channel = blocksFirst ? block * rest + k! : k! * b * b + block
    return element(x!, [i!, channel, Math.floor(y! / b), Math.floor(z! / b)])
  })
}
const spaceToDepth: Operator = ([x], node) => {
  const [n, c, h, w] = x!.shape as [number, number, number, number]
  const b = intOf(node, 'blocksize', 1)
  return filled([n, c * b * b, h / b, w / b], ([i, k, y, z]) => {
    const block = Math.floor(k! / c)
    return element(x!, [i!, k! % c, y! * b + Math.floor(block / b), z! * b + (block % b)])
  })
}

const instanceNorm: Operator = ([x, scale, bias], node) => {
  const space = [...places(x!.shape.slice(2))]
  const epsilon = floatOf(node, 'epsilon', 1e-5)
  return filled(x!.shape, (at) => {
    const values = space.map((k) => element(x!, [at[0]!, at[1]!, ...k]))
    const mean = sum(values) / values.length
    const variance = sum(values.map((one) => (one - mean) ** 2)) / values.length
    const normal = (element(x!, at) - mean) / Math.sqrt(variance + epsilon)
    return normal * scale!.data[at[1]!]! + bias!.data[at[1]!]!
  })
}

/** One axis after the other, each element of the result from one or two of the source. */
const resize: Operator = ([x, , factors, lengths], node) => {
  const rank = x!.shape.length
  const axes = intsOf(node, 'axes', [...x!.shape.keys()]).map((axis) => (axis + rank) % rank)
  const coordinates = stringOf(node, 'coordinate_transformation_mode', 'half_pixel')
  const nearest = stringOf(node, 'mode', 'nearest') === 'nearest'
  const rounding = stringOf(node, 'nearest_mode', 'round_prefer_floor')
  let result = x!
  for (const [index, axis] of axes.entries()) {
    const source = result
    const before = source.shape[axis]!
    const after = factors?.data.length
      ? Math.floor(before * factors.data[index]!)
      : lengths!.data[index]!
    const scale = factors?.data.length ? factors.data[index]! : after / before
    const placeOf = (at: number): number => {
      switch (coordinates) {
        case 'asymmetric':
          return at / scale
        case 'align_corners':
          return after === 1 ? 0 : (at * (before - 1)) / (after - 1)
        case 'pytorch_half_pixel':
          return after > 1 ? (at + 0.5) / scale - 0.5 : 0
        case 'half_pixel_symmetric':
          return (before / 2) * (1 - after / (scale * before)) + (at + 0.5) / scale - 0.5
        default:
          return (at + 0.5) / scale - 0.5
      }
    }
    const round = (place: number): number => {
      if (rounding === 'floor') return Math.floor(place)
      if (rounding === 'ceil') return Math.ceil(place)
      return rounding === 'round_prefer_ceil' ? Math.floor(place + 0.5) : Math.ceil(place - 0.5)
    }
    const inside = (place: number) => Math.min(before - 1, Math.max(0, place))
    result = filled(source.shape.with(axis, after), (at) => {
      const place = placeOf(at[axis]!)
      if (nearest) return element(source, at.with(axis, inside(round(place))))
      const low = Math.floor(inside(place))
      const share = inside(place) - low
      const value = (from: number) => element(source, at.with(axis, inside(from)))
      return value(low) * (1 - share) + value(low + 1) * share
    })
  }
  return result
}

const bounded = (x: number, least: number, most: number) => Math.min(most, Math.max(least, x))
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
const hardSigmoid = (x: number, alpha: number, beta: number) => bounded(alpha * x + beta, 0, 1)
const tanhGelu = (x: number) =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
const gelu = (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2))

/** Each operator as its definition says. Add one here when its gradient is added. */
export const doubleOperators: Record<string, Operator> = {
  Add: inOrder((a, b) => a + b),
  Sub: inOrder((a, b) => a - b),
  Mul: inOrder((a, b) => a * b),
  Div: inOrder((a, b) => a / b),
  Max: inOrder(Math.max),
  Min: inOrder(Math.min),
  Sum: inOrder((a, b) => a + b),
  Mean: several((...values) => sum(values) / values.length),
  Pow: inOrder((a, b) => a ** b),
  Where: several((condition, yes, no) => (condition ? yes! : no!)),
  Greater: several((a, b) => Number(a! > b!)),
  Less: several((a, b) => Number(a! < b!)),
  Equal: several((a, b) => Number(a === b)),
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Erf: unary(erf),
  Atan: unary(Math.atan),
  Relu: unary((x) => Math.max(0, x)),
  LeakyRelu: unary((x, node) => (x < 0 ? floatOf(node, 'alpha', 0.01) * x : x)),
  PRelu: several((x, slope) => (x! < 0 ? slope! * x! : x!)),
  Clip: ([x, least, most]) => ({
    shape: x!.shape,
    data: x!.data.map((one) =>
      bounded(
        one,
        least?.data[0] ?? Number.NEGATIVE_INFINITY,
        most?.data[0] ?? Number.POSITIVE_INFINITY,
      ),
    ),
  }),
  Sigmoid: unary(sigmoid),
  Softplus: unary((x) => Math.log1p(Math.exp(x))),
  Tanh: unary(Math.tanh),
  HardSigmoid: unary((x, node) =>
    hardSigmoid(x, floatOf(node, 'alpha', 0.2), floatOf(node, 'beta', 0.5)),
  ),
  HardSwish: unary((x) => x * hardSigmoid(x, 1 / 6, 0.5)),
  Gelu: unary((x, node) =>
    stringOf(node, 'approximate', 'none') === 'tanh' ? tanhGelu(x) : gelu(x),
  ),
  Identity: unary((x) => x),
  Dropout: unary((x) => x),
  Cast: unary((x) => x),
  Softmax: softmax,
  LogSoftmax: (inputs, node) => {
    const { shape, data } = softmax(inputs, node) as Doubles
    return { shape, data: data.map(Math.log) }
  },
  ReduceSum: reduction(sum),
  ReduceMean: reduction((values) => sum(values) / values.length),
  ReduceMax: reduction((values) => Math.max(...values)),
  ReduceMin: reduction((values) => Math.min(...values)),
  ReduceSumSquare: reduction((values) => sum(values.map((one) => one * one))),
  ReduceL2: reduction((values) => Math.hypot(...values)),
  ReduceL1: reduction((values) => sum(values.map(Math.abs))),
  MatMul: (inputs) => matMul(inputs),
  Gemm: gemm,
  Conv: convolution,
  MaxPool: pool((values) => Math.max(...values)),
  AveragePool: pool(
    (values, counted, node) =>
      sum(values) / (intOf(node, 'count_include_pad', 0) ? counted : values.length),
  ),
  GlobalAveragePool: globalPool((values) => sum(values) / values.length),
  GlobalMaxPool: globalPool((values) => Math.max(...values)),
  BatchNormalization: batchNorm,
  LayerNormalization: layerNorm,
  InstanceNormalization: instanceNorm,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  Resize: resize,
  'com.microsoft.QuickGelu': unary((x, node) => x * sigmoid(floatOf(node, 'alpha', 1.702) * x)),
  'com.microsoft.Gelu': unary(gelu),
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Gather: gather,
  Expand: ([x, list]) => filled(stretched([x!.shape, [...list!.data]]), (at) => element(x!, at)),
}

/** The same with BatchNorm as it is while training. */
export const trainingOperators: typeof doubleOperators = {
  ...doubleOperators,
  BatchNormalization: batchNormOfBatch,
}
