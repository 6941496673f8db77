/**
 * Work that must not take us with it: models from anywhere run in the runtime's native code, which can crash, hang or
 * take all memory. It happens in a child process that is killed when it exceeds its limits; we only hear of it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { totalmem } from 'node:os'

export type ChildLimits = {
  /** Resident memory of the process. Watched on Linux; elsewhere only JavaScript's own heap is limited. */
  readonly memoryBytesMax?: number
  /** For all of the work; Infinity: as long as it takes. */
  readonly timeoutMs?: number
  /** Without a word from it: a run that blocks its thread is silent. Infinity: it need not say anything. */
  readonly silenceMs?: number
}

/** What a child says. The last word is `done` or `failed`. */
export type ChildWord<Progress, Result> =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'done'; readonly result: Result }
  | { readonly kind: 'failed'; readonly message: string; readonly hint?: string }

/** The work failed or its process ended; the message says why and what it was at. */
export class ChildError extends Error {
  readonly hint: string | undefined
  constructor(text: string, hint?: string) {
    super(text)
    this.name = 'ChildError'
    this.hint = hint
  }
}

export const childLimitsDefault = {
  memoryBytesMax: Math.min(4 * 1024 ** 3, Math.floor(totalmem() * 0.75)),
  timeoutMs: 30 * 60_000,
  silenceMs: 3 * 60_000,
} as const satisfies Required<ChildLimits>

const memoryPollMs = 250
/** Last words of a crash that an error quotes. */
const lastWordsMax = 300

/**
 * Runs a program as a child, gives it the order and waits for its result.
 * @param options.program a module that answers with `answerOrder`
 * @param options.doing what it is at, in words, for the error of a process that ended
 * @throws {ChildError} when the work fails or the process ends without a result; the signal's reason when it is
 * aborted. The process is gone in every case.
 */
export async function runInChild<Order, Progress, Result>(options: {
  readonly program: string
  readonly order: Order
  /** What the work is called in errors: `compile "m.onnx"`. */
  readonly what: string
  readonly doing: (last: Progress | undefined) => string
  readonly onProgress?: (progress: Progress) => void
  readonly limits?: ChildLimits
  /** Once it is aborted the child is asked to come to an end by itself: see `pauseSignal`. */
  readonly pause?: AbortSignal
  readonly signal?: AbortSignal
}): Promise<Result> {
  const { program, order, what, pause, signal } = options
  const limits = { ...childLimitsDefault, ...options.limits }
  signal?.throwIfAborted()
  const child = fork(program, {
    execArgv: [`--max-old-space-size=${Math.ceil(limits.memoryBytesMax / 1024 ** 2)}`],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'advanced',
  })
  const watch = new Watch(child, limits)
  const stop = () => void child.kill('SIGKILL')
  signal?.addEventListener('abort', stop, { once: true })
  const askToPause = () => void (child.connected && child.send(pauseWord))
  let last: Progress | undefined
  let result: { readonly value: Result } | undefined
  let failure: ChildError | undefined
  child.on('message', (word: ChildWord<Progress, Result>) => {
    watch.heard()
    if (word.kind === 'progress') {
      last = word.progress
      options.onProgress?.(word.progress)
    } else if (word.kind === 'done') result = { value: word.result }
    else failure = new ChildError(word.message, word.hint)
  })
  let lastWords = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    lastWords = `${lastWords}${text}`.slice(-lastWordsMax)
  })
  try {
    child.send(order as object, () => {})
    if (pause?.aborted) askToPause()
    else pause?.addEventListener('abort', askToPause, { once: true })
    // `close` comes when its output has been read too; a child that cannot be started gives `error`.
    const [code, by] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    signal?.throwIfAborted()
    if (failure) throw failure
    if (result) return result.value
    const at = `Cannot ${what}: ${watch.reason ?? endText(code, by)} while ${options.doing(last)}`
    const said = lastWords.trim().split('\n').at(-1) ?? ''
    throw new ChildError(watch.reason === undefined && said ? `${at} ("${said}")` : at, watch.hint)
  } finally {
    watch.end()
    signal?.removeEventListener('abort', stop)
    pause?.removeEventListener('abort', askToPause)
    stop()
  }
}

