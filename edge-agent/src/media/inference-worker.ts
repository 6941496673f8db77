/**
 * The thread that runs the models. `run()` of onnxruntime-node blocks its thread for the whole
 * inference, so this thread does nothing else: it takes the newest canvas of one lane after the
 * other, in turn, so that no stream can starve another. A model that runs on a server is only waited for:
 * it has a queue of its own, and a server that hangs holds up its own streams alone.
 */
import { parentPort } from 'node:worker_threads'
import type { DetectOptions, Model } from '../models/model.ts'
import { openModel } from '../models/open-model.ts'
import { chooseRuntime } from '../runtimes/choose.ts'
import { oipScheme } from '../runtimes/oip.ts'
import { endWithParent } from './end-group.ts'
import { SlotReader } from './frame-slot.ts'
import type { FromInference, ToInference } from './inference-protocol.ts'

type Request = Extract<ToInference, { kind: 'infer' }>
type Lane = { readonly model: Model; readonly slot: SlotReader; readonly options: DetectOptions }

const port = parentPort
if (!port) throw new Error('Cannot start inference: this file runs in a worker thread only')

const models = new Map<string, Model>()
const lanes = new Map<number, Lane>()
/** What waits for this thread, and what waits for each server, by model. */
const queues = new Map<string, Queue>()
/** No model is called so. */
const here = ''

// The decoding thread may hang in native code when the supervisor goes; this one does not.
endWithParent()

port.on('message', (message: ToInference) => {
  switch (message.kind) {
    case 'open':
      void open(message)
      return
    case 'close':
      void close(message.model)
      return
    case 'lane':
      join(message)
      return
    case 'leave':
      lanes.delete(message.lane)
      return
    case 'ring':
      ring(message.lane)
      return
    case 'infer':
      ask(message)
  }
})

type Queue = {
  /** Lanes that may have a canvas, in the order of their turns. */
  readonly turns: Set<number>
  /** Tensors that somebody sent, in the order they came; the supervisor bounds their number. */
  readonly requests: Request[]
  working: boolean
}

function queueOf(name: string): Queue {
  const key = models.get(name)?.runtime.startsWith(oipScheme) ? name : here
  let queue = queues.get(key)
  if (!queue) {
    queue = { turns: new Set(), requests: [], working: false }
    queues.set(key, queue)
  }
  return queue
}

function ring(id: number): void {
  const lane = lanes.get(id)
  if (!lane) return
  const queue = queueOf(lane.model.name)
  queue.turns.add(id)
  if (!queue.working) void work(queue)
}

function ask(request: Request): void {
  const queue = queueOf(request.model)
  queue.requests.push(request)
  if (!queue.working) void work(queue)
}

const send = (message: FromInference): void => port.postMessage(message)

async function open({ source }: Extract<ToInference, { kind: 'open' }>): Promise<void> {
  try {
    const model = await openModel(source, chooseRuntime(source.runtime)).catch((error) => {
      // A driver may have gone since it was measured.
      if (source.fallback === undefined) throw error
      return openModel(source, chooseRuntime(source.fallback))
    })
    models.set(source.name, model)
    const { digest, layout, task, labels, signature, input, inputBytes } = model
    send({
      kind: 'opened',
      model: {
        name: source.name,
        digest,
        layout,
        task,
        labels,
        runtime: model.runtime,
        signature,
        input,
        inputBytes,
      },
    })
  } catch (error) {
    send({ kind: 'refused', name: source.name, reason: textOf(error) })
  }
}

async function close(name: string): Promise<void> {
  const model = models.get(name)
  models.delete(name)
  queues.delete(name)
  await model?.[Symbol.asyncDispose]()
}

function join(message: Extract<ToInference, { kind: 'lane' }>) {
  const { lane, model: name, memory, canvasBytes, options } = message
  const model = models.get(name)
  // The other thread opens lanes only to models it was told are open.
  if (!model) throw new Error(`Cannot join lane ${lane}: model "${name}" is not open`)
  lanes.set(lane, { model, slot: new SlotReader(memory, canvasBytes), options })
}

/**
 * Works in rounds until nothing waits: every lane that has a canvas has its turn, then one request.
 * So streams come first, and requests, however many, are together no more than one stream.
 */
async function work(queue: Queue): Promise<void> {
  const { turns, requests } = queue
  queue.working = true
  while (turns.size > 0 || requests.length > 0) {
    // A lane that rings meanwhile gets its turn in the next round.
    for (const id of [...turns]) {
      turns.delete(id)
      await look(id)
    }
    const request = requests.shift()
    if (request) await infer(request)
  }
  queue.working = false
}

async function look(id: number): Promise<void> {
  const lane = lanes.get(id)
  const frame = lane?.slot.take()
  if (!lane || !frame) return
  const startedAt = performance.now()
  try {
    const canvas = frame.canvas.subarray(0, lane.model.inputBytes)
    const reading = await lane.model.read(canvas, frame.view, lane.options)
    const inferenceMs = performance.now() - startedAt
    send({ kind: 'detected', lane: id, sequence: frame.sequence, reading, inferenceMs })
  } catch (error) {
    send({ kind: 'failed', lane: id, sequence: frame.sequence, reason: textOf(error) })
  }
}

async function infer({ request, model: name, inputs }: Request): Promise<void> {
  try {
    const model = models.get(name)
    if (!model) throw new Error(`Cannot run model "${name}": it is not open`)
    // Posting copies them before the next run takes their memory back.
    send({ kind: 'inferred', request, outputs: await model.run(inputs) })
  } catch (error) {
    send({ kind: 'notInferred', request, reason: textOf(error) })
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
