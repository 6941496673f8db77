/** How the `ffmpeg` and `ffprobe` executables are asked. Pure. */
import { gateHeight, gateWidth, type InputView } from './camera.ts'
import { decodedFilter, pickedFilter } from './ffmpeg-log.ts'
import { earlyShare } from './pick-frames.ts'
import type { FfmpegSource } from './source.ts'

/** What `ffmpeg -version` says, as major.minor; options were renamed over the years. */
export type FfmpegVersion = { readonly major: number; readonly minor: number }

export type Plan = {
  readonly source: FfmpegSource
  readonly version: FfmpegVersion
  readonly view: InputView
  readonly snapshot: { readonly width: number; readonly height: number }
  readonly analysisFps: number | undefined
  readonly loop: boolean
  /** Time stamp (s) of the first frame wanted: where an earlier process stopped in this clip. */
  readonly fromSeconds: number | undefined
  /** Whether the packets are written too, as they are, to a pipe of their own: H.264 only. */
  readonly copies: boolean
  /** Options before `-i` that let hardware decode; none for software. */
  readonly hardware: readonly string[]
  /** The program's own socket timeout; ours comes first. */
  readonly socketTimeoutMs: number
}

/** File descriptors of the three pictures, after standard input, output and error. */
export const pictureFds = { gate: 3, content: 4, snapshot: 5 } as const

/** File descriptor of the packets, where they are copied. */
export const copyFd = 6

const protocols = { live: 'rtsp,rtsps,rtp,srtp,tcp,tls,udp,crypto', file: 'file,pipe' } as const

/** Decodes `source` and writes, for each picked frame, its three pictures to the three pipes. */
export function ffmpegArguments(plan: Plan): string[] {
  const { view, snapshot, version } = plan
  const passthrough = atLeast(version, 5, 1) ? ['-fps_mode', 'passthrough'] : ['-vsync', '0']
  const pipe = (pad: string, fd: number) => {
    return ['-map', `[${pad}]`, ...passthrough, '-f', 'rawvideo', `pipe:${fd}`]
  }
  const { width, height } = view.content
  const format = view.channels === 'rgb' ? 'rgb24' : 'bgr24'
  const graph = [
    `[0:v:0]${decodedFilter}=checksum=0,${selection(plan)}${pickedFilter}=checksum=0,split=3[a][b][c]`,
    `[a]scale=${gateWidth}:${gateHeight}:flags=fast_bilinear,format=gray[gate]`,
    `[b]scale=${width}:${height}:flags=area,format=${format}[content]`,
    `[c]scale=${snapshot.width}:${snapshot.height}:flags=area,format=rgb24[snapshot]`,
  ]
  return [
    ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'info', '-threads', '1'],
    // A turned phone clip stays as it is coded, as with the other decoder.
    '-noautorotate',
    ...(plan.loop && plan.source.kind === 'file' ? ['-stream_loop', '-1'] : []),
    // ffprobe has found out the rate; to guess it again would cost another 0.7 s.
    ...plan.hardware,
    ...['-fpsprobesize', '0', ...inputArguments(plan.source, version, plan.socketTimeoutMs)],
    ...['-an', '-sn', '-dn', '-filter_complex_threads', '1', '-filter_complex', graph.join(';')],
    ...pipe('gate', pictureFds.gate),
    ...pipe('content', pictureFds.content),
    ...pipe('snapshot', pictureFds.snapshot),
    ...(plan.copies ? copyArguments(plan.source) : []),
  ]
}

/**
 * Packets as FLV tags. The first ones of a camera may have no time, which a container refuses and which
 * would end the whole program: they get that of the one before. Clips have times, and the filter does not
 * survive their being looped (measured with 5.1).
 */
function copyArguments({ kind }: FfmpegSource): string[] {
  const times = `setts=pts=${timeOr('PTS', 'OUTPTS')}:dts=${timeOr('DTS', 'OUTDTS')}`
  return [
    ...['-map', '0:v:0', '-c:v', 'copy', ...(kind === 'file' ? [] : ['-bsf:v', times])],
    ...['-f', 'flv', '-flvflags', 'no_duration_filesize', '-flush_packets', '1', `pipe:${copyFd}`],
  ]
}

function timeOr(name: string, last: string): string {
  return `if(eq(${name}\\,NOPTS)\\,if(eq(PREV_${last}\\,NOPTS)\\,0\\,PREV_${last}+1)\\,${name})`
}

/** Describes the first video stream of `source` as JSON. */
export function probeArguments(
  source: FfmpegSource,
  version: FfmpegVersion,
  socketTimeoutMs: number,
): string[] {
  return [
    ...['-hide_banner', '-loglevel', 'error', '-of', 'json', '-select_streams', 'V:0'],
    ...['-show_entries', 'format=format_name'],
    ...['-show_entries', 'stream=codec_name,width,height,avg_frame_rate'],
    ...inputArguments(source, version, socketTimeoutMs),
  ]
}

function inputArguments(
  source: FfmpegSource,
  version: FfmpegVersion,
  socketTimeoutMs: number,
): string[] {
  if (source.kind === 'device') return deviceArguments(source)
  if (source.kind === 'file') {
    return ['-protocol_whitelist', protocols.file, '-i', `file:${source.path}`]
  }
  return [
    ...['-protocol_whitelist', protocols.live, '-rtsp_transport', 'tcp'],
    ...['-allowed_media_types', 'video'],
    ...['-analyzeduration', '1500000'],
    // Microseconds; before FFmpeg 5 `-timeout` meant something else.
    ...[version.major < 5 ? '-stimeout' : '-timeout', String(socketTimeoutMs * 1000)],
    ...['-i', source.url],
  ]
}

/** A device is opened by the driver it was named with: what it sends is never guessed at. */
function deviceArguments(source: FfmpegSource & { kind: 'device' }): string[] {
  const { driver, path, size, fps, format } = source
  const asked = [
    ...(format === undefined ? [] : ['-input_format', format]),
    ...(size === undefined ? [] : ['-video_size', size]),
    ...(fps === undefined ? [] : ['-framerate', String(fps)]),
  ]
  // The generator of test pictures is asked within its own description.
  return ['-f', driver, ...(driver === 'v4l2' ? asked : []), '-i', path]
}

/** The same choice as `pickFrames()` makes: the first frame of each cell of 1/`analysisFps` s. */
function selection({ analysisFps, fromSeconds }: Plan): string {
  const from = fromSeconds === undefined ? '' : `gte(t,${fromSeconds - halfTick})`
  if (analysisFps === undefined) return from === '' ? '' : `select='${from}',`
  const cell = (t: string) => `floor((${t}-start_t)*${analysisFps}+${earlyShare})`
  const now = cell('t')
  const last = cell('prev_selected_t')
  const picked = `isnan(prev_selected_t)+gt(${now},${last})+lt(${now},${last}-1)`
  return `select='${from === '' ? picked : `${from}*(${picked})`}',`
}

/** Time stamps that went through text and back may be off by less than this (s). */
const halfTick = 1e-6

/** Whether this ffmpeg can write packets whatever their times are: its filter `setts` came with 4.4. */
export const canCopy = (version: FfmpegVersion): boolean => atLeast(version, 4, 4)

function atLeast(version: FfmpegVersion, major: number, minor: number): boolean {
  return version.major > major || (version.major === major && version.minor >= minor)
}
