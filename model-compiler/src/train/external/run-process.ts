/**
 * Runs an external trainer as a process of this machine: its own process group, an environment without our secrets, its
 * words in a bounded log, and an end when it exceeds time, memory or disk.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { lstat, readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { TrainError } from '../run/train-error.ts'
import { type ExternalLimits, exitCodes, type MetricLine, names } from './contract.ts'
import { MetricsTail } from './metrics-tail.ts'

export type ProcessOptions = {
  /**
   * Program and arguments, as somebody types them in our working folder; the absolute path of the order comes behind them.
   * No shell reads it.
   */
  readonly command: readonly string[]
  readonly folder: string
  readonly limits: ExternalLimits
  readonly onMetrics?: (line: MetricLine) => void
  readonly onWarning?: (text: string) => void
  /** Tells the trainer to keep its state and end (SIGTERM). */
  readonly pause?: AbortSignal
  /** Ends it at once. */
  readonly signal?: AbortSignal
  /** How long it may take to end after SIGTERM (default 60 s). */
  readonly graceMs?: number
  readonly lookEveryMs?: number
}

/** What a trainer sees of our environment: nothing that could be a secret. */
const passedOn = [
  ...['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR', 'LD_LIBRARY_PATH', 'PYTHONPATH'],
  ...['VIRTUAL_ENV', 'CUDA_VISIBLE_DEVICES', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS'],
]
const logBytesMax = 16 * 1024 * 1024
const lastWordsMax = 300
const lookEveryMsDefault = 500
const graceMsDefault = 60_000
/** Files in `output` that are counted; more is too much. */
const filesMax = 100_000

/**
 * @returns whether it has ended its work or was paused
 * @throws {TrainError} when it cannot be started, fails, refuses the order, or exceeds a limit; the signal's reason when it
 * is aborted. No process of its group is left.
 */
export async function runProcess(options: ProcessOptions): Promise<'done' | 'paused'> {
  const { command, folder, limits, onMetrics, onWarning, pause, signal } = options
  const [program, ...given] = command
  if (!program) throw new TrainError('Cannot train externally: no command was given')
  signal?.throwIfAborted()
  const order = resolve(folder, names.order)
  const child = spawn(program, [...given, order], {
    env: { ...environment(), EDGELOOP_ORDER: order },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const ended = new Promise<{ code: number | null; by: NodeJS.Signals | null } | Error>((done) => {
    child.once('error', done)
    child.once('close', (code, by) => done({ code, by }))
  })
  const log = new Log(join(folder, names.log), child)
  let exceeded: string | undefined
  const kill = (why?: string): void => {
    exceeded ??= why
    killGroup(child, 'SIGKILL')
  }
  let grace: NodeJS.Timeout | undefined
  const stop = (): void => {
    killGroup(child, 'SIGTERM')
    grace ??= setTimeout(kill, options.graceMs ?? graceMsDefault)
  }
  const abort = () => kill()
  signal?.addEventListener('abort', abort, { once: true })
  if (pause?.aborted) stop()
  pause?.addEventListener('abort', stop, { once: true })
  const deadline = setTimeout(
    () => kill(`it took longer than ${limits.seconds} s`),
    Math.min(2 ** 31 - 1, limits.seconds * 1000),
  )
  const output = join(folder, names.output)
  const tail = new MetricsTail(join(output, names.metrics))
  const hear = async (): Promise<void> => {
    for (const line of await tail.read()) onMetrics?.(line)
  }
  const watching = new AbortController()
  const watch = async (): Promise<void> => {
    while (!watching.signal.aborted) {
      await hear()
      const why = await excess(child.pid, output, limits)
      if (why !== undefined) kill(why)
      await sleep(options.lookEveryMs ?? lookEveryMsDefault, watching.signal)
    }
  }
  const watched = watch().catch((error: Error) => kill(`it cannot be watched: ${error.message}`))
  try {
    const end = await ended
    watching.abort()
    await watched
    signal?.throwIfAborted()
    await hear()
    if (tail.passedOver > 0)
      onWarning?.(`${tail.passedOver} lines of ${names.metrics} say nothing that is known`)
    // What fits the disk only until the last look does not fit.
    const after = await excess(undefined, output, limits)
    exceeded ??= after
    if (end instanceof Error) {
      throw new TrainError(`Cannot start the trainer "${program}": ${end.message}`)
    }
    if (exceeded !== undefined) {
      throw new TrainError(`Cannot train externally: ${exceeded}`, 'its log is in log.txt')
    }
    if (end.code === exitCodes.done) return 'done'
    if (end.code === exitCodes.paused) return 'paused'
    throw new TrainError(failureText(end, log.lastLine), 'its log is in log.txt')
  } finally {
    clearTimeout(deadline)
    clearTimeout(grace)
    watching.abort()
    signal?.removeEventListener('abort', abort)
    pause?.removeEventListener('abort', stop)
    // Whatever it has started and left behind goes too.
    killGroup(child, 'SIGKILL')
    await log.close()
  }
}

function failureText(
  { code, by }: { readonly code: number | null; readonly by: NodeJS.Signals | null },
  said: string,
): string {
  const words = said === '' ? '' : ` ("${said}")`
  if (code === exitCodes.refused)
    return `Cannot train externally: the trainer refuses the order${words}`
  const end = by === null ? `exit code ${code}` : by
  return `Cannot train externally: the trainer ended with ${end}${words}`
}

const environment = (): Record<string, string> =>
  Object.fromEntries(
    passedOn.flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value] as const]
    }),
  )

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch (error) {
    // Nobody of the group is left.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function excess(
  pid: number | undefined,
  output: string,
  limits: ExternalLimits,
): Promise<string | undefined> {
  const memory = pid === undefined ? 0 : await groupBytes(pid)
  if (memory > limits.memoryBytes) {
    return `its processes took more than ${Math.round(limits.memoryBytes / 1024 ** 2)} MiB of memory`
  }
  const { bytes, files } = await folderSize(output)
  if (bytes > limits.outputBytes) {
    return `it wrote more than ${Math.round(limits.outputBytes / 1024 ** 2)} MiB into ${names.output}/`
  }
  return files > filesMax ? `it wrote more than ${filesMax} files into ${names.output}/` : undefined
}

