/**
 * Draws every page for docs/pages.md, from a real hub with simulated devices: dark and light at 1440 pixels,
 * and as a phone shows it, side by side in one file per page.
 * `node test/browser/pictures.ts [--only NAME,NAME] [--folder DIR]`
 */
import { randomUUID } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import {
  type DriftAlarm,
  isOver,
  isRunOver,
  type Job,
  type LabelAnswer,
  type Run,
  type RunDetail,
  type TasksTaken,
  writePack,
} from '@edgeloop/protocol'
import { pino } from 'pino'
import type { Browser, Cookie, Page } from 'playwright-core'
import { simulatedSketches } from '../drift/simulated-camera.ts'
import { addCorners } from '../hub/corners.ts'
import { digestOf, sampleOf, sendPack } from '../hub/dataset-parts.ts'
import { addSnapshots, demoModel, demoModelFile, uploadTo } from '../hub/demo-model.ts'
import type { TestHub } from '../hub/fixture.ts'
import { openSketcher } from '../hub/seeded-drift.ts'
import { seedPipeline } from '../hub/seeded-pipelines.ts'
import { seedDevices, seedRollout } from '../hub/seeded-rollouts.ts'
import { seedVersions } from '../hub/seeded-runs.ts'
import { openBrowser } from './browser.ts'
import { fillRules } from './fill-rules.ts'
import { openFleet } from './fleet.ts'
import { seedQueue } from './label-queue.ts'
import { addDevices } from './many-devices.ts'
import { partsAt, pictureOf, sceneSize } from './scene.ts'
import { sendSamples } from './sent-samples.ts'
import { sideBySide } from './side-by-side.ts'
import type { SimulatedDevice } from './simulated-device.ts'

type Shown = {
  readonly name: string
  readonly path: string
  /** Pages that are shown before anybody has signed in. */
  readonly stranger?: true
  /** What a person does before the page is as it should be shown. */
  readonly prepare?: (page: Page) => Promise<void>
}

const pages: readonly Shown[] = [
  { name: 'sign-in', path: '/sign-in', stranger: true },
  { name: 'home', path: '/' },
  { name: 'device', path: '/devices/line-4' },
  { name: 'metrics', path: '/devices/line-4/metrics?range=1h' },
  { name: 'stream', path: '/devices/line-4/streams/belt' },
  { name: 'configuration', path: '/devices/line-4/config' },
  { name: 'history', path: '/devices/gate-1/history' },
  { name: 'logs', path: '/devices/line-4/logs?follow=true' },
  { name: 'add-device', path: '/add-device' },
  { name: 'live', path: '/live' },
  { name: 'events', path: '/events' },
  {
    name: 'event',
    path: '/events',
    prepare: async (page) => {
      await page.locator('a[href*="/events/"]', { hasText: 'Appeared' }).first().click()
      await page.waitForLoadState('networkidle').catch(() => {})
    },
  },
  {
    name: 'runs',
    path: '/runs',
    prepare: async (page) => {
      for (const eye of await page.getByRole('button', { name: /^Curves of/ }).all()) {
        await eye.click()
      }
    },
  },
  {
    name: 'run',
    path: '/runs',
    prepare: async (page) => {
      await page
        .getByRole('link', { name: /^corners/ })
        .last()
        .click()
      await page.getByRole('heading', { name: 'Evaluations' }).waitFor()
    },
  },
  { name: 'datasets', path: '/datasets' },
  { name: 'dataset', path: '/datasets/parts' },
  {
    name: 'augmentation',
    path: '/datasets/parts/augmentation',
    prepare: async (page) => {
      const list = page.getByRole('list', { name: 'Pictures as a run would see them' })
      await list.waitFor({ timeout: 60_000 })
    },
  },
  { name: 'rollouts', path: '/rollouts' },
  {
    name: 'rollout',
    path: '/rollouts',
    prepare: async (page) => {
      await page.getByRole('link', { name: 'parts/3' }).click()
      await page.getByRole('list', { name: 'Stages' }).waitFor()
    },
  },
  {
    name: 'new-rollout',
    path: '/rollouts/new?name=parts&version=1&step=3&all=true',
  },
  {
    name: 'device-models',
    path: '/devices/box-014/models',
  },
  { name: 'samples', path: '/samples?found=true' },
  {
    name: 'sample',
    path: '/samples?device=press-4&stream=infeed',
    prepare: async (page) => {
      await page.getByRole('region', { name: 'Samples' }).getByRole('link').first().click()
      await page.getByText('Signed by the device').waitFor()
    },
  },
  { name: 'queues', path: '/label' },
  { name: 'queue', path: '/label/belt' },
  {
    name: 'label',
    path: '/label/belt/work',
    prepare: async (page) => {
      await page.locator('canvas[data-frame]').waitFor({ state: 'attached' })
      // Keys are of no use on a phone.
      if ((page.viewportSize()?.width ?? 0) > 640) await page.keyboard.press('Tab')
    },
  },
  { name: 'pipelines', path: '/pipelines' },
  { name: 'pipeline', path: '/pipelines/belt' },
  { name: 'rules', path: '/rules' },
  { name: 'drift', path: '/drift' },
  {
    name: 'drift-stream',
    path: '/drift/press-2/infeed',
    prepare: async (page) => {
      await page.getByRole('heading', { name: 'Alarms' }).waitFor()
    },
  },
  { name: 'models', path: '/models' },
  { name: 'model', path: '/models/parts/1' },
  { name: 'people', path: '/people' },
  { name: 'audit', path: '/audit' },
  { name: 'account', path: '/account' },
]

