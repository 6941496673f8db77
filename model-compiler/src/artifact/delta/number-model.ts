/**
 * What differs between two tensors of wider numbers: floats, as integers in the same order, and integers. Training moves numbers by
 * about the same amount wherever they are, so how many bits a difference has follows from the exponent of the number, or of the
 * scale that it is counted in. Docs: docs/artifact.md, "Numbers".
 */
import { MixedBit, stepOf } from './mixing.ts'
import type { Coder } from './range-coder.ts'

const exponents = 256
/** Bits below the first that are worth predicting. */
const bitsPredicted = 3

export class NumberModel {
  readonly #differs = new MixedBit([9, 16, exponents], 3)
  readonly #bits = new MixedBit([64 * 32, exponents * 32, 33 * 32], 1)
  readonly #negative = new MixedBit([9, 16], 1)
  readonly #mantissa = new MixedBit([33 * 8, 8], 1)

  /**
   * Codes `values`, which are given while encoding and filled while decoding.
   * @param base what they are expected to be; undefined: each as the one before it
   * @param exponentOf where the exponent (0 to 255) of element `i` is known from `expected` or otherwise
   */
  run(
    coder: Coder,
    values: Int32Array,
    base: Int32Array | undefined,
    exponentOf: (expected: number, i: number) => number,
  ): void {
    const [differs, bits, negative, mantissa] = [
      this.#differs,
      this.#bits,
      this.#negative,
      this.#mantissa,
    ]
    let [share, signs] = [32768, 32768]
    let [left, left2, leftSign] = [0, 0, 0]
    // Sixteenths of the mean of bits and exponent together.
    let level = -1
    let before = 0
    for (let i = 0; i < values.length; i++) {
      const expected = base === undefined ? before : base[i]!
      const exponent = exponentOf(expected, i)
      const difference = (values[i]! - expected) | 0
      differs.at[0] = (left > 0 ? 1 : 0) + (left2 > 0 ? 3 : 0)
      differs.at[1] = stepOf[share >> 4]!
      differs.at[2] = exponent
      const isOther = differs.code(coder, 0, difference === 0 ? 0 : 1)
      left2 = left
      let made = 0
      if (isOther === 0) {
        share -= share >> 4
        left = 0
      } else {
        share += (65535 - share) >> 4
        const size = difference < 0 ? -difference : difference
        const count = 32 - Math.clz32(size)
        const guess = level < 0 ? 63 : Math.max(0, Math.min(62, (level >> 4) - exponent))
        // Five questions, from the highest bit of `count - 1` down.
        let node = 1
        for (let k = 4; k >= 0; k--) {
          bits.at[0] = guess * 32 + node
          bits.at[1] = exponent * 32 + node
          bits.at[2] = left2 * 32 + node
          node = node * 2 + bits.code(coder, 0, ((count - 1) >> k) & 1)
        }
        const wide = node - 31
        const now = (wide + exponent) * 16
        level = level < 0 ? now : level + ((now - level) >> 3)
        left = wide
        negative.at[0] = leftSign
        negative.at[1] = stepOf[signs >> 4]!
        const side = negative.code(coder, 0, difference < 0 ? 1 : 0)
        signs += side === 1 ? (65535 - signs) >> 4 : -(signs >> 4)
        leftSign = side + 1
        let number = 1
        let below = wide - 1
        for (let k = 0; k < bitsPredicted && below > 0; k++) {
          below--
          mantissa.at[0] = wide * 8 + number
          mantissa.at[1] = number
          number = number * 2 + mantissa.code(coder, 0, (size >>> below) & 1)
        }
        while (below > 0) {
          const few = Math.min(16, below)
          below -= few
          number = number * 2 ** few + coder.plain(few, (size >>> below) & (2 ** few - 1))
        }
        made = side === 1 ? -number : number
      }
      before = (expected + made) | 0
      values[i] = before
    }
  }
}