const pageBytes = 4096

/** Resident memory of all processes of a group, where the system says it in /proc; else 0. */
async function groupBytes(group: number): Promise<number> {
  const entries = await readdir('/proc').catch(() => [])
  let pages = 0
  for (const entry of entries) {
    if (!/^\d+$/.test(entry)) continue
    const stat = await readFile(`/proc/${entry}/stat`, 'latin1').catch(() => '')
    // Its name stands in brackets, and may hold anything: state, parent, group … follow the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (Number(fields[2]) === group) pages += Number(fields[21] ?? 0)
  }
  return pages * pageBytes
}

async function folderSize(folder: string): Promise<{ bytes: number; files: number }> {
  let bytes = 0
  let files = 0
  const entries = await readdir(folder, { recursive: true }).catch(() => [])
  for (const name of entries.slice(0, filesMax + 1)) {
    const found = await lstat(join(folder, name)).catch(() => undefined)
    if (!found?.isFile()) continue
    files++
    // What it takes on the disk: a file may be long and empty.
    bytes += Math.max(Math.min(found.size, found.blocks * 512), 0)
  }
  return { bytes, files: Math.max(files, entries.length > filesMax ? filesMax + 1 : 0) }
}

/** Keeps what the trainer says, up to a bound, and its last line of standard error. */
class Log {
  lastLine = ''
  readonly #stream
  #bytes = 0

  constructor(file: string, child: ChildProcess) {
    this.#stream = createWriteStream(file, { flags: 'a' })
    // A full disk is said elsewhere; the log is the last to matter.
    this.#stream.on('error', () => {})
    let words = ''
    child.stdout?.on('data', (chunk: Buffer) => this.#add(chunk))
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#add(chunk)
      words = `${words}${chunk.toString('utf8')}`.slice(-4096)
      const line = words.trim().split('\n').at(-1) ?? ''
      this.lastLine = line.replace(/\p{Cc}/gu, ' ').slice(-lastWordsMax)
    })
  }

  #add(chunk: Buffer): void {
    if (this.#bytes >= logBytesMax) return
    this.#bytes += chunk.length
    this.#stream.write(chunk)
    if (this.#bytes >= logBytesMax) this.#stream.write('\n… and more, which is not kept\n')
  }

  close(): Promise<void> {
    return new Promise((done) => this.#stream.end(() => done()))
  }
}

const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((done) => {
    if (signal.aborted) return done()
    const timer = setTimeout(end, ms)
    function end(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      done()
    }
    signal.addEventListener('abort', end, { once: true })
  })
