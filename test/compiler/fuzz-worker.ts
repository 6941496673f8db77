/** Damages models and puts each through everything that looks at a model before it runs. The test watches the counter. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import {
  Graph,
  graphLines,
  inferTypes,
  inspect,
  loadExternalData,
  OnnxError,
  readModel,
  setInputShapes,
  upgradeOpset,
  verify,
  writeModel,
} from '@edgeloop/model-compiler'
import { randomFrom } from '../rtsp/random.ts'
import { mutate } from './mutate.ts'

export type FuzzWork = {
  readonly seed: number
  readonly rounds: number
  readonly files: readonly Uint8Array[]
  /** The counter of rounds that have begun. */
  readonly counter: SharedArrayBuffer
  readonly folder: string
}
export type FuzzResult = {
  /** Damaged files that are models still, and how many of them have no fault. */
  readonly read: number
  readonly verified: number
  /** Of the processor. */
  readonly slowestMs: number
  readonly crashes: readonly string[]
}

const secret = 'this file is none of your business'

async function work({ seed, rounds, files, counter, folder }: FuzzWork): Promise<FuzzResult> {
  const count = new Int32Array(counter)
  const models = join(folder, 'models')
  await mkdir(models)
  await writeFile(join(folder, 'secret'), secret.padEnd(1024))
  await writeFile(join(models, 'w.bin'), new Uint8Array(1024))
  let read = 0
  let verified = 0
  let slowestMs = 0
  const crashes: string[] = []
  for (let round = 0; round < rounds && crashes.length < 5; round++) {
    Atomics.add(count, 0, 1)
    // Each round has a seed of its own, so that one can be repeated alone.
    const random = randomFrom(seed + round * 7919)
    const bytes = mutate(random, files[Math.floor(random() * files.length)]!)
    const before = process.threadCpuUsage()
    const seen = await lookAt(bytes, models)
    const { user, system } = process.threadCpuUsage(before)
    slowestMs = Math.max(slowestMs, (user + system) / 1000)
    read += Number(seen.read)
    verified += Number(seen.verified)
    if (seen.crash !== undefined) crashes.push(`round ${round}: ${seen.crash}`)
  }
  const untouched = (await readFile(join(folder, 'secret'), 'utf8')) === secret.padEnd(1024)
  if (!untouched) crashes.push('a file outside the folder was written')
  return { read, verified, slowestMs, crashes }
}

/** Every step by itself: what one refuses, another may still have to bear. */
async function lookAt(bytes: Uint8Array, folder: string) {
  let crash: string | undefined
  const step = async <T>(name: string, act: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof OnnxError)) {
        crash ??= `${name}: ${error instanceof Error ? error.stack : String(error)}`
      }
      return undefined
    }
  }
  const model = await step('read', () => readModel(bytes))
  if (!model) return { read: false, verified: false, crash }
  const verified = await step('verify', () => {
    verify(model, { opsets: [1, 30] })
    return true
  })
  await step('inspect', () => inspect(model))
  await step('types, text, write', () => {
    const graph = new Graph(model)
    inferTypes(graph)
    graphLines(graph).take(10_000).toArray()
    writeModel(graph.toModel())
  })
  await step('upgrade', () => {
    const graph = new Graph(model)
    upgradeOpset(graph, 21)
    writeModel(graph.toModel())
  })
  await step('shapes', () => {
    const graph = new Graph(model)
    const [input] = graph.requiredInputs
    const shape = graph.typeOf(input?.name ?? '')?.shape ?? [1]
    if (!input) return
    setInputShapes(graph, {
      [input.name]: shape.map((one) => (typeof one === 'number' ? one : 16)),
    })
  })
  const loaded = await step('external data', () => loadExternalData(model, folder))
  if (loaded && Buffer.from(writeModel(loaded)).includes(secret)) crash ??= 'it read a file outside'
  return { read: true, verified: verified === true, crash }
}

parentPort?.postMessage(await work(workerData as FuzzWork))
