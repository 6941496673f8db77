/**
 * What any live `Camera` must do, whichever protocol it speaks: the part of the contract that needs a
 * camera which can be told to misbehave.
 */
import assert from 'node:assert/strict'
import { type Camera, CameraError, type CameraFault } from '../../edge-agent/src/cameras/camera.ts'
import type { OpenCameraOptions } from '../../edge-agent/src/cameras/open-camera.ts'
import type { CameraFaults } from '../rtsp/rtsp-server.ts'
import type { CameraTask } from './camera-process.ts'
import { collect, inProcess, numberIn, password, refusal, stallTimeoutMs } from './looking.ts'

/** How a camera of any protocol can be told to misbehave. */
export type LiveFaults = Omit<CameraFaults, 'dropShare' | 'corruptShare'>

export type TestLiveCameraOptions = {
  readonly decoder: 'node-av' | 'ffmpeg'
  readonly openWith: (options: Partial<OpenCameraOptions> & { source: string }) => Promise<Camera>
  /** Declares a test. */
  readonly camera: (what: string, run: () => Promise<void>) => void
  /** A camera with pictures of 640×360 at 30 per second, which may change to 320×240 from 5000 on. */
  readonly serve: (faults: LiveFaults) => Promise<AsyncDisposable & { readonly url: string }>
  /** What is said of somebody who takes the connection and hangs up. */
  readonly stranger: RegExp
}

