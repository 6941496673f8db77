/** Large constants of a step graph by what they are for, so that layers of one geometry share one. */
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'

const known = new WeakMap<Tape, Map<string, Sym>>()

/** @param key says everything that `fill` depends on */
export function constantOnce(
  tape: Tape,
  key: string,
  shape: readonly number[],
  fill: (values: Float32Array) => void,
): Sym {
  const ofTape = known.get(tape) ?? new Map<string, Sym>()
  known.set(tape, ofTape)
  const there = ofTape.get(key)
  if (there) return there
  const values = new Float32Array(shape.reduce((product, one) => product * one, 1))
  fill(values)
  const made = tape.constant(shape, values, { name: key })
  ofTape.set(key, made)
  return made
}
