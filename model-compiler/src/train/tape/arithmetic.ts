/** Elementwise arithmetic with its gradients. What a gradient needs is taken from the result where that spares keeping an input. */
import type { TensorTypeName } from '../../onnx/types.ts'
import { tensorTypes } from '../../onnx/types.ts'
import { sumTo } from './reductions.ts'
import type { Operand, Sym } from './sym.ts'
import type { Tape } from './tape.ts'

const symOf = (tape: Tape, operand: Operand): Sym =>
  typeof operand === 'number' ? tape.scalar(operand) : operand

/** `gradient` summed to the shape of `to`, made only where it is wanted. */
const back = (tape: Tape, to: Sym, gradient: () => Sym): Sym | undefined =>
  to.needsGradient ? sumTo(tape, gradient(), to.shape) : undefined

export function add(tape: Tape, a: Operand, b: Operand): Sym {
  const [x, y] = [symOf(tape, a), symOf(tape, b)]
  return tape.record([x, y], tape.emit('Add', [x, y]), (d) => [
    back(tape, x, () => d),
    back(tape, y, () => d),
  ])
}

export function sub(tape: Tape, a: Operand, b: Operand): Sym {
  const [x, y] = [symOf(tape, a), symOf(tape, b)]
  return tape.record([x, y], tape.emit('Sub', [x, y]), (d) => [
    back(tape, x, () => d),
    y.needsGradient ? tape.neg(sumTo(tape, d, y.shape)) : undefined,
  ])
}

export function mul(tape: Tape, a: Operand, b: Operand): Sym {
  const [x, y] = [symOf(tape, a), symOf(tape, b)]
  return tape.record([x, y], tape.emit('Mul', [x, y]), (d) => [
    back(tape, x, () => tape.emit('Mul', [d, y])),
    back(tape, y, () => tape.emit('Mul', [d, x])),
  ])
}

export function div(tape: Tape, a: Operand, b: Operand): Sym {
  const [x, y] = [symOf(tape, a), symOf(tape, b)]
  const quotient = tape.emit('Div', [x, y])
  return tape.record([x, y], quotient, (d) => {
    const share = tape.emit('Div', [d, y])
    return [
      back(tape, x, () => share),
      y.needsGradient
        ? tape.neg(sumTo(tape, tape.emit('Mul', [share, quotient]), y.shape))
        : undefined,
    ]
  })
}

const extreme =
  (operator: 'Max' | 'Min', firstWins: string) =>
  (tape: Tape, a: Operand, b: Operand): Sym => {
    const [x, y] = [symOf(tape, a), symOf(tape, b)]
    return tape.record([x, y], tape.emit(operator, [x, y]), (d) => {
      const first = tape.cast(tape.emit(firstWins, [x, y]), 'float32')
      const toFirst = tape.emit('Mul', [d, first])
      return [back(tape, x, () => toFirst), back(tape, y, () => tape.emit('Sub', [d, toFirst]))]
    })
  }
export const max = extreme('Max', 'GreaterOrEqual')
export const min = extreme('Min', 'LessOrEqual')

export const neg = (tape: Tape, x: Sym): Sym =>
  tape.record([x], tape.emit('Neg', [x]), (d) => [tape.emit('Neg', [d])])

export const abs = (tape: Tape, x: Sym): Sym =>
  tape.record([x], tape.emit('Abs', [x]), (d) => [tape.emit('Mul', [d, tape.emit('Sign', [x])])])

export function exp(tape: Tape, x: Sym): Sym {
  const y = tape.emit('Exp', [x])
  return tape.record([x], y, (d) => [tape.emit('Mul', [d, y])])
}

export const log = (tape: Tape, x: Sym): Sym =>
  tape.record([x], tape.emit('Log', [x]), (d) => [tape.emit('Div', [d, x])])

export function sqrt(tape: Tape, x: Sym): Sym {
  const y = tape.emit('Sqrt', [x])
  return tape.record([x], y, (d) => [
    tape.emit('Div', [tape.emit('Mul', [d, tape.scalar(0.5)]), y]),
  ])
}

export function reciprocal(tape: Tape, x: Sym): Sym {
  const y = tape.emit('Reciprocal', [x])
  return tape.record([x], y, (d) => {
    const square = tape.emit('Mul', [y, y])
    return [tape.emit('Neg', [tape.emit('Mul', [d, square])])]
  })
}

/** An exponent that is trained needs a base above 0, as its gradient takes the logarithm of it. */
export function pow(tape: Tape, x: Sym, exponent: Operand): Sym {
  const e = symOf(tape, exponent)
  const constant = tape.valuesOf(e)
  const number = constant?.length === 1 ? constant[0] : undefined
  const y = number === 2 ? tape.emit('Mul', [x, x]) : tape.emit('Pow', [x, e])
  return tape.record([x, e], y, (d) => [
    back(tape, x, () => {
      const slope =
        number === 2
          ? tape.emit('Mul', [x, tape.scalar(2)])
          : tape.emit('Mul', [e, tape.emit('Pow', [x, tape.emit('Sub', [e, tape.scalar(1)])])])
      return tape.emit('Mul', [d, slope])
    }),
    back(tape, e, () => tape.emit('Mul', [d, tape.emit('Mul', [y, tape.emit('Log', [x])])])),
  ])
}

export const erf = (tape: Tape, x: Sym): Sym =>
  tape.record([x], tape.emit('Erf', [x]), (d) => {
    const bell = tape.emit('Exp', [tape.emit('Neg', [tape.emit('Mul', [x, x])])])
    return [tape.emit('Mul', [d, tape.emit('Mul', [bell, tape.scalar(2 / Math.sqrt(Math.PI))])])]
  })

export const atan = (tape: Tape, x: Sym): Sym =>
  tape.record([x], tape.emit('Atan', [x]), (d) => [
    tape.emit('Div', [d, tape.emit('Add', [tape.emit('Mul', [x, x]), tape.scalar(1)])]),
  ])

export function where(tape: Tape, condition: Sym, yes: Operand, no: Operand): Sym {
  const [x, y] = [symOf(tape, yes), symOf(tape, no)]
  return tape.record([x, y], tape.emit('Where', [condition, x, y]), (d) => {
    // Where is slow in the runtime; a mask of numbers is not.
    const mask = tape.cast(condition, 'float32')
    const toFirst = tape.emit('Mul', [d, mask])
    return [back(tape, x, () => toFirst), back(tape, y, () => tape.emit('Sub', [d, toFirst]))]
  })
}

export function cast(tape: Tape, x: Sym, to: TensorTypeName): Sym {
  if (x.type === to) return x
  return tape.emit('Cast', [x], { to: { int: tensorTypes[to] } })
}
