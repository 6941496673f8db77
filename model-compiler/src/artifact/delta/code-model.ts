/**
 * What differs between two tensors of codes (int8, uint8, int4). Training moves weights along products of what went in and what came
 * back, so that a change says something of its row, its column and their signs; whether, which way and how far a code moved are
 * three questions with contexts of their own. Docs: docs/artifact.md, "Codes".
 */
import { MixedBit, stepOf } from './mixing.ts'
import type { Coder } from './range-coder.ts'

/** Steps above which a distance is said by its number of bits. */
const unaryMax = 6
/** Squares of codes that are pretended before the first of a row: little is believed of few. */
const squaresAtFirst = 5_000

export class CodeModel {
  readonly #moved = new MixedBit([256, 64 * 16, 256 * 3, 256, 1024], 16, { start: 6000 })
  readonly #negative = new MixedBit([81, 256, 256, 256, 64], 9, { limit: 120 })
  readonly #further = new MixedBit(
    [9 * unaryMax, 256 * unaryMax, 256 * unaryMax, 256 * unaryMax, 64 * unaryMax],
    unaryMax,
  )
  readonly #bits = new MixedBit([64 * 8, 64], 1)

  /**
   * Codes `values`, which are given while encoding and filled while decoding.
   * @param base what they are expected to be; zeros where undefined
   * @param columns codes in a row
   * @param bits 8 or 4 of each byte are in use
   */
  run(
    coder: Coder,
    values: Uint8Array,
    base: Uint8Array | undefined,
    { columns, bits }: { readonly columns: number; readonly bits: number },
  ): void {
    const [moved, negative, further] = [this.#moved, this.#negative, this.#further]
    const [movedAt, negativeAt, furtherAt] = [moved.at, negative.at, further.at]
    const shift = 32 - bits
    const mask = (1 << bits) - 1
    // Sizes of what moved above: 0, 1, 2 for more; at the end one more, so that the right neighbour is always there.
    const above = new Uint8Array(columns + 1)
    const columnMoved = new Uint16Array(columns)
    const columnSign = new Uint16Array(columns).fill(32768)
    const columnSize = new Uint16Array(columns).fill(16384)
    let [slow, fast, size] = [4000, 4000, 16384]
    let rowSign = 32768
    columnMoved.fill(4000)
    let [left, left2, leftSign] = [0, 0, 1]
    let upLeft = 0
    let [products, squares] = [0, squaresAtFirst]
    let column = 0
    for (let i = 0; i < values.length; i++) {
      if (column === columns) {
        column = 0
        left = left2 = upLeft = 0
        leftSign = 1
        rowSign = 32768
        products = 0
        squares = squaresAtFirst
      }
      const expected = base === undefined ? 0 : base[i]!
      const level = (expected << shift) >> shift
      const drift = Math.max(-31, Math.min(31, Math.trunc((16 * level * products) / squares))) + 32
      const up = above[column]!
      const upRight = above[column + 1]!
      const rowStep = stepOf[slow >> 4]!
      const fastStep = stepOf[fast >> 4]!
      const columnStep = stepOf[columnMoved[column]! >> 4]!
      movedAt[0] = (left * 3 + left2) * 27 + up * 9 + upLeft * 3 + upRight
      movedAt[2] = ((columnStep << 4) | rowStep) * 3 + left
      movedAt[3] = expected
      movedAt[4] = (columnStep << 6) | (fastStep << 2) | up
      movedAt[1] = (drift << 4) | rowStep
      const distance = ((values[i]! - expected) << shift) >> shift
      const isMoved = moved.code(coder, rowStep, distance === 0 ? 0 : 1)
      let now = 0
      let code = expected
      if (isMoved === 0) {
        slow -= slow >> 5
        fast -= fast >> 3
        columnMoved[column]! -= columnMoved[column]! >> 3
      } else {
        slow += (65535 - slow) >> 5
        fast += (65535 - fast) >> 3
        columnMoved[column]! += (65535 - columnMoved[column]!) >> 3
        const rowSide = stepOf[rowSign >> 4]!
        const columnSide = stepOf[columnSign[column]! >> 4]!
        const upSign = up === 0 ? 1 : columnSign[column]! > 32768 ? 2 : 0
        negativeAt[0] = leftSign * 27 + upSign * 9 + Math.min(left, 2) * 3 + Math.min(up, 2)
        negativeAt[1] = (rowSide << 4) | columnSide
        negativeAt[2] = expected
        negativeAt[3] = rowSign >> 8
        negativeAt[4] = drift
        const side = negative.code(coder, leftSign * 3 + upSign, distance < 0 ? 1 : 0)
        const sizeStep = stepOf[size >> 4]!
        const columnSizeStep = stepOf[columnSize[column]! >> 4]!
        let steps = 1
        const known = distance < 0 ? -distance : distance
        while (steps <= unaryMax) {
          const step = steps - 1
          furtherAt[0] = (left * 3 + up) * unaryMax + step
          furtherAt[1] = ((sizeStep << 4) | columnSizeStep) * unaryMax + step
          furtherAt[2] = ((sizeStep << 4) | rowStep) * unaryMax + step
          furtherAt[3] = expected * unaryMax + step
          furtherAt[4] = drift * unaryMax + step
          const more = further.code(coder, step, known > steps ? 1 : 0)
          if (steps === 1) {
            if (more === 0) {
              size -= size >> 4
              columnSize[column]! -= columnSize[column]! >> 3
            } else {
              size += (65535 - size) >> 4
              columnSize[column]! += (65535 - columnSize[column]!) >> 3
            }
          }
          if (more === 0) break
          steps++
        }
        if (steps > unaryMax) steps += this.#rest(coder, known - steps)
        now = steps > 1 ? 2 : 1
        leftSign = side === 1 ? 2 : 0
        if (side === 1) {
          rowSign += (65535 - rowSign) >> 4
          columnSign[column]! += (65535 - columnSign[column]!) >> 3
          products -= steps * level
          code = (expected - steps) & mask
        } else {
          rowSign -= rowSign >> 4
          columnSign[column]! -= columnSign[column]! >> 3
          products += steps * level
          code = (expected + steps) & mask
        }
      }
      squares += level * level
      values[i] = code
      left2 = left
      left = now
      upLeft = up
      above[column] = now
      column++
    }
  }

  /** What is beyond the steps: the number of its bits, then the bits. */
  #rest(coder: Coder, known: number): number {
    const bits = this.#bits
    let count = 0
    const want = 32 - Math.clz32(known + 1)
    while (count < 8) {
      bits.at[0] = count
      bits.at[1] = count
      if (bits.code(coder, 0, want > count + 1 ? 1 : 0) === 0) break
      count++
    }
    // `known + 1` has `count + 1` bits, the first of which is 1.
    let value = 1
    for (let i = count - 1; i >= 0; i--) {
      const first = i === count - 1 ? 1 : 0
      if (first === 1) {
        bits.at[0] = 16 + count
        bits.at[1] = 16 + count
        value = value * 2 + bits.code(coder, 0, ((known + 1) >> i) & 1)
      } else value = value * 2 + coder.plain(1, ((known + 1) >> i) & 1)
    }
    return value - 1
  }
}
