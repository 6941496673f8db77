/** A camera by HTTP passes the live part of the `Camera` contract, decoded by node-av and by sharp. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createTcpServer } from 'node:net'
import { describe, test } from 'node:test'
import { openCamera } from '../../edge-agent/src/cameras/open-camera.ts'
import type { MaskPolygon } from '../../edge-agent/src/cameras/picture-mask.ts'
import { jpegPictures } from '../http/jpeg-pictures.ts'
import { type MjpegHabits, MjpegServer } from '../http/mjpeg-server.ts'
import { needs } from '../require.ts'
import { readBars } from '../rtsp/test-picture.ts'
import { type LiveFaults, testLiveCamera } from './live-camera.ts'
import {
  assertColours,
  canvasOf,
  collect,
  numberIn,
  openerOf,
  password,
  refusal,
  timeOf,
} from './looking.ts'
import { maskedPicture, maskPolygons } from './masked-pictures.ts'

const pictures = jpegPictures({ width: 640, height: 360, count: 150 })
const second = jpegPictures({ width: 320, height: 240, count: 60, firstNumber: 5000 })

async function serve(faults: LiveFaults, habits: MjpegHabits = {}): Promise<MjpegServer> {
  return MjpegServer.open({ pictures: await pictures, second: await second, faults, habits })
}

for (const decoder of ['node-av', 'ffmpeg'] as const) {
  const lib = decoder === 'node-av' ? 'node-av' : 'sharp'
  const needed = decoder === 'node-av' ? needs('node-av') : {}
  const openWith = openerOf(openCamera, decoder)
  const camera = (what: string, run: () => Promise<void>) =>
    test(`MJPEG by ${lib}: ${what}`, { ...needed, timeout: 120_000 }, run)
  /** The newest number seen by a viewer of `count` frames. */
  const look = async (source: string, count: number, more = {}) => {
    await using viewed = await openWith({ source, pace: 'live', ...more })
    const seen: number[] = []
    for await (using frame of viewed.frames()) {
      seen.push(numberIn(frame))
      if (seen.length === count) break
    }
    return { seen, info: viewed.info, counts: viewed.counts }
  }

  describe(`MJPEG by ${lib} as a live camera`, { concurrency: 3 }, () => {
    testLiveCamera({
      openWith,
      decoder,
      camera,
      serve: async (faults) => {
        const server = await serve(faults)
        return { url: server.url(), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
      },
      stranger: /does not speak HTTP/,
    })

    camera('input() and jpeg() have the colours that were sent', async () => {
      await using server = await serve({})
      await using viewed = await openWith({ source: server.url() })
      assert.deepEqual(viewed.info, {
        decoder: lib,
        codec: 'mjpeg',
        width: 640,
        height: 360,
        fps: undefined,
      })
      for await (using frame of viewed.frames()) {
        assertColours(readBars(canvasOf(frame).look))
        assert.ok((await frame.jpeg({ widthMax: 320, quality: 80 })).length > 1000)
        assert.equal(frame.gate().length, 160 * 90)
        break
      }
    })

    camera('no masked pixel is left in any picture of a frame', async () => {
      const shown = async (masks: readonly MaskPolygon[], negative: boolean) => {
        await using server = await MjpegServer.open({ pictures: [await maskedPicture(negative)] })
        await using viewed = await openWith({ source: server.url(), masks })
        for await (using frame of viewed.frames()) {
          const jpeg = await frame.jpeg({ widthMax: 300, quality: 90 })
          return [frame.gate(), canvasOf(frame).target, jpeg].map((bytes) => Buffer.from(bytes))
        }
        assert.fail('no frame')
      }
      const [open, hidden] = [await shown([], false), await shown(maskPolygons, false)]
      const [negative, covered] = [await shown([], true), await shown(maskPolygons, true)]
      assert.ok(open.every((picture, i) => !picture.equals(negative[i]!)))
      assert.ok(hidden.every((picture, i) => picture.equals(covered[i]!)))
    })

    const habits: [what: string, habits: MjpegHabits][] = [
      [
        'names its boundary with the dashes',
        { boundary: { named: '--myboundary', written: '--myboundary' } },
      ],
      ['quotes its boundary', { boundary: { named: '"a b"', written: '--a b' } }],
      ['gives no length', { length: 'left out' }],
      ['lies about the length', { length: 'lying' }],
      ['ends its lines with \\n', { lineEnd: '\n', length: 'left out' }],
    ]
    for (const [what, habit] of habits) {
      camera(`reads a camera that ${what}`, async () => {
        await using server = await serve({}, habit)
        const { seen, counts } = await look(server.url(), 10)
        assert.ok(
          seen.every((n, i) => i === 0 || n > seen[i - 1]!),
          `${seen}`,
        )
        assert.equal(counts.damaged, 0)
      })
    }

    camera('asks for snapshots at analysisFps, on one connection, and times go on', async () => {
      await using server = await serve({})
      await using viewed = await openWith({ source: server.url('/picture.jpg'), analysisFps: 10 })
      const times: number[] = []
      for await (using frame of viewed.frames()) {
        times.push(timeOf(frame))
        if (times.length === 8) break
      }
      const tookMs = times.at(-1)! - times[0]!
      assert.ok(tookMs >= 600, `8 snapshots took ${tookMs} ms`)
      assert.ok(server.answered <= 12, `${server.answered} were asked for`)
    })

    const snapshotFaults = [
      ['stalled', { stallAfterFrames: 3 }],
      ['ended', { closeAfterFrames: 3 }],
    ] as const
    for (const [fault, faults] of snapshotFaults) {
      camera(`says \`${fault}\` of snapshots too`, async () => {
        await using server = await serve(faults)
        const source = server.url('/picture.jpg')
        await using viewed = await openWith({ source, analysisFps: 10 })
        await refusal(
          collect(viewed, () => {}),
          fault,
        )
      })
    }

    for (const algorithm of ['MD5', 'SHA-256'] as const) {
      camera(
        `logs in by digest (${algorithm}) and sends no password before it is asked`,
        async () => {
          const unauthorized = { scheme: 'digest', user: 'root', password } as const
          await using server = await serve({ unauthorized }, { algorithm })
          await look(server.url('/picture.jpg?channel=1'), 3, { analysisFps: 20 })
          assert.ok(server.logins.length >= 3)
          assert.ok(server.logins.every((login) => login.startsWith('Digest ')))
          assert.ok(!server.logins.some((login) => login.includes(password)))
        },
      )
    }

    camera('follows a redirect within the camera', async () => {
      await using server = await serve({}, { redirect: '/elsewhere' })
      const { seen } = await look(server.url(), 3)
      assert.equal(seen.length, 3)
    })

    camera('open() refuses a redirect to another host, and never asks that one', async () => {
      await using other = await serve({})
      await using server = await serve(
        { unauthorized: { scheme: 'basic', user: 'root', password } },
        { redirect: `${other.origin}/video` },
      )
      const error = await refusal(openWith({ source: server.url() }), 'refused')
      assert.match(error.message, /sends viewers on to another host/)
      assert.ok(error.message.includes(other.origin))
      assert.equal(other.answered, 0)
      assert.deepEqual(other.logins, [])
    })

    camera('open() refuses redirects that have no end', async () => {
      await using server = await serve({ refuse: 503 }, {})
      await refusal(openWith({ source: server.url() }), 'refused')
      await using turning = await MjpegServer.open({
        pictures: await pictures,
        habits: { redirect: '/never#' },
      })
      const error = await refusal(openWith({ source: turning.url() }), 'refused')
      assert.match(error.message, /3 redirects/)
    })

    for (const type of ['text/html', 'video/mp4', 'multipart/x-mixed-replace', '']) {
      camera(`open() says that "${type}" is no JPEG picture`, async () => {
        await using server = await serve({}, { type })
        const error = await refusal(openWith({ source: server.url('/picture') }), 'unreadable')
        assert.match(error.message, /no JPEG pictures/)
      })
    }

    camera('open() refuses a picture without an end before it fills the memory', async () => {
      const hostile: MjpegHabits[] = [
        { endlessPart: true, length: 'left out' },
        { endlessPart: true, type: 'image/jpeg' },
      ]
      for (const habit of hostile) {
        await using server = await serve({}, habit)
        const before = process.memoryUsage.rss()
        const error = await refusal(openWith({ source: server.url() }), 'unreadable')
        assert.match(error.message, /cannot be decoded.*larger/)
        const grown = (process.memoryUsage.rss() - before) / 2 ** 20
        assert.ok(grown < 300, `grew by ${grown} MB`)
      }
    })

    camera('open() gives up on a camera that sends a byte now and then', async () => {
      await using server = await serve({}, { drips: 50 })
      const began = performance.now()
      const error = await refusal(
        openWith({ source: server.url(), openTimeoutMs: 1500 }),
        'refused',
      )
      assert.match(error.message, /no picture came in time/)
      assert.ok(performance.now() - began < 15_000)
    })

    camera('open() says that a server of another protocol does not speak HTTP', async () => {
      const server = createTcpServer((socket) => socket.on('error', () => {}).end('220 smtp\r\n'))
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as { port: number }
      const source = `http://root:secret@127.0.0.1:${port}/`
      const error = await refusal(openWith({ source }), 'refused')
      assert.match(error.message, /does not speak HTTP/)
      assert.doesNotMatch(error.message, /secret/)
      server.close()
    })
  })
}
