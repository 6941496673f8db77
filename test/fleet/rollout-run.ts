/** One rollout to a fleet of simulated boxes, from the empty hub to its end, and what it cost. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  isOver,
  isRolloutOver,
  type Job,
  type ModelVersion,
  type Published,
  type RolloutDetail,
  type RolloutPreview,
  type RolloutRow,
  type Upload,
} from '@edgeloop/protocol'
import type { HubOrder, HubReady } from '../bench/bench-hub.ts'
import { answer, figuresOf, start, stop } from '../bench/bench-process.ts'
import { enrolAll, untilOnline } from './enrolled.ts'
import { fleetModel, fleetModels } from './fleet-models.ts'
import type { BoxesAnswer, BoxesOrder } from './rollout-agents.ts'
import type { Conduct } from './scripted-host.ts'

export type RunOptions = {
  readonly boxes: number
  readonly seed: number
  /** The hub is killed when a third of the boxes has come through. */
  readonly kill: boolean
  readonly cutShare: number
  readonly lossShare: number
  /** Of the model's channels. */
  readonly scale?: number
  /** How the new version does. */
  readonly conduct?: Conduct
  readonly say: (text: string) => void
  readonly signal: AbortSignal
}

export type RunFigures = {
  readonly boxes: number
  readonly state: RolloutRow['state']
  readonly why: string
  readonly stage: number
  readonly seconds: number
  readonly committed: number
  readonly confirmed: number
  /** Boxes whose frames go to the new version in the end, by what they say. */
  readonly running: number
  readonly bytesOverIdeal: number
  readonly idealMb: number
  readonly fetchedMb: number
  readonly wireMb: number
  readonly wholeMb: number
  readonly cuts: number
  readonly messages: number
  readonly messagesLost: number
  readonly connections: number
  readonly awaySeconds: number
  readonly hubRssMb: number
}

const boxesPerProcess = 1000
const target = 'linux-x64'
/** Not a fleet's: one waits for the end. */
const care = { shadowMs: 500, shadowFramesMin: 0, probationMs: 2000 }
const timeoutMs = 20 * 60_000
/** How long boxes may take to say what they are, which a lost message delays. */
const toldMs = 180_000

