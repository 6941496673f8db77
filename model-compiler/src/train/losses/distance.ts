/** How far numbers are from those that are wanted. Each gives the mean over all of them. */
import type { Sym, Tape } from '../tape/tape.ts'

export const meanSquaredError = (tape: Tape, said: Sym, wanted: Sym): Sym => {
  const off = tape.sub(said, wanted)
  return tape.reduceMean(tape.mul(off, off))
}

export const meanAbsoluteError = (tape: Tape, said: Sym, wanted: Sym): Sym =>
  tape.reduceMean(tape.abs(tape.sub(said, wanted)))

/**
 * Squared below `beta`, absolute above it (Girshick, 2015): one that is far off does not drown the others.
 * @param beta in units of the numbers
 */
export function smoothL1(tape: Tape, said: Sym, wanted: Sym, beta = 1): Sym {
  const off = tape.abs(tape.sub(said, wanted))
  // With near = min(off, beta) it is near²/2·beta + (off − near), smooth where both parts meet.
  const near = tape.min(off, beta)
  const squared = tape.mul(tape.mul(near, near), 0.5 / beta)
  return tape.reduceMean(tape.add(squared, tape.sub(off, near)))
}
