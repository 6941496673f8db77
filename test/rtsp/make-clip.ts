/**
 * Small H.264 clips of test pictures, encoded on the spot so that no test needs a file from elsewhere:
 * by node-av where it is installed, else by ffmpeg. Clips are kept beside the installed packages and
 * made once.
 */
import { spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ClipTool, type NodeAv, nodeAvFor } from './node-av.ts'
import { drawTestPictures, type Matrix, pictureBytes } from './test-picture.ts'

export type ClipOptions = {
  /** Even. */
  readonly width: number
  readonly height: number
  readonly fps: number
  readonly seconds: number
  /** B-frames between references; none when left out. */
  readonly bframes?: number
  /** Pictures from one key frame to the next; one second of them when left out. */
  readonly keyInterval?: number
  /** Where the moving square starts. */
  readonly seed?: number
  /** So many pictures at the beginning are the first one again: nothing moves. */
  readonly stillPictures?: number
  /** Number drawn in the first picture. */
  readonly firstNumber?: number
  /** Tagged in the stream; untagged BT.601 when left out. */
  readonly matrix?: Matrix
  /** Every second picture lasts twice as long as the others. */
  readonly variableRate?: boolean
  /** Which program encodes; node-av where it is installed when left out. */
  readonly tool?: ClipTool
}

/** Raised when the pictures or the encoder settings change: older clips are then made again. */
const recipe = 2

const clips = fileURLToPath(new URL('../../node_modules/.cache/edgeloop/clips', import.meta.url))

/**
 * Path of an MP4 with these pictures.
 * @throws where neither node-av nor ffmpeg can encode H.264
 */
export async function makeClip(options: ClipOptions): Promise<string> {
  const name = createHash('sha256')
    .update(JSON.stringify([recipe, options]))
    .digest('hex')
  const path = join(clips, `${name.slice(0, 16)}.mp4`)
  if (existsSync(path)) return path
  await mkdir(clips, { recursive: true })
  const part = join(clips, `${randomUUID()}.mp4`)
  try {
    const av = await nodeAvFor(options.tool)
    if (av === undefined) await encodeWithFfmpeg(options, part)
    else await encodeWithNodeAv(av, options, part)
    await rename(part, path)
  } finally {
    await rm(part, { force: true })
  }
  return path
}

/** Ticks a second, as in RTP. */
const ticksPerSecond = 90_000

/** Presentation times in ticks: one more than there are pictures, the last being the end. */
function times({ fps, seconds, variableRate = false }: ClipOptions): number[] {
  const count = Math.round(fps * seconds)
  const tick = ticksPerSecond / fps
  const at = [0]
  for (let n = 0; n < count; n++)
    at.push(at[n]! + Math.round(variableRate && n % 2 ? 2 * tick : tick))
  return at
}

/** Number drawn in the n-th picture. */
const numberOf = ({ firstNumber = 0, stillPictures = 0 }: ClipOptions, n: number): number =>
  firstNumber + Math.max(0, n - stillPictures)

