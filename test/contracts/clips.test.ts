/**
 * Clips of a real camera, by both decoders: what is recorded without decoding is decoded again, and its pictures
 * are those of the moment, because each carries its number.
 */

process.env.UV_THREADPOOL_SIZE ??= '16'

import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { NewEvent } from '@edgeloop/protocol'
import { type ClipSettings, StreamClips } from '../../edge-agent/src/clips/stream-clips.ts'
import { needs } from '../require.ts'
import { readClip } from '../rtsp/access-units.ts'
import { type ClipOptions, makeClip } from '../rtsp/make-clip.ts'
import { RtspServer } from '../rtsp/rtsp-server.ts'
import { collect, numberIn, openerOf } from './looking.ts'

const { openCamera } = await import('../../edge-agent/src/cameras/open-camera.ts')
type ClipRecord = Extract<NewEvent, { kind: 'clip' }>

const fps = 30
const pictures: ClipOptions = { width: 320, height: 180, fps, seconds: 20, keyInterval: 15 }
/** A busy machine delivers and reads late; it never loses. */
const slackFrames = 20

const settings: ClipSettings = {
  beforeMs: 1000,
  afterMs: 1000,
  lengthMaxMs: 60_000,
  kinds: ['appeared'],
  labels: ['person'],
}

const eventAt = (at: number, label = 'person'): NewEvent => ({
  kind: 'appeared',
  at: new Date(at).toISOString(),
  streamId: 'cam',
  trackId: 1,
  label,
  score: 1,
  box: [0, 0, 1, 1],
})

/**
 * Looks at a camera until its clips are there; `events` are numbers of pictures at which something happens.
 * @returns the clips with the numbers in their pictures, and when each picture with an event came
 */
async function record(
  t: TestContext,
  decoder: 'node-av' | 'ffmpeg',
  source: string,
  events: readonly number[],
  more: { settings?: Partial<ClipSettings>; clips?: number } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-clips-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const openWith = openerOf(openCamera, decoder)
  const records: ClipRecord[] = []
  const clips = new StreamClips({
    streamId: 'cam',
    folder,
    settings: { ...settings, ...more.settings },
    announce: () => {},
    record: async (event) => void records.push(event as ClipRecord),
    warn: (text) => assert.fail(text),
    // The disk of this machine is not what is tested.
    free: async () => 1e12,
  })
  const happened: number[] = []
  const waiting = [...events]
  {
    await using camera = await openWith({
      source,
      pace: 'live',
      loop: true,
      stallTimeoutMs: 20_000,
      onCoded: (packet) => clips.packet(packet),
    })
    assert.equal(camera.info.codec, 'h264')
    for await (using frame of camera.frames()) {
      if (waiting[0] !== undefined && numberIn(frame) >= waiting[0]) {
        waiting.shift()
        clips.take(eventAt(frame.at, 'dog'))
        clips.take(eventAt(frame.at))
        happened.push(frame.at)
      }
      if (records.length >= (more.clips ?? 1)) break
    }
    await clips.end()
  }
  assert.deepEqual(
    (await readdir(folder)).sort(),
    records.map(({ clip }) => `${clip}.mp4`).sort(),
    'a file per record and nothing else',
  )
  const numbers = await Promise.all(
    records.map(async ({ clip, width, height }) => {
      assert.deepEqual([width, height], [320, 180])
      await using played = await openWith({ source: join(folder, `${clip}.mp4`) })
      const seen = await collect(played, numberIn)
      assert.equal(played.counts.damaged, 0)
      return seen
    }),
  )
  return { records, numbers, happened }
}

const isNear = (found: number, wanted: number, what: string): void =>
  assert.ok(Math.abs(found - wanted) <= slackFrames, `${what}: ${found}, not about ${wanted}`)

/** Every picture from the first to the last, in order. */
const assertWhole = (numbers: readonly number[]): void =>
  assert.deepEqual(
    numbers,
    numbers.map((_, i) => numbers[0]! + i),
  )

