/**
 * A process with one camera, for what must be seen from outside: does it end by itself, and does its
 * memory stay where it is? Reads a task as JSON from its first argument, prints one JSON line, and
 * never calls `process.exit()`.
 */
import { CameraError } from '../../edge-agent/src/cameras/camera.ts'
import { openCamera } from '../../edge-agent/src/cameras/open-camera.ts'

export type CameraTask = {
  readonly source: string
  readonly decoder: 'node-av' | 'ffmpeg'
  /** Abort, or dispose of the camera, after this many frames; otherwise read on to the end. */
  readonly abortAfter?: number
  readonly disposeAfter?: number
  readonly loop?: boolean
  /** Remember the resident memory at these frames. */
  readonly measureAt?: readonly number[]
}

export type CameraReport = {
  readonly fault: string | undefined
  readonly frames: number
  readonly residentBytes: readonly number[]
}

if (import.meta.main) console.log(JSON.stringify(await perform(JSON.parse(process.argv[2]!))))

async function perform(task: CameraTask): Promise<CameraReport> {
  const aborting = new AbortController()
  const residentBytes: number[] = []
  const target = new Uint8Array(64 * 64 * 3)
  let frames = 0
  let fault: string | undefined
  try {
    await using camera = await openCamera({
      source: task.source,
      decoder: task.decoder,
      pace: 'unpaced',
      loop: task.loop ?? false,
      inputFor: () => ({
        width: 64,
        height: 64,
        channels: 'rgb',
        content: { left: 0, top: 0, width: 64, height: 64 },
        pad: 0,
      }),
      masks: [],
      jpegWidthMax: 320,
      openTimeoutMs: 20_000,
      // Who is to be stopped must not stall before on a busy machine.
      stallTimeoutMs: task.abortAfter || task.disposeAfter ? 20_000 : 1000,
      signal: aborting.signal,
    })
    for await (using frame of camera.frames()) {
      frames++
      frame.gate()
      frame.input(target)
      if (frames % 50 === 0) await frame.jpeg({ widthMax: 320, quality: 80 })
      if (task.measureAt?.includes(frames) === true) {
        residentBytes.push(process.memoryUsage.rss())
        if (frames === task.measureAt.at(-1)) break
      }
      if (frames === task.abortAfter) setTimeout(() => aborting.abort(), 50)
      if (frames === task.disposeAfter) setTimeout(() => camera[Symbol.asyncDispose](), 50)
    }
  } catch (error) {
    fault = error instanceof CameraError ? error.fault : String((error as Error).message)
  }
  return { fault, frames, residentBytes }
}
