/**
 * Which runtime `auto` means on this box: measured once per model, in a process that may hang and crash
 * without harm, and remembered until the model, the machine or a version changes.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { arch, availableParallelism, cpus, platform, release } from 'node:os'
import { dirname, join } from 'node:path'
import { MeasuredRuntime } from '@edgeloop/protocol'
import { parse, parseJson } from '@edgeloop/protocol/check'
import { type Static, Type } from 'typebox'
import type { MeasureNews } from './measure.ts'
import type { MeasureOrder } from './measure-process.ts'
import { readModelFile } from './model-file.ts'

/** What was found out about one model. */
export const Measurement = Type.Object({
  /** Of all that the figures depend on. */
  key: Type.String({ maxLength: 64 }),
  at: Type.String({ maxLength: 40 }),
  runtimes: Type.Array(MeasuredRuntime, { maxItems: 16 }),
})
export type Measurement = Static<typeof Measurement>

export type MeasurementOptions = {
  /** ONNX file. */
  readonly file: string
  readonly sides?: MeasureOrder['sides']
  /** Where figures are kept: one small file per model. */
  readonly cacheFolder: string
  /** `known`: only what was measured before; `again`: measure in any case. */
  readonly mode?: 'known' | 'again'
  /** Another program in place of the measuring process; for tests. */
  readonly module?: string | URL
  readonly limits?: Partial<MeasurementLimits>
  readonly now: () => number
  readonly signal: AbortSignal
}

export type MeasurementLimits = {
  /** How long the rounds of all runtimes may take together. */
  readonly budgetMs: number
  /** Silence after which a runtime counts as hung: TensorRT builds its engine in this time. */
  readonly silenceMs: number
}

const limitsDefault: MeasurementLimits = { budgetMs: 1_500, silenceMs: 120_000 }
/** Most models whose figures are kept; the oldest go first. */
const filesMax = 64
/** What is not at least this much faster than the CPU is not worth a driver. */
const gainMin = 1.1
const reasonLengthMax = 500

/**
 * Figures of a model: remembered ones, or new ones. Undefined where none are known and none wanted.
 * @throws {ModelError} when the file is no model
 * @throws the signal's reason when it aborts
 */
export async function measurementOf(options: MeasurementOptions): Promise<Measurement | undefined> {
  const { file, cacheFolder, mode, signal } = options
  const { digest } = await readModelFile(file)
  const key = await keyOf(digest)
  const folder = join(cacheFolder, 'runtimes')
  const path = join(folder, `${digest}.json`)
  if (mode !== 'again') {
    const known = await readMeasurement(path)
    if (known?.key === key) return known
    if (mode === 'known') return undefined
  }
  const runtimes = await measure(options)
  signal.throwIfAborted()
  const measurement: Measurement = { key, at: new Date(options.now()).toISOString(), runtimes }
  await keep(folder, path, measurement)
  return measurement
}

/** The fastest of them; the CPU where nothing is clearly faster, or nothing is known. */
export function fastestOf(runtimes: readonly MeasuredRuntime[]): string {
  const cpu = runtimes.find(({ runtime }) => runtime === 'ort:cpu')?.medianMs
  const usable = runtimes.filter(
    ({ medianMs, reason }) => medianMs !== undefined && reason === undefined,
  )
  const [best] = usable.toSorted((a, b) => (a.medianMs ?? 0) - (b.medianMs ?? 0))
  if (!best || (cpu !== undefined && (best.medianMs ?? 0) * gainMin > cpu)) return 'ort:cpu'
  return best.runtime
}

/** Measures; whoever hangs or crashes is left out and the rest measured again without it. */
async function measure(options: MeasurementOptions): Promise<MeasuredRuntime[]> {
  const fallen = new Map<string, string>()
  for (;;) {
    const { runtimes, culprit, done } = await measureOnce(options, [...fallen.keys()])
    options.signal.throwIfAborted()
    const why = culprit?.reason ?? 'the measuring process ended early'
    const all = [...runtimes, ...[...fallen].map(([runtime, reason]) => ({ runtime, reason }))]
    if (done) return all
    // Without a culprit, or with the same one twice, another try would end the same way.
    if (!culprit || fallen.has(culprit.runtime)) {
      return all.length > 0 ? all : [{ runtime: 'ort:cpu', reason: why }]
    }
    fallen.set(culprit.runtime, why)
  }
}

