/** What proposes annotations, as a hub has it: models that look at samples, in a child with limits. */
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Proposer } from '@edgeloop/cloud-hub'
import { type ChildLimits, childLimitsDefault, runInChild } from '@edgeloop/model-compiler/compile'
import { described } from '../train/hub-trainer.ts'
import type { Proposed, ProposeOrder, ProposeProgress } from './propose-order.ts'

const proposeProcess = fileURLToPath(new URL('./propose-process.ts', import.meta.url))

/** Of a hundred pictures and two models, the larger of which may take seconds for each. */
const limits: ChildLimits = {
  memoryBytesMax: childLimitsDefault.memoryBytesMax,
  silenceMs: 5 * 60_000,
  timeoutMs: 3_600_000,
}

export function openHubProposer(): Proposer {
  return {
    propose: async ({ models, ...order }, told, signal) => {
      const given = await Promise.all(
        models.map(async (model) => {
          const description = model.file.replace(/\.onnx$/i, '.model.json')
          await writeFile(description, JSON.stringify(described(model)))
          return { file: model.file, description, layout: model.layout }
        }),
      )
      const { samples } = await runInChild<ProposeOrder, ProposeProgress, Proposed>({
        program: proposeProcess,
        order: { ...order, models: given },
        what: 'propose',
        onProgress: told,
        signal,
        limits,
        doing: (last) =>
          last ? `looking at picture ${last.done} of ${last.total}` : 'opening the models',
      }).catch((error: Error) => {
        for (const { file, name } of models) error.message = error.message.replaceAll(file, name)
        throw error
      })
      return samples
    },
  }
}
