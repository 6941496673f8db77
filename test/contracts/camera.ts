/**
 * What any `Camera` must do, whichever decoder is behind it. The pictures carry their own number and
 * known colours (`test/rtsp/test-picture.ts`), so what arrives can be compared with what was sent.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import sharp from 'sharp'
import {
  type Camera,
  gateHeight,
  gateWidth,
  type InputView,
} from '../../edge-agent/src/cameras/camera.ts'
import type { OpenCameraOptions } from '../../edge-agent/src/cameras/open-camera.ts'
import { material, needs, type Requirement } from '../require.ts'
import { readClip, type VideoClip } from '../rtsp/access-units.ts'
import { type ClipOptions, makeClip } from '../rtsp/make-clip.ts'
import { type CameraFaults, RtspServer } from '../rtsp/rtsp-server.ts'
import { bars, readBars, readNumber } from '../rtsp/test-picture.ts'
import { testLiveCamera } from './live-camera.ts'
import {
  assertColours,
  canvasOf,
  collect,
  colourTolerance,
  inProcess,
  lookInto,
  numberIn,
  openerOf,
  refusal,
  sizeOf,
  timeOf,
  whole,
} from './looking.ts'
import { maskedPicture, maskedSize, maskPolygons } from './masked-pictures.ts'

export type TestCameraOptions = {
  readonly decoder: 'node-av' | 'ffmpeg'
  readonly open: (options: OpenCameraOptions) => Promise<Camera>
  /** What the machine must have. */
  readonly needs: readonly Requirement[]
}

const small: ClipOptions = { width: 320, height: 180, fps: 30, seconds: 2, bframes: 2 }
const short: ClipOptions = { width: 320, height: 180, fps: 30, seconds: 0.5 }
const live: ClipOptions = { width: 640, height: 360, fps: 30, seconds: 4 }
const other: ClipOptions = { width: 320, height: 240, fps: 30, seconds: 2, firstNumber: 5000 }

