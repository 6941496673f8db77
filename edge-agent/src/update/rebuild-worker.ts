/** One model's file, decoded and looked at before any runtime sees it. */
import { parentPort, workerData } from 'node:worker_threads'
import { ArtifactError, checkModelFile, decode } from '@edgeloop/model-compiler/artifact'
import type { RebuildAnswer, RebuildOrder } from './rebuild.ts'

const { encoding, bytes, base, bounds } = workerData as RebuildOrder
parentPort?.postMessage(answerOf())

function answerOf(): RebuildAnswer {
  try {
    const model = decode(encoding, bytes, base, bounds)
    checkModelFile(model)
    return { bytes: model }
  } catch (error) {
    const { message: text } = error as Error
    return { code: error instanceof ArtifactError ? error.code : undefined, text }
  }
}
