/**
 * A small fleet for pages to show: a real hub with the built dashboard, and simulated devices that reach
 * it over the real protocol. It holds every state a page must say something about.
 */
import type { TestContext } from 'node:test'
import { buildDashboard } from '@edgeloop/dashboard/build'
import type { NewEvent } from '@edgeloop/protocol'
import type { Browser, Cookie } from 'playwright-core'
import { type HubArtifacts, openTestHub, type TestHub } from '../hub/fixture.ts'
import { type Part, partsAt, pictureOf } from './scene.ts'
import { type Scene, SimulatedDevice } from './simulated-device.ts'

export type Fleet = {
  readonly hub: TestHub
  /** Two live streams; most events are its. */
  readonly line: SimulatedDevice
  /** One of its two streams has stalled. */
  readonly gate: SimulatedDevice
  /** Of the one session that pages share. */
  cookies(browser: Browser): Promise<Cookie[]>
}

/** Text that must stay text: markup, right-to-left script with an override, an emoji, and length. */
export const hostileName =
  '<img src=x onerror=alert(1)> \u202eשלום 🏭 a name that goes on and on and on'

/** A plain name for a device that comes later. */
export const strangerName = 'Just arrived'

/**
 * An empty hub that serves the built dashboard.
 * @param artifacts what devices may be offered, instead of what was published
 */
export async function openHubWithDashboard(
  t: Pick<TestContext, 'after'>,
  artifacts?: HubArtifacts,
): Promise<TestHub> {
  const config = { dashboardDir: await buildDashboard() }
  return await openTestHub(t, config, undefined, artifacts && { artifacts })
}

/** @param gateName what people call the second device */
export async function openFleet(
  t: Pick<TestContext, 'after'>,
  gateName = hostileName,
): Promise<Fleet> {
  const hub = await openHubWithDashboard(t)
  const scenes = new Map([
    ['belt', beltScene(1)],
    ['packing', beltScene(4)],
  ])
  const line = await SimulatedDevice.open(await hub.enrol('line-4', 'Line 4'), scenes)
  t.after(() => line[Symbol.asyncDispose]())
  const gate = await SimulatedDevice.open(
    await hub.enrol('gate-1', gateName),
    new Map([['north', beltScene(2)]]),
  )
  t.after(() => gate[Symbol.asyncDispose]())
  const dock = await SimulatedDevice.open(await hub.enrol('dock-2', 'Dock 2'))
  await hub.enrol('spare-1', 'Spare')

  await line.report([
    { streamId: 'belt', name: 'Belt' },
    { streamId: 'packing', name: 'Packing' },
  ])
  await gate.report([
    { streamId: 'north', name: 'North gate' },
    {
      streamId: 'south',
      name: 'South gate',
      state: 'stalled',
      reason: 'No frame from rtsp://10.0.0.8/stream1 for 5 s; connecting again in 8 s',
      source: 'rtsp://viewer:…@10.0.0.8/stream1',
    },
  ])
  await dock.report([{ streamId: 'ramp', name: 'Ramp' }])
  await seedEvents(line)
  await gate.tell(
    {
      kind: 'stream',
      at: ago(90_000),
      streamId: 'south',
      state: 'stalled',
      reason: 'No frame for 5 s',
      gapMs: 5000,
    },
    {
      kind: 'alarm',
      at: ago(60_000),
      streamId: 'south',
      code: 'mediaHung',
      active: true,
      text: 'The media process of "south" sent no heartbeat for 3 s and was killed',
    },
    { kind: 'loss', at: ago(30_000), reason: 'diskFull', aggregates: 1300, events: 99, alarms: 1 },
  )
  await dock[Symbol.asyncDispose]()
  let signedIn: Promise<Cookie[]> | undefined
  const cookies = (browser: Browser) => {
    signedIn ??= signIn(hub, browser)
    return signedIn
  }
  return { hub, line, gate, cookies }
}

/** A session of the hub's owner. */
export async function signIn(hub: TestHub, browser: Browser): Promise<Cookie[]> {
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(await hub.hub.signInLink())
  await page.getByRole('heading', { level: 1, name: 'Home' }).waitFor()
  const cookies = await context.cookies()
  await context.close()
  return cookies
}

const ago = (ms: number): string => new Date(Date.now() - ms).toISOString()

function beltScene(seed: number): Scene {
  return async (frame) => {
    const parts = partsAt(frame * 0.03, seed)
    return { jpeg: await pictureOf(parts), parts }
  }
}

/** What a track looks like when it appears. */
export function appeared(part: Part, at: string, trackId: number, snapshot?: string): NewEvent {
  return {
    kind: 'appeared',
    at,
    streamId: 'belt',
    trackId,
    label: part.label,
    score: part.score,
    box: [...part.box],
    ...(snapshot === undefined ? {} : { snapshot }),
  }
}

async function seedEvents(line: SimulatedDevice): Promise<void> {
  // An hour of health figures, so that charts have something to show.
  const health = Array.from({ length: 180 }, (_, n): NewEvent => {
    const wave = Math.sin(n / 12)
    const figures = (streamId: string, slower: number) => ({
      streamId,
      inputFps: 30,
      analysedFps: 5 + wave * 0.4 - slower,
      gated: 120,
      dropped: n % 37 === 0 ? 4 : 0,
      inferenceMs: 18 + wave * 2 + slower * 3,
      inferenceP95Ms: 24,
      latencyP95Ms: 62 + wave * 14 + slower * 10,
      reconnects: 0,
      objects: 3,
    })
    return {
      kind: 'health',
      at: ago((180 - n) * 20_000),
      intervalMs: 20_000,
      cpuShare: 0.42 + wave * 0.08,
      memoryBytes: Math.round(231e6 + n * 40_000),
      loopP99Ms: 3,
      outboxEvents: n % 60 < 3 ? 40 : 0,
      outboxBytes: 0,
      diskFreeBytes: 12e9,
      streams: [figures('belt', 0), figures('packing', 0.6)],
    }
  })
  await line.tell(...health)

  const shots = await Promise.all(
    [0, 0.13, 0.31, 0.52].map(async (shift, n) => {
      const parts = partsAt(shift, n + 1)
      return { parts, snapshot: await line.snapshot(await pictureOf(parts)) }
    }),
  )
  const events = Array.from({ length: 72 }, (_, n): NewEvent => {
    const shot = shots[n % shots.length]
    const part = shot?.parts[n % (shot.parts.length || 1)]
    if (!shot || !part) throw new Error('Cannot seed events: the scene shows no part')
    const at = ago((72 - n) * 70_000)
    const first = appeared(part, at, n + 1, shot.snapshot)
    if (n % 3 !== 0 || first.kind !== 'appeared') return first
    return {
      kind: 'left',
      at,
      streamId: 'belt',
      trackId: n + 1,
      label: part.label,
      score: part.score,
      box: [...part.box],
      appearedAt: ago((72 - n) * 70_000 + 14_000),
      frames: 61,
      best: { at, box: [...part.box], score: part.score, snapshot: shot.snapshot },
    }
  })
  await line.tell(...events)
}
