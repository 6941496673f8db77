/**
 * Activations with their gradients. Masks are numbers made by HardSigmoid with an enormous slope: of the ways to say "above 0"
 * it is the one that the runtime does fastest (Sign, Where and Greater with Cast are several times slower).
 */
import type { Sym } from './sym.ts'
import type { Tape } from './tape.ts'

/** 1 where x is above 0, else 0. */
const positive = (tape: Tape, x: Sym): Sym =>
  tape.emit('HardSigmoid', [x], { alpha: { float: 1e30 }, beta: { float: 0 } })

const times = (tape: Tape, a: Sym, b: Sym | number): Sym =>
  tape.emit('Mul', [a, typeof b === 'number' ? tape.scalar(b) : b])
const plus = (tape: Tape, a: Sym, b: Sym | number): Sym =>
  tape.emit('Add', [a, typeof b === 'number' ? tape.scalar(b) : b])
/** y · (1 − y): the slope of a sigmoid, and above 0 exactly where a value between 0 and 1 touches neither. */
const inside = (tape: Tape, y: Sym): Sym => tape.emit('Sub', [y, times(tape, y, y)])

export function relu(tape: Tape, x: Sym): Sym {
  const y = tape.emit('Relu', [x])
  return tape.record([x], y, (d) => [times(tape, d, positive(tape, y))])
}

export function clip(tape: Tape, x: Sym, least?: number, most?: number): Sym {
  const bound = (number?: number) => (number === undefined ? undefined : tape.scalar(number))
  const y = tape.emit('Clip', [x, bound(least), bound(most)])
  return tape.record([x], y, (d) => [
    times(tape, d, tape.cast(tape.emit('Equal', [x, y]), 'float32')),
  ])
}

export function leakyRelu(tape: Tape, x: Sym, alpha = 0.01): Sym {
  const y = tape.emit('LeakyRelu', [x], { alpha: { float: alpha } })
  return tape.record([x], y, (d) => [
    times(tape, d, plus(tape, times(tape, positive(tape, x), 1 - alpha), alpha)),
  ])
}

export function prelu(tape: Tape, x: Sym, slope: Sym): Sym {
  return tape.record([x, slope], tape.emit('PRelu', [x, slope]), (d) => {
    const above = positive(tape, x)
    const below = tape.emit('Sub', [tape.scalar(1), above])
    const slopes = plus(tape, above, times(tape, below, slope))
    return [
      x.needsGradient ? times(tape, d, slopes) : undefined,
      slope.needsGradient
        ? tape.sumTo(times(tape, d, times(tape, x, below)), slope.shape)
        : undefined,
    ]
  })
}

export function sigmoid(tape: Tape, x: Sym): Sym {
  const y = tape.emit('Sigmoid', [x])
  return tape.record([x], y, (d) => [times(tape, d, inside(tape, y))])
}

export const softplus = (tape: Tape, x: Sym): Sym =>
  tape.record([x], tape.emit('Softplus', [x]), (d) => [times(tape, d, tape.emit('Sigmoid', [x]))])

export function tanh(tape: Tape, x: Sym): Sym {
  const y = tape.emit('Tanh', [x])
  return tape.record([x], y, (d) => [
    times(tape, d, tape.emit('Sub', [tape.scalar(1), times(tape, y, y)])),
  ])
}

/** The sigmoid is computed again on the way back: cheaper than keeping it, as one pass of QuickGelu makes the value alone. */
export function silu(tape: Tape, x: Sym): Sym {
  const y = tape.emit('QuickGelu', [x], { alpha: { float: 1 } }, { domain: 'com.microsoft' })
  return tape.record([x], y, (d) => {
    const s = tape.emit('Sigmoid', [x])
    const slope = plus(tape, s, times(tape, y, tape.emit('Sub', [tape.scalar(1), s])))
    return [times(tape, d, slope)]
  })
}

export function hardSigmoid(tape: Tape, x: Sym, alpha = 0.2, beta = 0.5): Sym {
  const y = gate(tape, x, alpha, beta)
  return tape.record([x], y, (d) => [
    times(tape, d, times(tape, positive(tape, inside(tape, y)), alpha)),
  ])
}

const gate = (tape: Tape, x: Sym, alpha: number, beta: number): Sym =>
  tape.emit('HardSigmoid', [x], { alpha: { float: alpha }, beta: { float: beta } })

export function hardSwish(tape: Tape, x: Sym): Sym {
  const y = times(tape, x, gate(tape, x, 1 / 6, 0.5))
  return tape.record([x], y, (d) => {
    const h = gate(tape, x, 1 / 6, 0.5)
    // 1 where x² is below 9, between the bends.
    const between = tape.emit('HardSigmoid', [times(tape, x, x)], {
      alpha: { float: -1e30 },
      beta: { float: 9e30 },
    })
    const rising = times(tape, times(tape, x, 1 / 6), between)
    return [times(tape, d, plus(tape, h, rising))]
  })
}

export function gelu(tape: Tape, x: Sym, approximate: 'none' | 'tanh' = 'none'): Sym {
  const y = tape.emit('Gelu', [x], { approximate: { string: approximate } })
  return tape.record([x], y, (d) => [
    times(tape, d, approximate === 'none' ? geluSlope(tape, x) : tanhGeluSlope(tape, x)),
  ])
}

/** Φ(x) + x·φ(x), of the normal distribution. */
function geluSlope(tape: Tape, x: Sym): Sym {
  const half = plus(tape, tape.emit('Erf', [times(tape, x, Math.SQRT1_2)]), 1)
  const bell = tape.emit('Exp', [times(tape, times(tape, x, x), -0.5)])
  const density = times(tape, times(tape, bell, x), 1 / Math.sqrt(2 * Math.PI))
  return plus(tape, times(tape, half, 0.5), density)
}

/** Of ½x·(1 + tanh(u)) with u = √(2/π)·(x + 0.044715x³). */
function tanhGeluSlope(tape: Tape, x: Sym): Sym {
  const factor = Math.sqrt(2 / Math.PI)
  const square = times(tape, x, x)
  const inner = plus(tape, times(tape, square, 0.044715 * factor), factor)
  const t = tape.emit('Tanh', [times(tape, x, inner)])
  const rise = plus(tape, times(tape, square, 3 * 0.044715 * factor), factor)
  const bend = times(tape, tape.emit('Sub', [tape.scalar(1), times(tape, t, t)]), rise)
  return times(tape, plus(tape, plus(tape, t, 1), times(tape, x, bend)), 0.5)
}

export function softmax(tape: Tape, x: Sym, axis = -1): Sym {
  const y = tape.emit('Softmax', [x], { axis: { int: axis } })
  return tape.record([x], y, (d) => {
    const share = times(tape, d, y)
    return [tape.emit('Sub', [share, times(tape, y, tape.reduceSum(share, [axis], true))])]
  })
}

export function logSoftmax(tape: Tape, x: Sym, axis = -1): Sym {
  const y = tape.emit('LogSoftmax', [x], { axis: { int: axis } })
  return tape.record([x], y, (d) => [
    tape.emit('Sub', [d, times(tape, tape.emit('Exp', [y]), tape.reduceSum(d, [axis], true))]),
  ])
}
