/**
 * One bit, predicted by several contexts at once. Each context keeps a probability of its own; they are joined in the
 * logistic domain with weights that learn which of them to believe. Integers, and doubles that are only added and
 * multiplied one at a time, so every machine finds the same numbers. Docs: docs/artifact.md, "Predictions".
 */
import type { Coder } from './range-coder.ts'

/** The logistic function at -8, -7.5, … 8, in 65536ths; what lies between is interpolated. */
const logistic = [
  ...[22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625, 24743],
  ...[32768, 40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374],
  ...[65438, 65476, 65500, 65514],
]

/** Logits are kept in 256ths: from -2047 to 2047. */
const logitMax = 2047

/** Probability in 65536ths at logit i - 2048. */
const squashed = new Uint16Array(4096)
for (let i = 0; i < 4096; i++) {
  const at = i >> 7
  const share = i & 127
  squashed[i] = (logistic[at]! * (128 - share) + logistic[at + 1]! * share) >> 7
}

/** Logit of a probability in 4096ths: the largest whose probability is no larger. */
const stretched = new Int16Array(4096)
for (let p = 0, logit = 1; p < 4096; p++) {
  while (logit < 4095 && squashed[logit + 1]! <= p * 16 + 8) logit++
  stretched[p] = logit - 2048
}

/** Sixteen steps of a probability in 65536ths, even in the logistic domain. */
export const stepOf = new Uint8Array(4096)
for (let p = 0; p < 4096; p++) stepOf[p] = (stretched[p]! + 2048) >> 8

/** The share of the way that a probability goes at its n-th bit, in 65536ths. */
const sharesUpTo = 255
const shares = new Uint16Array(sharesUpTo + 1)
for (let n = 0; n <= sharesUpTo; n++) shares[n] = Math.floor(65536 / (n + 2))

/** A decision that is taken again and again, in contexts that the caller chooses by filling `at`. */
export class MixedBit {
  /** For each input the context that holds now. */
  readonly at: Int32Array
  readonly #inputs: number
  readonly #bases: Int32Array
  readonly #probabilities: Uint16Array
  readonly #counts: Uint8Array
  readonly #weights: Float64Array
  readonly #logits: Float64Array
  readonly #limit: number
  readonly #rate: number

  /**
   * @param sizes how many contexts each input has
   * @param sets of weights, one of which is chosen for each bit
   * @param limit bits after which a context stops slowing down
   */
  constructor(
    sizes: readonly number[],
    sets: number,
    { limit = 250, rate = 0.0015, start = 32768 } = {},
  ) {
    this.#inputs = sizes.length
    this.at = new Int32Array(sizes.length)
    this.#bases = new Int32Array(sizes.length)
    let all = 0
    for (const [i, size] of sizes.entries()) {
      this.#bases[i] = all
      all += size
    }
    this.#probabilities = new Uint16Array(all).fill(start)
    this.#counts = new Uint8Array(all)
    this.#weights = new Float64Array(sets * sizes.length).fill(1.2 / sizes.length)
    this.#logits = new Float64Array(sizes.length)
    this.#limit = limit
    this.#rate = rate / 256 / 65536
  }

  /** Forgets what input `input` has learned; its contexts begin at `probability`. */
  forget(input: number, from: number, to: number, probability: number): void {
    const base = this.#bases[input]!
    this.#probabilities.fill(probability, base + from, base + to)
    this.#counts.fill(0, base + from, base + to)
  }

  /** Codes a bit with the weights of `set`. */
  code(coder: Coder, set: number, value: number): number {
    const inputs = this.#inputs
    const at = this.at
    const bases = this.#bases
    const probabilities = this.#probabilities
    const weights = this.#weights
    const logits = this.#logits
    const first = set * inputs
    let sum = 0
    for (let i = 0; i < inputs; i++) {
      const logit = stretched[probabilities[bases[i]! + at[i]!]! >> 4]!
      logits[i] = logit
      sum += weights[first + i]! * logit
    }
    const logit = sum > logitMax ? logitMax : sum < -logitMax ? -logitMax : Math.trunc(sum)
    const probability = squashed[logit + 2048]!
    const bit = coder.bit(probability, value)
    const target = bit === 0 ? 0 : 65535
    const miss = (target - probability) * this.#rate
    const counts = this.#counts
    const limit = this.#limit
    for (let i = 0; i < inputs; i++) {
      weights[first + i]! += miss * logits[i]!
      const slot = bases[i]! + at[i]!
      const p = probabilities[slot]!
      const n = counts[slot]!
      probabilities[slot] = p + (((target - p) * shares[n]!) >> 16)
      if (n < limit) counts[slot] = n + 1
    }
    return bit
  }
}