async function encodeWithNodeAv(av: NodeAv, options: ClipOptions, path: string): Promise<void> {
  const { width, height, fps, bframes = 0, keyInterval = fps, seed = 1, matrix } = options
  av.Log.setLevel(av.AV_LOG_ERROR)
  const check = (code: number) => av.FFmpegError.throwIfError(code, 'encode a clip')
  const codec = av.Codec.findEncoderByName('libx264' as never)
  if (codec === null) throw new Error('Cannot encode a clip: node-av has no libx264')
  using encoder = new av.CodecContext()
  encoder.allocContext3(codec)
  encoder.width = width
  encoder.height = height
  encoder.pixelFormat = av.AV_PIX_FMT_YUV420P
  encoder.timeBase = new av.Rational(1, ticksPerSecond)
  encoder.framerate = new av.Rational(fps, 1)
  encoder.gopSize = Math.round(keyInterval)
  encoder.maxBFrames = bframes
  encoder.threadCount = 1
  if (matrix !== undefined) {
    encoder.colorSpace = matrix === 'bt709' ? av.AVCOL_SPC_BT709 : av.AVCOL_SPC_SMPTE170M
    encoder.colorRange = av.AVCOL_RANGE_MPEG
  }
  encoder.setFlags(av.AV_CODEC_FLAG_GLOBAL_HEADER, av.AV_CODEC_FLAG_FRAME_DURATION)
  for (const [key, value] of Object.entries(x264)) {
    check(encoder.setOption(key, value, av.AV_OPT_TYPE_STRING, av.AV_OPT_SEARCH_CHILDREN))
  }
  check(encoder.open2Sync(codec, null))
  await using output = new av.FormatContext()
  check(output.allocOutputContext2(null, 'mp4', path))
  const stream = output.newStream(null)
  check(stream.codecpar.fromContext(encoder))
  stream.timeBase = encoder.timeBase
  check(await output.openOutput())
  check(output.writeHeaderSync(null))
  using packet = new av.Packet()
  packet.alloc()
  const picture = Buffer.alloc(pictureBytes(width, height))
  const draw = drawTestPictures({ width, height, seed, matrix: matrix ?? 'bt601' })
  const drain = () => {
    while (encoder.receivePacketSync(packet) >= 0) {
      packet.streamIndex = 0
      packet.rescaleTs(encoder.timeBase, stream.timeBase)
      check(output.interleavedWriteFrameSync(packet))
      packet.unref()
    }
  }
  const at = times(options)
  for (let n = 0; n + 1 < at.length; n++) {
    draw(picture, numberOf(options, n))
    using one = av.Frame.fromVideoBuffer(picture, {
      width,
      height,
      format: av.AV_PIX_FMT_YUV420P,
      timeBase: encoder.timeBase,
      pts: BigInt(at[n]!),
    })
    one.duration = BigInt(at[n + 1]! - at[n]!)
    check(encoder.sendFrameSync(one))
    drain()
  }
  check(encoder.sendFrameSync(null))
  drain()
  check(output.writeTrailerSync())
  await output.closeOutput()
}

/** Fast to encode, cheap to decode, and the same bytes whichever program runs x264. */
const x264 = { preset: 'veryfast', crf: '26', 'x264-params': 'scenecut=0:threads=1' } as const

async function encodeWithFfmpeg(options: ClipOptions, path: string): Promise<void> {
  const { width, height, fps, bframes = 0, keyInterval = fps, seed = 1, matrix } = options
  const at = times(options)
  // Every tick of a variable rate is a whole frame time: frames are numbered and then spread.
  const slow = `setpts='(N+floor(N/2)*${options.variableRate ? 1 : 0})/(${fps}*TB)'`
  const encoder = spawn(
    'ffmpeg',
    [
      ...['-hide_banner', '-loglevel', 'error', '-f', 'rawvideo', '-pix_fmt', 'yuv420p'],
      ...['-s', `${width}x${height}`, '-r', String(fps), '-i', 'pipe:0', '-vf', slow],
      ...['-fps_mode', 'passthrough', '-c:v', 'libx264', '-g', String(Math.round(keyInterval))],
      ...['-bf', String(bframes), ...Object.entries(x264).flatMap(([k, v]) => [`-${k}`, v])],
      ...(matrix === undefined ? [] : ['-colorspace', matrix === 'bt709' ? 'bt709' : 'smpte170m']),
      ...['-video_track_timescale', String(ticksPerSecond), '-y', path],
    ],
    { stdio: ['pipe', 'ignore', 'inherit'] },
  )
  const done = once(encoder, 'close')
  const draw = drawTestPictures({ width, height, seed, matrix: matrix ?? 'bt601' })
  for (let n = 0; n + 1 < at.length; n++) {
    const picture = Buffer.alloc(pictureBytes(width, height))
    draw(picture, numberOf(options, n))
    if (!encoder.stdin.write(picture)) await once(encoder.stdin, 'drain')
  }
  encoder.stdin.end()
  const [code] = await done
  if (code !== 0) throw new Error(`Cannot encode a clip: ffmpeg ended with ${code}`)
}
