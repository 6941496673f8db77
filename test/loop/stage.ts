/** Hub and boxes of the loop: real programs in processes of their own, each box before a camera of the plant. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import supervisorNode from '@edgeloop/edge-agent/supervisor-node.json' with { type: 'json' }
import type { SamplingConfig } from '@edgeloop/protocol'
import {
  type HubReady,
  keepRunning,
  startChild,
  untilEnd,
  untilReady,
} from '../../cli/src/children.ts'
import { Failure } from '../../cli/src/failure.ts'
import { connectHub, type HubClient } from '../../cli/src/hub-client.ts'

export const boxNames = ['north', 'middle', 'south'] as const
export type BoxName = (typeof boxNames)[number]
export const streamId = 'belt'
/** Frames that a box looks at in a second. */
const analysisFps = 4

export type Stage = {
  readonly hub: HubClient
  readonly ready: HubReady
  /** The picture of a sample, as the Label page asks for it. */
  readonly pictureOf: (digest: string, signal: AbortSignal) => Promise<Uint8Array>
}

/** Starts a hub; it ends with `opened`. */
export async function startHub(
  data: string,
  opened: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Stage> {
  const ports = ['--port', '0', '--device-port', '0', '--mqtt-port', '0']
  const stop = new AbortController()
  const child = startChild({ args: ['hub', '--data', data, '--log-level', 'warn', ...ports] })
  const ended = untilEnd(child, AbortSignal.any([signal, stop.signal]))
  opened.defer(async () => {
    stop.abort()
    await ended
  })
  const ready = await untilReady(child, signal)
  const token = (await readFile(join(data, 'hub', 'local-token'), 'utf8')).trim()
  return {
    hub: await connectHub({ data, hub: ready.url }),
    ready,
    pictureOf: async (digest, asked) => {
      const response = await fetch(new URL(`/api/samples/${digest}/picture`, ready.url), {
        headers: { authorization: `Bearer ${token}` },
        signal: AbortSignal.any([asked, AbortSignal.timeout(30_000)]),
      })
      if (!response.ok) throw new Failure(`Cannot see sample ${digest}: ${response.status}`)
      return new Uint8Array(await response.arrayBuffer())
    },
  }
}

export type BoxOptions = {
  readonly name: BoxName
  /** URL of its camera. */
  readonly camera: string
  /** What it brings: a model that it runs until it is offered one. */
  readonly model: { readonly name: string; readonly file: string; readonly description: string }
  readonly data: string
}

/** Enrols a box at a site of its own and starts its agent; it ends with `opened`. */
export async function startBox(
  { hub, ready }: Stage,
  { name, camera, model, data }: BoxOptions,
  opened: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<void> {
  const folder = join(data, 'agents', name)
  await mkdir(folder, { recursive: true })
  const samples = { framesPerDay: 20_000, bytesPerDay: 1_000_000_000 }
  await writeFile(join(folder, 'agent.yaml'), JSON.stringify({ models: [model], samples }))
  const { token, caFingerprint } = await hub.call('enrolmentCreate', {
    body: { deviceId: name, site: name, name: `Line ${name}` },
  })
  const addresses = ['--hub', ready.deviceUrl, '--mqtt', ready.mqttUrl]
  const args = ['agent', '--data', folder, '--log-level', 'warn', ...addresses]
  const stop = new AbortController()
  const running = keepRunning(`box ${name}`, {
    args: [...args, '--ca-fingerprint', caFingerprint],
    env: { ...supervisorNode.env, EDGELOOP_ENROLMENT_TOKEN: token },
    nodeFlags: supervisorNode.flags,
    signal: AbortSignal.any([signal, stop.signal]),
  })
  opened.defer(async () => {
    stop.abort()
    await running
  })
  await until(`box ${name} is not online`, 60_000, signal, async () => {
    const devices = await hub.call('deviceList', {})
    return devices.some((one) => one.deviceId === name && one.connectivity === 'online')
  })
  await configure(hub, { name, camera, model }, 0)
}

/** Says what a box looks at, and what it keeps for learning. @param version of the configuration before; 0: there is none */
export async function configure(
  hub: HubClient,
  { name: deviceId, camera, model }: Pick<BoxOptions, 'name' | 'camera' | 'model'>,
  version: number,
  sampling?: SamplingConfig,
): Promise<void> {
  const looks = { streamId, source: camera, model: model.name, analysisFps }
  const stream = { ...looks, ...(sampling && { sampling }) }
  await hub.call('desiredPut', {
    params: { deviceId },
    body: { version, config: { streams: [stream] } },
  })
}

/** What a box says its frames go to. */
export async function runningOn(hub: HubClient, deviceId: BoxName, model: string) {
  const { running } = await hub.call('deviceUpdateList', { params: { deviceId } })
  return running.find((one) => one.name === model)
}

/** @throws {Failure} when it is not so in time */
export async function until(
  what: string,
  timeoutMs: number,
  signal: AbortSignal,
  isSo: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await isSo())) {
    if (performance.now() > deadline) {
      throw new Failure(`Cannot go on: ${what} after ${Math.round(timeoutMs / 1000)} s`)
    }
    await sleep(500, undefined, { signal })
  }
}
