/**
 * The physical limit of one stream, in a process of its own: the native calls that the agent cannot do
 * without (read, decode every frame, scale the analysed ones, infer those that moved) and nothing else, all
 * blocking on one thread. No queue, no gate, no tracker, no events. It reads the camera the agent reads, or
 * a file as fast as it goes. Prints one JSON line.
 */
import { readFile } from 'node:fs/promises'
import * as av from 'node-av/constants'
import {
  CodecContext,
  Dictionary,
  FormatContext,
  Frame,
  Packet,
  SoftwareScaleContext,
} from 'node-av/lib'
import * as ort from 'onnxruntime-node'

export type LimitTask = {
  /** `rtsp://…`, which sets the pace as it does for the agent; or a file, read as fast as it goes. */
  readonly source: string
  readonly model: string
  readonly seconds: number
  /** Frames scaled for gate and model per second, of the clip's 30. */
  readonly analysisFps: number
  readonly inferencesPerSecond: number
}
export type LimitResult = {
  readonly cpuMsPerStreamSecond: number
  readonly inferenceMs: number
  readonly inferencesPerSecond: number
}

const fps = 30
const canvas = 416
const warmUpSeconds = 2

const task = JSON.parse(process.argv[2] ?? '{}') as LimitTask
const session = await ort.InferenceSession.create(await readFile(task.model), {
  executionProviders: ['cpu'],
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
})
const images = new ort.Tensor('float32', new Float32Array(3 * canvas * canvas), [
  1,
  3,
  canvas,
  canvas,
])
const inputName = session.inputNames[0] ?? 'images'

const grey = scaler(160, 90, av.AV_PIX_FMT_GRAY8, 'fast_bilinear')
const input = scaler(canvas, 234, av.AV_PIX_FMT_BGR24, 'area')
const packet = new Packet()
packet.alloc()
const frame = new Frame()
frame.alloc()

let frames = 0
let looks = 0
let inferenceMs = 0
let inferences = 0
let cpuBefore = process.cpuUsage()
const framesMax = (warmUpSeconds + task.seconds) * fps
while (frames < framesMax) await playOnce()
const { user, system } = process.cpuUsage(cpuBefore)
const result: LimitResult = {
  cpuMsPerStreamSecond: (user + system) / 1000 / task.seconds,
  inferenceMs: inferenceMs / Math.max(1, inferences),
  inferencesPerSecond: inferences / task.seconds,
}
console.log(JSON.stringify(result))
process.exit(0)

/** Decodes the source from its start to its end; a camera has none. */
async function playOnce(): Promise<void> {
  const format = new FormatContext()
  format.allocContext()
  const live = task.source.startsWith('rtsp:')
  const options = live ? Dictionary.fromObject({ rtsp_transport: 'tcp' }) : null
  await format.openInput(live ? task.source : `file:${task.source}`, null, options)
  await format.findStreamInfo(null)
  const { streamIndex, decoder } = format.findBestStream(av.AVMEDIA_TYPE_VIDEO, -1, -1, true)
  const stream = format.streams[streamIndex]
  if (!stream || !decoder) throw new Error(`Cannot decode "${task.source}"`)
  const context = new CodecContext()
  context.allocContext3(decoder)
  context.parametersToContext(stream.codecpar)
  context.threadCount = 1
  context.open2Sync(decoder, null)
  while (frames < framesMax && format.readFrameSync(packet) >= 0) {
    if (packet.streamIndex === streamIndex) {
      context.sendPacketSync(packet)
      while (frames < framesMax && context.receiveFrameSync(frame) >= 0) await take()
    }
    packet.unref()
  }
  context.freeContext()
  await format.closeInput()
}

async function take(): Promise<void> {
  const number = frames++
  if (number === warmUpSeconds * fps) {
    cpuBefore = process.cpuUsage()
    inferenceMs = 0
    inferences = 0
  }
  const analysed = isNth(number, task.analysisFps)
  if (analysed) {
    grey.context.scaleFrameSync(grey.target, frame)
    if (isNth(looks++, fps * (task.inferencesPerSecond / task.analysisFps))) {
      input.context.scaleFrameSync(input.target, frame)
      const before = performance.now()
      await session.run({ [inputName]: images })
      inferenceMs += performance.now() - before
      inferences++
    }
  }
  frame.unref()
}

/** True for `perSecond` of every 30 numbers, evenly. */
function isNth(number: number, perSecond: number): boolean {
  return Math.floor(((number + 1) * perSecond) / fps) > Math.floor((number * perSecond) / fps)
}

function scaler(
  width: number,
  height: number,
  pixelFormat: (typeof av)['AV_PIX_FMT_GRAY8'] | (typeof av)['AV_PIX_FMT_BGR24'],
  flags: string,
) {
  const target = new Frame()
  target.alloc()
  target.width = width
  target.height = height
  target.format = pixelFormat
  target.getBuffer(32)
  const context = new SoftwareScaleContext()
  context.allocContext()
  context.setOption('sws_flags', flags)
  return { target, context }
}
