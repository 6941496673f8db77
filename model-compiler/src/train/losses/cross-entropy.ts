/** How surprised a classifier is by what is there. All take logits and say so in their names of arguments. */
import type { Sym, Tape } from '../tape/tape.ts'

export type CrossEntropyOptions = {
  /** The share of each target that is spread over all classes (Szegedy et al., 2015). */
  readonly labelSmoothing?: number
  /** What each class counts. */
  readonly classWeights?: readonly number[]
  /** Surprise counts by (1 − probability) to this power: what is known already matters less (Lin et al., 2017). */
  readonly focalGamma?: number
}

/**
 * Softmax cross-entropy, in nats, of the mean target.
 * @param logits [N, classes, …]
 * @param target shares of each class, of the same shape; all 0 where nothing is known, which counts for nothing
 * @param count float32 [1]: what the sum is divided by, usually how many targets there are
 */
export function crossEntropy(
  tape: Tape,
  logits: Sym,
  target: Sym,
  count: Sym,
  options: CrossEntropyOptions = {},
): Sym {
  const { labelSmoothing = 0, classWeights, focalGamma = 0 } = options
  const classes = logits.shape[1]!
  let wanted = target
  if (labelSmoothing > 0) {
    // Nothing that is not known is made known: the whole of a target is 1 or 0.
    const whole = tape.reduceSum(target, [1], true)
    const spread = tape.mul(whole, labelSmoothing / classes)
    wanted = tape.add(tape.mul(target, 1 - labelSmoothing), spread)
  }
  if (classWeights) {
    const inner = logits.shape.slice(2).map(() => 1)
    wanted = tape.mul(wanted, tape.constant([1, classes, ...inner], [...classWeights]))
  }
  const surprise = tape.logSoftmax(logits, 1)
  if (focalGamma > 0) {
    // Rounding may put a probability above 1.
    const rest = tape.relu(tape.sub(1, tape.exp(surprise)))
    wanted = tape.mul(wanted, tape.pow(rest, focalGamma))
  }
  return tape.div(tape.neg(tape.reduceSum(tape.mul(wanted, surprise))), tape.reshape(count, []))
}

/** Of each logit by itself, against a target from 0 to 1; not summed. */
export const binaryCrossEntropy = (tape: Tape, logits: Sym, target: Sym): Sym =>
  tape.sub(tape.softplus(logits), tape.mul(logits, target))

/**
 * Sigmoid focal loss (Lin et al., 2017) of each logit by itself, not summed.
 * @param options.alpha what a target of 1 counts against one of 0: alpha to 1 − alpha (default 0.25)
 */
export function sigmoidFocal(
  tape: Tape,
  logits: Sym,
  target: Sym,
  { alpha = 0.25, gamma = 2 }: { readonly alpha?: number; readonly gamma?: number } = {},
): Sym {
  const probability = tape.sigmoid(logits)
  // How far it is off, in probability: 1 − p for a target of 1, p for one of 0.
  const off = tape.add(
    tape.mul(probability, tape.sub(1, target)),
    tape.mul(tape.sub(1, probability), target),
  )
  const weight = tape.add(tape.mul(target, 2 * alpha - 1), 1 - alpha)
  return tape.mul(tape.mul(weight, tape.pow(off, gamma)), binaryCrossEntropy(tape, logits, target))
}
