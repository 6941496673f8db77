/** The demo clip: a real video of the scene, whole or not there, made once. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { needs } from '../../../test/require.ts'
import type { InputView } from '../cameras/camera.ts'
import { openCamera } from '../cameras/open-camera.ts'
import { demoClip, truthOf } from './clip.ts'
import { clipEncoders, openClipEncoder } from './clip-encoder.ts'
import { createScene, sceneFps, sceneHeight, sceneWidth } from './scene.ts'

const seconds = 10
const seed = 4

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-clip-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const whole: InputView = {
  width: sceneWidth,
  height: sceneHeight,
  channels: 'rgb',
  content: { left: 0, top: 0, width: sceneWidth, height: sceneHeight },
  pad: 0,
}

for (const encoder of clipEncoders) {
  test(
    `demoClip() by ${encoder} is the scene, frame by frame`,
    needs('ffmpeg', encoder),
    async (t) => {
      const folder = await temporaryFolder(t)
      const shares: number[] = []
      const onProgress = (share: number) => shares.push(share)
      const { signal } = t
      const source = await demoClip({ seed, seconds, folder, encoder, onProgress, signal })
      assert.deepEqual(await readdir(folder), [source.slice(folder.length + 1)])
      assert.ok(shares.length >= 4 && shares.every((share, k) => share >= (shares[k - 1] ?? 0)))

      await using camera = await openCamera({
        source,
        pace: 'unpaced',
        loop: false,
        inputFor: () => whole,
        masks: [],
        jpegWidthMax: sceneWidth,
        openTimeoutMs: 20_000,
        stallTimeoutMs: 20_000,
        signal,
      })
      const { codec, width, height, fps } = camera.info
      assert.deepEqual([codec, width, height, fps], ['h264', sceneWidth, sceneHeight, sceneFps])
      const scene = createScene({ seed, seconds })
      const drawn = new Uint8Array(sceneWidth * sceneHeight * 3)
      const decoded = new Uint8Array(drawn.length)
      let frames = 0
      for await (const frame of camera.frames()) {
        using _ = frame
        if (frames++ % 50 !== 0) continue
        frame.input(decoded)
        scene.render(frame.frame, drawn)
        let sum = 0
        for (let at = 0; at < drawn.length; at++) sum += Math.abs(drawn[at]! - decoded[at]!)
        const mean = sum / drawn.length
        assert.ok(mean < 5, `frame ${frame.frame} is off by ${mean} levels`)
      }
      assert.equal(frames, scene.frameCount)

      // Once it is there, it is not made again.
      const { mtimeMs } = await stat(source)
      const notAgain = () => assert.fail('rendered again')
      assert.equal(await demoClip({ seed, seconds, folder, onProgress: notAgain, signal }), source)
      assert.equal((await stat(source)).mtimeMs, mtimeMs)
    },
  )
}

test('demoClip() leaves nothing behind when it is aborted', async (t) => {
  const folder = await temporaryFolder(t)
  const abandoned = join(folder, 'demo-1-48s-v1.mp4.77-1.part')
  await writeFile(abandoned, 'of a process that is long gone')
  const longAgo = new Date(Date.now() - 3_600_000)
  await utimes(abandoned, longAgo, longAgo)
  const stop = new AbortController()
  const onProgress = () => stop.abort(new Error('enough'))
  await assert.rejects(demoClip({ seed, seconds, folder, onProgress, signal: stop.signal }))
  assert.deepEqual(await readdir(folder), [])
})

test('demoClip() says what it cannot do', async (t) => {
  const folder = await temporaryFolder(t)
  const { signal } = t
  await assert.rejects(demoClip({ seed: 1.5, folder, signal }), /from seed "1\.5": it is no whole/)
  await assert.rejects(demoClip({ seed, seconds: 2, folder, signal }), /at least 10 s/)
  const file = join(folder, 'occupied')
  await writeFile(file, '')
  await assert.rejects(demoClip({ seed, seconds, folder: file, signal }), { code: 'EEXIST' })
  assert.deepEqual(await readdir(folder), ['occupied'])
})

test('openClipEncoder() says how to get an encoder where there is none', async (t) => {
  const path = process.env.PATH
  t.after(() => {
    process.env.PATH = path
  })
  process.env.PATH = ''
  const options = { file: 'never.mp4', width: 64, height: 64, fps: 15 }
  await assert.rejects(
    openClipEncoder(options, 'ffmpeg'),
    /no H\.264 encoder answers \(ffmpeg: spawn ffmpeg ENOENT\); install the npm package node-av or the program ffmpeg/,
  )
})

test('truthOf() knows the parts of every frame, loops included', () => {
  const truth = truthOf(seed, seconds)
  assert.ok(truth(0).length > 3)
  assert.deepEqual(truth(seconds * sceneFps + 7), truth(7))
})