export function testCamera(name: string, { decoder, open, needs: names }: TestCameraOptions): void {
  const camera = (what: string, run: (t: TestContext) => Promise<void>, ...more: Requirement[]) =>
    test(`${name}: ${what}`, { ...needs(...names, ...more), timeout: 120_000 }, run)
  const openWith = openerOf(open, decoder)

  describe(`${name} as a camera`, { concurrency: 3 }, () => {
    camera('frames() gives every frame of a clip with B-frames once and in order', async () => {
      await using clip = await openWith({ source: await makeClip(small) })
      const { width, height, fps } = clip.info
      assert.deepEqual({ width, height, fps }, { width: 320, height: 180, fps: 30 })
      const seen = await collect(clip, (frame) => [frame.frame, numberIn(frame), timeOf(frame)])
      const start = seen[0]![2]!
      assert.deepEqual(
        seen.map(([frame, number]) => [frame, number]),
        Array.from({ length: 60 }, (_, n) => [n, n]),
      )
      assert.deepEqual(
        seen.map(([, , at]) => at! - start),
        Array.from({ length: 60 }, (_, n) => Math.round(start + (n * 1000) / 30) - start),
      )
      assert.deepEqual(clip.counts, { decoded: 60, damaged: 0 })
    })

    camera('frames() keeps the times of a variable rate', async () => {
      const source = await makeClip({ ...small, fps: 10, bframes: 0, variableRate: true })
      await using clip = await openWith({ source })
      const times = await collect(clip, timeOf)
      const steps = times.slice(1).map((at, n) => at - times[n]!)
      assert.deepEqual(
        steps,
        Array.from({ length: 19 }, (_, n) => (n % 2 === 0 ? 100 : 200)),
      )
    })

    camera('analysisFps picks by time stamps and counts what it passes over', async () => {
      await using clip = await openWith({ source: await makeClip(small), analysisFps: 5 })
      const numbers = await collect(clip, (frame) => [frame.frame, numberIn(frame)])
      const expected = Array.from({ length: 10 }, (_, n) => [n * 6, n * 6])
      assert.deepEqual(numbers, expected)
      assert.equal(clip.counts.decoded, 60)
    })

    for (const matrix of ['bt601', 'bt709'] as const) {
      for (const channels of ['rgb', 'bgr'] as const) {
        camera(`input() has the colours of a ${matrix} clip in ${channels}`, async () => {
          const source = await makeClip({ ...short, matrix })
          await using clip = await openWith({ source, inputFor: whole(channels) })
          const [found] = await collect(clip, (frame) => readBars(canvasOf(frame).look))
          assertColours(found!)
        })
      }
    }

    camera('input() puts the frame into its rectangle and pads the rest', async () => {
      const view: InputView = {
        width: 200,
        height: 160,
        channels: 'rgb',
        content: { left: 20, top: 30, width: 160, height: 90 },
        pad: 114,
      }
      await using clip = await openWith({ source: await makeClip(short), inputFor: () => view })
      const [found] = await collect(clip, (frame) => {
        assert.throws(() => frame.input(new Uint8Array(10)), RangeError)
        const { target, look, landed } = canvasOf(frame)
        assert.deepEqual(landed, view)
        return { target, bars: readBars(look) }
      })
      assertColours(found!.bars)
      const { left, top, width, height } = view.content
      for (let y = 0; y < view.height; y++) {
        for (let x = 0; x < view.width; x++) {
          const inside = x >= left && x < left + width && y >= top && y < top + height
          if (inside) continue
          const at = (y * view.width + x) * 3
          assert.deepEqual([...found!.target.subarray(at, at + 3)], [114, 114, 114], `${x},${y}`)
        }
      }
    })

    camera('gate() is the frame in 160×90 grey levels', async () => {
      await using clip = await openWith({ source: await makeClip(short) })
      const [gate] = await collect(clip, (frame) => Uint8Array.from(frame.gate()))
      assert.equal(gate!.length, gateWidth * gateHeight)
      bars.forEach(([red, green, blue], bar) => {
        const x = Math.floor(((bar + 0.5) / bars.length) * gateWidth)
        const grey = gate![Math.floor(0.45 * gateHeight) * gateWidth + x]!
        const luma = 0.299 * red + 0.587 * green + 0.114 * blue
        assert.ok(Math.abs(grey - luma) <= colourTolerance, `bar ${bar}: ${grey} for ${luma}`)
      })
    })

    camera('jpeg() is a JPEG of the frame, no wider than asked and never enlarged', async () => {
      await using clip = await openWith({ source: await makeClip(short) })
      for await (using frame of clip.frames()) {
        const half = await frame.jpeg({ widthMax: 160, quality: 90 })
        const full = await frame.jpeg({ widthMax: 4000, quality: 90 })
        const coarse = await frame.jpeg({ widthMax: 4000, quality: 20 })
        assert.deepEqual(await sizeOf(half), ['jpeg', 160, 90])
        assert.deepEqual(await sizeOf(full), ['jpeg', 320, 180])
        assert.ok(coarse.length < full.length, `${coarse.length} < ${full.length}`)
        const { data, info } = await sharp(full).raw().toBuffer({ resolveWithObject: true })
        const look = lookInto(data, info.width * 3, info, 'rgb')
        assertColours(readBars(look))
        assert.equal(readNumber(look), frame.frame)
        break
      }
    })

    for (const [what, width, height, jpegWidth] of [
      ['scaled down', 200, 100, 300],
      ['as large as the frame', maskedSize.width, maskedSize.height, maskedSize.width],
      ['scaled up', 900, 500, 640],
    ] as const) {
      camera(`no masked pixel is left in gate(), input() or jpeg() (${what})`, async (t) => {
        const masked = maskPolygons
        const look = async (masks: OpenCameraOptions['masks'], negative: boolean) => {
          const source = join(await folder(t), 'masked.mjpeg')
          const still = await maskedPicture(negative)
          await writeFile(source, Buffer.concat([still, still]))
          const inputFor = whole('rgb', width, height)
          await using clip = await openWith({ source, masks, inputFor, jpegWidthMax: 640 })
          for await (using frame of clip.frames()) {
            const input = Buffer.alloc(width * height * 3)
            frame.input(input)
            const jpeg = await frame.jpeg({ widthMax: jpegWidth, quality: 90 })
            const again = Buffer.alloc(input.length)
            frame.input(again)
            assert.ok(again.equals(input))
            return { gate: Buffer.from(frame.gate()), input, jpeg: Buffer.from(jpeg) }
          }
          assert.fail('no frame')
        }
        const [open, openNegative] = [await look([], false), await look([], true)]
        const [hidden, hiddenNegative] = [await look(masked, false), await look(masked, true)]
        for (const picture of ['gate', 'input', 'jpeg'] as const) {
          assert.ok(!open[picture].equals(openNegative[picture]), `${picture} shows it unmasked`)
          assert.ok(hidden[picture].equals(hiddenNegative[picture]), `${picture} shows nothing`)
        }
        const kept = (was: Buffer, is: Buffer) => {
          const same = was.reduce((count, level, i) => count + (level === is[i] ? 1 : 0), 0)
          return same / was.length
        }
        // The drawing covers 29 % of the picture; scaling carries a pixel a little further.
        for (const picture of ['gate', 'input'] as const) {
          const share = kept(open[picture], hidden[picture])
          assert.ok(share > 0.6 && share < 0.8, `${share} of ${picture} is as it was`)
        }
        const { data, info } = await sharp(hidden.jpeg).raw().toBuffer({ resolveWithObject: true })
        const inside =
          (Math.floor(0.4 * info.height) * info.width + Math.floor(0.3 * info.width)) * 3
        assert.ok(
          [...data.subarray(inside, inside + 3)].every((level) => level < 12),
          'black',
        )
      })
    }

    camera('a frame that was disposed of refuses to be used', async () => {
      await using clip = await openWith({ source: await makeClip(short) })
      for await (const frame of clip.frames()) {
        frame[Symbol.dispose]()
        frame[Symbol.dispose]()
        assert.throws(() => frame.gate(), /disposed/)
        break
      }
    })

    camera('pace live delivers at the rate of the clip, and `at` says so', async () => {
      await using clip = await openWith({ source: await makeClip(small), pace: 'live' })
      const began = performance.now()
      const times = await collect(clip, timeOf)
      const tookMs = performance.now() - began
      assert.ok(tookMs >= 1900, `took ${tookMs} ms for 2 s`)
      assert.equal(times.length, 60)
      assert.ok(
        times.every((at, n) => n === 0 || at > times[n - 1]!),
        'times go forward',
      )
    })

    camera('loop starts over, and numbers and times go on', async () => {
      await using clip = await openWith({ source: await makeClip(short), loop: true })
      const seen: number[][] = []
      for await (using frame of clip.frames()) {
        seen.push([frame.frame, numberIn(frame), timeOf(frame)])
        if (seen.length === 40) break
      }
      assert.deepEqual(
        seen.map(([frame, number]) => [frame, number]),
        Array.from({ length: 40 }, (_, n) => [n, n % 15]),
      )
      for (const [n, [, , at]] of seen.entries()) {
        const stepMs = n === 0 ? 33 : at! - seen[n - 1]![2]!
        assert.ok(stepMs >= 30 && stepMs <= 37, `step ${n} took ${stepMs} ms`)
      }
    })

    camera('a clip that changes its size goes on, and inputFor() is asked again', async (t) => {
      const path = join(await folder(t), 'two-sizes.h264')
      const clips = await Promise.all([short, { ...other, seconds: 0.5 }].map(clipFor))
      await writeFile(path, Buffer.concat(clips.map(toAnnexB)))
      const asked: string[] = []
      const inputFor = (width: number, height: number) => {
        asked.push(`${width}x${height}`)
        return whole('rgb')(width, height)
      }
      await using clip = await openWith({ source: path, inputFor })
      const seen = await collect(clip, (frame) => [
        ...[frame.frame, numberIn(frame), frame.width, frame.height],
      ])
      assert.deepEqual(seen, [
        ...Array.from({ length: 15 }, (_, n) => [n, n, 320, 180]),
        ...Array.from({ length: 15 }, (_, n) => [15 + n, 5000 + n, 320, 240]),
      ])
      assert.deepEqual([...new Set(asked)], ['320x180', '320x240'])
    })

    camera(
      'a model with another canvas is given frames as it takes them, from the next one on',
      async () => {
        const [first, second] = [whole('rgb')(320, 180), whole('bgr', 96, 64)(320, 180)]
        let view = first
        await using clip = await openWith({ source: await makeClip(short), inputFor: () => view })
        const seen = await collect(clip, (frame) => {
          if (frame.frame === 3) view = second
          const target = new Uint8Array(320 * 180 * 3)
          const { width, channels } = frame.input(target)
          return [frame.frame, numberIn(frame), width, channels]
        })
        const [before, after] = [
          [first.width, first.channels],
          [second.width, second.channels],
        ]
        assert.deepEqual(
          seen,
          Array.from({ length: 15 }, (_, n) => [n, n, ...(n < 3 ? before : after)]),
        )
      },
    )

    testLiveCamera({ openWith, decoder, camera, serve, stranger: /does not speak RTSP/ })

    camera('damaged pictures are counted and not shown', async () => {
      await using server = await serve({ corruptShare: 0.03, closeAfterFrames: 150 })
      // A decoder that shows nothing until the next whole key frame has not stalled.
      const patience = { stallTimeoutMs: 10_000 }
      await using viewed = await openWith({ source: server.url, pace: 'live', ...patience })
      let shown = 0
      await refusal(
        collect(viewed, () => {
          shown++
        }),
        'ended',
      )
      const { decoded, damaged } = viewed.counts
      assert.ok(damaged > 0, 'some are damaged')
      assert.ok(shown > 0 && shown < decoded, `${shown} of ${decoded} shown`)
    })

    const notVideo: [what: string, bytes: string][] = [
      ['an empty file', ''],
      ['an HTML page', '<!doctype html><html><body><h1>Not found</h1></body></html>'],
      ['a text', 'The quick brown fox jumps over the lazy dog.\n'.repeat(50)],
    ]
    for (const [what, bytes] of notVideo) {
      for (const suffix of ['mp4', 'txt'] as const) {
        camera(`open() says that ${what} named .${suffix} is no video`, async (t) => {
          const source = join(await folder(t), `clip.${suffix}`)
          await writeFile(source, bytes)
          const error = await refusal(openWith({ source }), 'unreadable')
          assert.match(error.message, /^Cannot open camera ".*": there is no video in it/)
        })
      }
    }

    camera(
      'open() says that half a clip cannot be read, and that a missing one is missing',
      async (t) => {
        const source = join(await folder(t), 'half.mp4')
        const { readFile } = await import('node:fs/promises')
        await writeFile(source, (await readFile(await makeClip(small))).subarray(0, 5000))
        await refusal(openWith({ source }), 'unreadable')
        const error = await refusal(openWith({ source: `${source}.gone` }), 'refused')
        assert.match(error.message, /no such file/)
      },
    )

    camera('memory stays flat over the loops of a clip', async () => {
      const measureAt = [900, 1800]
      const source = await makeClip(short)
      const { residentBytes } = await inProcess({ source, decoder, loop: true, measureAt })
      const [before, after] = residentBytes.map((bytes) => Math.round(bytes / 2 ** 20))
      // Sixty passes in between: a leak of one picture (86 KB) per frame would be 77 MB. Where pictures
      // come through pipes the heap still settles meanwhile (45 MB seen on a busy machine).
      assert.ok(after! - before! < 60, `${before} MB grew to ${after} MB`)
    })

    for (const clip of ['MP4_AVC720P_AAC', 'FLV_H264_AAC', 'MKV_VP8_VORBIS']) {
      camera(
        `framecounter ${clip} gives its 180 frames, each another picture`,
        async () => {
          const source = join(material, 'clips', `framecounter_${clip}.video`)
          const inputFor = whole('bgr', 320, 160)
          await using opened = await openWith({ source, inputFor, jpegWidthMax: 320 })
          let last = Buffer.alloc(0)
          const seen = await collect(opened, (frame) => {
            const picture = Buffer.from(canvasOf(frame).target)
            const isNew = !picture.equals(last)
            last = picture
            return [frame.frame, isNew]
          })
          assert.deepEqual(
            seen,
            Array.from({ length: 180 }, (_, n) => [n, true]),
          )
        },
        'material',
      )
    }
  })
}

const clipFor = async (options: ClipOptions): Promise<VideoClip> =>
  readClip(await makeClip(options))

async function serve(faults: CameraFaults): Promise<RtspServer> {
  const [clip, second] = await Promise.all([clipFor(live), clipFor(other)])
  return RtspServer.open({ clip, second, faults })
}

/** ITU-T H.264 annex B: every NAL unit behind a start code. */
function toAnnexB({ parameterSets, units }: VideoClip): Buffer {
  const startCode = Buffer.from([0, 0, 0, 1])
  const nals = units.flatMap((unit) => (unit.isKey ? [...parameterSets, ...unit.nals] : unit.nals))
  return Buffer.concat(nals.flatMap((nal) => [startCode, nal]))
}

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'edgeloop-camera-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}
