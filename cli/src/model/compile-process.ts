/** The compiler's process. Started by `runInChild`, which ends it when it exceeds its limits. */
import { answerOrder } from '@edgeloop/model-compiler/compile'
import type {
  Compared,
  CompareOrder,
  Compiled,
  CompileOrder,
  OrderProgress,
} from './compile-order.ts'
import { compare, compile } from './compile-work.ts'

answerOrder<CompileOrder | CompareOrder, OrderProgress, Compiled | Compared>((order, tell) =>
  order.kind === 'compile' ? compile(order, tell) : compare(order, tell),
)
