/** Operators with a body: their results are those of the body. */

import { bodiesOf } from '../../graph/graph.ts'
import type { Dimension } from '../../graph/value-type.ts'
import { type Inference, type Inferred, inferred, type OperatorTable } from '../node-facts.ts'

/** What is certain of a value that is either this or that. */
function either(a: Inferred | undefined, b: Inferred | undefined): Inferred | undefined {
  if (!a || !b) return undefined
  const fits = a.shape && b.shape && a.shape.length === b.shape.length
  const shape = fits
    ? a.shape.map((one, axis): Dimension => (one === b.shape?.[axis] ? one : undefined))
    : undefined
  return inferred(a.elementType === b.elementType ? a.elementType : 0, shape)
}

const branches: Inference = (facts) => {
  const results = bodiesOf(facts.node).map((body) => facts.inferBody(body))
  const [first = [], second = []] = results
  return first.map((one, at) => either(one, second[at]))
}

/** What goes round may change its shape, so that only its type is certain; what is gathered gets an axis in front. */
const loop: Inference = (facts) => {
  const [body] = bodiesOf(facts.node)
  if (!body) return []
  const carried = facts.inputs.slice(2).map((one) => one && inferred(one.elementType, undefined))
  const results = facts.inferBody(body, [inferred(7, []), inferred(9, []), ...carried])
  return results.slice(1).map((one, at) => {
    if (!one) return undefined
    if (at < carried.length) return inferred(one.elementType, undefined)
    return inferred(one.elementType, one.shape && [undefined, ...one.shape])
  })
}

export const control: OperatorTable = { If: branches, Loop: loop }
