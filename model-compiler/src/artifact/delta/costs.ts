/** About how many bits a payload takes in each mode, so that the best can be chosen without trying them all. */
import type { Elements } from './elements.ts'

/** Order-0 entropy of what residuals need, in bits; `expected` is shorter, longer or missing where there is nothing to expect. */
export function costOf(elements: Elements, expected: Elements | undefined): number {
  return elements instanceof Uint8Array
    ? codeCost(elements, expected as Uint8Array | undefined)
    : numberCost(elements, expected as Int32Array | undefined)
}

function codeCost(codes: Uint8Array, expected: Uint8Array | undefined): number {
  const counts = new Float64Array(256)
  for (let i = 0; i < codes.length; i++) counts[(codes[i]! - (expected?.[i] ?? 0)) & 255]!++
  return entropy(counts, codes.length)
}

function numberCost(numbers: Int32Array, expected: Int32Array | undefined): number {
  const counts = new Float64Array(34)
  let bits = 0
  for (let i = 0; i < numbers.length; i++) {
    const guess = expected === undefined ? (numbers[i - 1] ?? 0) : (expected[i] ?? 0)
    const difference = (numbers[i]! - guess) | 0
    const size = 32 - Math.clz32(difference < 0 ? -difference : difference)
    counts[size]!++
    bits += size
  }
  return entropy(counts, numbers.length) + bits
}

function entropy(counts: Float64Array, all: number): number {
  let bits = 0
  for (const count of counts) if (count > 0) bits += count * Math.log2(all / count)
  return bits
}
