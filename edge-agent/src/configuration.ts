/**
 * What a box is told by the person who set it up: `agent.yaml` in the agent's data folder. What it
 * shall do with its cameras is not here but comes from the hub as its desired configuration.
 */
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { misfitOf } from '@edgeloop/protocol/check'
import { type Static, Type } from 'typebox'
import { parse, YAMLParseError } from 'yaml'
import type { LocalConfig } from './local/surface.ts'
import type { ModelSource } from './models/model.ts'
import type { UpdatesConfig } from './update/agent-updates.ts'

const closed = { additionalProperties: false } as const
const mebibyte = 1024 * 1024

const ModelEntry = Type.Object(
  {
    name: Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$',
      maxLength: 120,
      description: 'What streams call the model',
    }),
    file: Type.String({
      minLength: 1,
      description: 'ONNX file; relative paths start at the folder of agent.yaml',
    }),
    layout: Type.Optional(
      Type.String({ description: 'Input and output conventions: yolox, nanodet, fastestdet, …' }),
    ),
    labels: Type.Optional(Type.String({ description: 'File with one label per line, or `coco`' })),
    description: Type.Optional(
      Type.String({ description: 'YAML or JSON file that overrides the layout’s preset' }),
    ),
    runtime: Type.Optional(
      Type.String({ description: '`auto`, `ort:PROVIDER`, or `oip:URL` of an inference server' }),
    ),
  },
  closed,
)

/** The file as it is written. Every key may be left out. */
export const AgentFile = Type.Object(
  {
    models: Type.Optional(
      Type.Array(ModelEntry, { maxItems: 64, description: 'Models the streams may use' }),
    ),
    outbox: Type.Optional(
      Type.Object(
        {
          bytesMax: Type.Optional(
            Type.Integer({
              minimum: 2 * mebibyte,
              default: 64 * mebibyte,
              description: 'Disk for events that the hub has not acknowledged, in bytes',
            }),
          ),
        },
        closed,
      ),
    ),
    snapshots: Type.Optional(
      Type.Object(
        {
          bytesMax: Type.Optional(
            Type.Integer({
              minimum: mebibyte,
              default: 256 * mebibyte,
              description: 'Disk for pictures that the hub does not have yet, in bytes',
            }),
          ),
        },
        closed,
      ),
    ),
    clips: Type.Optional(
      Type.Object(
        {
          bytesMax: Type.Optional(
            Type.Integer({
              minimum: 128 * mebibyte,
              default: 2048 * mebibyte,
              description: 'Disk for clips of events, in bytes; the oldest gives way',
            }),
          ),
          keptDays: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 3650,
              default: 7,
              description: 'Days after which a clip is removed',
            }),
          ),
        },
        closed,
      ),
    ),
    samples: Type.Optional(
      Type.Object(
        {
          bytesMax: Type.Optional(
            Type.Integer({
              minimum: mebibyte,
              default: 256 * mebibyte,
              description:
                'Disk for frames kept for learning that the hub does not have yet, in bytes; the least useful give way',
            }),
          ),
          framesPerDay: Type.Optional(
            Type.Integer({
              minimum: 0,
              default: 2_000,
              description: 'Frames for learning that are sent in a day, of all streams together',
            }),
          ),
          bytesPerDay: Type.Optional(
            Type.Integer({
              minimum: 0,
              default: 400_000_000,
              description: 'Their bytes in a day',
            }),
          ),
        },
        closed,
      ),
    ),
    link: Type.Optional(
      Type.Object(
        {
          bytesPerSecondMax: Type.Optional(
            Type.Integer({
              minimum: 0,
              default: 0,
              description: 'Upload budget in bytes per second; 0: no limit',
            }),
          ),
        },
        closed,
      ),
    ),
    media: Type.Optional(
      Type.Object(
        {
          processesMax: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 64,
              description:
                'Most media processes at a time; as many as there are cores when left out',
            }),
          ),
          streamsPerProcess: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 32,
              default: 8,
              description: 'Streams in one media process before another one is started',
            }),
          ),
          heartbeatTimeoutMs: Type.Optional(
            Type.Integer({
              minimum: 2_000,
              maximum: 120_000,
              default: 5_000,
              description: 'A media process that is silent for this long is killed, in ms',
            }),
          ),
        },
        closed,
      ),
    ),
    local: Type.Optional(
      Type.Object(
        {
          port: Type.Integer({
            minimum: 0,
            maximum: 65_535,
            description: 'Where the box answers itself: health, metrics, pictures, inference',
          }),
          host: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 255,
              default: '127.0.0.1',
              description: 'Address to listen on; any but those of the machine itself speak TLS',
            }),
          ),
          tlsCert: Type.Optional(
            Type.String({ description: 'Certificate chain, PEM; the box makes its own without' }),
          ),
          tlsKey: Type.Optional(Type.String({ description: 'Its key, PEM' })),
        },
        closed,
      ),
    ),
    updates: Type.Optional(
      Type.Object(
        {
          enabled: Type.Optional(
            Type.Boolean({
              default: true,
              description: 'Whether models that the hub offers are taken up; what runs goes on',
            }),
          ),
          mirror: Type.Optional(
            Type.Object(
              {
                port: Type.Integer({
                  minimum: 0,
                  maximum: 65_535,
                  description: 'Where other boxes of the hub can fetch models from this one',
                }),
                host: Type.Optional(
                  Type.String({
                    pattern: '^[A-Za-z0-9.:-]{1,255}$',
                    description: 'Address they reach it by; its first one when left out',
                  }),
                ),
                bytesPerSecondMax: Type.Optional(
                  Type.Integer({
                    minimum: 16 * 1024,
                    default: 8 * mebibyte,
                    description: 'What it gives them in all, in bytes per second',
                  }),
                ),
              },
              closed,
            ),
          ),
        },
        closed,
      ),
    ),
    health: Type.Optional(
      Type.Object(
        {
          intervalMs: Type.Optional(
            Type.Integer({
              minimum: 1_000,
              maximum: 3_600_000,
              default: 10_000,
              description: 'How often health figures are recorded, in ms',
            }),
          ),
        },
        closed,
      ),
    ),
  },
  closed,
)
export type AgentFile = Static<typeof AgentFile>

