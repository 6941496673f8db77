/**
 * `npm run demo:rollout`: a hub and three boxes with real agents, and three new versions of their model. The good one
 * goes from box to box; one that has mixed up its labels is found out beside the model that runs; one that overlooks
 * things is brought out in a hurry, without that comparison, and is taken back when its first box sees less than usual.
 * `--keep` leaves everything running to look at, until Ctrl-C; `--data DIR` keeps the hub's data. Without cameras or a GPU.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { demoModel } from '@edgeloop/edge-agent'
import supervisorNode from '@edgeloop/edge-agent/supervisor-node.json' with { type: 'json' }
import { type ModelProto, readModelFile, writeModel } from '@edgeloop/model-compiler'
import type { UpdateCare } from '@edgeloop/protocol'
import { mislabelling, overlooking } from '../../edge-agent/demo/bad-models.ts'
import { compiledAgain } from '../../edge-agent/demo/int8-form.ts'
import { type HubReady, keepRunning, startChild, untilEnd, untilReady } from '../src/children.ts'
import { addFile } from '../src/commands/model-registry.ts'
import { Failure, reportFailure } from '../src/failure.ts'
import { followJob } from '../src/follow-job.ts'
import { connectHub, type HubClient } from '../src/hub-client.ts'
import { bytes } from '../src/output.ts'
import { stopSignal } from '../src/stopping.ts'
import { followRollout, type Told } from './follow-rollout.ts'

const boxes = ['north', 'middle', 'south'] as const
const name = demoModel.name
/** After what the boxes brought, which is published first. */
const goodVersion = 2
/** How long the boxes may take until they look at frames; their clip is drawn before that. */
const startTimeoutMs = 180_000
/** A box must have seen what is usual before a candidate can be compared with it. */
const baselineMs = 25_000

/** Shorter looks than a fleet would take, so that one can watch. */
const care: Partial<UpdateCare> = {
  shadowMs: 12_000,
  shadowFramesMin: 30,
  shadowCpuShare: 0.5,
  probationMs: 12_000,
}

/** Without a comparison: a drift is only sure when there is more than a minute to look at. */
const hasty: Partial<UpdateCare> = { shadowMs: 0, shadowFramesMin: 0, probationMs: 150_000 }

type Act = {
  readonly title: string
  /** What one waits for, where that takes long. */
  readonly wait?: string
  readonly note: string
  readonly model: () => Promise<ModelProto>
  readonly care: Partial<UpdateCare>
  readonly ends: 'complete' | 'stopped'
}

const acts: readonly Act[] = [
  {
    title: 'A good version: compiled again, calibrated with other scenes',
    note: 'calibrated with other scenes',
    model: () => compiledAgain(50_000),
    care,
    ends: 'complete',
  },
  {
    title: 'A bad version: it has mixed up its labels',
    note: 'labels mixed up',
    model: async () => mislabelling(await readModelFile(demoModel.file)),
    care,
    ends: 'stopped',
  },
  {
    title: 'A bad version in a hurry: it overlooks things, and nobody compares it first',
    note: 'overlooks things',
    wait: 'Its first box looks at its frames with it for up to 150 s; what is usual there comes out after about 80',
    model: async () => overlooking(await readModelFile(demoModel.file)),
    care: hasty,
    ends: 'stopped',
  },
]

