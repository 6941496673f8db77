/** The thread that makes pixels: batches are asked for one after the other, each into its slot of shared memory. */
import { parentPort, workerData } from 'node:worker_threads'
import sharp from 'sharp'
import { Renderer, type RenderOptions } from './render.ts'
import { type SlotMemory, type SlotOrder, type SlotSizes, Slots } from './slots.ts'

export type WorkerStart = {
  readonly render: RenderOptions
  readonly slots: SlotSizes
  readonly memory: SlotMemory
}
export type WorkerTask = {
  readonly task: number
  readonly order: SlotOrder
}
export type WorkerAnswer = {
  readonly task: number
  readonly error?: { readonly message: string; readonly hint: string | undefined }
}

// One picture is decoded at a time, on what the step leaves of the machine; nothing is asked for twice.
sharp.concurrency(1)
sharp.cache(false)

const start = workerData as WorkerStart
const renderer = new Renderer(start.render)
const slots = new Slots(start.slots, start.memory)
let before: Promise<void> = Promise.resolve()

parentPort?.on('message', (task: WorkerTask) => {
  before = before.then(() => perform(task))
})

async function perform({ task, order }: WorkerTask): Promise<void> {
  let answer: WorkerAnswer = { task }
  try {
    await slots.fill(order, renderer)
  } catch (error) {
    const { message, hint } = error as Error & { hint?: string }
    answer = { task, error: { message, hint } }
  }
  parentPort?.postMessage(answer)
}
