/** The process that evaluates. Started by `runInChild`, which ends it when it exceeds its limits. */
import { answerOrder } from '@edgeloop/model-compiler/compile'
import type { Evaluated, EvaluateOrder, EvaluateProgress } from './evaluate-order.ts'
import { evaluateModel } from './evaluate-work.ts'

answerOrder<EvaluateOrder, EvaluateProgress, Evaluated>(evaluateModel)
