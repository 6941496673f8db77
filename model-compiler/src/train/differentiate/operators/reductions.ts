/** Sums, means and extremes over axes. */
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'
import { axisIn, type Lowering, type LoweringTable } from '../lowering.ts'

type Reduce = (tape: Tape, x: Sym, axes: readonly number[], keep: boolean) => Sym

const reduction =
  (reduce: Reduce): Lowering =>
  (node, context) => {
    const { tape } = context
    const shape = context.shapeOf(node.input[0])
    const said = context.listFrom(node, 'axes', 1) ?? []
    if (said.length === 0 && context.int(node, 'noop_with_empty_axes', 0) !== 0) {
      const layout = context.layoutOf(node.input[0])
      return context.write(node.output[0], context.read(node.input[0], layout), layout)
    }
    const axes =
      said.length === 0
        ? [...shape.keys()]
        : said.map((axis) => (axis < 0 ? axis + shape.length : axis))
    const layout = context.layoutOf(node.input[0])
    const inLayout = axes.map((axis) => axisIn(layout, axis))
    // The axes stay first, so that what is left of an exchanged value can be turned back while it is small.
    context.write(
      node.output[0],
      reduce(tape, context.read(node.input[0], layout), inLayout, true),
      layout,
    )
    if (context.int(node, 'keepdims', 1) !== 0) return
    const kept = shape.filter((_, axis) => !axes.includes(axis))
    context.write(node.output[0], tape.reshape(context.read(node.output[0]), kept))
  }

export const reductions: LoweringTable = {
  ReduceSum: reduction((tape, x, axes, keep) => tape.reduceSum(x, axes, keep)),
  ReduceMean: reduction((tape, x, axes, keep) => tape.reduceMean(x, axes, keep)),
  ReduceMax: reduction((tape, x, axes, keep) => tape.reduceMax(x, axes, keep)),
  ReduceMin: reduction((tape, x, axes, keep) => tape.reduceMin(x, axes, keep)),
  ReduceSumSquare: reduction((tape, x, axes, keep) => tape.reduceSum(tape.mul(x, x), axes, keep)),
  ReduceL2: reduction((tape, x, axes, keep) =>
    tape.sqrt(tape.reduceSum(tape.mul(x, x), axes, keep)),
  ),
  ReduceL1: reduction((tape, x, axes, keep) => tape.reduceSum(tape.abs(x), axes, keep)),
}
