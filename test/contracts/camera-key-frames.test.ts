/** A still scene: node-av decodes key frames only, and goes on from the one on which something moved. */

process.env.UV_THREADPOOL_SIZE ??= '16'

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Camera } from '../../edge-agent/src/cameras/camera.ts'
import { MotionGate } from '../../edge-agent/src/streams/motion-gate.ts'
import { needs } from '../require.ts'
import { readClip } from '../rtsp/access-units.ts'
import { type ClipOptions, makeClip } from '../rtsp/make-clip.ts'
import { RtspServer } from '../rtsp/rtsp-server.ts'
import { numberIn, openerOf } from './looking.ts'

const { openCamera } = await import('../../edge-agent/src/cameras/open-camera.ts')
const openWith = openerOf(openCamera, 'node-av')
const options = { ...needs('node-av'), timeout: 120_000 }
const clip: ClipOptions = { width: 320, height: 180, fps: 30, seconds: 4, keyInterval: 15 }

/** Numbers of the pictures seen; `steer` is told each before the next one is decoded. */
async function watch(camera: Camera, steer: (number: number) => boolean): Promise<number[]> {
  const seen: number[] = []
  for await (using frame of camera.frames()) {
    seen.push(numberIn(frame))
    if (!steer(seen.at(-1)!)) break
  }
  return seen
}

for (const bframes of [0, 2]) {
  test(
    `key frames only, then everything from the last of them on (${bframes} B-frames)`,
    options,
    async () => {
      await using camera = await openWith({ source: await makeClip({ ...clip, bframes }) })
      const keyFrames = camera.keyFrames!
      const seen = await watch(camera, (number) => {
        if (number === 50) {
          assert.equal(keyFrames.intervalMs, 500)
          keyFrames.only = true
        }
        if (number === 90) keyFrames.only = false
        return number < 100
      })
      assert.deepEqual(seen, [
        ...Array.from({ length: 51 }, (_, n) => n),
        ...[60, 75, 90],
        ...Array.from({ length: 10 }, (_, n) => 91 + n),
      ])
      assert.equal(camera.counts.damaged, 0)
      assert.ok(keyFrames.passed >= 32 && keyFrames.passed <= 42, `${keyFrames.passed} passed over`)
    },
  )
}

test('key frames only over the passes of a clip', options, async () => {
  await using camera = await openWith({ source: await makeClip(clip), loop: true })
  const keyFrames = camera.keyFrames!
  let passes = 0
  const seen = await watch(camera, (number) => {
    if (number === 40) keyFrames.only = true
    if (number === 0) passes++
    return passes < 4
  })
  assert.deepEqual(seen.slice(41), [
    ...[45, 60, 75, 90, 105, 0, 15, 30, 45, 60, 75, 90, 105, 0, 15, 30, 45, 60, 75, 90, 105, 0],
  ])
})

test(
  'a live camera: key frames only, then everything, and nothing is damaged',
  options,
  async () => {
    await using server = await RtspServer.open({ clip: await readClip(await makeClip(clip)) })
    await using camera = await openWith({ source: server.url, pace: 'live' })
    const keyFrames = camera.keyFrames!
    let frames = 0
    const seen = await watch(camera, () => {
      frames++
      if (frames === 50) keyFrames.only = true
      if (frames === 54) keyFrames.only = false
      return frames < 70
    })
    assert.deepEqual(
      seen.slice(50, 54).map((number) => number % 15),
      [0, 0, 0, 0],
    )
    const since = seen.slice(53)
    assert.deepEqual(
      since,
      Array.from({ length: 17 }, (_, n) => (since[0]! + n) % 120),
    )
    assert.equal(camera.counts.damaged, 0)
  },
)

