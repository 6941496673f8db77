/**
 * BatchNormalization. In training each channel is normalized by its mean and variance over the batch, which depend on every
 * element; frozen, it is a scale and a shift. Channels come first in our layout, so that all sums are over what lies together.
 */
import { floatOf } from '../../../graph/attributes.ts'
import { OnnxError } from '../../../onnx/read.ts'
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'
import type { LoweringTable } from '../lowering.ts'

export type BatchNormInputs = {
  /** [channels, batch, rows, columns], or any other axes behind the first. */
  readonly x: Sym
  readonly scale: Sym
  readonly shift: Sym
}

/**
 * Normalizes by the batch.
 * @returns the result with its gradient, and the batch's mean and variance (of the population, as ONNX has it)
 */
export function batchNormTrained(
  tape: Tape,
  { x, scale, shift }: BatchNormInputs,
  epsilon: number,
): { readonly y: Sym; readonly mean: Sym; readonly variance: Sym } {
  const rows = flat(x)
  const [channels, count] = rows
  const lying = tape.reshape(x, [1, channels, count])
  const [y, mean, variance] = tape.emitSeveral(
    'BatchNormalization',
    [lying, scale, shift, ...zerosAlone(tape, { x, scale, shift })],
    3,
    { epsilon: { float: epsilon }, momentum: { float: 0 }, training_mode: { int: 1 } },
  )
  const result = tape.record([x, scale, shift], tape.reshape(y!, x.shape), (arrived) => {
    const dy = tape.reshape(arrived, rows)
    const values = tape.reshape(x, rows)
    const deviation = tape.emit('Sqrt', [tape.emit('Add', [variance!, tape.scalar(epsilon)])])
    const sum = sumOf(tape, dy)
    const product = productsOf(tape, dy, values)
    // Σ dy·(x − mean) / deviation
    const centred = tape.emit('Sub', [product, tape.emit('Mul', [mean!, sum])])
    const dScale = tape.emit('Div', [centred, deviation])
    return [
      x.needsGradient
        ? tape.reshape(
            throughNorm(tape, { dy, values, scale, mean: mean!, deviation, sum, dScale }),
            x.shape,
          )
        : undefined,
      dScale,
      sum,
    ]
  })
  return { y: result, mean: mean!, variance: variance! }
}

/**
 * Zeros for two running figures. The runtime writes over them, so they must be no constant, nor be made the same way as those
 * of another node, which it would then make once for both. So each of `scale` and `shift` is taken from itself, if it is trained
 * and no other normalization has it; else an element of each channel is, times a number that only this node has.
 */
function zerosAlone(tape: Tape, { x, scale, shift }: BatchNormInputs): readonly [Sym, Sym] {
  const taken = takenBy.get(tape) ?? new Set<string>()
  takenBy.set(tape, taken)
  const free = [scale, shift].every(({ name, needsGradient }) => needsGradient && !taken.has(name))
  if (free && scale.name !== shift.name) {
    taken.add(scale.name).add(shift.name)
    return [tape.emit('Sub', [scale, scale]), tape.emit('Sub', [shift, shift])]
  }
  const [channels] = flat(x)
  const values = tape.reshape(tape.stopGradient(x), flat(x))
  const first = tape.reshape(tape.slice(values, [{ axis: 1, start: 0, end: 1 }]), [channels])
  const zerosOf = (which: string) => {
    taken.add(`${which} ${x.name} ${taken.size}`)
    const own = tape.emit('Mul', [first, tape.scalar(taken.size)])
    return tape.emit('Sub', [own, own])
  }
  return [zerosOf('mean'), zerosOf('variance')]
}
const takenBy = new WeakMap<Tape, Set<string>>()

/** dx = a·dy + b·x + c with a, b, c for each channel: what goes through the value itself, its mean and its variance. */
function throughNorm(
  tape: Tape,
  given: Readonly<Record<'dy' | 'values' | 'scale' | 'mean' | 'deviation' | 'sum' | 'dScale', Sym>>,
): Sym {
  const { dy, values, scale, mean, deviation, sum, dScale } = given
  const [channels, count] = dy.shape
  const a = tape.emit('Div', [scale, deviation])
  const perElement = tape.emit('Mul', [a, tape.scalar(-1 / count!)])
  const b = tape.emit('Mul', [perElement, tape.emit('Div', [dScale, deviation])])
  const c = tape.emit('Sub', [tape.emit('Mul', [perElement, sum]), tape.emit('Mul', [b, mean])])
  const direct = tape.emit('Mul', [dy, tape.reshape(a, [channels!, 1])])
  return tape.emit('Add', [direct, affine(tape, values, b, c)])
}