export async function runRollout(options: RunOptions): Promise<RunFigures> {
  const { boxes, say, signal } = options
  await using opened = new AsyncDisposableStack()
  const dataDir = await mkdtemp(join(tmpdir(), 'edgeloop-rollout-'))
  opened.defer(() => rm(dataDir, { recursive: true, force: true }))
  const hub = await HubUnderTest.open(dataDir, signal)
  opened.defer(() => hub.close())
  say(`enrolling ${boxes} boxes`)
  const credentials = await enrolAll(hub.ready, hub.token, boxes)
  const { before, after } = fleetModels(options.scale ?? 2)
  const own = await publish(hub, before)
  const next = await publish(hub, after)
  const [published] = next.published
  const best = published?.encodings.find(({ baseDigest }) => baseDigest === own.version.digest)
  if (!published || !best) throw new Error('Cannot measure: no delta was published')

  const teams: ChildProcess[] = []
  opened.defer(async () => void (await Promise.all(teams.map(stop))))
  for (let from = 0; from < boxes; from += boxesPerProcess) {
    const team = start('../fleet/rollout-agents.ts', signal)
    teams.push(team)
    const some = credentials.slice(from, from + boxesPerProcess)
    const order: BoxesOrder = {
      kind: 'start',
      identities: some.map((one) => ({ ...one, deviceUrl: hub.ready.device })),
      own: { name: fleetModel.name, digest: own.version.digest, bytes: before },
      targets: [target],
      conducts: { [next.version.version]: options.conduct ?? 'good' },
      lossShare: options.lossShare,
      cutShare: options.cutShare,
      transferBytes: best.lengthBytes,
      seed: options.seed + from,
      beatMs: boxes > 100 ? 10_000 : 1000,
    }
    team.send(order)
  }
  await untilOnline(hub.ready.browser, boxes, signal)
  say('all boxes are online')
  // Whose first word got lost says only later what kind of box it is, and would be left out.
  const { version } = next.version
  const deadline = performance.now() + toldMs
  for (;;) {
    const body = { name: fleetModel.name, version, select: { all: true } }
    const preview = await hub.api<RolloutPreview>('POST', '/api/rollout-previews', body)
    if (preview.devices === boxes) break
    if (performance.now() > deadline) {
      throw new Error(`Only ${preview.devices} of ${boxes} boxes have said what they are`)
    }
    await sleep(500, undefined, { signal })
  }

  const startedAt = performance.now()
  const { rollout } = await hub.api<RolloutDetail>('POST', '/api/rollouts', {
    name: fleetModel.name,
    version,
    select: { all: true },
    care,
    stages: [
      { name: 'canary', share: 0.01, devicesMin: 10, soakMs: 2000 },
      { name: '5 %', share: 0.05, soakMs: 2000 },
      { name: '25 %', share: 0.25, soakMs: 2000 },
      { name: '100 %', share: 1, soakMs: 0 },
    ],
    rate: { perMinute: 6000, doubledAfter: 0, perMinuteMax: 6000 },
    jitterMs: 2000,
    reachableMs: 30_000,
  })
  let awaySeconds = 0
  let said = ''
  const ended = await hub.follow(rollout.rolloutId, timeoutMs, async (row) => {
    const { confirmed, committed, active } = row.counts
    const line = `${row.stageName}: ${confirmed} of ${boxes} run it, ${active} on their way`
    if (line !== said) say(line)
    said = line
    if (!options.kill || awaySeconds > 0 || committed + confirmed < boxes / 3) return
    awaySeconds = await hub.killAndStart()
    say(`the hub was killed, and is back after ${awaySeconds.toFixed(1)} s`)
  })
  const seconds = (performance.now() - startedAt) / 1000
  const { rssPeakBytes } = await figuresOf(hub.process)
  const answers = await Promise.all(
    teams.map(async (team) => {
      team.send({ kind: 'figures' } satisfies BoxesOrder)
      return await answer<BoxesAnswer>(team)
    }),
  )
  const sum = (of: (one: BoxesAnswer) => number) => answers.reduce((all, one) => all + of(one), 0)
  const ideal = boxes * best.lengthBytes
  const whole = published.encodings.find(({ codec }) => codec === 'zstd')?.lengthBytes ?? 0
  const { counts, state, why, stage } = ended
  return {
    boxes,
    state,
    why,
    stage,
    seconds: round(seconds),
    committed: counts.committed + counts.confirmed,
    confirmed: counts.confirmed,
    running: sum(({ running }) => running[next.version.digest] ?? 0),
    bytesOverIdeal: Math.round((sum(({ fromHub }) => fromHub) / ideal) * 10_000) / 10_000,
    idealMb: round(ideal / 1e6),
    fetchedMb: round(sum(({ fromHub }) => fromHub) / 1e6),
    wireMb: round(sum(({ wireBytes }) => wireBytes) / 1e6),
    wholeMb: round((boxes * whole) / 1e6),
    cuts: sum(({ cuts }) => cuts),
    messages: sum(({ messages }) => messages),
    messagesLost: sum(({ messagesLost }) => messagesLost),
    connections: sum(({ connections }) => connections),
    awaySeconds: round(awaySeconds),
    hubRssMb: Math.round(rssPeakBytes / 1e6),
  }
}

const round = (value: number): number => Math.round(value * 100) / 100

/** A model's file becomes the next version of the fleet's, and is published as it is. */
async function publish(hub: HubUnderTest, bytes: Uint8Array) {
  const { uploadId } = await hub.api<Upload>('POST', '/api/uploads', { sizeBytes: bytes.length })
  await hub.upload(uploadId, bytes)
  const { name, layout, description } = fleetModel
  const body = { name, uploadId, layout, labels: [], description }
  const version = await hub.api<ModelVersion>('POST', '/api/models', body)
  const path = `/api/models/${name}/${version.version}`
  let job = await hub.api<Job>('POST', `${path}/publish`, {})
  while (!isOver(job)) {
    await sleep(200)
    job = await hub.api<Job>('GET', `/api/jobs/${job.jobId}`)
  }
  if (job.state !== 'done') throw new Error(`Cannot publish ${path}: ${job.error}`)
  return { version, published: await hub.api<Published[]>('GET', `${path}/published`) }
}

