/**
 * The H.264 in a clip, as a camera would send it: one access unit per picture, in decoding order, each
 * a list of NAL units without start codes. Read by node-av where it is installed, else by ffmpeg.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type ClipTool, type NodeAv, nodeAvFor } from './node-av.ts'

export type AccessUnit = {
  /** NAL units (ITU-T H.264 7.3.1), parameter sets and delimiters left out. */
  readonly nals: readonly Buffer[]
  /** When it is shown, ms since the first one shown. */
  readonly stampMs: number
  readonly isKey: boolean
}

export type VideoClip = {
  readonly width: number
  readonly height: number
  readonly fps: number
  /** How long until it may start again. */
  readonly durationMs: number
  /** Sequence and picture parameter sets. */
  readonly parameterSets: readonly Buffer[]
  readonly units: readonly AccessUnit[]
}

/**
 * Reads a clip into memory.
 * @throws where the clip holds no H.264, or neither node-av nor ffmpeg is there to read it
 */
export async function readClip(path: string, tool?: ClipTool): Promise<VideoClip> {
  const av = await nodeAvFor(tool)
  const { width, height, fps, packets } =
    av === undefined ? await readWithFfmpeg(path) : await readWithNodeAv(av, path)
  const parameterSets = new Map<string, Buffer>()
  const units = packets.map(({ bytes, stampMs, isKey }) => {
    const nals = splitAnnexB(bytes)
    for (const nal of nals) {
      if (isParameterSet(nal)) parameterSets.set(nal.toString('base64'), nal)
    }
    return { nals: nals.filter((nal) => isPicture(nal)), stampMs, isKey }
  })
  if (units.length === 0 || parameterSets.size < 2) {
    throw new Error(`Cannot serve "${path}": it holds no H.264 video`)
  }
  const first = Math.min(...units.map((unit) => unit.stampMs))
  const last = Math.max(...units.map((unit) => unit.stampMs))
  return {
    width,
    height,
    fps,
    durationMs: last - first + 1000 / fps,
    parameterSets: [...parameterSets.values()],
    units: units.map((unit) => ({ ...unit, stampMs: unit.stampMs - first })),
  }
}

type Packets = {
  width: number
  height: number
  fps: number
  packets: { bytes: Buffer; stampMs: number; isKey: boolean }[]
}

async function readWithNodeAv(av: NodeAv, path: string): Promise<Packets> {
  const check = (code: number) => av.FFmpegError.throwIfError(code, `read "${path}"`)
  await using format = new av.FormatContext()
  format.allocContext()
  check(await format.openInput(`file:${path}`, null, null))
  check(await format.findStreamInfo(null))
  const index = format.findBestStream(av.AVMEDIA_TYPE_VIDEO)
  check(index)
  const stream = format.streams[index]!
  const filter = av.BitStreamFilter.getByName('h264_mp4toannexb')
  if (filter === null) throw new Error(`Cannot read "${path}": no filter h264_mp4toannexb`)
  using toAnnexB = new av.BitStreamFilterContext()
  check(toAnnexB.alloc(filter))
  stream.codecpar.copy(toAnnexB.inputCodecParameters!)
  toAnnexB.inputTimeBase = stream.timeBase
  check(toAnnexB.init())
  using packet = new av.Packet()
  packet.alloc()
  const packets: Packets['packets'] = []
  while (format.readFrameSync(packet) >= 0) {
    if (packet.streamIndex === index) {
      check(toAnnexB.sendPacketSync(packet))
      check(toAnnexB.receivePacketSync(packet))
      packets.push({
        bytes: Buffer.from(packet.data ?? []),
        stampMs: Number(packet.pts) * 1000 * stream.timeBase.toDouble(),
        isKey: packet.isKeyframe,
      })
    }
    packet.unref()
  }
  const { width, height } = stream.codecpar
  return { width, height, fps: stream.avgFrameRate.toDouble(), packets }
}

const run = promisify(execFile)

async function readWithFfmpeg(path: string): Promise<Packets> {
  const quiet = ['-hide_banner', '-loglevel', 'error']
  const { stdout: described } = await run('ffprobe', [
    ...[...quiet, '-select_streams', 'v:0', '-of', 'json'],
    ...['-show_entries', 'stream=width,height,avg_frame_rate:packet=pts_time,flags', path],
  ])
  const { streams, packets } = JSON.parse(described) as {
    streams: { width: number; height: number; avg_frame_rate: string }[]
    packets: { pts_time: string; flags: string }[]
  }
  const [stream] = streams
  if (stream === undefined) throw new Error(`Cannot serve "${path}": it holds no video`)
  const { stdout: bytes } = await run(
    'ffmpeg',
    [
      ...[...quiet, '-i', path, '-map', '0:v:0', '-c', 'copy'],
      ...['-bsf:v', 'h264_mp4toannexb,h264_metadata=aud=insert', '-f', 'h264', 'pipe:1'],
    ],
    { encoding: 'buffer', maxBuffer: 1 << 30 },
  )
  const units: Buffer[][] = []
  for (const nal of splitAnnexB(bytes)) {
    if (nalType(nal) === accessUnitDelimiter) units.push([])
    else units.at(-1)?.push(nal)
  }
  const [numerator = 0, denominator = 1] = stream.avg_frame_rate.split('/').map(Number)
  return {
    width: stream.width,
    height: stream.height,
    fps: numerator / denominator,
    packets: units.map((nals, index) => ({
      bytes: Buffer.concat(nals.flatMap((nal) => [startCode, nal])),
      stampMs: Number(packets[index]?.pts_time) * 1000,
      isKey: packets[index]?.flags.startsWith('K') ?? false,
    })),
  }
}

const startCode = Buffer.from([0, 0, 0, 1])
const sequenceParameterSet = 7
const pictureParameterSet = 8
const accessUnitDelimiter = 9
const nalType = (nal: Buffer): number => nal[0]! & 0x1f
const isParameterSet = (nal: Buffer): boolean =>
  nalType(nal) === sequenceParameterSet || nalType(nal) === pictureParameterSet
/** Slices of a picture: H.264 table 7-1, types 1 to 5. */
const isPicture = (nal: Buffer): boolean => nalType(nal) >= 1 && nalType(nal) <= 5

/** NAL units between start codes (ITU-T H.264 annex B). */
function splitAnnexB(bytes: Buffer): Buffer[] {
  const nals: Buffer[] = []
  let from = bytes.indexOf('\x00\x00\x01', 0, 'latin1')
  while (from >= 0) {
    const start = from + 3
    from = bytes.indexOf('\x00\x00\x01', start, 'latin1')
    let end = from < 0 ? bytes.length : from
    while (end > start && bytes[end - 1] === 0) end--
    if (end > start) nals.push(bytes.subarray(start, end))
  }
  return nals
}
