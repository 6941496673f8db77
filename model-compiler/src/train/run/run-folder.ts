/**
 * The folder of a run:
 *
 *     run.json        what makes it this run; another one may not go on here
 *     curves.jsonl    what it said, one word a line, up to the newest checkpoint exactly once
 *     checkpoints/    where it goes on when it is resumed
 *     model.onnx, report.json, report.html, card.md, result.json      when it has ended; the result comes last
 *     .lock           number of the process that is at work on it
 */
import { createHash } from 'node:crypto'
import {
  appendFile,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { canonicalJson } from '../../datasets/index.ts'
import { CheckpointFolder, type Facts, isDiskFull } from './checkpoint-folder.ts'
import type { TrainProgress } from './progress.ts'
import { TrainError } from './train-error.ts'
import type { TrainResult } from './train-result.ts'

/** What decides the weights that come out. */
export type RunIdentity = Readonly<Record<string, unknown>>

type RunFile = {
  readonly schemaVersion: 1
  readonly identity: RunIdentity
  /** What its folder was made for, in the words of whoever asked. */
  readonly asked: unknown
}

/** Names under which a user knows the parts of an identity. */
const partNames: Readonly<Record<string, string>> = {
  data: 'the data set',
  replay: 'the older data set',
  split: 'the split',
  model: 'the model',
  teacher: 'the teacher',
  recipe: 'the recipe',
  seed: 'the seed',
}

/** How long a process that was killed may take to be gone. */
const lockedMsDefault = 10_000

export class RunFolder<F extends Facts> implements AsyncDisposable {
  readonly path: string
  readonly checkpoints: CheckpointFolder<F>

  private constructor(path: string) {
    this.path = path
    this.checkpoints = new CheckpointFolder(join(path, 'checkpoints'))
  }

  /**
   * Opens the folder of a run, or makes it. It is one process's until it is closed.
   * @throws {TrainError} when it belongs to another run, holds something else, or another process is at work on it
   */
  static async open<F extends Facts>(
    path: string,
    identity: RunIdentity,
    asked: unknown,
    { lockedMsMax = lockedMsDefault }: { readonly lockedMsMax?: number } = {},
  ): Promise<RunFolder<F>> {
    await mkdir(path, { recursive: true })
    await using stack = new AsyncDisposableStack()
    const folder = stack.use(new RunFolder<F>(path))
    await lock(path, lockedMsMax)
    const before = await readRun(path)
    if (before) {
      const differs = Object.keys({ ...before.identity, ...identity }).filter(
        (key) => canonicalJson(before.identity[key]) !== canonicalJson(identity[key]),
      )
      if (differs.length > 0) {
        const what = differs.map((key) => partNames[key] ?? key).join(', ')
        throw new TrainError(
          `Cannot go on in "${path}": it holds a run that differs in ${what}`,
          'name a new folder, or give the same settings to resume it',
        )
      }
      stack.move()
      return folder
    }
    const others = (await readdir(path)).filter((name) => !name.startsWith('.'))
    if (others.length > 0) {
      throw new TrainError(
        `Cannot train into "${path}": it holds other files (${others.slice(0, 3).join(', ')})`,
        'name a new folder',
      )
    }
    const file: RunFile = { schemaVersion: 1, identity, asked }
    await folder.write('run.json', `${JSON.stringify(file, null, 2)}\n`)
    stack.move()
    return folder
  }

  /** Leaves the folder to others. */
  async [Symbol.asyncDispose](): Promise<void> {
    if ((await holderOf(this.path)) === process.pid) await rm(lockIn(this.path), { force: true })
  }

  /** Writes a file of it whole or not at all. */
  async write(name: string, content: string | Uint8Array): Promise<void> {
    const place = join(this.path, name)
    const draft = join(this.path, `.${name}.draft`)
    try {
      {
        await using handle = await open(draft, 'w')
        await handle.writeFile(content)
        await handle.sync()
      }
      await rename(draft, place)
      await using folder = await open(this.path)
      await folder.sync()
    } catch (cause) {
      await rm(draft, { force: true }).catch(() => {})
      throw this.#explained(cause, name)
    }
  }

  /** Adds words to the curves. @returns how many bytes they have now */
  async addWords(words: readonly TrainProgress[]): Promise<number> {
    const file = join(this.path, 'curves.jsonl')
    const text = words.map((word) => `${JSON.stringify(word)}\n`).join('')
    await appendFile(file, text).catch((cause) => {
      throw this.#explained(cause, 'curves.jsonl')
    })
    return (await stat(file)).size
  }

  /** Takes back the words that were said after a checkpoint. */
  async cutWords(bytes: number): Promise<void> {
    const file = join(this.path, 'curves.jsonl')
    await appendFile(file, '')
    if ((await stat(file)).size > bytes) await truncate(file, bytes)
  }

  /** What it said, in its order. */
  async words(): Promise<readonly TrainProgress[]> {
    const text = await readFile(join(this.path, 'curves.jsonl'), 'utf8').catch(() => '')
    const lines = text.split('\n').filter((line) => line !== '')
    return lines.map((line) => JSON.parse(line) as TrainProgress)
  }

  /** The result of a run that has ended. */
  async result(): Promise<TrainResult | undefined> {
    const text = await readFile(join(this.path, 'result.json'), 'utf8').catch(() => undefined)
    return text === undefined ? undefined : (JSON.parse(text) as TrainResult)
  }

  #explained(cause: unknown, name: string): unknown {
    if (!isDiskFull(cause)) return cause
    return new TrainError(
      `Cannot write ${name} to "${this.path}": there is no room for it`,
      'make room and resume: checkpoints that are there are intact',
      { cause },
    )
  }
}

const lockIn = (path: string): string => join(path, '.lock')

/** The process that a folder is said to be locked by. */
const holderOf = async (path: string): Promise<number> =>
  Number(await readFile(lockIn(path), 'utf8').catch(() => Number.NaN))

/** Waits for a process that is about to end: one whose parent was killed takes a moment to notice. */
async function lock(path: string, lockedMsMax: number): Promise<void> {
  const until = Date.now() + lockedMsMax
  for (;;) {
    try {
      await writeFile(lockIn(path), String(process.pid), { flag: 'wx' })
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const holder = await holderOf(path)
    if (holder === process.pid || !isAlive(holder)) {
      await rm(lockIn(path), { force: true })
    } else if (Date.now() > until) {
      throw new TrainError(
        `Cannot train in "${path}": process ${holder} is at work there`,
        'wait for it or stop it; name another folder for another run',
      )
    } else await setTimeout(100)
  }
}

/** Whether a process is there, whoever it belongs to. */
function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** What a folder was made for, or undefined where it is no run's. */
export async function askedOf(path: string): Promise<unknown> {
  return (await readRun(path))?.asked
}

async function readRun(path: string): Promise<RunFile | undefined> {
  const text = await readFile(join(path, 'run.json'), 'utf8').catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
      throw error
    },
  )
  if (text === undefined) return undefined
  try {
    const file = JSON.parse(text) as RunFile
    if (file.schemaVersion === 1 && typeof file.identity === 'object') return file
  } catch {
    // Said below.
  }
  throw new TrainError(`Cannot read "${join(path, 'run.json')}": it is not the file of a run`)
}

/** SHA-256 of some text, hex. */
export const digestOf = (content: string | Uint8Array): string =>
  createHash('sha256').update(content).digest('hex')
