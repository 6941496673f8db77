/**
 * Whether a file is the picture that it was sent as. Decoding happens in a process that is started with the first
 * picture and ended when none comes any more; one that takes too long is killed, and its picture is refused.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Refusal } from '@edgeloop/protocol'

/** Pixels of the largest picture that is decoded: 4096×4096. */
export const samplePixelsMax = 4096 * 4096
const decodeTimeoutMs = 15_000
const idleMs = 30_000
const heapMebibytes = 128

export type PictureQuestion = {
  readonly file: string
  readonly width: number
  readonly height: number
  readonly pixelsMax: number
}
export type PictureAnswer = { readonly fault: string } | { readonly thumbnail: Uint8Array }

export type PictureCheck = Disposable & {
  /**
   * Decodes a file; one after the other.
   * @returns a small picture of it (WebP)
   * @throws {Refusal} wrongMediaType, saying what is wrong with it
   * @throws {Error} when it cannot be looked at now
   */
  look(file: string, size: { readonly width: number; readonly height: number }): Promise<Uint8Array>
}

/** @param options.program other than the real one, for tests */
export function openPictureCheck(
  options: { readonly program?: string; readonly timeoutMs?: number } = {},
): PictureCheck {
  const program = options.program ?? fileURLToPath(new URL('./picture-program.ts', import.meta.url))
  const timeoutMs = options.timeoutMs ?? decodeTimeoutMs
  let child: ChildProcess | undefined
  let idle: NodeJS.Timeout | undefined
  let turn: Promise<unknown> = Promise.resolve()
  let closed = false

  function start(): ChildProcess {
    const started = fork(program, {
      execArgv: [`--max-old-space-size=${heapMebibytes}`],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
    })
    started.unref()
    started.channel?.unref()
    return started
  }

  function end(): void {
    clearTimeout(idle)
    child?.kill('SIGKILL')
    child = undefined
  }

  async function ask(question: PictureQuestion): Promise<PictureAnswer> {
    clearTimeout(idle)
    child ??= start()
    const asked = child
    const answered = Promise.withResolvers<PictureAnswer>()
    const gone = (): void => answered.resolve({ fault: 'decoding it ended the decoder' })
    const timer = setTimeout(() => {
      answered.resolve({ fault: `decoding it took longer than ${timeoutMs / 1000} s` })
      end()
    }, timeoutMs)
    asked.once('message', answered.resolve)
    asked.once('exit', gone)
    asked.once('error', answered.reject)
    try {
      asked.send(question, (error) => error && answered.reject(error))
      return await answered.promise
    } finally {
      clearTimeout(timer)
      asked.off('message', answered.resolve)
      asked.off('exit', gone)
      asked.off('error', answered.reject)
      if (asked.exitCode !== null || asked.signalCode !== null) child = undefined
      idle = setTimeout(end, idleMs)
      idle.unref()
    }
  }

  return {
    look: async (file, { width, height }) => {
      const before = turn
      const over = Promise.withResolvers<void>()
      turn = over.promise
      try {
        await before
        if (closed) throw new Error('Cannot look at a picture: the hub closes')
        const answer = await ask({ file, width, height, pixelsMax: samplePixelsMax })
        if ('thumbnail' in answer) return answer.thumbnail
        throw new Refusal('wrongMediaType', `Cannot take this sample: ${answer.fault}`)
      } finally {
        over.resolve()
      }
    },
    [Symbol.dispose]: () => {
      closed = true
      end()
    },
  }
}
