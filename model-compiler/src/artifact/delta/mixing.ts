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
  /** Of each context its probability, and below it, in eight bits, how often it was asked. */
  readonly #contexts: Int32Array
  readonly #weights: Float64Array
  readonly #logits: Float64Array
  readonly #limit: number
  readonly #rate: number

  /**
   * @param sizes how many contexts each input has
   * @param sets of weights, one of which is chosen for each bit
   * @param options.limit bits after which a context stops slowing down, at most 250
   * @param options.rate at which weights learn
   * @param options.start probability of 1 at first, in 65536ths
   */
  constructor(
    sizes: readonly number[],
    sets: number,
    { limit = 250, rate = 0.003, start = 32768 } = {},
  ) {
    this.#inputs = sizes.length
    this.at = new Int32Array(sizes.length)
    this.#bases = new Int32Array(sizes.length)
    let all = 0
    for (const [i, size] of sizes.entries()) {
      this.#bases[i] = all
      all += size
    }
    this.#contexts = new Int32Array(all).fill(start << 8)
    this.#weights = new Float64Array(sets * sizes.length).fill(1.2 / sizes.length)
    this.#logits = new Float64Array(sizes.length)
    this.#limit = limit
    this.#rate = rate / 256 / 65536
  }

  /** Codes a bit with the weights of `set`. */
  code(coder: Coder, set: number, value: number): number {
    if (this.#inputs === 5) return this.#codeFive(coder, set, value)
    const inputs = this.#inputs
    const at = this.at
    const bases = this.#bases
    const contexts = this.#contexts
    const weights = this.#weights
    const logits = this.#logits
    const first = set * inputs
    let sum = 0
    for (let i = 0; i < inputs; i++) {
      const logit = stretched[contexts[bases[i]! + at[i]!]! >> 12]!
      logits[i] = logit
      sum += weights[first + i]! * logit
    }
    const probability = probabilityOf(sum)
    const bit = coder.bit(probability, value)
    const target = bit === 0 ? 0 : 65535
    const miss = (target - probability) * this.#rate
    const limit = this.#limit
    for (let i = 0; i < inputs; i++) {
      weights[first + i]! += miss * logits[i]!
      const slot = bases[i]! + at[i]!
      contexts[slot] = learned(contexts[slot]!, target, limit)
    }
    return bit
  }

  /** The same for five inputs, written out: nearly all of the time is spent here. */
  #codeFive(coder: Coder, set: number, value: number): number {
    const at = this.at
    const bases = this.#bases
    const contexts = this.#contexts
    const weights = this.#weights
    const slot0 = at[0]!
    const slot1 = bases[1]! + at[1]!
    const slot2 = bases[2]! + at[2]!
    const slot3 = bases[3]! + at[3]!
    const slot4 = bases[4]! + at[4]!
    const context0 = contexts[slot0]!
    const context1 = contexts[slot1]!
    const context2 = contexts[slot2]!
    const context3 = contexts[slot3]!
    const context4 = contexts[slot4]!
    const logit0 = stretched[context0 >> 12]!
    const logit1 = stretched[context1 >> 12]!
    const logit2 = stretched[context2 >> 12]!
    const logit3 = stretched[context3 >> 12]!
    const logit4 = stretched[context4 >> 12]!
    const first = set * 5
    const weight0 = weights[first]!
    const weight1 = weights[first + 1]!
    const weight2 = weights[first + 2]!
    const weight3 = weights[first + 3]!
    const weight4 = weights[first + 4]!
    const sum =
      weight0 * logit0 + weight1 * logit1 + weight2 * logit2 + weight3 * logit3 + weight4 * logit4
    // Not handed to a function: each double that is would be garbage until the compiler has come.
    const logit = sum > logitMax ? logitMax : sum < -logitMax ? -logitMax : sum | 0
    const probability = squashed[logit + 2048]!
    const bit = coder.bit(probability, value)
    const target = bit === 0 ? 0 : 65535
    const miss = (target - probability) * this.#rate
    weights[first] = weight0 + miss * logit0
    weights[first + 1] = weight1 + miss * logit1
    weights[first + 2] = weight2 + miss * logit2
    weights[first + 3] = weight3 + miss * logit3
    weights[first + 4] = weight4 + miss * logit4
    const limit = this.#limit
    contexts[slot0] = learned(context0, target, limit)
    contexts[slot1] = learned(context1, target, limit)
    contexts[slot2] = learned(context2, target, limit)
    contexts[slot3] = learned(context3, target, limit)
    contexts[slot4] = learned(context4, target, limit)
    return bit
  }
}

/** Probability in 65536ths at a sum of weighted logits. */
function probabilityOf(sum: number): number {
  const logit = sum > logitMax ? logitMax : sum < -logitMax ? -logitMax : sum | 0
  return squashed[logit + 2048]!
}

/** A context after a bit. */
function learned(context: number, target: number, limit: number): number {
  const probability = context >> 8
  const count = context & 255
  const next = probability + (((target - probability) * shares[count]!) >> 16)
  return (next << 8) | (count < limit ? count + 1 : count)
}
