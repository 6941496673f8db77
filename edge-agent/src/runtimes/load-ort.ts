/**
 * Loads ONNX Runtime without what it does besides running models: from 1.30 on its library reports to its
 * vendor on Linux too, and keeps an identity of the machine in the home folder (seen on a bare box; the switch
 * is named in its binary only). Nothing leaves a box that its owner has not been told of.
 */
import { isMainThread } from 'node:worker_threads'

type Ort = typeof import('onnxruntime-node')

const [switchName, switchValue] = ['ORT_DISABLE_TELEMETRY', '1']

/**
 * Switches the reports off for this process. A thread cannot: the library reads the environment that the
 * process has, and a thread changes a copy. Call it before a thread that runs models is started.
 */
export function silenceOrt(): void {
  if (isMainThread) process.env[switchName] = switchValue
}

/**
 * The package, whose native library is loaded with the first call.
 * @throws {Error} when it is not installed; in a thread also when its process never called `silenceOrt()`
 */
export async function loadOrt(): Promise<Ort> {
  silenceOrt()
  if (process.env[switchName] !== switchValue) {
    throw new Error(`Cannot load ONNX Runtime: its process did not set ${switchName}`)
  }
  const ort = await import('onnxruntime-node')
  // It writes to standard error past every logger of ours; what matters comes as an error anyway.
  ort.env.logLevel = 'fatal'
  return ort
}
