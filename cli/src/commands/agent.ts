/** `edgeloop agent`: runs the agent of one device; enrols it first where it has no identity yet. */
import { mkdir } from 'node:fs/promises'
import { basename, extname, join, resolve } from 'node:path'
import { Command } from 'commander'
import { Failure, UsageFailure } from '../failure.ts'
import { type LogLevel, logLevelOption, openLog } from '../log.ts'
import { defaultData } from '../options.ts'
import { stopSignal } from '../stopping.ts'

type Options = {
  data: string
  hub?: string
  mqtt?: string
  token?: string
  caFingerprint?: string
  enrolAgain?: boolean
  model?: string
  modelName?: string
  layout?: string
  labels?: string
  logLevel: LogLevel
}

export function agentCommand(): Command {
  return new Command('agent')
    .description('run the agent of one device')
    .option(
      '--data <dir>',
      'folder where the agent keeps its identity, settings and outbox',
      join(defaultData, 'agent'),
    )
    .option('--hub <url>', 'where the hub takes devices, such as https://hub.example.org:4181')
    .option('--mqtt <url>', 'where the hub takes messages; the hub says it when the device enrols')
    .option(
      '--token <token>',
      'one-time enrolment token (better: EDGELOOP_ENROLMENT_TOKEN, which no other user can see)',
    )
    .option(
      '--ca-fingerprint <sha256>',
      'fingerprint of the hub’s authority, as `device add` prints it',
    )
    .option(
      '--enrol-again',
      'replace the identity of this box with what the token buys: it was retired or enrolled elsewhere',
    )
    .option('--model <file>', 'ONNX detector, beside those of agent.yaml')
    .option('--model-name <name>', 'name that streams call it by (default: name of the file)')
    .option('--layout <name>', 'input and output conventions of the model')
    .option('--labels <file>', 'file with one label per line, or coco')
    .addOption(logLevelOption())
    .addHelpText(
      'after',
      `
Examples:
  $ EDGELOOP_ENROLMENT_TOKEN=… ./edgeloop agent --hub https://hub:4181 --ca-fingerprint …
  $ ./edgeloop agent --model yolox_nano_416.onnx --layout yolox --labels coco`,
    )
    .action(agent)
}

async function agent(options: Options): Promise<void> {
  const signal = stopSignal()
  const folder = resolve(options.data)
  await mkdir(folder, { recursive: true })
  const door = await import('@edgeloop/edge-agent')
  const logRing = new door.LogRing()
  const log = openLog('agent', options.logLevel, logRing)

  const token = options.token ?? process.env.EDGELOOP_ENROLMENT_TOKEN
  const enrolled = await door.isEnrolled(folder)
  // A certificate that has ended opens nothing: a token that is given is meant to replace it.
  const ended =
    enrolled && token !== undefined && (await door.readIdentity(folder).then(door.hasEnded))
  if (!enrolled || ended || options.enrolAgain) {
    const { hub: deviceUrl, caFingerprint } = options
    if (!token || !deviceUrl || !caFingerprint) {
      throw new UsageFailure(
        enrolled
          ? `Cannot enrol "${folder}" again: a token is needed for it`
          : `Cannot run the agent: "${folder}" holds no identity`,
        'enrol it with --hub, --ca-fingerprint and EDGELOOP_ENROLMENT_TOKEN; `./edgeloop device add NAME` at the hub prints all three',
      )
    }
    const again = options.enrolAgain ?? false
    await door.enrol({ deviceUrl, token, caFingerprint, folder, again, signal })
    log.info({ hub: deviceUrl }, 'enrolled')
  }
  const identity = await door.readIdentity(folder)
  const config = await door.readAgentConfig(folder, modelOf(options))
  try {
    await door.runAgent({
      config,
      identity: {
        ...identity,
        ...(options.hub !== undefined && { deviceUrl: options.hub }),
        ...(options.mqtt !== undefined && { mqttUrl: options.mqtt }),
      },
      log,
      logRing,
      signal,
    })
  } catch (error) {
    if (!signal.aborted) throw new Failure((error as Error).message, undefined, { cause: error })
  }
}

/** The model of the command line, as an entry of `models` in agent.yaml. */
function modelOf({ model, modelName, layout, labels }: Options): object {
  if (model === undefined) return {}
  const name = modelName ?? basename(model, extname(model))
  const entry = {
    name,
    file: resolve(model),
    layout,
    labels: labels === 'coco' || !labels ? labels : resolve(labels),
  }
  return { models: [JSON.parse(JSON.stringify(entry))] }
}
