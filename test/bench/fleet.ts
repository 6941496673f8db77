/**
 * Thousands of agents on one hub: how long until all are back after the hub was killed, how fast its pages
 * answer and draw meanwhile, how long an event takes to a screen, and what memory that costs. Hub, agents and
 * browser are processes of their own; everything goes over mutual TLS.
 * `npm run bench -- fleet [--agents N] [--seconds N] [--interval-ms N] [--seed N]`
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { buildDashboard } from '@edgeloop/dashboard/build'
import type { Page } from 'playwright-core'
import { openBrowser, openPage } from '../browser/browser.ts'
import { enrolAll, untilOnline } from '../fleet/enrolled.ts'
import { chromiumPath } from '../require.ts'
import type { Bench, BenchResult } from './bench.ts'
import type { HubOrder, HubReady } from './bench-hub.ts'
import { answer, figuresOf, start, stop } from './bench-process.ts'
import type { AgentsAnswer, AgentsOrder } from './fleet-agents.ts'

/** What the issue asks for. */
const target = { connectedSeconds: 60, fleetP95Ms: 300, screenP95Ms: 500, hubRssMb: 600 }
const agentsPerProcess = 1000
const requests = 50
const probeIntervalMs = 250

export type FleetOptions = {
  readonly agents: number
  /** How long events are watched on their way to the screen. */
  readonly seconds: number
  readonly intervalMs: number
  readonly seed: number
  readonly signal: AbortSignal
}

export type FleetFigures = {
  readonly agents: number
  readonly connectedSeconds: number
  /** `GET /api/devices`, whole answer. */
  readonly listP95Ms: number
  /** From the click on Fleet to the first rows, inside the open dashboard. */
  readonly fleetP95Ms: number
  readonly screenP95Ms: number
  readonly eventsOnScreen: number
  readonly hubRssMb: number
  readonly hubCores: number
  readonly told: number
  readonly acknowledged: number
  readonly stored: number
}

export const bench: Bench = async ({ args, signal }) => {
  const { values } = parseArgs({
    args,
    options: {
      agents: { type: 'string', default: '2000' },
      seconds: { type: 'string', default: '30' },
      'interval-ms': { type: 'string', default: '10000' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    },
  })
  const [agents, seconds] = [Number(values.agents), Number(values.seconds)]
  const options = { agents, seconds, intervalMs: Number(values['interval-ms']), signal }
  const seed = Number(values.seed)
  console.error(`fleet: seed ${seed}`)
  const figures = await measureFleet({ ...options, seed })
  return resultOf(figures, seed)
}

function resultOf(figures: FleetFigures, seed: number): BenchResult {
  const rows = [
    ['all agents back after the hub was killed', 's, ≤ 60', figures.connectedSeconds],
    ['GET /api/devices', 'p95 ms', figures.listP95Ms],
    ['Fleet page: click to first rows', 'p95 ms, ≤ 300', figures.fleetP95Ms],
    ['event to screen', `p95 ms of ${figures.eventsOnScreen}, ≤ 500`, figures.screenP95Ms],
    ['memory of the hub, most', 'RSS MB, ≤ 600', figures.hubRssMb],
    ['CPU of the hub', 'cores', figures.hubCores],
    [
      'events told / acknowledged / stored',
      'count',
      `${figures.told} / ${figures.acknowledged} / ${figures.stored}`,
    ],
  ] as const
  const reached =
    figures.connectedSeconds <= target.connectedSeconds &&
    figures.fleetP95Ms <= target.fleetP95Ms &&
    figures.screenP95Ms <= target.screenP95Ms &&
    figures.hubRssMb <= target.hubRssMb &&
    figures.stored === figures.told
  return {
    name: 'fleet',
    rows: rows.map(([what, figure, value]) => ({
      what: `${figures.agents} agents: ${what}`,
      figure,
      value,
    })),
    json: { seed, target, reached, ...figures },
  }
}

/**
 * Runs a fleet and measures it.
 * @throws {Error} when there is no Chromium, or agents do not all connect in time
 */
export async function measureFleet(options: FleetOptions): Promise<FleetFigures> {
  const { signal } = options
  if (!chromiumPath()) throw new Error('Cannot measure the fleet: there is no Chromium')
  await using opened = new AsyncDisposableStack()
  const dataDir = await mkdtemp(join(tmpdir(), 'edgeloop-fleet-'))
  opened.defer(() => rm(dataDir, { recursive: true, force: true }))
  const dashboardDir = await buildDashboard()

  let hub = start('./bench-hub.ts', signal)
  opened.defer(() => stop(hub))
  tell(hub, { kind: 'open', dataDir, dashboardDir })
  const first = await answer<HubReady>(hub)
  const token = (await readFile(first.localTokenFile, 'utf8')).trim()
  const credentials = await enrolAll(first, token, options.agents)
  const teams: ChildProcess[] = []
  opened.defer(async () => void (await Promise.all(teams.map(stop))))
  for (let i = 0; i < credentials.length; i += agentsPerProcess) {
    const team = start('./fleet-agents.ts', signal)
    teams.push(team)
    const { intervalMs, seed } = options
    const some = credentials.slice(i, i + agentsPerProcess)
    command(team, { kind: 'start', credentials: some, intervalMs, seed: seed + i })
  }
  await untilOnline(first.browser, options.agents, signal)

  // Killed, not asked to stop: nothing is said to anybody.
  const exited = once(hub, 'exit')
  hub.kill('SIGKILL')
  await exited
  hub = start('./bench-hub.ts', signal)
  const port = (url: string): number => Number(new URL(url).port)
  const ports = { browser: port(first.browser), device: port(first.device), mqtt: port(first.mqtt) }
  const restartedAt = performance.now()
  tell(hub, { kind: 'open', dataDir, dashboardDir, ports })
  const ready = await answer<HubReady>(hub)
  await untilOnline(ready.browser, options.agents, signal)
  const connectedSeconds = (performance.now() - restartedAt) / 1000

  const before = await figuresOf(hub)
  const measuredFrom = performance.now()
  const listP95Ms = quantile(await timeRequests(`${ready.browser}/api/devices`, token), 0.95)
  await using browsing = new AsyncDisposableStack()
  const after = {
    after: (end: () => unknown) => void browsing.defer(async () => void (await end())),
  }
  const browser = await openBrowser(after as never)
  const { page } = await openPage(after as never, browser)
  await page.goto(ready.signInLink)
  await page.getByRole('heading', { level: 1, name: 'Home' }).waitFor()
  const fleetP95Ms = quantile(await timeFleetPage(page), 0.95)
  const waits = await timeToScreen(page, ready.browser, teams[0], options.seconds)
  const figures = await figuresOf(hub)
  const elapsedMs = performance.now() - measuredFrom

  const totals = await Promise.all(
    teams.map(async (team) => {
      command(team, { kind: 'settle' })
      return await answer<AgentsAnswer>(team)
    }),
  )
  const { eventsStored } = await figuresOf(hub)
  return {
    agents: options.agents,
    connectedSeconds: round(connectedSeconds),
    listP95Ms: round(listP95Ms),
    fleetP95Ms: round(fleetP95Ms),
    screenP95Ms: round(quantile(waits, 0.95)),
    eventsOnScreen: waits.length,
    hubRssMb: Math.round(Math.max(before.rssPeakBytes, figures.rssPeakBytes) / 1e6),
    hubCores: round((figures.cpuMs - before.cpuMs) / elapsedMs),
    told: totals.reduce((sum, { told }) => sum + told, 0),
    acknowledged: totals.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
    stored: eventsStored,
  }
}

async function timeRequests(url: string, token: string): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < requests; i++) {
    const startedAt = performance.now()
    const reply = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
    if (!reply.ok) throw new Error(`Cannot measure ${url}: ${reply.status}`)
    await reply.arrayBuffer()
    times.push(performance.now() - startedAt)
  }
  return times
}

