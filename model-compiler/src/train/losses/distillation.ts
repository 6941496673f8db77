/** How far a student is from its teacher. What the teacher says is fed, so no gradient flows into it. */
import type { Sym, Tape } from '../tape/tape.ts'
import { meanSquaredError } from './distance.ts'

/**
 * Kullback-Leibler divergence of the student from the teacher, both softened (Hinton et al., 2015), mean over samples
 * and places. Multiplied by temperature², so that its gradient is as large as that of the hard loss beside it.
 * @param student [N, classes, …] logits
 * @param teacher the same shape, logits
 */
export function softenedDivergence(
  tape: Tape,
  student: Sym,
  teacher: Sym,
  temperature: number,
): Sym {
  const said = tape.logSoftmax(tape.mul(student, 1 / temperature), 1)
  const wanted = tape.logSoftmax(tape.mul(teacher, 1 / temperature), 1)
  const divergence = tape.mul(tape.exp(wanted), tape.sub(wanted, said))
  const classes = student.shape[1]!
  return tape.mul(tape.reduceMean(divergence), classes * temperature ** 2)
}

/** Mean squared distance of inner values; where the student has fewer channels, map it to the teacher's first. */
export const featureDistance = (tape: Tape, student: Sym, teacher: Sym): Sym =>
  meanSquaredError(tape, student, teacher)
