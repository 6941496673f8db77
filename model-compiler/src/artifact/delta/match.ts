/** Which payload of the base a payload is predicted from. Both sides find it out by themselves, so that nothing of it travels. */
import type { NodeFact, Payload } from './onnx-payloads.ts'

/**
 * For each payload of `next` the index of its counterpart in `base`, or -1: the one of the same name, type and length, else of the same name
 * and type, else the next unclaimed one of the same type and length. The n-th of a name goes with the n-th.
 */
export function matchPayloads(next: readonly Payload[], base: readonly Payload[]): Int32Array {
  const matches = new Int32Array(next.length).fill(-1)
  const claimed = new Uint8Array(base.length)
  const typeOf = ({ dataType, kind, packed }: Payload) => `${dataType} ${kind} ${packed}`
  const rules: ((payload: Payload) => string)[] = [
    (one) => `${one.lengthBytes} ${typeOf(one)} ${one.name}`,
    (one) => `${typeOf(one)} ${one.name}`,
    (one) => `${one.lengthBytes} ${typeOf(one)}`,
  ]
  for (const keyOf of rules) {
    const free = new Map<string, number[]>()
    for (let i = base.length - 1; i >= 0; i--) {
      if (claimed[i] === 1) continue
      const key = keyOf(base[i]!)
      const list = free.get(key)
      if (list === undefined) free.set(key, [i])
      else list.push(i)
    }
    for (let i = 0; i < next.length; i++) {
      if (matches[i]! >= 0) continue
      const found = free.get(keyOf(next[i]!))?.pop()
      if (found === undefined) continue
      matches[i] = found
      claimed[found] = 1
    }
  }
  return matches
}

/** What the nodes say of tensors, by tensor name. */
export type Scales = {
  /** Tensor of codes → tensor of the scale that they are counted in. */
  readonly of: ReadonlyMap<string, string>
  /** Scale of a bias → scales of the input and of the weights, whose product it usually is. */
  readonly products: ReadonlyMap<string, readonly [input: string, weights: string]>
}

const operatorsWithBias = new Set(['Conv', 'ConvTranspose', 'Gemm'])

export function scalesOf(nodes: readonly NodeFact[]): Scales {
  const of = new Map<string, string>()
  const products = new Map<string, readonly [string, string]>()
  const scaleOfValue = new Map<string, string>()
  for (const { operator, inputs, outputs } of nodes) {
    if (operator !== 'DequantizeLinear') continue
    const [codes, scale] = inputs
    const [value] = outputs
    if (codes === undefined || scale === undefined || value === undefined) continue
    if (!of.has(codes)) of.set(codes, scale)
    if (!scaleOfValue.has(value)) scaleOfValue.set(value, scale)
  }
  for (const { operator, inputs } of nodes) {
    if (!operatorsWithBias.has(operator)) continue
    const [input, weights, bias] = inputs.map((name) => scaleOfValue.get(name))
    if (input === undefined || weights === undefined || bias === undefined) continue
    if (!products.has(bias)) products.set(bias, [input, weights])
  }
  return { of, products }
}