/** Drawn last, with more devices than anybody would enrol for a picture. */
const fleetPage: Shown = { name: 'fleet', path: '/devices' }
const fleetDevices = 2000

const desk = { width: 1440, height: 900 }
const phone = { width: 390, height: 844 }
const settleMs = 2500

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    folder: {
      type: 'string',
      default: fileURLToPath(new URL('../../docs/pictures', import.meta.url)),
    },
  },
})
const only = values.only?.split(',')
await mkdir(values.folder, { recursive: true })
await using opened = new AsyncDisposableStack()
const after = {
  after: (end?: unknown) =>
    opened.defer(async () => void (typeof end === 'function' && (await end()))),
}
const [fleet, browser] = await Promise.all([openFleet(after, 'Gate 1'), openBrowser(after)])
const cookies = await fleet.cookies(browser)
await fill(fleet.hub)
if (isWanted('model', 'new-rollout')) await fillModels(fleet.hub)
if (isWanted('run')) await fillRuns(fleet.hub)
if (isWanted('dataset', 'augmentation')) await fillDatasets(fleet.hub)
if (isWanted('rollout', 'device-models')) await fillRollouts(fleet.hub)
if (isWanted('drift')) await fillDrift(fleet.hub)
if (isWanted('label', 'queue', 'pipeline')) await fillQueues(fleet.hub)
if (isWanted('pipeline')) await fillPipelines(fleet.hub)
if (isWanted('sample')) await fillSamples(fleet.hub)
if (isWanted('rules')) await fillRules(fleet.hub)
fillLog(fleet.line)
for (const shown of [...pages, fleetPage]) {
  if (only !== undefined && !only.includes(shown.name)) continue
  if (shown === fleetPage) await addDevices(fleet.hub, fleetDevices)
  const shots = await Promise.all(
    (
      [
        [desk, 'dark'],
        [desk, 'light'],
        [phone, 'dark'],
      ] as const
    ).map(([size, scheme]) =>
      shoot(browser, shown, { size, scheme, cookies: shown.stranger ? [] : cookies }),
    ),
  )
  const file = join(values.folder, `${shown.name}.webp`)
  const { size } = await sideBySide(shots, file)
  console.error(`${file}: ${Math.round(size / 1000)} KB`)
}

/** True where a page whose name begins so is drawn. */
function isWanted(...names: readonly string[]): boolean {
  return only === undefined || names.some((name) => only.some((one) => one.startsWith(name)))
}

/** Pictures of the conveyor with what is to be seen in them, looked at and frozen. */
async function fillDatasets(hub: TestHub): Promise<void> {
  const scenes = Array.from({ length: 36 }, (_, n) => partsAt(n * 0.07, n % 5))
  const sent = await Promise.all(
    scenes.map(async (parts) => {
      const bytes = await pictureOf(parts)
      return { digest: digestOf(bytes), bytes, ...sceneSize, form: 'image/jpeg' as const }
    }),
  )
  await sendPack(hub, writePack(sent))
  const samples = sent.map((one, at) => ({
    ...sampleOf(
      one,
      `belt/${at}.jpg`,
      (scenes[at] ?? []).map(({ label, box }) => ({ kind: 'box', label, box: [...box] })),
    ),
    site: 'plant',
    stream: at % 3 === 0 ? 'packing' : 'belt',
  }))
  const labels = ['gear', 'bracket', 'washer', 'nut']
  await send(hub, 'POST', '/api/datasets', {
    name: 'parts',
    description: 'Conveyor, week 46',
    labels,
  })
  await send(hub, 'PUT', '/api/datasets/parts/samples', { samples })
  await send(hub, 'POST', '/api/datasets/parts/inspection')
  await send(hub, 'POST', '/api/datasets/parts/versions', {
    split: { holdout: 0.25 },
    note: 'week 46',
  })
  const open = async () => {
    const jobs = (await (await hub.api('GET', '/api/jobs?subject=datasets/parts')).json()) as Job[]
    return jobs.some((job) => !isOver(job))
  }
  while (await open()) await new Promise((resolve) => setTimeout(resolve, 300))
}

