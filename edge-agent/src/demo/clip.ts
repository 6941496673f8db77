/**
 * The demo camera's clip: rendered once for each seed in a process of its own, encoded to H.264 that
 * loops without a seam, and kept. What the agent then opens is a file like any other.
 */
import { fork } from 'node:child_process'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ClipEncoder } from './clip-encoder.ts'
import type { ClipReport, RenderClip } from './clip-process.ts'
import { createScene, sceneVersion, type TruePart } from './scene.ts'

/** Long enough for two stops of the belt, short enough to be rendered while one waits. */
export const demoSeconds = 48

export type DemoClipOptions = {
  /** A whole number from 0; each gives another scene. */
  readonly seed: number
  /** Length of the loop, `demoSeconds` when left out. */
  readonly seconds?: number
  /** Where clips are kept; made when missing. */
  readonly folder: string
  /** The first that is there when left out. */
  readonly encoder?: ClipEncoder
  /** Share of the work that is done, 0..1. Not called for a clip that is there already. */
  readonly onProgress?: (share: number) => void
  readonly signal: AbortSignal
}

/**
 * The path of the clip with this seed; renders it when it is not there yet. The file appears whole or
 * not at all, so that a kill at any moment costs only the work.
 * @throws {Error} when there is no encoder, the folder cannot be written, or `signal` was aborted
 */
export async function demoClip(options: DemoClipOptions): Promise<string> {
  const { seed, seconds = demoSeconds, folder, signal } = options
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) {
    throw new RangeError(
      `Cannot make a demo clip from seed "${seed}": it is no whole number from 0`,
    )
  }
  signal.throwIfAborted()
  const file = join(folder, `demo-${seed}-${seconds}s-v${sceneVersion}.mp4`)
  if (await isFile(file)) return file
  await mkdir(folder, { recursive: true })
  await sweep(folder)
  const unfinished = `${file}.${process.pid}-${Math.trunc(performance.now())}.part`
  try {
    const { encoder } = options
    await render({ seed, seconds, file: unfinished, ...(encoder && { encoder }) }, options)
    await flush(unfinished)
    await rename(unfinished, file)
  } finally {
    await rm(unfinished, { force: true })
  }
  return file
}

/** The true parts of frame `frame` of `demoClip({ seed, seconds })`, loops included. */
export function truthOf(seed: number, seconds = demoSeconds): (frame: number) => TruePart[] {
  return createScene({ seed, seconds }).truth
}

function render(task: RenderClip, { onProgress, signal }: DemoClipOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const child = fork(fileURLToPath(new URL('./clip-process.ts', import.meta.url)), {
    // A signal for the whole terminal is the parent's to answer; it then ends this one.
    detached: true,
    execArgv: [],
    signal,
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  child.on('error', reject)
  child.on('exit', (code, killedBy) => {
    reject(new Error(`Cannot render the demo clip: its process ended with ${killedBy ?? code}`))
  })
  child.on('message', (report: ClipReport) => {
    if (report.kind === 'progress') onProgress?.(report.share)
    if (report.kind === 'failed') reject(new Error(report.reason))
    if (report.kind === 'done') resolve()
    if (report.kind !== 'progress') child.disconnect()
  })
  child.send(task)
  return promise
}

/** An unfinished clip this old belongs to nobody: rendering takes seconds. */
const abandonedMs = 10 * 60_000

/** Removes what a power cut left unfinished. */
async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!/^demo-.*\.part$/.test(name)) continue
    const path = join(folder, name)
    const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs
    if (age > abandonedMs) await rm(path, { force: true })
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).size > 0
  } catch {
    return false
  }
}

async function flush(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.sync()
}
