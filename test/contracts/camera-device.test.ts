/**
 * Devices and hardware, as far as a machine without either can show: the same path with ffmpeg's
 * generator of test pictures in place of the driver, and what is said where there is no hardware.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openFfmpegCamera } from '../../edge-agent/src/cameras/ffmpeg-camera.ts'
import { ffmpegVersion } from '../../edge-agent/src/cameras/ffmpeg-probe.ts'
import { openCamera } from '../../edge-agent/src/cameras/open-camera.ts'
import { needs } from '../require.ts'
import { makeClip } from '../rtsp/make-clip.ts'
import { collect, numberIn, openerOf, refusal, timeOf, whole } from './looking.ts'

const options = { ...needs('ffmpeg'), timeout: 120_000 }
const openWith = openerOf(openCamera, 'ffmpeg')
const clip = { width: 320, height: 180, fps: 30, seconds: 1 }

test(
  'a device is a live camera: pictures come at its own pace, picked at analysisFps',
  options,
  async () => {
    const generator = 'testsrc2=size=320x180:rate=30,realtime'
    await using camera = await openFfmpegCamera(
      await ffmpegVersion(),
      { kind: 'device', driver: 'lavfi', path: generator, name: '"test pictures"' },
      {
        source: '',
        pace: 'live',
        loop: true,
        analysisFps: 10,
        jpegWidthMax: 320,
        openTimeoutMs: 20_000,
        stallTimeoutMs: 5000,
        inputFor: whole('rgb'),
        masks: [],
        signal: AbortSignal.timeout(60_000),
      },
      Date.now,
    )
    assert.deepEqual([camera.info.width, camera.info.height], [320, 180])
    const times: number[] = []
    for await (using frame of camera.frames()) {
      times.push(timeOf(frame))
      if (times.length === 12) break
    }
    const tookMs = times.at(-1)! - times[0]!
    assert.ok(tookMs >= 700, `12 pictures at 10 per second took ${tookMs} ms`)
  },
)

test('open() says of a device that is no camera what to look for', options, async () => {
  const error = await refusal(openWith({ source: 'v4l2:/dev/null?size=640x480' }), 'refused')
  assert.match(error.message, /gives no video as it was asked.*list_formats/)
})

test('open() says that node-av does not read devices', async () => {
  const source = 'v4l2:/dev/null'
  const error = await refusal(openWith({ source, decoder: 'node-av' }), 'refused')
  assert.match(error.message, /node-av does not read devices; use the decoder auto or ffmpeg/)
})

for (const hardwareDecode of ['auto', 'vaapi', 'cuda', 'v4l2m2m', 'rkmpp'] as const) {
  test(`${hardwareDecode}: every picture is decoded, and it is said by what`, options, async () => {
    await using camera = await openWith({ source: await makeClip(clip), hardwareDecode })
    const numbers = await collect(camera, numberIn)
    assert.deepEqual(
      numbers,
      Array.from({ length: 30 }, (_, n) => n),
    )
    const said = camera.info.hardwareDecode ?? ''
    assert.match(
      said,
      new RegExp(`^(${hardwareDecode}$|software: (the hardware failed|ffmpeg found no))`),
    )
  })
}

test('hardware that does not know the codec is not asked, and that is said', options, async () => {
  const path = await makeClip(clip)
  const { execFileSync } = await import('node:child_process')
  const source = path.replace(/mp4$/, 'avi')
  execFileSync('ffmpeg', ['-loglevel', 'error', '-y', '-i', path, '-c:v', 'mjpeg', source])
  await using camera = await openWith({ source, hardwareDecode: 'v4l2m2m' })
  assert.equal(camera.info.hardwareDecode, 'software: v4l2m2m does not know mjpeg')
})

test('asked for hardware, ffmpeg is preferred to node-av', options, async () => {
  const source = await makeClip(clip)
  await using camera = await openWith({ source, decoder: 'auto', hardwareDecode: 'auto' })
  assert.equal(camera.info.decoder, 'ffmpeg')
})