export function testLiveCamera(options: TestLiveCameraOptions): void {
  const { openWith, decoder, camera, serve, stranger } = options

  camera('a live camera that changes its size goes on, and inputFor() is asked again', async () => {
    await using server = await serve({ resolutionChangeAfterFrames: 20 })
    await using viewed = await openWith({ source: server.url, pace: 'live', analysisFps: 10 })
    let last = -1
    for await (using frame of viewed.frames()) {
      assert.ok(frame.frame > last)
      last = frame.frame
      if (frame.height !== 240) continue
      assert.ok(numberIn(frame) >= 5000)
      break
    }
  })

  camera('a live camera is picked at analysisFps and its frames are in order', async () => {
    await using server = await serve({})
    await using viewed = await openWith({ source: server.url, pace: 'live', analysisFps: 10 })
    const numbers: number[] = []
    for await (using frame of viewed.frames()) {
      numbers.push(numberIn(frame))
      if (numbers.length === 15) break
    }
    const steps = numbers.slice(1).map((number, n) => number - numbers[n]!)
    assert.ok(
      steps.every((step) => step >= 1),
      `${numbers}`,
    )
    // Before the picker has seen its first cell's edge, frames may be nearer.
    assert.ok(
      steps.slice(2).every((step) => step >= 2 && step <= 4),
      `${numbers}`,
    )
  })

  for (const scheme of ['basic', 'digest'] as const) {
    camera(`opens with user and password (${scheme}), and hides them when refused`, async () => {
      const unauthorized = { scheme, user: 'root', password }
      await using server = await serve({ unauthorized })
      await using viewed = await openWith({ source: server.url, pace: 'live' })
      assert.equal(viewed.info.width, 640)
      const wrong = server.url.replace('root:', 'root:x')
      const error = await refusal(openWith({ source: wrong }), 'refused')
      assert.match(error.message, /user or the password/)
      const secrets = [password, encodeURIComponent(password), `x${encodeURIComponent(password)}`]
      for (const secret of secrets) {
        assert.ok(!error.message.includes(secret), error.message)
      }
    })
  }

  const unopened: [what: string, faults: LiveFaults, fault: CameraFault, text: RegExp][] = [
    ['hangs up', { refuse: true }, 'refused', stranger],
    ['has no such stream', { refuse: 404 }, 'refused', /no such stream/],
    ['says nothing', { mute: true }, 'refused', /no picture came in time/],
    ['promises and sends nothing', { silentAfterPlay: true }, 'refused', /no picture/],
  ]
  for (const [what, faults, fault, text] of unopened) {
    camera(`open() refuses a camera that ${what}`, async () => {
      await using server = await serve(faults)
      const began = performance.now()
      const hurry = faults.refuse === undefined ? { openTimeoutMs: 2000 } : {}
      const error = await refusal(openWith({ source: server.url, ...hurry }), fault)
      assert.match(error.message, text)
      assert.ok(performance.now() - began < 15_000)
    })
  }

  camera('open() refuses an address where nobody listens', async () => {
    const server = await serve({})
    const source = server.url.replace('//', '//root:secret@')
    await server[Symbol.asyncDispose]()
    const error = await refusal(openWith({ source }), 'refused')
    assert.match(error.message, /root:….*nobody answers/)
    assert.doesNotMatch(error.message, /secret/)
  })

  const broken: [what: string, faults: LiveFaults, fault: CameraFault][] = [
    ['goes silent', { stallAfterFrames: 45 }, 'stalled'],
    ['closes the connection', { closeAfterFrames: 45 }, 'ended'],
  ]
  for (const [what, faults, fault] of broken) {
    camera(`frames() says \`${fault}\` of a camera that ${what}`, async () => {
      await using server = await serve(faults)
      await using viewed = await openWith({ source: server.url, pace: 'live' })
      const seen: number[] = []
      const error = await refusal(
        collect(viewed, () => {
          seen.push(performance.now())
        }),
        fault,
      )
      // The last picture is held back until the next one begins or the connection ends.
      const tookMs = performance.now() - seen.at(-2)!
      assert.ok(tookMs < 8 * stallTimeoutMs, `took ${tookMs} ms: ${error.message}`)
      if (fault === 'stalled') assert.ok(tookMs >= 0.9 * stallTimeoutMs, `took ${tookMs} ms`)
    })
  }

  camera('frames() does not go on for ever with a camera that sends garbage', async () => {
    await using server = await serve({ garbageAfterFrames: 45 })
    await using viewed = await openWith({ source: server.url, pace: 'live' })
    const error = await collect(viewed, () => {}).catch((reason: unknown) => reason)
    assert.ok(error instanceof CameraError, String(error))
    // Where the library throws away whole packets, nothing at all comes out of it.
    assert.ok(['unreadable', 'stalled'].includes(error.fault), error.message)
  })

  camera('aborting ends opening and reading at once', async () => {
    await using mute = await serve({ mute: true })
    await using stalled = await serve({ stallAfterFrames: 30 })
    // Within a second on an idle machine.
    const abortMaxMs = 2000
    for (const [source, stall] of [
      [mute.url, stallTimeoutMs],
      [stalled.url, 60_000],
    ] as const) {
      const aborting = new AbortController()
      let abortedAt = Number.NaN
      const abort = () => {
        abortedAt = performance.now()
        aborting.abort(new Error('enough'))
      }
      const { signal } = aborting
      const reading = async () => {
        if (source === mute.url) setTimeout(abort, 200)
        await using viewed = await openWith({ source, signal, stallTimeoutMs: stall })
        setTimeout(abort, 200)
        await collect(viewed, () => {})
      }
      await assert.rejects(reading(), { message: 'enough' })
      const tookMs = performance.now() - abortedAt
      assert.ok(tookMs < abortMaxMs, `took ${tookMs} ms`)
    }
  })

  camera('disposing in mid-stream ends frames() at once', async () => {
    await using server = await serve({ stallAfterFrames: 30 })
    const viewed = await openWith({ source: server.url, pace: 'live', stallTimeoutMs: 60_000 })
    const reading = assert.rejects(
      collect(viewed, () => {}),
      /The camera was closed/,
    )
    await new Promise((resolve) => setTimeout(resolve, 300))
    const began = performance.now()
    await viewed[Symbol.asyncDispose]()
    await viewed[Symbol.asyncDispose]()
    assert.ok(performance.now() - began < 2000)
    await reading
  })

  camera('the process ends by itself after a stall, an abort and a disposal', async () => {
    const tasks: [faults: LiveFaults, task: Partial<CameraTask>, fault: RegExp][] = [
      [{ stallAfterFrames: 30 }, {}, /^stalled$/],
      [{}, { abortAfter: 10 }, /abort/],
      [{}, { disposeAfter: 10 }, /camera was closed/],
    ]
    const perform = async ([faults, task, fault]: (typeof tasks)[number]) => {
      await using server = await serve(faults)
      const report = await inProcess({ source: server.url, decoder, ...task })
      assert.match(report.fault ?? '', fault)
      assert.ok(report.frames > 0)
    }
    await Promise.all(tasks.map(perform))
  })
}
