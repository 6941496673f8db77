/** Recurrent layers. */
import { type Inference, inferred, type OperatorTable } from '../node-facts.ts'

const recurrent: Inference = (facts) => {
  const shape = facts.shape(0)
  const type = facts.elementType(0)
  const directions = facts.string('direction', 'forward') === 'bidirectional' ? 2 : 1
  const hidden = facts.int('hidden_size', undefined) ?? facts.shape(2)?.[2]
  const batchFirst = facts.int('layout', 0) !== 0
  const [first, second] = shape ?? []
  const [steps, batch] = batchFirst ? [second, first] : [first, second]
  const last = inferred(
    type,
    batchFirst ? [batch, directions, hidden] : [directions, batch, hidden],
  )
  const all = batchFirst ? [batch, steps, directions, hidden] : [steps, directions, batch, hidden]
  return [inferred(type, all), last, last]
}

export const recurrence: OperatorTable = { RNN: recurrent, GRU: recurrent, LSTM: recurrent }
