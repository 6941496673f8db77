/** Zeros around a picture go into the padding of the operator that reads it. */
import { intOf, intsOf, setAttribute, stringOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { isOp, numbersOf, scalarOf } from './matching.ts'
import type { Pass } from './pass.ts'

export const foldPads: Pass = {
  name: 'fold-pads',
  about: 'Folds Pad with zeros into the padding of a Conv or AveragePool.',
  run(graph) {
    let changes = 0
    for (const node of [...graph.nodes]) {
      if (!isOp(node, 'Pad')) continue
      const pads = padsOf(graph, node)
      const users = graph.usersOf(node.output[0] ?? '')
      if (!pads || users.length === 0 || graph.isOutput(node.output[0]!)) continue
      if (!users.every((user) => takesPads(user, node, pads))) continue
      for (const user of users) {
        graph.edit(user, () => addPads(user, pads))
        graph.setInput(user, 0, node.input[0]!)
      }
      graph.remove(node)
      changes++
    }
    return changes
  },
}

/** Zeros before and after each axis but batch and channels; undefined for any other padding. */
function padsOf(graph: Graph, node: NodeProto): number[] | undefined {
  if (stringOf(node, 'mode', 'constant') !== 'constant' || node.input[3]) return undefined
  // Before opset 11 pads and value were attributes.
  const listed = graph.opset < 11
  const pads = listed ? intsOf(node, 'pads', undefined) : numbersOf(graph, node.input[1])
  const filled = listed
    ? (node.attribute.find(({ name }) => name === 'value')?.f ?? 0)
    : node.input[2]
      ? scalarOf(graph, node.input[2])
      : 0
  if (pads === undefined || filled !== 0 || pads.length < 6) return undefined
  const rank = pads.length / 2
  const others = [pads[0], pads[1], pads[rank], pads[rank + 1]]
  if (others.some((pad) => pad !== 0) || pads.some((pad) => pad < 0)) return undefined
  return [...pads.slice(2, rank), ...pads.slice(rank + 2)]
}

function takesPads(user: NodeProto, pad: NodeProto, pads: readonly number[]): boolean {
  if (!isOp(user, 'Conv', 'AveragePool')) return false
  if (user.input.filter((value) => value === pad.output[0]).length !== 1) return false
  if (user.input[0] !== pad.output[0]) return false
  if (!['NOTSET', ''].includes(stringOf(user, 'auto_pad', 'NOTSET'))) return false
  const own = intsOf(user, 'pads', undefined)
  if (own !== undefined && own.length !== pads.length) return false
  if (user.opType === 'Conv') return true
  // What Pad adds counts in the mean, what the pool adds itself may not; and each window has to be whole.
  const ownCounts = intOf(user, 'count_include_pad', 0) !== 0
  const hasOwn = own?.some((value) => value !== 0) ?? false
  if ((hasOwn && !ownCounts) || intOf(user, 'ceil_mode', 0) !== 0) return false
  const window = intsOf(user, 'kernel_shape', [] as number[])
  // The runtime refuses a pool with padding as large as its window.
  return pads.every((value, at) => value + (own?.[at] ?? 0) < (window[at % window.length] ?? 0))
}

function addPads(user: NodeProto, pads: readonly number[]): void {
  const own = intsOf(user, 'pads', undefined)
  setAttribute(user, 'pads', { ints: pads.map((value, at) => value + (own?.[at] ?? 0)) })
  if (user.opType === 'AveragePool') setAttribute(user, 'count_include_pad', { int: 1 })
}
