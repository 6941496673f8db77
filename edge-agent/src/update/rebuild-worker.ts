/** One model's file, decoded and looked at before any runtime sees it. */
import { parentPort, workerData } from 'node:worker_threads'
import { ArtifactError, checkModelFile, decode } from '@edgeloop/model-compiler/artifact'
import type { RebuildAnswer, RebuildOrder } from './rebuild.ts'

const { encoding, bytes, base, bounds } = workerData as RebuildOrder
const answer = answerOf()
// Handed over, not copied, where it has its memory to itself.
const own = 'bytes' in answer && answer.bytes.length === answer.bytes.buffer.byteLength
parentPort?.postMessage(answer, own ? [answer.bytes.buffer as ArrayBuffer] : [])

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