type Attempt = {
  readonly runtimes: MeasuredRuntime[]
  /** Who was at work when the process ended, and how it ended. */
  readonly culprit: { readonly runtime: string; readonly reason: string } | undefined
  readonly done: boolean
}

async function measureOnce(
  { file, sides = {}, module, limits, signal }: MeasurementOptions,
  without: readonly string[],
): Promise<Attempt> {
  const { budgetMs, silenceMs } = { ...limitsDefault, ...limits }
  const child = fork(module ?? new URL('./measure-process.ts', import.meta.url), {
    // Drivers chatter on both; what matters comes as a message.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const runtimes: MeasuredRuntime[] = []
  let working: string | undefined
  let done = false
  let hung = false
  const end = (): void => void child.kill('SIGKILL')
  const watchdog = setTimeout(() => {
    hung = true
    end()
  }, silenceMs)
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  child.on('message', (news: MeasureNews) => {
    watchdog.refresh()
    switch (news.kind) {
      case 'opening':
      case 'running':
        working = news.runtime
        return
      case 'refused':
        runtimes.push({ runtime: news.runtime, reason: shortened(news.reason, file) })
        return
      case 'measured': {
        const { kind: _, medianMs, ...rest } = news
        runtimes.push({ ...rest, medianMs: Math.round(medianMs * 100) / 100 })
        return
      }
      case 'done':
        done = true
    }
  })
  child.send({ file, sides, without, budgetMs } satisfies MeasureOrder, () => {})
  const ended = await endOf(child)
  clearTimeout(watchdog)
  signal.removeEventListener('abort', end)
  const reason = hung ? `it hung for ${silenceMs} ms` : `it ended its process with ${ended}`
  const culprit = working === undefined || done ? undefined : { runtime: working, reason }
  return { runtimes: runtimes.filter(({ runtime }) => runtime !== culprit?.runtime), culprit, done }
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`the error: ${error.message}`))
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
  })
}

/** Everyone knows which file it is about. */
function shortened(reason: string, file: string): string {
  return reason.replace(`Cannot load model "${file}": `, '').slice(0, reasonLengthMax)
}

/** A figure holds for this model on this machine with these versions and libraries. */
async function keyOf(digest: string): Promise<string> {
  const require = createRequire(import.meta.url)
  const ort = dirname(require.resolve('onnxruntime-node/package.json'))
  const { version } = JSON.parse(await readFile(join(ort, 'package.json'), 'utf8')) as {
    version: string
  }
  // Libraries of accelerators are put there later, by hand.
  const libraries = join(ort, 'bin', 'napi-v6', platform(), arch())
  const changedMs = await stat(libraries).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  )
  const machine = [platform(), release(), arch(), cpus()[0]?.model, availableParallelism()]
  const parts = [digest, version, changedMs, process.version, ...machine]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** Undefined where there is none that can be read: then it is measured again. */
async function readMeasurement(path: string): Promise<Measurement | undefined> {
  try {
    return parse(Measurement, parseJson(await readFile(path), 'measurement'), 'measurement')
  } catch {
    return undefined
  }
}

async function keep(folder: string, path: string, measurement: Measurement): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const part = join(folder, `.${randomUUID()}.part`)
  await writeFile(part, JSON.stringify(measurement), { mode: 0o600 })
  await rename(part, path)
  const files = (await readdir(folder)).filter((name) => name.endsWith('.json'))
  if (files.length <= filesMax) return
  const aged = await Promise.all(
    files.map(async (name) => ({ name, changedMs: (await stat(join(folder, name))).mtimeMs })),
  )
  aged.sort((a, b) => a.changedMs - b.changedMs)
  for (const { name } of aged.slice(0, files.length - filesMax)) await rm(join(folder, name))
}
