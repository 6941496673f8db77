/** How the suites of the `Camera` contract look at what a camera delivers. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import sharp from 'sharp'
import {
  type Camera,
  CameraError,
  type CameraFault,
  type CameraOptions,
  type Frame,
  type InputView,
} from '../../edge-agent/src/cameras/camera.ts'
import type { OpenCameraOptions } from '../../edge-agent/src/cameras/open-camera.ts'
import { bars, type Look, type readBars, readNumber } from '../rtsp/test-picture.ts'
import type { CameraReport, CameraTask } from './camera-process.ts'

/** Colours may be off by this much: chroma is stored at half size and everything is rounded. */
export const colourTolerance = 12
/** A busy machine may need this long for what is usually done in a tenth of it. */
export const openTimeoutMs = 20_000
export const stallTimeoutMs = 1000
export const password = 'p@ss:w ord'

/** Opens a camera with what most tests want of it. */
export const openerOf =
  (open: (options: OpenCameraOptions) => Promise<Camera>, decoder: 'node-av' | 'ffmpeg') =>
  (options: Partial<OpenCameraOptions> & { source: string }): Promise<Camera> =>
    open({
      decoder,
      pace: 'unpaced',
      loop: false,
      inputFor: whole('rgb'),
      masks: [],
      jpegWidthMax: 1280,
      openTimeoutMs,
      stallTimeoutMs,
      signal: new AbortController().signal,
      ...options,
    })

/** The whole frame stretched over a canvas of this size. */
export function whole(
  channels: 'rgb' | 'bgr',
  width = 160,
  height = 90,
): CameraOptions['inputFor'] {
  return () => ({ width, height, channels, content: { left: 0, top: 0, width, height }, pad: 0 })
}

export async function collect<T>(camera: Camera, look: (frame: Frame) => T): Promise<T[]> {
  const seen: T[] = []
  for await (using frame of camera.frames()) seen.push(look(frame))
  return seen
}

/** The canvas, in shared memory as the agent has it, and a look at the content's pixels as RGB. */
export function canvasOf(frame: Frame): { target: Uint8Array; look: Look; landed: InputView } {
  const target = new Uint8Array(new SharedArrayBuffer(200 * 200 * 3 + 320 * 160 * 3))
  const landed = frame.input(target)
  const { left, top, width, height } = landed.content
  const stride = landed.width * 3
  const content = target.subarray(top * stride + left * 3)
  return {
    target: target.subarray(0, landed.height * stride),
    look: lookInto(content, stride, { width, height }, landed.channels),
    landed,
  }
}

export function lookInto(
  pixels: Uint8Array,
  stride: number,
  { width, height }: { width: number; height: number },
  channels: 'rgb' | 'bgr',
): Look {
  return (x, y) => {
    const at = Math.floor(y * height) * stride + Math.floor(x * width) * 3
    const [a, b, c] = [pixels[at]!, pixels[at + 1]!, pixels[at + 2]!]
    return channels === 'rgb' ? [a, b, c] : [c, b, a]
  }
}

export const numberIn = (frame: Frame): number => readNumber(canvasOf(frame).look)
export const timeOf = (frame: Frame): number => frame.at

export function assertColours(found: ReturnType<typeof readBars>): void {
  bars.forEach((bar, index) => {
    bar.forEach((level, channel) => {
      const off = Math.abs(level - found[index]![channel]!)
      assert.ok(off <= colourTolerance, `bar ${index} is ${found[index]}, not ${bar}`)
    })
  })
}

export async function sizeOf(jpeg: Uint8Array): Promise<[string, number, number]> {
  const { format, width, height } = await sharp(jpeg).metadata()
  return [format ?? '', width ?? 0, height ?? 0]
}

/** The `CameraError` that `work` ends with. */
export async function refusal(work: Promise<unknown>, fault: CameraFault): Promise<CameraError> {
  const error = await work.then(
    () => assert.fail(`expected ${fault}`),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof CameraError, String(error))
  assert.equal(error.fault, fault, error.message)
  return error
}

const run = promisify(execFile)
const program = fileURLToPath(new URL('camera-process.ts', import.meta.url))

/** A camera in a process of its own: rejects unless that ends by itself, with 0. */
export async function inProcess(task: CameraTask): Promise<CameraReport> {
  const args = [program, JSON.stringify(task)]
  const { stdout } = await run(process.execPath, args, { timeout: 60_000, killSignal: 'SIGKILL' })
  return JSON.parse(stdout) as CameraReport
}
