import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { CameraError } from './camera.ts'
import { parseSource, secretless } from './source.ts'

test('parseSource() knows addresses, clips and folders', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-source-'))
  t.after(() => rm(folder, { recursive: true }))
  const clip = join(folder, 'a b:c.mp4')
  await writeFile(clip, '')
  await mkdir(join(folder, 'images'))
  const of = async (text: string) => {
    const source = await parseSource(text)
    return [source.kind, 'path' in source ? source.path : source.url]
  }
  assert.deepEqual(await of(clip), ['file', clip])
  assert.deepEqual(await of(`file:${clip}`), ['file', clip])
  assert.deepEqual(await of(pathToFileURL(clip).href), ['file', clip])
  assert.deepEqual(await of(join(folder, 'images')), ['folder', join(folder, 'images')])
  assert.deepEqual(await of('rtsp://cam/1'), ['live', 'rtsp://cam/1'])
  assert.deepEqual(await of('RTSPS://cam/1'), ['live', 'RTSPS://cam/1'])
  assert.deepEqual(await of('http://cam/video.mjpg'), ['http', 'http://cam/video.mjpg'])
  assert.deepEqual(await of('HTTPS://cam/1.jpg'), ['http', 'HTTPS://cam/1.jpg'])
})

const refused: [source: string, text: RegExp][] = [
  ['', /no source given/],
  ['/no/such/clip.mp4', /no such file or folder/],
  ['file:///no/such/clip.mp4', /no such file or folder/],
  ['rtps://cam/1', /"rtps:" is not supported \(did you mean "rtsps:"\?\); use rtsp:/],
  ['ftp://root:secret@cam/1', /"ftp:\/\/root:…@cam\/1": "ftp:" is not supported.*; use rtsp:/],
  ['http://', /address is not complete; write http:/],
  ['rtsp://', /address is not complete/],
  ['v4l2:/dev/no-such-video', /no such device; check that the camera is plugged in/],
  ['v4l2:/dev/null?size=1280', /"1280" is no size; write size=1280x720/],
  ['v4l2:/dev/null?fps=0', /"0" is no fps; write fps=15/],
  ['v4l2:/dev/null?format=mjpeg%20-i', /"mjpeg -i" is no format/],
  ['v4l2:/dev/null?sise=1280x720', /"sise" is unknown \(did you mean "size"\?\)/],
  ['v4l2:/dev/../etc/passwd', /is not a device/],
  ['v4l2:video0', /"video0" is not a device; write v4l2:\/dev\/video0/],
  ['v4l2:/dev', /is not a device/],
  ['v4l2:/dev/shm', /is no camera/],
  ['vl42:/dev/video0', /did you mean "v4l2:"/],
]
for (const [source, text] of refused) {
  test(`parseSource() refuses "${source}"`, async () => {
    await assert.rejects(parseSource(source), (error: unknown) => {
      assert.ok(error instanceof CameraError)
      assert.equal(error.fault, 'refused')
      assert.match(error.message, text)
      assert.doesNotMatch(error.message, /secret/)
      return true
    })
  })
}

test('secretless() takes address and password out of what a program said', async () => {
  const source = await parseSource('rtsp://root:p%40ss@cam/1')
  assert.equal(secretless('rtsp://root:p%40ss@cam/1: 401 Unauthorized', source), '401 Unauthorized')
  assert.equal(secretless('login with p@ss or p%40ss failed', source), 'login with … or … failed')
})

test('parseSource() knows what is asked of a device', async () => {
  // Any character device can be named; whether it is a camera, ffmpeg finds out.
  const source = await parseSource('v4l2:/dev/null?size=1280x720&fps=7.5&format=mjpeg')
  assert.deepEqual(source, {
    kind: 'device',
    driver: 'v4l2',
    path: '/dev/null',
    size: '1280x720',
    fps: 7.5,
    format: 'mjpeg',
    name: '"v4l2:/dev/null?size=1280x720&fps=7.5&format=mjpeg"',
  })
})
