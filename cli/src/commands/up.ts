/**
 * `edgeloop up`, which is what `npm start` runs: hub, dashboard, and one enrolled agent on this machine with a
 * demo camera or the cameras that were given. What was there at the last start is kept.
 */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, extname, isAbsolute, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import supervisorNode from '@edgeloop/edge-agent/supervisor-node.json' with { type: 'json' }
import type { StreamConfig } from '@edgeloop/protocol'
import { Command } from 'commander'
import { parseDocument } from 'yaml'
import { type HubReady, keepRunning, startChild, untilEnd, untilReady } from '../children.ts'
import { Failure, UsageFailure } from '../failure.ts'
import { connectHub, type HubClient } from '../hub-client.ts'
import { dataOption, gather, integer } from '../options.ts'
import { stopSignal } from '../stopping.ts'

type Options = {
  data: string
  camera?: string[]
  model?: string
  layout?: string
  labels?: string
  port?: number
  demo: boolean
}

const deviceId = 'demo'
/** How long `up` waits for the agent before it says that the hub runs without it. */
const agentWaitMs = 30_000

export function upCommand(): Command {
  return new Command('up')
    .description('start hub, dashboard and an agent on this machine (what `npm start` runs)')
    .option(
      '--camera <source>',
      'rtsp://…, http://…, a clip or a folder of images; may be repeated',
      gather,
    )
    .option('--model <file>', 'ONNX detector for the cameras')
    .option(
      '--layout <name>',
      'input and output conventions of the model: yolox, nanodet, fastestdet, ultraface',
    )
    .option('--labels <file>', 'file with one label per line, or coco')
    .option('--port <n>', 'port of the dashboard; devices use the next two', integer(0, 65_533))
    .option('--no-demo', 'start the hub alone')
    .addOption(dataOption())
    .addHelpText(
      'after',
      `
Examples:
  $ npm start
  $ npm start -- --camera street.mp4 --model yolox_nano_416.onnx --layout yolox --labels coco
  $ npm start -- --camera rtsp://user:secret@10.0.0.7/stream1 --port 8080`,
    )
    .action(up)
}

async function up(options: Options): Promise<void> {
  const signal = stopSignal()
  const cameras = await readCameras(options)
  const data = resolve(options.data)
  await mkdir(data, { recursive: true })

  const { buildDashboard } = await import('@edgeloop/dashboard/build')
  await buildDashboard()
  if (signal.aborted) return

  const hubArgs = ['hub', '--data', data, '--log-level', 'warn', ...portsFor(options.port)]
  const hubChild = startChild({ args: hubArgs })
  const stopEarly = untilEnd(hubChild, signal)
  const ready = await untilReady(hubChild, signal).catch((error: unknown) => {
    if (signal.aborted) return undefined
    throw error
  })
  if (!ready) return void (await stopEarly)

  // A hub that is started again must be found where it was, also when the system chose the ports.
  const again = ['hub', '--data', data, '--log-level', 'warn', ...portsOf(ready)]
  const running = [keepRunning('hub', { args: again, signal }, hubChild)]
  if (options.demo) {
    const hub = await connectHub({ data, hub: ready.url })
    const model = options.model && slug(basename(options.model, extname(options.model)))
    const agent = await prepareAgent({ hub, ready, data, options, model })
    running.push(keepRunning('agent', { ...agent, signal }))
    await untilOnline(hub, signal)
    if (!signal.aborted) await wishStreams(hub, cameras, model)
  }
  if (!signal.aborted) {
    console.log(`Edgeloop is running: ${ready.signInUrl}`)
    process.stderr.write(
      'The link signs you in once; ./edgeloop hub link makes another. Ctrl-C stops everything.\n',
    )
  }
  await Promise.all(running)
}

const portsOf = ({ url, deviceUrl, mqttUrl }: HubReady): string[] =>
  [
    ['--port', url],
    ['--device-port', deviceUrl],
    ['--mqtt-port', mqttUrl],
  ].flatMap(([flag = '', address = '']) => [flag, new URL(address).port])

/** The hub's ports: the given one and the next two, all free ones for 0, the hub's defaults otherwise. */
function portsFor(port: number | undefined): string[] {
  if (port === undefined) return []
  const [devicePort, mqttPort] = port === 0 ? [0, 0] : [port + 1, port + 2]
  return ['--port', `${port}`, '--device-port', `${devicePort}`, '--mqtt-port', `${mqttPort}`]
}

type Camera = Pick<StreamConfig, 'streamId' | 'name' | 'source'>