/** x·scale + shift for each channel in one go: normalizing by a mean of 0 and a variance of 1. */
function affine(tape: Tape, x: Sym, scale: Sym, shift: Sym): Sym {
  const [channels, count] = flat(x)
  const zeros = tape.constant([channels], new Float32Array(channels))
  const ones = tape.constant([channels], new Float32Array(channels).fill(1))
  const made = tape.emit(
    'BatchNormalization',
    [tape.reshape(x, [1, channels, count]), scale, shift, zeros, ones],
    { epsilon: { float: 0 } },
  )
  return tape.reshape(made, x.shape)
}

/** Scales and shifts by figures that do not depend on the batch. */
export function batchNormFrozen(
  tape: Tape,
  { x, scale, shift }: BatchNormInputs,
  running: { readonly mean: Sym; readonly variance: Sym },
  epsilon: number,
): Sym {
  const rows = flat(x)
  const { mean, variance } = running
  const y = tape.emit(
    'BatchNormalization',
    [tape.reshape(x, [1, ...rows]), scale, shift, mean, variance],
    { epsilon: { float: epsilon } },
  )
  return tape.record([x, scale, shift], tape.reshape(y, x.shape), (arrived) => {
    const dy = tape.reshape(arrived, rows)
    const deviation = tape.emit('Sqrt', [tape.emit('Add', [variance, tape.scalar(epsilon)])])
    const sum = sumOf(tape, dy)
    const dScale = () => {
      const product = productsOf(tape, dy, tape.reshape(x, rows))
      return tape.emit('Div', [
        tape.emit('Sub', [product, tape.emit('Mul', [mean, sum])]),
        deviation,
      ])
    }
    const through = () => {
      const factor = tape.reshape(tape.emit('Div', [scale, deviation]), [rows[0], 1])
      return tape.reshape(tape.emit('Mul', [dy, factor]), x.shape)
    }
    return [
      x.needsGradient ? through() : undefined,
      scale.needsGradient ? dScale() : undefined,
      shift.needsGradient ? sum : undefined,
    ]
  })
}

const flat = ({ shape }: Sym): readonly [channels: number, count: number] => [
  shape[0]!,
  shape.slice(1).reduce((product, one) => product * one, 1),
]
const sumOf = (tape: Tape, rows: Sym): Sym =>
  tape.emit('ReduceSum', [rows, tape.ints([1])], { keepdims: { int: 0 } })

/** Σ a·b of each row: a product of a row with a column each, which reads both once and writes nothing between. */
function productsOf(tape: Tape, a: Sym, b: Sym): Sym {
  const [channels, count] = flat(a)
  // Turned by an operator, although no element moves: the runtime then reads the row as it lies, and fast.
  const column = tape.emit('Transpose', [tape.reshape(b, [channels, 1, count])], {
    perm: { ints: [0, 2, 1] },
  })
  const product = tape.emit('MatMul', [tape.reshape(a, [channels, 1, count]), column])
  return tape.reshape(product, [channels])
}

export const normalizations: LoweringTable = {
  BatchNormalization: (node, context) => {
    const { tape } = context
    const [data, scaleName, shiftName, meanName, varianceName] = node.input
    if (node.output.slice(1).some((name) => name !== '')) {
      throw new OnnxError('it gives out its running figures: it is a training graph already')
    }
    const rank = context.shapeOf(data).length
    // A matrix [batch, channels] does not lie exchanged; it is turned round for the while.
    const given = context.read(data, rank >= 3 ? 'CN' : 'NC')
    const x = rank >= 3 ? given : tape.transpose(given, [1, 0])
    const inputs = { x, scale: context.read(scaleName), shift: context.read(shiftName) }
    const epsilon = floatOf(node, 'epsilon', 1e-5)
    const write = (y: Sym) =>
      context.write(
        node.output[0],
        rank >= 3 ? y : tape.transpose(y, [1, 0]),
        rank >= 3 ? 'CN' : 'NC',
      )
    if (context.batchNorm === 'frozen') {
      const running = { mean: context.read(meanName), variance: context.read(varianceName) }
      return write(batchNormFrozen(tape, inputs, running, epsilon))
    }
    const { y, mean, variance } = batchNormTrained(tape, inputs, epsilon)
    const momentum = floatOf(node, 'momentum', 0.9)
    context.statistics.push(
      { name: meanName!, batch: mean, momentum },
      { name: varianceName!, batch: variance, momentum },
    )
    write(y)
  },
}