/** Goes between Home and Fleet as a person does, by the links of the page. */
async function timeFleetPage(page: Page): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < 20; i++) {
    times.push(await page.evaluate<number>(opening))
    await page.locator('a[href="/"]').first().click()
    await page.getByRole('heading', { level: 1, name: 'Home' }).waitFor()
  }
  return times
}

// Run in the page, whose types this program does not know.
const opening = `new Promise((resolve, reject) => {
  const startedAt = performance.now()
  document.querySelector('a[href^="/devices"]').click()
  requestAnimationFrame(function look() {
    if (document.querySelector('[data-device]')) return resolve(performance.now() - startedAt)
    if (performance.now() - startedAt > 20000) return reject(new Error('no rows after 20 s'))
    requestAnimationFrame(look)
  })
})`

/** Events with the moment in their label, and how late each was drawn on the page of events. */
async function timeToScreen(
  page: Page,
  url: string,
  team: ChildProcess | undefined,
  seconds: number,
): Promise<number[]> {
  if (!team) throw new Error('Cannot measure: there are no agents')
  await page.goto(`${url}/events?follow=true&kind=appeared`)
  await page.getByRole('heading', { level: 1, name: 'Events' }).waitFor()
  await page.evaluate(watching)
  const endsAt = performance.now() + seconds * 1000
  while (performance.now() < endsAt) {
    command(team, { kind: 'see', label: `probe ${Date.now()}` })
    await sleep(probeIntervalMs)
  }
  await sleep(1000)
  const waits = await page.evaluate<number[]>('globalThis.probeWaits')
  if (waits.length === 0) throw new Error('Cannot measure: no event has come to the page')
  return waits
}

// The label holds when the agent said it; the page is looked at before each frame.
const watching = `{
  globalThis.probeWaits = []
  const seen = new Set()
  requestAnimationFrame(function look() {
    for (const [, at] of document.body.textContent.matchAll(/probe ([0-9]{13})/g)) {
      if (seen.has(at)) continue
      seen.add(at)
      probeWaits.push(Date.now() - Number(at))
    }
    requestAnimationFrame(look)
  })
}`

const tell = (hub: ChildProcess, order: HubOrder): void => void hub.send(order)
const command = (team: ChildProcess, order: AgentsOrder): void => void team.send(order)

const round = (value: number): number => Math.round(value * 100) / 100

/** The smallest value that `share` of the values do not exceed. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}
