/** Products of matrices. */
import { type Sym, sizeOf } from './sym.ts'
import type { Tape } from './tape.ts'

export type GemmOptions = {
  readonly alpha?: number
  readonly beta?: number
  /** Whether A (B) is turned before the product. */
  readonly transA?: boolean
  readonly transB?: boolean
}

export function gemm(tape: Tape, a: Sym, b: Sym, c?: Sym, options: GemmOptions = {}): Sym {
  const { alpha = 1, beta = 1, transA = false, transB = false } = options
  const product = plainGemm(tape, a, b, c, { alpha, beta, transA, transB })
  const inputs = c ? [a, b, c] : [a, b]
  return tape.record(inputs, product, (d) => {
    const times = (x: Sym, y: Sym, turnX: boolean, turnY: boolean) =>
      plainGemm(tape, x, y, undefined, { alpha, transA: turnX, transB: turnY })
    return [
      a.needsGradient
        ? transA
          ? times(b, d, transB, true)
          : times(d, b, false, !transB)
        : undefined,
      b.needsGradient
        ? transB
          ? times(d, a, true, transA)
          : times(a, d, !transA, false)
        : undefined,
      ...(c
        ? [
            c.needsGradient
              ? tape.sumTo(beta === 1 ? d : tape.emit('Mul', [d, tape.scalar(beta)]), c.shape)
              : undefined,
          ]
        : []),
    ]
  })
}

function plainGemm(tape: Tape, a: Sym, b: Sym, c: Sym | undefined, options: GemmOptions): Sym {
  return tape.emit('Gemm', [a, b, c], {
    alpha: { float: options.alpha ?? 1 },
    beta: { float: options.beta ?? 1 },
    transA: { int: options.transA ? 1 : 0 },
    transB: { int: options.transB ? 1 : 0 },
  })
}

export function matMul(tape: Tape, a: Sym, b: Sym): Sym {
  // A vector is a row on the left and a column on the right; its 1 is taken away again.
  const left = a.shape.length === 1 ? tape.reshape(a, [1, a.shape[0]!]) : a
  const right = b.shape.length === 1 ? tape.reshape(b, [b.shape[0]!, 1]) : b
  const product =
    right.shape.length === 2 ? timesOne(tape, left, right) : batched(tape, left, right)
  if (left === a && right === b) return product
  const shape = product.shape.filter(
    (_, axis) =>
      !(axis === product.shape.length - 2 && left !== a) &&
      !(axis === product.shape.length - 1 && right !== b),
  )
  return tape.reshape(product, shape)
}

/** All matrices on the left times the same one: their rows are one long matrix. */
function timesOne(tape: Tape, a: Sym, b: Sym): Sym {
  const inner = a.shape.at(-1)!
  const rows = sizeOf(a.shape) / Math.max(1, inner)
  return tape.record([a, b], tape.emit('MatMul', [a, b]), (d) => {
    const flat = () => tape.reshape(d, [rows, b.shape[1]!])
    return [
      a.needsGradient
        ? tape.reshape(plainGemm(tape, flat(), b, undefined, { transB: true }), a.shape)
        : undefined,
      b.needsGradient
        ? plainGemm(tape, tape.reshape(a, [rows, inner]), flat(), undefined, { transA: true })
        : undefined,
    ]
  })
}

function batched(tape: Tape, a: Sym, b: Sym): Sym {
  return tape.record([a, b], tape.emit('MatMul', [a, b]), (d) => [
    a.needsGradient ? tape.sumTo(tape.emit('MatMul', [d, turned(tape, b)]), a.shape) : undefined,
    b.needsGradient ? tape.sumTo(tape.emit('MatMul', [turned(tape, a), d]), b.shape) : undefined,
  ])
}

/** Each matrix with its axes exchanged; the runtime reads it so within its product. */
function turned(tape: Tape, x: Sym): Sym {
  const rank = x.shape.length
  const perm = Array.from({ length: rank - 2 }, (_, axis) => axis)
  return tape.transpose(x, [...perm, rank - 1, rank - 2])
}
