import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ffmpegArguments, type Plan, probeArguments } from './ffmpeg-arguments.ts'

const plan: Plan = {
  source: { kind: 'live', url: 'rtsp://cam/1', name: '"rtsp://cam/1"' },
  version: { major: 5, minor: 1 },
  view: {
    width: 416,
    height: 416,
    channels: 'bgr',
    content: { left: 0, top: 0, width: 416, height: 234 },
    pad: 114,
  },
  snapshot: { width: 1280, height: 720 },
  analysisFps: undefined,
  loop: false,
  fromSeconds: undefined,
  copies: false,
  hardware: [],
  socketTimeoutMs: 6000,
}
const after = (args: string[], flag: string): string | undefined => args[args.indexOf(flag) + 1]

test('ffmpegArguments() asks for three pictures of each frame', () => {
  const args = ffmpegArguments(plan)
  assert.equal(
    after(args, '-filter_complex'),
    [
      '[0:v:0]showinfo@decoded=checksum=0,showinfo@picked=checksum=0,split=3[a][b][c]',
      '[a]scale=160:90:flags=fast_bilinear,format=gray[gate]',
      '[b]scale=416:234:flags=area,format=bgr24[content]',
      '[c]scale=1280:720:flags=area,format=rgb24[snapshot]',
    ].join(';'),
  )
  assert.deepEqual(
    args.filter((arg) => arg.startsWith('pipe:')),
    ['pipe:3', 'pipe:4', 'pipe:5'],
  )
})

test('ffmpegArguments() copies packets to a pipe of their own, and never one without a time', () => {
  const args = ffmpegArguments({ ...plan, copies: true })
  assert.equal(args.at(-1), 'pipe:6')
  assert.equal(
    after(args, '-bsf:v'),
    'setts=pts=if(eq(PTS\\,NOPTS)\\,if(eq(PREV_OUTPTS\\,NOPTS)\\,0\\,PREV_OUTPTS+1)\\,PTS)' +
      ':dts=if(eq(DTS\\,NOPTS)\\,if(eq(PREV_OUTDTS\\,NOPTS)\\,0\\,PREV_OUTDTS+1)\\,DTS)',
  )
  assert.ok(!ffmpegArguments(plan).includes('copy'))
})

test('ffmpegArguments() never reads a socket without a timeout, under the name each version knows', () => {
  assert.equal(after(ffmpegArguments(plan), '-timeout'), '6000000')
  const old = ffmpegArguments({ ...plan, version: { major: 4, minor: 4 } })
  assert.equal(after(old, '-stimeout'), '6000000')
  assert.ok(!old.includes('-timeout'))
  assert.ok(old.includes('-vsync') && !old.includes('-fps_mode'))
  assert.equal(after(probeArguments(plan.source, plan.version, 6000), '-timeout'), '6000000')
})

test('ffmpegArguments() loops clips and never live sources', () => {
  const clip = { ...plan, source: { kind: 'file', path: '-odd name.mp4', name: '' } } as const
  const args = ffmpegArguments({ ...clip, loop: true })
  assert.equal(after(args, '-stream_loop'), '-1')
  assert.equal(after(args, '-i'), 'file:-odd name.mp4')
  assert.ok(!ffmpegArguments({ ...plan, loop: true }).includes('-stream_loop'))
})

test('ffmpegArguments() lets a clip reach nothing but files', () => {
  const clip = { ...plan, source: { kind: 'file', path: 'a.m3u8', name: '' } } as const
  assert.equal(after(ffmpegArguments(clip), '-protocol_whitelist'), 'file,pipe')
})

test('ffmpegArguments() opens a device by its driver, with what was asked of it and nothing else', () => {
  const device = { kind: 'device', driver: 'v4l2', path: '/dev/video0', name: '' } as const
  const asked = { size: '1280x720', fps: 7.5, format: 'mjpeg' }
  const args = ffmpegArguments({ ...plan, source: { ...device, ...asked }, loop: true })
  const input = args.slice(args.indexOf('-f'), args.indexOf('-i') + 2)
  assert.deepEqual(input, [
    ...['-f', 'v4l2', '-input_format', 'mjpeg', '-video_size', '1280x720', '-framerate', '7.5'],
    ...['-i', '/dev/video0'],
  ])
  assert.ok(!args.includes('-stream_loop'))
  const plain = ffmpegArguments({ ...plan, source: device })
  assert.deepEqual(plain.slice(plain.indexOf('-f'), plain.indexOf('-i') + 2), [
    ...['-f', 'v4l2', '-i', '/dev/video0'],
  ])
})

test('ffmpegArguments() names the hardware before the input it decodes', () => {
  const args = ffmpegArguments({ ...plan, hardware: ['-hwaccel', 'vaapi'] })
  assert.equal(after(args, '-hwaccel'), 'vaapi')
  assert.ok(args.indexOf('-hwaccel') < args.indexOf('-i'))
})