if (import.meta.main) process.exitCode = await main().catch(reportFailure)

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      keep: { type: 'boolean', default: false },
      data: { type: 'string' },
      port: { type: 'string', default: '0' },
      json: { type: 'boolean', default: false },
    },
  })
  const stop = new AbortController()
  const signal = AbortSignal.any([stop.signal, stopSignal()])
  const tell = teller(values.json)
  await using opened = new AsyncDisposableStack()
  const data = values.data
    ? resolve(values.data)
    : await mkdtemp(join(tmpdir(), 'edgeloop-rollout-'))
  await mkdir(data, { recursive: true })
  if (!values.data) opened.defer(() => rm(data, { recursive: true, force: true }))

  const { buildDashboard } = await import('@edgeloop/dashboard/build')
  await buildDashboard()
  const port = Number(values.port)
  const ports = ['--port', `${port}`, '--device-port', `${port && port + 1}`]
  const hubArgs = ['hub', '--data', data, '--log-level', 'error', ...ports]
  const hubChild = startChild({ args: [...hubArgs, '--mqtt-port', `${port && port + 2}`] })
  const running = [untilEnd(hubChild, signal)]
  opened.defer(async () => {
    stop.abort()
    await Promise.all(running)
  })
  const ready = await untilReady(hubChild, signal)
  const hub = await connectHub({ data, hub: ready.url })
  tell({ text: `A hub and three boxes: ${ready.signInUrl}` })
  running.push(
    ...(await startBoxes(hub, ready, data, signal)).map(async (box) => (await box) ?? ''),
  )
  await untilLooking(hub, signal)
  tell({ text: `${boxes.join(', ')} look at their lines with the model that they brought` })
  await sleep(baselineMs, undefined, { signal })

  // What is known to the hub can be sent as a difference.
  await publish(hub, demoModel.file, 'what the boxes brought', tell)
  for (const act of acts) await play(act, { hub, data, tell, signal })
  await until(signal, 'the boxes do not run the good version', () => allRun(hub, goodVersion))
  await tellEnd(hub, tell)
  if (values.keep) {
    tell({ text: `Rollouts stay to be seen at ${ready.signInUrl} until Ctrl-C` })
    await new Promise((over) => signal.addEventListener('abort', over, { once: true }))
  }
  return 0
}

type Stage = {
  readonly hub: HubClient
  readonly data: string
  readonly tell: (told: Told) => void
  readonly signal: AbortSignal
}

/** @throws {Failure} when it does not end as it should */
async function play(act: Act, { hub, data, tell, signal }: Stage): Promise<void> {
  tell({ text: `\n${act.title}` })
  const file = join(data, 'candidate.onnx')
  await writeFile(file, writeModel(await act.model()))
  const version = await publish(hub, file, act.note, tell)
  const created = await hub.call('rolloutCreate', {
    body: {
      name,
      version,
      select: { devices: [...boxes] },
      care: act.care,
      note: act.note,
      stages: [
        { name: 'canary', share: 0.33, devicesMin: 1, soakMs: 3000, gate: { failuresMax: 1 } },
        { name: 'all', share: 1, soakMs: 0 },
      ],
      rate: { perMinute: 60, doubledAfter: 0, perMinuteMax: 60 },
      jitterMs: 0,
    },
    signal,
  })
  if (act.wait) tell({ text: act.wait })
  const ended = await followRollout(hub, created.rollout.rolloutId, tell, signal)
  if (ended.state !== act.ends) {
    throw new Failure(`It should have ended ${act.ends}, and is ${ended.state}: ${ended.why}`)
  }
  const { fromHub, whole } = ended.bytes
  tell({
    text: `It is ${ended.state}. ${bytes(fromHub)} went to boxes; as whole files ${bytes(whole)}`,
  })
}

/** Makes a file the next version, which boxes may be offered. @returns its number */
async function publish(
  hub: HubClient,
  file: string,
  note: string,
  tell: (told: Told) => void,
): Promise<number> {
  const description = demoModel.file.replace(/\.onnx$/, '.model.yaml')
  const added = { name, layout: 'yolox', description, note }
  const { version, digest } = await addFile(hub, file, added)
  const job = await hub.call('modelPublish', { params: { name, version }, body: {} })
  // The story says what came of it; how far it is, is of no interest in so few seconds.
  const { state, error } = await followJob(hub, job, () => {})
  if (state !== 'done') throw new Failure(`Cannot publish ${name}/${version}: ${error}`)
  tell({
    version,
    digest,
    text: `${name}/${version} is published: ${digest.slice(0, 12)}, ${note}`,
  })
  return version
}