/** The agent's own configuration with every default filled in. */
export type AgentConfig = {
  /** Outbox, snapshots, certificate, last desired configuration: everything the agent keeps. */
  readonly dataDir: string
  readonly models: readonly ModelSource[]
  readonly outboxBytesMax: number
  readonly snapshotsBytesMax: number
  readonly clipsBytesMax: number
  readonly clipsKeptDays: number
  /** Frames kept for learning: disk for them, and what is sent of them in a day. */
  readonly samples: {
    readonly bytesMax: number
    readonly framesPerDay: number
    readonly bytesPerDay: number
  }
  /** 0: no limit. */
  readonly linkBytesPerSecondMax: number
  readonly processesMax: number
  readonly streamsPerProcess: number
  readonly heartbeatTimeoutMs: number
  readonly healthIntervalMs: number
  readonly updates: UpdatesConfig
  /** The local surface; absent where it is off. */
  readonly local?: LocalConfig
}

/**
 * Reads the agent's configuration: `agent.yaml` in `dataDir`, where there is one.
 * @param given what the command line says, in the shape of the file; its models come beside those of
 * the file and replace what is called the same, its other keys replace the file's
 * @throws {Error} naming the file, the key and, for an unknown key, the nearest known one
 */
export async function readAgentConfig(dataDir: string, given: object = {}): Promise<AgentConfig> {
  const folder = resolve(dataDir)
  const path = join(folder, 'agent.yaml')
  const file = checkAgentFile(await readYaml(path), `"${path}"`)
  const wish = checkAgentFile(given, 'the command line')
  const models = [
    ...modelsOf(file, folder, `"${path}"`).filter(
      ({ name }) => !wish.models?.some((model) => model.name === name),
    ),
    ...modelsOf(wish, process.cwd(), 'the command line'),
  ]
  const { outbox, snapshots, clips, samples, link, media, health, local, updates } = {
    ...file,
    ...wish,
  }
  return {
    dataDir: folder,
    models,
    outboxBytesMax: outbox?.bytesMax ?? 64 * mebibyte,
    snapshotsBytesMax: snapshots?.bytesMax ?? 256 * mebibyte,
    clipsBytesMax: clips?.bytesMax ?? 2048 * mebibyte,
    clipsKeptDays: clips?.keptDays ?? 7,
    samples: {
      bytesMax: samples?.bytesMax ?? 256 * mebibyte,
      framesPerDay: samples?.framesPerDay ?? 2_000,
      bytesPerDay: samples?.bytesPerDay ?? 400_000_000,
    },
    linkBytesPerSecondMax: link?.bytesPerSecondMax ?? 0,
    processesMax: media?.processesMax ?? availableParallelism(),
    streamsPerProcess: media?.streamsPerProcess ?? 8,
    heartbeatTimeoutMs: media?.heartbeatTimeoutMs ?? 5_000,
    healthIntervalMs: health?.intervalMs ?? 10_000,
    updates: updatesOf(updates),
    ...(local && { local: localOf(local, folder, path) }),
  }
}

