/** What the `ffprobe` executable finds out about a source before `ffmpeg` is started. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type CameraCause, cameraFault } from './camera-fault.ts'
import { type FfmpegVersion, probeArguments } from './ffmpeg-arguments.ts'
import { type FfmpegSource, isLive, secretless } from './source.ts'
import { believableFps } from './timeline.ts'

export type Probed = {
  readonly codec: string
  readonly width: number
  readonly height: number
  readonly fps: number | undefined
}

const run = promisify(execFile)

/** Formats that FFmpeg finds in plain text: character art, never a clip. */
const textFormats = new Set(['tty', 'bin', 'xbin', 'adf', 'idf', 'sbg', 'txd'])

/** The version of the `ffmpeg` on the path. @throws where there is none, or it does not answer */
export async function ffmpegVersion(): Promise<FfmpegVersion> {
  const { stdout } = await run('ffmpeg', ['-version'], { timeout: 10_000, killSignal: 'SIGKILL' })
  const [, major, minor] = /^ffmpeg version \D*(\d+)\.(\d+)/.exec(stdout) ?? []
  // A build from its repository has no number and is newer than any that has.
  return { major: Number(major ?? 99), minor: Number(minor ?? 0) }
}

/**
 * Asks for codec, size and rate of the first video stream.
 * @throws {CameraError} refused or unreadable
 * @throws the signal's reason when aborted
 */
export async function probe(
  source: FfmpegSource,
  version: FfmpegVersion,
  { openTimeoutMs, signal }: { openTimeoutMs: number; signal: AbortSignal },
): Promise<Probed> {
  const args = probeArguments(source, version, openTimeoutMs + 1000)
  let text: string
  try {
    const options = { timeout: openTimeoutMs, killSignal: 'SIGKILL', signal } as const
    text = (await run('ffprobe', args, options)).stdout
  } catch (error) {
    signal.throwIfAborted()
    const { killed, stderr = '' } = error as { killed?: boolean; stderr?: string }
    if (killed === true) throw cameraFault('silent', 'open', source.name)
    const said = secretless(lastLine(stderr), source)
    throw cameraFault(probeCause(source, stderr), 'open', source.name, said)
  }
  const { format, streams = [] } = JSON.parse(text) as {
    format?: { format_name?: string }
    streams?: { codec_name?: string; width?: number; height?: number; avg_frame_rate?: string }[]
  }
  const [stream] = streams
  if (stream === undefined || textFormats.has(format?.format_name ?? '')) {
    throw cameraFault('noVideo', 'open', source.name)
  }
  const { codec_name: codec, width = 0, height = 0, avg_frame_rate: rate = '0/1' } = stream
  if (codec === undefined || codec === 'unknown') throw cameraFault('codec', 'open', source.name)
  if (width < 1 || height < 1) throw cameraFault('garbage', 'open', source.name)
  const [frames = 0, seconds = 1] = rate.split('/').map(Number)
  return { codec, width, height, fps: believableFps(frames / seconds) }
}

function lastLine(stderr: string): string {
  const lines = stderr.trim().split('\n')
  return (lines.at(-1) ?? '').replace(/^\[[^\]]* @ 0x[0-9a-f]+\]\s*/, '')
}

function deviceCause(stderr: string): CameraCause {
  if (/busy/i.test(stderr)) return 'busy'
  if (/permission denied/i.test(stderr)) return 'forbidden'
  return /no such device|no such file/i.test(stderr) ? 'unplugged' : 'noCamera'
}

/** Only the texts of FFmpeg tell its errors apart; they are the same since version 2. */
function probeCause(source: FfmpegSource, stderr: string): CameraCause {
  if (source.kind === 'device') return deviceCause(stderr)
  if (/\b40[13]\b/.test(stderr)) return 'login'
  if (/\b40[04]\b/.test(stderr)) return 'path'
  if (/reset by peer|broken pipe/i.test(stderr)) return 'strange'
  if (/Invalid data|End of file|moov atom not found/i.test(stderr)) {
    return isLive(source) ? 'strange' : 'noVideo'
  }
  return isLive(source) ? 'nobody' : 'gone'
}
