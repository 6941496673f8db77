/** The process that proposes annotations. Started by `runInChild`, which ends it when it exceeds its limits. */
import { answerOrder } from '@edgeloop/model-compiler/compile'
import type { Proposed, ProposeOrder, ProposeProgress } from './propose-order.ts'
import { propose } from './propose-work.ts'

answerOrder<ProposeOrder, ProposeProgress, Proposed>(propose)