/** A hub in a process of its own. */
class HubUnderTest {
  ready: HubReady
  token: string
  process: ChildProcess
  readonly #dataDir: string
  readonly #signal: AbortSignal

  private constructor(dataDir: string, signal: AbortSignal, child: ChildProcess, ready: HubReady) {
    this.#dataDir = dataDir
    this.#signal = signal
    this.process = child
    this.ready = ready
    this.token = ''
  }

  static async open(dataDir: string, signal: AbortSignal): Promise<HubUnderTest> {
    const child = start('./bench-hub.ts', signal)
    child.send(orderOf(dataDir))
    const hub = new HubUnderTest(dataDir, signal, child, await answer<HubReady>(child))
    hub.token = (await readFile(hub.ready.localTokenFile, 'utf8')).trim()
    return hub
  }

  /** SIGKILL, and again on the same ports. @returns seconds that it was away */
  async killAndStart(): Promise<number> {
    const exited = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await exited
    const goneAt = performance.now()
    const port = (url: string): number => Number(new URL(url).port)
    const { browser, device, mqtt } = this.ready
    this.process = start('./bench-hub.ts', this.#signal)
    const ports = { browser: port(browser), device: port(device), mqtt: port(mqtt) }
    this.process.send({ ...orderOf(this.#dataDir), ports } satisfies HubOrder)
    this.ready = await answer<HubReady>(this.process)
    return (performance.now() - goneAt) / 1000
  }

  async api<T>(method: string, path: string, body?: unknown): Promise<T> {
    const type = body === undefined ? {} : { 'content-type': 'application/json' }
    return await this.#send<T>(method, path, type, body && JSON.stringify(body))
  }

  async upload(uploadId: string, bytes: Uint8Array): Promise<void> {
    const partBytes = 1024 * 1024
    for (let at = 0; at < bytes.length; at += partBytes) {
      const part = Buffer.from(bytes.subarray(at, at + partBytes))
      const type = { 'content-type': 'application/octet-stream' }
      await this.#send('PUT', `/api/uploads/${uploadId}/${at}`, type, part)
    }
  }

  async #send<T>(method: string, path: string, headers: object, body?: unknown): Promise<T> {
    const reply = await fetch(this.ready.browser + path, {
      method,
      headers: { authorization: `Bearer ${this.token}`, ...headers },
      ...(body === undefined ? {} : { body: body as string }),
    })
    const text = await reply.text()
    if (!reply.ok) throw new Error(`Cannot ${method} ${path}: ${reply.status} ${text}`)
    return JSON.parse(text) as T
  }

  /** Looks again and again until the rollout is over and no box is on its way. @throws {Error} where that takes too long */
  async follow(
    rolloutId: string,
    withinMs: number,
    look: (row: RolloutRow) => Promise<void>,
  ): Promise<RolloutRow> {
    const deadline = performance.now() + withinMs
    for (;;) {
      const { rollout } = await this.api<RolloutDetail>('GET', `/api/rollouts/${rolloutId}`)
      const { active, goingBack } = rollout.counts
      // A stage is through with 95 % of its boxes; the others may still come.
      const waiting = rollout.state === 'complete' ? rollout.counts.waiting : 0
      const unsure = rollout.state === 'complete' ? rollout.counts.committed : 0
      if (isRolloutOver(rollout) && active + goingBack + waiting + unsure === 0) return rollout
      if (performance.now() > deadline) {
        throw new Error(`The rollout is ${rollout.state} and not over: ${rollout.why}`)
      }
      await look(rollout)
      await sleep(1000, undefined, { signal: this.#signal })
    }
  }

  async close(): Promise<void> {
    await stop(this.process)
  }
}

const orderOf = (dataDir: string): HubOrder => ({
  kind: 'open',
  dataDir,
  models: true,
  downloads: { max: 256 },
})
