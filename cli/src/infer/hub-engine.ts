/** What executes models for others, as a hub has it: each in a process that is watched, and ended at its limits. */
import { writeFile } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { type InferenceEngine, ModelFault, type ModelProcess } from '@edgeloop/cloud-hub'
import { watchProcess } from '@edgeloop/edge-agent/detect'
import { described } from '../train/hub-trainer.ts'
import type { FromModel, ToModel } from './infer-words.ts'

const inferProcess = new URL('./infer-process.ts', import.meta.url)

/** Larger than any model it may hold, several times. */
const memoryBytesMaxDefault = Math.min(3 * 1024 ** 3, Math.floor(totalmem() / 2))
/** The hub itself comes first. */
const niceness = 5
/** Half of the machine at most, however many wait. */
const threads = Math.max(1, Math.min(4, Math.floor(availableParallelism() / 2)))

export function openHubEngine({
  memoryBytesMax = memoryBytesMaxDefault,
}: {
  /** Resident memory of one process. */
  readonly memoryBytesMax?: number
} = {}): InferenceEngine {
  return {
    open: async (model, timeoutMs) => {
      const description = model.file.replace(/\.onnx$/i, '.model.json')
      await writeFile(description, JSON.stringify(described(model)))
      const held = holdModel(model.name, memoryBytesMax)
      try {
        const word = await held.ask(
          { kind: 'open', file: model.file, description, layout: model.layout, threads },
          timeoutMs,
        )
        if (word.kind !== 'opened') throw new ModelFault('it gave no signature', false)
        return openedModel(held, word.signature)
      } catch (cause) {
        held.stop()
        await held.ended
        const reason = (cause as Error).message.replaceAll(model.file, model.name)
        throw new ModelFault(reason, true, { cause })
      }
    },
  }
}

type Held = ReturnType<typeof holdModel>

function openedModel(held: Held, signature: ModelProcess['signature']): ModelProcess {
  return {
    signature,
    infer: async (inputs, timeoutMs) => {
      const word = await held.ask({ kind: 'infer', inputs }, timeoutMs)
      if (word.kind === 'inferred') return word.outputs
      throw new ModelFault(`Cannot run the model: it answered "${word.kind}"`, false)
    },
    look: async (picture, reading, timeoutMs) => {
      const word = await held.ask({ kind: 'look', picture, reading }, timeoutMs)
      if (word.kind === 'looked') return word.reading
      throw new ModelFault(`Cannot look at the picture: it answered "${word.kind}"`, false)
    },
    ended: held.ended,
    async [Symbol.asyncDispose]() {
      held.stop()
      await held.ended
    },
  }
}

/** @param name how people call the model */
function holdModel(name: string, memoryBytesMax: number) {
  let waiting: PromiseWithResolvers<FromModel> | undefined
  let gone: string | undefined
  const child = watchProcess<ToModel, FromModel>({
    module: inferProcess,
    memoryBytesMax,
    niceness,
    onMessage: (word) => {
      child.allow(undefined)
      const asked = waiting
      waiting = undefined
      if (word.kind === 'failed') asked?.reject(new ModelFault(word.reason, false))
      else asked?.resolve(word)
    },
  })
  const ended = child.ended.then(({ why, how }) => {
    const reason = {
      exit: `its process ended with ${how}`,
      memory: `it took more than ${Math.round(memoryBytesMax / 1024 ** 2)} MiB of memory`,
      silence: 'it did not answer in time',
      stopped: 'it was closed',
    }[why]
    gone = `Cannot run the model ${name}: ${reason}`
    waiting?.reject(new ModelFault(gone, true))
    waiting = undefined
  })
  return {
    ended,
    stop: child.stop,
    /** @throws {ModelFault} */
    ask: async (word: ToModel, timeoutMs: number): Promise<FromModel> => {
      if (gone !== undefined) throw new ModelFault(gone, true)
      if (waiting) throw new ModelFault(`Cannot run the model ${name}: it is busy`, false)
      waiting = Promise.withResolvers()
      const { promise } = waiting
      child.send(word)
      child.allow(timeoutMs)
      return await promise
    },
  }
}