/** What the file says; nothing where there is none. */
async function readYaml(path: string): Promise<unknown> {
  try {
    return parse(await readFile(path, 'utf8')) ?? {}
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return {}
    const [firstLine] = message.split('\n')
    const why = cause instanceof YAMLParseError ? `it is no YAML (${firstLine})` : message
    throw new Error(`Cannot read "${path}": ${why}`, { cause })
  }
}

function checkAgentFile(value: unknown, from: string): AgentFile {
  const misfit = misfitOf(AgentFile, value)
  if (misfit !== undefined) throw new Error(`Cannot use ${from}: ${misfit}`)
  return value as AgentFile
}

function modelsOf({ models = [] }: AgentFile, folder: string, from: string): ModelSource[] {
  const twice = models.find(({ name }, i) => models.findIndex((m) => m.name === name) !== i)
  if (twice) throw new Error(`Cannot use ${from}: two models are called "${twice.name}"`)
  return models.map((model) => absolute(folder, model))
}

function updatesOf({
  enabled = true,
  mirror,
}: NonNullable<AgentFile['updates']> = {}): UpdatesConfig {
  if (!mirror) return { enabled }
  return { enabled, mirror: { bytesPerSecondMax: 8 * mebibyte, ...mirror } }
}

function localOf(
  { port, host = '127.0.0.1', tlsCert, tlsKey }: NonNullable<AgentFile['local']>,
  folder: string,
  path: string,
): LocalConfig {
  if (tlsCert === undefined && tlsKey === undefined) return { host, port }
  if (tlsCert !== undefined && tlsKey !== undefined) {
    return { host, port, tlsCert: resolve(folder, tlsCert), tlsKey: resolve(folder, tlsKey) }
  }
  const [has, lacks] = tlsKey === undefined ? ['tlsCert', 'tlsKey'] : ['tlsKey', 'tlsCert']
  throw new Error(`Cannot use "${path}": /local has ${has} and no ${lacks}; give both or neither`)
}

/** Paths in the file are meant from where the file is. */
function absolute(folder: string, model: Static<typeof ModelEntry>): ModelSource {
  const { labels, description } = model
  return {
    ...model,
    file: resolve(folder, model.file),
    ...(labels !== undefined && { labels: labels === 'coco' ? labels : resolve(folder, labels) }),
    ...(description !== undefined && { description: resolve(folder, description) }),
  }
}