for (const decoder of ['node-av', 'ffmpeg'] as const) {
  for (const bframes of [0, 2]) {
    test(`${decoder}: a clip shows the moment, and what was before and after (${bframes} B-frames)`, {
      // The harder of the two; the other one is CI's.
      ...(bframes === 0 ? needs(decoder, 'time') : needs(decoder)),
      timeout: 120_000,
    }, async (t) => {
      const clip = await makeClip({ ...pictures, bframes })
      await using server = await RtspServer.open({ clip: await readClip(clip) })
      const { records, numbers, happened } = await record(t, decoder, server.url, [100])
      const [seen = []] = numbers
      assertWhole(seen)
      const first = seen[0]!
      assert.equal(first % 15, 0, 'from a key frame on')
      isNear(first, 100 - fps - 7, 'first picture')
      isNear(seen.at(-1)!, 100 + fps, 'last picture')
      const { startedAt, at, durationMs } = records[0]!
      // The event is where it should be in the video.
      const shownMs = happened[0]! - Date.parse(startedAt)
      isNear((shownMs / 1000) * fps, 100 - first, 'picture at the moment')
      isNear((durationMs / 1000) * fps, seen.length, 'duration')
      isNear(((Date.parse(at) - Date.parse(startedAt)) / 1000) * fps, seen.length, 'span')
      assert.equal(
        server.connections <= (decoder === 'ffmpeg' ? 2 : 1),
        true,
        'no other connection',
      )
    })
  }

  test(`${decoder}: events that follow each other share a clip, up to its longest`, {
    ...needs(decoder, 'time'),
    timeout: 120_000,
  }, async (t) => {
    await using server = await RtspServer.open({ clip: await readClip(await makeClip(pictures)) })
    const events = [60, 90, 120, 150]
    const one = await record(t, decoder, server.url, events)
    assertWhole(one.numbers[0]!)
    isNear(one.numbers[0]!.at(-1)!, 180, 'last picture')
    const more = { settings: { lengthMaxMs: 2000 }, clips: 3 }
    const { numbers } = await record(t, decoder, server.url, events, more)
    for (const [i, seen] of numbers.entries()) {
      assertWhole(seen)
      const before = numbers[i - 1]
      if (before) assert.ok(seen[0]! <= before.at(-1)! + 1, 'nothing between two clips is missing')
    }
  })

  test(`${decoder}: a clip file that is played as a camera is recorded over its end`, {
    ...needs(decoder),
    timeout: 120_000,
  }, async (t) => {
    const source = await makeClip({ ...pictures, seconds: 3 })
    const { numbers } = await record(t, decoder, source, [75])
    const seen = numbers[0]!.map((number) => number % 90)
    assert.deepEqual(
      seen,
      seen.map((_, i) => (seen[0]! + i) % 90),
    )
    assert.ok(seen.includes(75) && seen.includes(5), 'from before the end to after the beginning')
  })

  test(`${decoder}: a camera that changes its size begins another clip`, {
    ...needs(decoder),
    timeout: 120_000,
  }, async (t) => {
    const clip = await readClip(await makeClip(pictures))
    const second = await readClip(await makeClip({ ...pictures, width: 256, height: 144 }))
    await using server = await RtspServer.open({
      clip,
      second,
      faults: { resolutionChangeAfterFrames: 75 },
    })
    const folder = await mkdtemp(join(tmpdir(), 'edgeloop-clips-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const sizes: number[] = []
    const clips = new StreamClips({
      streamId: 'cam',
      folder,
      settings: { ...settings, afterMs: 3000 },
      announce: () => {},
      record: async (event) => void sizes.push((event as ClipRecord).width),
      warn: (text) => assert.fail(text),
      free: async () => 1e12,
    })
    const openWith = openerOf(openCamera, decoder)
    const onCoded = (packet: Parameters<StreamClips['packet']>[0]) => clips.packet(packet)
    const more = { pace: 'live', stallTimeoutMs: 20_000, onCoded } as const
    await using camera = await openWith({ source: server.url, ...more })
    let asked = false
    for await (using frame of camera.frames()) {
      if (!asked && numberIn(frame) >= 50) clips.take(eventAt(frame.at))
      asked ||= numberIn(frame) >= 50
      if (frame.width === 256 && numberIn(frame) >= 30) break
    }
    await clips.end()
    assert.deepEqual(sizes, [320, 256])
  })
}