/** Checks the flags before anything is started, so that wrong usage costs nothing. */
async function readCameras(options: Options): Promise<Camera[]> {
  const needsModel = (['layout', 'labels'] as const).find((flag) => options[flag] !== undefined)
  if (needsModel && options.model === undefined) {
    throw new UsageFailure(
      `Cannot use --${needsModel}: it describes a model, and none is given`,
      'add --model FILE',
    )
  }
  if (options.model !== undefined && options.camera === undefined) {
    throw new UsageFailure(
      'Cannot use --model: no camera is given that it would look at',
      'add --camera SOURCE',
    )
  }
  if (!options.demo && options.camera !== undefined) {
    throw new UsageFailure(
      'Cannot use --camera together with --no-demo: no agent is started',
      'leave one of them out',
    )
  }
  if (options.model !== undefined) options.model = await existing('--model', options.model)
  if (options.labels !== undefined && options.labels !== 'coco') {
    options.labels = await existing('--labels', options.labels)
  }
  const cameras: Camera[] = []
  for (const source of options.camera ?? []) {
    const isUrl = /^[a-z][a-z0-9+.-]+:/i.test(source) && !isAbsolute(source)
    const name = isUrl ? `Camera ${cameras.length + 1}` : basename(source)
    const base = isUrl ? `camera-${cameras.length + 1}` : slug(basename(source, extname(source)))
    const taken = cameras.some(({ streamId }) => streamId === base)
    cameras.push({
      streamId: taken ? `${base}-${cameras.length + 1}` : base,
      name,
      source: isUrl ? source : await existing('--camera', source),
    })
  }
  return cameras
}

const slug = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 50) || 'camera'

/** The absolute path of a file the user named from where they typed the command. */
async function existing(flag: string, file: string): Promise<string> {
  const path = resolve(process.env.INIT_CWD ?? process.cwd(), file)
  try {
    await stat(path)
    return path
  } catch (cause) {
    throw new UsageFailure(
      `Cannot use ${flag} "${file}": there is no such file`,
      `looked at ${path}`,
      { cause },
    )
  }
}

/** Enrols the agent of this machine where it is not, and gives the words that start it. */
async function prepareAgent(given: {
  hub: HubClient
  ready: HubReady
  data: string
  options: Options
  model: string | undefined
}): Promise<{ args: string[]; env: Record<string, string>; nodeFlags: string[] }> {
  const { hub, ready, data, options, model } = given
  const folder = join(data, 'agents', deviceId)
  await mkdir(folder, { recursive: true })
  await rememberModels(folder, options, model)

  // Always said, because the ports may differ from those of the start that enrolled the agent.
  const args = ['agent', '--data', folder, '--log-level', 'warn']
  args.push('--hub', ready.deviceUrl, '--mqtt', ready.mqttUrl)
  const nodeFlags = supervisorNode.flags
  const env: Record<string, string> = { ...supervisorNode.env }
  const known = await hub.call('deviceList', {})
  const { forgetIdentity, isEnrolled } = await import('@edgeloop/edge-agent')
  // A hub whose data were deleted has a new authority: the identity of the old one is of no use.
  if (!known.some((row) => row.deviceId === deviceId)) await forgetIdentity(folder)
  if (!(await isEnrolled(folder))) {
    const made = await hub.call('enrolmentCreate', {
      body: { deviceId, site: 'demo', name: 'Demo agent' },
    })
    args.push('--ca-fingerprint', made.caFingerprint)
    // Not on the command line, where every user of the machine could read it.
    env.EDGELOOP_ENROLMENT_TOKEN = made.token
  }
  return { args, env, nodeFlags }
}

/** Without cameras on the command line, what is wanted stays as it is; a new device gets the demo. */
async function wishStreams(
  hub: HubClient,
  cameras: readonly Camera[],
  model: string | undefined,
): Promise<void> {
  const desired = await hub
    .call('deviceShow', { params: { deviceId } })
    .then((detail) => detail.desired)
    .catch(() => null) // not enrolled yet: nothing is wanted of it so far
  if (cameras.length === 0 && desired !== null) return
  const streams: StreamConfig[] =
    cameras.length === 0
      ? [{ streamId: 'conveyor', name: 'Demo conveyor', source: 'demo:1', model: 'conveyor' }]
      : cameras.map((camera) => ({ ...camera, model: model ?? 'conveyor' }))
  await hub.call('desiredPut', {
    params: { deviceId },
    body: { version: desired?.version ?? 0, config: { streams } },
  })
}

/** Writes the demo's model and the given one into the agent's configuration; other keys stay. */
async function rememberModels(
  folder: string,
  options: Options,
  name: string | undefined,
): Promise<void> {
  const { demoModel } = await import('@edgeloop/edge-agent')
  const file = join(folder, 'agent.yaml')
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  const document = parseDocument(text)
  if (document.errors[0]) {
    throw new Failure(
      `Cannot read "${file}": ${document.errors[0].message}`,
      'mend it, or delete it to start anew',
    )
  }
  const before = ((document.toJS() as { models?: { name: string }[] } | null)?.models ?? []).filter(
    (model) => model.name !== demoModel.name && model.name !== name,
  )
  const { model: given, layout, labels } = options
  const added =
    name === undefined ? [] : [JSON.parse(JSON.stringify({ name, file: given, layout, labels }))]
  document.set('models', [demoModel, ...before, ...added])
  await writeFile(file, document.toString())
}

/** Waits until the agent is seen by the hub; says so and goes on where that takes too long. */
async function untilOnline(hub: HubClient, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + agentWaitMs
  while (!signal.aborted && performance.now() < deadline) {
    const { devicesOnline } = await hub.call('health', {}).catch(() => ({ devicesOnline: 0 }))
    if (devicesOnline > 0) return
    await sleep(200, undefined, { signal }).catch(() => undefined)
  }
  if (!signal.aborted)
    process.stderr.write('edgeloop: the agent has not connected yet; see the lines above\n')
}
