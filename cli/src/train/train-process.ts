/** The process that trains. Started by `runInChild`; asked to pause, it writes a checkpoint and ends. */
import { answerOrder, pauseSignal } from '@edgeloop/model-compiler/compile'
import type { TrainOrder, TrainProgress, TrainResult } from '@edgeloop/model-compiler/train'
import { performTraining } from './train-work.ts'

const pause = pauseSignal()
answerOrder<TrainOrder, TrainProgress, TrainResult>((order, tell) =>
  performTraining(order, tell, pause),
)