/** Hours of a simulated camera that is knocked, and of one that nothing happens to. */
async function fillDrift(hub: TestHub): Promise<void> {
  const quiet = 5 * 60
  const startAt = Math.floor(Date.now() / 60_000) * 60_000 - (quiet + 25) * 60_000
  for (const [deviceId, seed] of [
    ['press-2', 101],
    ['press-3', 102],
  ] as const) {
    const box = await openSketcher(await hub.enrol(deviceId))
    const sketches = simulatedSketches({
      seed,
      startAt,
      habits: {},
      minutes: quiet + 20,
      done: (minute) => (seed === 101 && minute >= quiet ? { movedX: 0.06 } : {}),
    })
    const all = [...sketches].map((sketch) => ({ ...sketch, streamId: 'infeed' }))
    for (let at = 0; at < all.length; at += 100) await box.send(...all.slice(at, at + 100))
  }
  const known = async () =>
    ((await (await hub.api('GET', '/api/drift/alarms')).json()) as DriftAlarm[]).length
  const deadline = performance.now() + 60_000
  while ((await known()) === 0) {
    if (performance.now() > deadline) {
      throw new Error('Cannot draw Drift: no alarm has come of a moved camera within 60 s')
    }
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
}

/** Two queues, and answers of two people in one of them. */
async function fillQueues(hub: TestHub): Promise<void> {
  const { queue } = await seedQueue(hub, 48)
  await seedQueue(hub, 9, { queue: 'packing', from: 200, config: { review: true } })
  for (const [user, count] of [
    ['clara', 12],
    ['dario', 7],
  ] as const) {
    const headers = { ...(await hub.signIn(user, 'operator')), 'content-type': 'application/json' }
    const post = async (what: string, body: object): Promise<Response> => {
      const url = `${hub.hub.urls.browser}/api/label-queues/${queue}/${what}`
      const reply = await fetch(url, { method: 'POST', body: JSON.stringify(body), headers })
      if (!reply.ok) throw new Error(`Cannot ${what}: ${await reply.text()}`)
      return reply
    }
    const { tasks } = (await (await post('take', { count })).json()) as TasksTaken
    const answers = tasks.map(
      ({ taskId, revision, suggestions }, n): LabelAnswer => ({
        answerId: randomUUID(),
        taskId,
        revision,
        verdict: n === 5 ? 'flag' : 'annotated',
        annotations: suggestions.map(({ label, box = [0, 0, 1, 1] }) => ({
          kind: 'box',
          label,
          box,
        })),
        lookedMs: 2500 + 700 * (n % 4),
        edits: n % 5 === 4 ? 2 : 0,
      }),
    )
    await post('answers', { answers })
  }
}

async function fillPipelines(hub: TestHub): Promise<void> {
  await seedVersions(hub, 'belt', 5)
  await seedPipeline(hub, 'belt', 'belt-parts')
}

/** What three streams sent, one of them with faces that were made unreadable. */
async function fillSamples(hub: TestHub): Promise<void> {
  const [first, second] = [await hub.enrol('press-4'), await hub.enrol('press-5')]
  await sendSamples(second, 6, { streamId: 'outfeed', from: 640, wished: 30 })
  await sendSamples(first, 14, { streamId: 'outfeed', from: 560, wished: 90 })
  await sendSamples(first, 16, { streamId: 'infeed', from: 500, wished: 160, faces: true })
  await send(hub, 'PUT', '/api/sample-budget', { framesPerDay: 120, bytesPerDay: 40_000_000 })
}

/** Rollouts of three versions: one that goes on, one that stopped by itself, one that is through. */
async function fillRollouts(hub: TestHub): Promise<void> {
  const devices = await seedDevices(hub, 60)
  await seedRollout(hub, devices, 'complete', { version: 1 })
  await seedRollout(hub, devices, 'stopped', {
    version: 2,
    why: 'Stopped in stage 2: 4 of 15 boxes failed, allowed are 2; the boxes that took it up go back',
  })
  await seedRollout(hub, devices, 'running', { version: 3, note: 'trained on week 46' })
}

async function send(hub: TestHub, method: string, path: string, body?: object): Promise<void> {
  const reply = await hub.api(method, path, body)
  if (!reply.ok) throw new Error(`Cannot ${method} ${path}: ${await reply.text()}`)
}

/** A model that was added and compiled with pictures of the fleet. */
async function fillModels(hub: TestHub): Promise<void> {
  const post = async (path: string, body: object): Promise<unknown> => {
    const reply = await hub.api('POST', path, body)
    if (!reply.ok) throw new Error(`Cannot POST ${path}: ${await reply.text()}`)
    return await reply.json()
  }
  const uploadId = await uploadTo(hub, await readFile(demoModelFile))
  await post('/api/models', { name: 'parts', note: 'of the demo', uploadId, ...demoModel })
  await addSnapshots(hub, await hub.enrol('press-1'), 48)
  const wait = async ({ jobId }: Job): Promise<void> => {
    while (!isOver((await (await hub.api('GET', `/api/jobs/${jobId}`)).json()) as Job)) {
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
  }
  // A rollout needs no more than what was added.
  if (isWanted('model')) await wait((await post('/api/models/parts/1/compile', {})) as Job)
  await wait((await post('/api/models/parts/1/publish', {})) as Job)
}

/** Two runs on one dataset, and what they became. */
async function fillRuns(hub: TestHub): Promise<void> {
  await addCorners(hub, 'corners', 400)
  for (const learningRate of [0.0002, 0.001]) {
    const reply = await hub.api('POST', '/api/runs', {
      dataset: { name: 'corners', version: 1 },
      parent: 'new:mnist-cnn',
      model: 'corners',
      recipe: { steps: 240, batch: 16, evaluateEvery: 40, optimizer: { learningRate } },
    })
    let run = (await reply.json()) as Run
    while (!isRunOver(run)) {
      await new Promise((resolve) => setTimeout(resolve, 500))
      run = ((await (await hub.api('GET', `/api/runs/${run.runId}`)).json()) as RunDetail).run
    }
    if (run.state !== 'ended') throw new Error(`Cannot draw runs: ${run.error}`)
  }
}

/** What people would have set and who they are. */
async function fill(hub: TestHub): Promise<void> {
  const belt = {
    streamId: 'belt',
    name: 'Belt',
    source: 'demo:1',
    model: 'demo-parts',
    zones: [
      {
        name: 'sorting',
        labels: ['gear', 'nut'],
        dwellSeconds: 5,
        polygon: [
          [0.12, 0.3],
          [0.55, 0.26],
          [0.6, 0.8],
          [0.1, 0.84],
        ],
      },
    ],
    lines: [
      {
        name: 'exit',
        points: [
          [0.8, 0.2],
          [0.8, 0.9],
        ],
      },
    ],
  }
  const streams = [belt, { streamId: 'packing', name: 'Packing', source: 'demo:2' }]
  await send(hub, 'PUT', '/api/devices/line-4/desired', { version: 0, config: { streams } })
  await send(hub, 'POST', '/api/users', { user: 'anna', role: 'operator' })
  await send(hub, 'POST', '/api/users', { user: 'ben', role: 'viewer' })
}

/** Lines as an agent writes them. */
function fillLog({ log }: SimulatedDevice): void {
  const agent = pino({ level: 'debug' }, log)
  const hub = 'mqtts://hub.example.org:4182'
  agent.info({ hub }, 'Connected to the hub')
  agent.info({ version: 1 }, 'Desired configuration is in force')
  agent.warn({ hub, why: 'the connection was closed' }, 'No connection to the hub')
  agent.debug({ digest: '4c1a…', why: 'HTTP 503' }, 'A snapshot could not be sent')
  agent.info({ hub }, 'Connected to the hub')
  agent.error({ code: 'mediaHung' }, 'The media process of "packing" sent no heartbeat for 3 s')
  agent.info('The certificate was renewed')
}

async function shoot(
  browser: Browser,
  { path, prepare }: Shown,
  options: {
    size: { width: number; height: number }
    scheme: 'dark' | 'light'
    cookies: readonly Cookie[]
  },
): Promise<Buffer> {
  const context = await browser.newContext({
    viewport: options.size,
    colorScheme: options.scheme,
    reducedMotion: 'reduce',
    locale: 'en-GB',
    timezoneId: 'Europe/Zurich',
  })
  try {
    await context.addCookies([...options.cookies])
    const page = await context.newPage()
    await page.goto(new URL(path, fleet.hub.hub.urls.browser).href)
    await page.getByRole('heading', { level: 1 }).first().waitFor()
    // Live pictures and charts come a moment after the page.
    await page.waitForTimeout(settleMs)
    if (prepare) {
      await prepare(page)
      await page.waitForTimeout(settleMs)
    }
    return await page.screenshot()
  } finally {
    await context.close()
  }
}
