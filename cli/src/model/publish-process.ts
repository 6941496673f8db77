/**
 * One process per step of a publication, which loads what that step needs and nothing else: what the second one takes of memory is
 * what boxes are granted. Started by `runInChild`, which ends it when it exceeds its limits.
 */
import { answerOrder } from '@edgeloop/model-compiler/child'
import type {
  Described,
  DescribeOrder,
  Encoded,
  EncodeOrder,
  Measured,
  MeasureOrder,
} from './publish-order.ts'

answerOrder<DescribeOrder | MeasureOrder | EncodeOrder, never, Described | Measured | Encoded>(
  async (order) => {
    switch (order.kind) {
      case 'describe':
        return await (await import('./publish-describe.ts')).describe(order)
      case 'measure':
        return await (await import('./publish-measure.ts')).measure(order)
      case 'encode':
        return await (await import('./publish-encode.ts')).encode(order)
    }
  },
)
