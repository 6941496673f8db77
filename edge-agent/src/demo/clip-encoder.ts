/**
 * H.264 by libx264: through node-av where it is installed, else through the ffmpeg executable. Used by
 * the process that renders demo clips, never by the supervisor.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

export const clipEncoders = ['node-av', 'ffmpeg'] as const
export type ClipEncoder = (typeof clipEncoders)[number]

export type EncodeOptions = {
  readonly file: string
  readonly width: number
  readonly height: number
  readonly fps: number
}

/** Takes planar YUV 4:2:0 pictures one by one; `finish` completes the MP4. */
export type Encoder = {
  /** The picture may be reused as soon as this resolves. */
  write(yuv: Uint8Array): Promise<void>
  finish(): Promise<void>
}

const preset = 'veryfast'
const crf = '23'

/**
 * Opens an encoder.
 * @param name which one; the first that is there when left out
 * @throws {Error} when none is there, with a way to get one
 */
export async function openClipEncoder(
  options: EncodeOptions,
  name?: ClipEncoder,
): Promise<Encoder> {
  const reasons: string[] = []
  for (const candidate of name === undefined ? clipEncoders : [name]) {
    try {
      return await (candidate === 'node-av' ? openNodeAv(options) : openFfmpeg(options))
    } catch (error) {
      reasons.push(`${candidate}: ${error instanceof Error ? error.message : error}`)
    }
  }
  throw new Error(
    `Cannot encode the demo clip: no H.264 encoder answers (${reasons.join('; ')}); install the npm package node-av or the program ffmpeg`,
  )
}

async function openNodeAv({ file, width, height, fps }: EncodeOptions): Promise<Encoder> {
  const av = await import('node-av')
  av.Log.setLevel(av.AV_LOG_ERROR)
  const codec = av.Codec.findEncoderByName(av.FF_ENCODER_LIBX264)
  if (codec === null) throw new Error('it was built without libx264')
  const context = new av.CodecContext()
  context.allocContext3(codec)
  context.width = width
  context.height = height
  context.pixelFormat = av.AV_PIX_FMT_YUV420P
  context.timeBase = new av.Rational(1, fps)
  context.framerate = new av.Rational(fps, 1)
  context.gopSize = fps
  context.maxBFrames = 0
  // Encodes on other cores while the next picture is drawn on this one.
  context.threadCount = 2
  context.setFlags(av.AV_CODEC_FLAG_GLOBAL_HEADER)
  context.setOption('preset', preset)
  context.setOption('crf', crf)
  av.FFmpegError.throwIfError(context.open2Sync(codec), 'open libx264')

  const output = new av.FormatContext()
  av.FFmpegError.throwIfError(output.allocOutputContext2(null, 'mp4', file), 'choose mp4')
  const stream = output.newStream(codec)
  stream.timeBase = context.timeBase
  stream.avgFrameRate = context.framerate
  av.FFmpegError.throwIfError(stream.codecpar.fromContext(context), 'describe the stream')
  av.FFmpegError.throwIfError(output.openOutputSync(), `open "${file}"`)
  av.FFmpegError.throwIfError(output.writeHeaderSync(), 'write the header')

  const packet = new av.Packet()
  packet.alloc()
  const drain = (): void => {
    for (;;) {
      const result = context.receivePacketSync(packet)
      if (result === av.AVERROR_EAGAIN || result === av.AVERROR_EOF) return
      av.FFmpegError.throwIfError(result, 'encode')
      packet.streamIndex = stream.index
      packet.duration = 1n
      packet.rescaleTs(context.timeBase, stream.timeBase)
      av.FFmpegError.throwIfError(output.interleavedWriteFrameSync(packet), 'write a packet')
      packet.unref()
    }
  }
  let frames = 0n
  return {
    async write(yuv) {
      const frame = av.Frame.fromVideoBuffer(Buffer.from(yuv.buffer, yuv.byteOffset, yuv.length), {
        width,
        height,
        format: av.AV_PIX_FMT_YUV420P,
        timeBase: context.timeBase,
        pts: frames++,
      })
      av.FFmpegError.throwIfError(context.sendFrameSync(frame), 'encode')
      frame.free()
      drain()
    },
    async finish() {
      context.sendFrameSync(null)
      drain()
      av.FFmpegError.throwIfError(output.writeTrailerSync(), 'complete the file')
      packet.free()
      context.freeContext()
      output.closeOutputSync()
      output.freeContext()
    },
  }
}

async function openFfmpeg({ file, width, height, fps }: EncodeOptions): Promise<Encoder> {
  const raw = ['-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-s', `${width}x${height}`, '-r', `${fps}`]
  const x264 = ['-c:v', 'libx264', '-preset', preset, '-crf', crf, '-g', `${fps}`, '-bf', '0']
  const quiet = ['-hide_banner', '-loglevel', 'error', '-y']
  const ffmpeg = spawn('ffmpeg', [...quiet, ...raw, '-i', 'pipe:0', ...x264, '-f', 'mp4', file], {
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  // Before it runs, a missing program and after it, the reason for its end.
  await once(ffmpeg, 'spawn')
  const complaint = text(ffmpeg.stderr)
  const ended = once(ffmpeg, 'close')
  // A pipe that breaks is explained by the exit status below.
  ffmpeg.stdin.on('error', () => {})
  const explain = async (): Promise<never> => {
    const line = (await complaint).trim().split('\n').at(-1)
    throw new Error(`ffmpeg ended early: ${line === '' ? 'it gave no reason' : line}`)
  }
  return {
    async write(yuv) {
      // A copy, because the pipe keeps the bytes until ffmpeg has taken them.
      const taken = ffmpeg.stdin.write(Uint8Array.from(yuv))
      if (ffmpeg.exitCode !== null) await explain()
      if (!taken) await Promise.race([once(ffmpeg.stdin, 'drain'), ended])
    },
    async finish() {
      ffmpeg.stdin.end()
      await ended
      if (ffmpeg.exitCode !== 0) await explain()
    },
  }
}