/** What a child hears that is asked to come to an end. */
const pauseWord = { kind: 'pause' } as const

const endText = (code: number | null, by: NodeJS.Signals | null): string =>
  by === 'SIGKILL'
    ? 'its process was killed, perhaps because the machine is out of memory,'
    : `its process ended with ${by ?? `exit code ${code}`}`

/** Kills a child that exceeds a limit, and knows which. */
class Watch {
  /** Why it was killed. */
  reason: string | undefined
  hint: string | undefined
  readonly #child: ChildProcess
  readonly #limits: Required<ChildLimits>
  readonly #timeout: NodeJS.Timeout | undefined
  readonly #memory: NodeJS.Timeout
  #silence: NodeJS.Timeout | undefined

  constructor(child: ChildProcess, limits: Required<ChildLimits>) {
    this.#child = child
    this.#limits = limits
    if (Number.isFinite(limits.timeoutMs)) {
      this.#timeout = setTimeout(() => {
        this.#kill(
          `it took longer than ${seconds(limits.timeoutMs)}`,
          'allow more with --time-limit',
        )
      }, limits.timeoutMs)
    }
    this.#memory = setInterval(() => void this.#weigh(), memoryPollMs)
    this.heard()
  }

  heard(): void {
    const { silenceMs } = this.#limits
    clearTimeout(this.#silence)
    if (!Number.isFinite(silenceMs)) return
    this.#silence = setTimeout(() => {
      this.#kill(`nothing happened for ${seconds(silenceMs)}`, 'the model may never come to an end')
    }, silenceMs)
  }

  end(): void {
    clearTimeout(this.#timeout)
    clearTimeout(this.#silence)
    clearInterval(this.#memory)
  }

  async #weigh(): Promise<void> {
    const bytes = await residentBytes(this.#child.pid)
    const { memoryBytesMax } = this.#limits
    if (bytes === undefined || bytes <= memoryBytesMax) return
    const mebibytes = Math.round(memoryBytesMax / 1024 ** 2)
    this.#kill(`it took more than ${mebibytes} MiB of memory`, 'allow more with --memory-limit')
  }

  #kill(reason: string, hint: string): void {
    this.reason ??= reason
    this.hint ??= hint
    this.#child.kill('SIGKILL')
  }
}

/** Resident memory of a process, where the system says it in /proc. */
async function residentBytes(pid: number | undefined): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
}

const seconds = (ms: number): string => `${ms / 1000} s`

/**
 * The child's side: waits for one order, works, answers, ends. It ends as well when nobody is there any more to hear it.
 * @param work told apart by what it throws: its message, and its `hint` where it has one, reach the parent
 */
export function answerOrder<Order, Progress, Result>(
  work: (order: Order, tell: (progress: Progress) => void) => Promise<Result>,
): void {
  const say = (word: ChildWord<Progress, Result>, then?: () => void): void => {
    if (process.connected) process.send?.(word, undefined, undefined, then)
  }
  process.once('disconnect', () => process.exit(1))
  process.once('message', (order: Order) => {
    // What native code leaves open must not keep a finished child alive.
    const end = (code: number) => () => process.exit(code)
    work(order, (progress) => say({ kind: 'progress', progress })).then(
      (result) => say({ kind: 'done', result }, end(0)),
      (error: Error & { hint?: unknown }) => {
        const hint = typeof error.hint === 'string' ? { hint: error.hint } : {}
        say({ kind: 'failed', message: error.message, ...hint }, end(1))
      },
    )
  })
}

/**
 * The child's side: aborted when the parent asks it to come to an end, or the system does. Interrupts of a terminal reach
 * every process of it; they are left to the parent, which says what they mean.
 */
export function pauseSignal(): AbortSignal {
  const pause = new AbortController()
  process.on('message', (word: { readonly kind?: unknown } | null) => {
    if (word?.kind === pauseWord.kind) pause.abort()
  })
  process.on('SIGTERM', () => pause.abort())
  process.on('SIGINT', () => {})
  return pause.signal
}
