/** Products of matrices. */
import type { Dimension } from '../../graph/value-type.ts'
import { OnnxError } from '../../onnx/read.ts'
import { tensorTypes } from '../../onnx/types.ts'
import { broadcast, isNumber, type Shape } from '../dimensions.ts'
import { type Inference, inferred, type NodeFacts, type OperatorTable } from '../node-facts.ts'

const { float32, int32 } = tensorTypes

function agree(a: Dimension, b: Dimension): void {
  if (isNumber(a) && isNumber(b) && a !== b) {
    throw new OnnxError(`inner dimensions ${a} and ${b} differ`)
  }
}

/** As numpy's matmul: a vector is a row on the left, a column on the right, and its 1 is taken away again. */
function multiplied(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (!a || !b) return undefined
  if (a.length === 0 || b.length === 0) throw new OnnxError('a scalar is no matrix')
  const left = a.length === 1 ? [1, a[0]] : a
  const right = b.length === 1 ? [b[0], 1] : b
  agree(left.at(-1), right.at(-2))
  const batch = broadcast(left.slice(0, -2), right.slice(0, -2)) ?? []
  return [
    ...batch,
    ...(a.length === 1 ? [] : [left.at(-2)]),
    ...(b.length === 1 ? [] : [right.at(-1)]),
  ]
}

const matmul =
  (left: number, right: number, type?: (facts: NodeFacts) => number): Inference =>
  (facts) => [
    inferred(
      type ? type(facts) : facts.elementType(left),
      multiplied(facts.shape(left), facts.shape(right)),
    ),
  ]

const gemm =
  (left: number, right: number, type?: (facts: NodeFacts) => number): Inference =>
  (facts) => {
    const elementType = type ? type(facts) : facts.elementType(left)
    const turned = (at: number, flag: string) => {
      const shape = facts.shape(at)
      if (shape && shape.length !== 2) throw new OnnxError(`a matrix has rank ${shape.length}`)
      return shape && facts.int(flag, 0) ? shape.toReversed() : shape
    }
    const a = turned(left, 'transA')
    const b = turned(right, 'transB')
    if (a && b) agree(a[1], b[0])
    return [inferred(elementType, [a?.[0], b?.[1]])]
  }

const einsum: Inference = (facts) => {
  const equation = facts.string('equation', '').replaceAll(/\s/g, '')
  const [left = '', right] = equation.split('->')
  const terms = left.split(',')
  const unknown = [inferred(facts.elementType(0), undefined)]
  const sizes = new Map<string, Dimension>()
  let dots: Shape = []
  for (const [at, term] of terms.entries()) {
    const shape = facts.shape(at)
    if (!shape) return unknown
    const [before = '', after] = term.split('...')
    const named = before.length + (after?.length ?? 0)
    if (after === undefined ? named !== shape.length : named > shape.length) {
      throw new OnnxError(`term "${term}" does not fit an input of rank ${shape.length}`)
    }
    const names = [...before, ...(after ?? '')]
    const rest = shape.length - (after?.length ?? 0)
    const own = [...shape.slice(0, before.length), ...shape.slice(rest)]
    for (const [place, name] of names.entries()) {
      const known = sizes.get(name)
      if (known === undefined || known === 1) sizes.set(name, own[place])
    }
    if (after !== undefined) dots = broadcast(dots, shape.slice(before.length, rest)) ?? []
  }
  // Without an arrow the result has the names that occur once, in the order of the alphabet.
  const all = [...left.replaceAll(/[,.]/g, '')]
  const once = all.filter((name) => all.indexOf(name) === all.lastIndexOf(name)).toSorted()
  const result = right ?? `${left.includes('...') ? '...' : ''}${once.join('')}`
  const [before = '', after] = result.split('...')
  return [
    inferred(facts.elementType(0), [
      ...[...before].map((name) => sizes.get(name)),
      ...(after === undefined ? [] : dots),
      ...[...(after ?? '')].map((name) => sizes.get(name)),
    ]),
  ]
}

/** Domain `com.microsoft`. */
export const microsoftMatrix: OperatorTable = {
  FusedGemm: gemm(0, 1),
  FusedMatMul: (facts) => {
    const turned = (at: number, flag: string) => {
      const shape = facts.shape(at)
      if (!shape || shape.length < 2 || !facts.int(flag, 0)) return shape
      return [...shape.slice(0, -2), shape.at(-1), shape.at(-2)]
    }
    return [inferred(facts.elementType(0), multiplied(turned(0, 'transA'), turned(1, 'transB')))]
  },
  QGemm: gemm(0, 3, (facts) => (facts.has(8) ? facts.elementType(8) : float32)),
  MatMulIntegerToFloat: matmul(0, 1, () => float32),
  DynamicQuantizeMatMul: matmul(0, 1, () => float32),
  MatMulNBits: (facts) => {
    const shape = facts.shape(0)
    const columns = facts.int('N', undefined)
    return [inferred(facts.elementType(0), shape && [...shape.slice(0, -1), columns])]
  },
}

export const matrices: OperatorTable = {
  MatMul: matmul(0, 1),
  MatMulInteger: matmul(0, 1, () => int32),
  QLinearMatMul: matmul(0, 3, (facts) => facts.elementType(7)),
  Gemm: gemm(0, 1),
  Einsum: einsum,
  Det: (facts) => [inferred(facts.elementType(0), facts.shape(0)?.slice(0, -2))],
}