test(
  'what begins to move in a still scene is seen within one key-frame interval',
  options,
  async () => {
    const still: ClipOptions = { ...clip, seconds: 5, stillPictures: 75 }
    await using camera = await openWith({ source: await makeClip(still), analysisFps: 5 })
    const keyFrames = camera.keyFrames!
    const gate = new MotionGate({
      enabled: true,
      levelMin: 18,
      areaMin: 0.002,
      holdMs: 500,
      idleIntervalMs: 0,
    })
    let movedAt: number | undefined
    let idled = 0
    const after: number[] = []
    for await (using frame of camera.frames()) {
      const { analyse } = gate.look(frame.gate(), frame.at)
      keyFrames.only = !analyse && (keyFrames.intervalMs ?? 1e9) <= 500
      if (keyFrames.only) idled++
      if (analyse && movedAt === undefined) movedAt = numberIn(frame)
      else if (movedAt !== undefined) after.push(numberIn(frame))
    }
    assert.ok(idled >= 2, `${idled} frames let it idle`)
    assert.ok(movedAt !== undefined && movedAt > 0 && movedAt <= 15, `seen at picture ${movedAt}`)
    assert.ok(
      after.slice(0, 5).every((number, n) => number - movedAt! <= 6 * (n + 1)),
      `then every picture is decoded, and 5 per second are looked at: ${after}`,
    )
  },
)

for (const isRecorded of [false, true]) {
  test(isRecorded
    ? 'a live still scene: each packet is told where it is recorded'
    : 'a live still scene: packets between key frames are not even read, and motion is seen all the same', {
    ...options,
    ...needs('node-av', 'time'),
  }, async () => {
    // Eight seconds still, four in motion, and a key frame each second.
    const scene = { width: 320, height: 180, fps: 15, seconds: 12, stillPictures: 120 }
    await using server = await RtspServer.open({ clip: await readClip(await makeClip(scene)) })
    let told = 0
    await using camera = await openWith({
      source: server.url,
      pace: 'live',
      ...(isRecorded && { onCoded: () => void told++ }),
    })
    using reads = await countReads()
    const keyFrames = camera.keyFrames!
    const pictures = () => camera.counts.decoded + keyFrames.passed
    const inRest = { pictures: 0, reads: 0 }
    let [since, readsBefore, picturesBefore] = [0, 0, 0]
    let movedAt: number | undefined
    for await (using frame of camera.frames()) {
      const number = numberIn(frame)
      // The clip's first pass is for learning its rhythm.
      if (number === 0) keyFrames.only = pictures() > 180
      if (keyFrames.only && number > 0) {
        movedAt = number
        keyFrames.only = false
        break
      }
      if (keyFrames.only && ++since === 2) {
        ;[readsBefore, picturesBefore] = [reads.count, pictures()]
      }
      inRest.reads = reads.count - readsBefore
      inRest.pictures = pictures() - picturesBefore
    }
    const says = JSON.stringify({ inRest, movedAt, intervalMs: keyFrames.intervalMs })
    assert.ok(movedAt !== undefined && movedAt <= 15, `seen within one interval: ${says}`)
    assert.equal(camera.counts.damaged, 0)
    // From the second key frame of the rest to the one that moved: seven seconds of fifteen pictures.
    assert.ok(inRest.pictures >= 100 && inRest.pictures <= 110, `all are counted: ${says}`)
    if (isRecorded) assert.ok(told >= pictures() - 1, `${told} of ${pictures()} told`)
    else assert.ok(inRest.reads < inRest.pictures / 2, says)
  })
}

/** Counts what is read from live sources, whoever reads it. */
async function countReads(): Promise<Disposable & { readonly count: number }> {
  const { prototype } = (await import('node-av/lib')).FormatContext
  const read = prototype.readFrame
  let count = 0
  prototype.readFrame = function (packet) {
    count++
    return read.call(this, packet)
  }
  return {
    get count() {
      return count
    },
    [Symbol.dispose]() {
      prototype.readFrame = read
    },
  }
}

test(
  'ffmpeg does not pretend: its process cannot change what it decodes',
  needs('ffmpeg'),
  async () => {
    await using camera = await openWith({ source: await makeClip(clip), decoder: 'ffmpeg' })
    assert.equal(camera.keyFrames, undefined)
  },
)