async function startBoxes(
  hub: HubClient,
  ready: HubReady,
  data: string,
  signal: AbortSignal,
): Promise<Promise<void>[]> {
  const running: Promise<void>[] = []
  for (const [index, deviceId] of boxes.entries()) {
    const folder = join(data, 'agents', deviceId)
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'agent.yaml'), JSON.stringify({ models: [demoModel] }))
    const { token, caFingerprint } = await hub.call('enrolmentCreate', {
      body: { deviceId, site: 'demo', name: `Line ${deviceId}` },
    })
    const addresses = ['--hub', ready.deviceUrl, '--mqtt', ready.mqttUrl]
    // What becomes of models is told as the story; boxes would say it once more in between.
    const args = ['agent', '--data', folder, '--log-level', 'silent', ...addresses]
    const env = { ...supervisorNode.env, EDGELOOP_ENROLMENT_TOKEN: token }
    running.push(
      keepRunning(`box ${deviceId}`, {
        args: [...args, '--ca-fingerprint', caFingerprint],
        env,
        signal,
        nodeFlags: supervisorNode.flags,
      }),
    )
    await untilOnline(hub, index + 1, signal)
    await hub.call('desiredPut', {
      params: { deviceId },
      body: {
        version: 0,
        config: { streams: [{ streamId: 'line', source: 'demo:1', model: name, analysisFps: 5 }] },
      },
    })
  }
  return running
}

async function untilOnline(hub: HubClient, count: number, signal: AbortSignal): Promise<void> {
  await until(signal, 'the boxes are not online', async () => {
    const { devicesOnline } = await hub.call('health', {})
    return devicesOnline >= count
  })
}

/** Waits until every box says which model its frames go to. */
async function untilLooking(hub: HubClient, signal: AbortSignal): Promise<void> {
  await until(signal, 'the boxes do not look at frames', async () => {
    const told = await Promise.all(
      boxes.map((deviceId) => hub.call('deviceUpdateList', { params: { deviceId } })),
    )
    return told.every(({ running }) => running.some((one) => one.name === name))
  })
}

/** Whether every box says that its frames go to a version. */
async function allRun(hub: HubClient, version: number): Promise<boolean> {
  const told = await Promise.all(
    boxes.map((deviceId) => hub.call('deviceUpdateList', { params: { deviceId } })),
  )
  return told.every(({ running }) =>
    running.some((one) => one.name === name && one.version === version),
  )
}

async function until(signal: AbortSignal, what: string, isSo: () => Promise<boolean>) {
  const deadline = performance.now() + startTimeoutMs
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Failure(`Cannot go on: ${what} after 3 minutes`)
    await sleep(300, undefined, { signal })
  }
}

async function tellEnd(hub: HubClient, tell: (told: Told) => void): Promise<void> {
  tell({ text: '\nIn the end' })
  for (const deviceId of boxes) {
    const { running } = await hub.call('deviceUpdateList', { params: { deviceId } })
    const now = running.find((one) => one.name === name)
    tell({
      deviceId,
      version: now?.version ?? 0,
      text: `${deviceId.padEnd(7)} runs ${name}/${now?.version}  ${now?.digest.slice(0, 12)}`,
    })
  }
}

/** Tells the story on standard output, each line with the time from the start. */
function teller(json: boolean): (told: Told) => void {
  const startedAt = performance.now()
  return (told) => {
    const seconds = (performance.now() - startedAt) / 1000
    if (json) return console.log(JSON.stringify({ seconds: Number(seconds.toFixed(1)), ...told }))
    const [blank, text] = told.text.startsWith('\n') ? ['\n', told.text.slice(1)] : ['', told.text]
    console.log(`${blank}${seconds.toFixed(1).padStart(6)} s  ${text}`)
  }
}
