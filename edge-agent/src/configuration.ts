/**
 * What a box is told by the person who set it up: `agent.yaml` in the agent's data folder. What it
 * shall do with its cameras is not here but comes from the hub as its desired configuration.
 */
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { misfitOf } from '@edgeloop/protocol/check'
import { type Static, Type } from 'typebox'
import { parse } from 'yaml'
import type { ModelSource } from './models/model.ts'

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
    runtime: Type.Optional(Type.String({ description: '`auto` or `ort:cpu`' })),
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
  /** 0: no limit. */
  readonly linkBytesPerSecondMax: number
  readonly processesMax: number
  readonly streamsPerProcess: number
  readonly heartbeatTimeoutMs: number
  readonly healthIntervalMs: number
}

export type AgentConfigOptions = {
  readonly dataDir: string
  /** The file; `agent.yaml` in `dataDir` unless said. There need not be one there. */
  readonly file?: string
  /** Models given on the command line; each replaces one of the same name. */
  readonly models?: readonly ModelSource[]
}

/**
 * Reads the agent's configuration.
 * @throws {Error} naming the file, the key and, for an unknown key, the nearest known one
 */
export async function readAgentConfig(options: AgentConfigOptions): Promise<AgentConfig> {
  const dataDir = resolve(options.dataDir)
  const path = resolve(options.file ?? join(dataDir, 'agent.yaml'))
  const file = await readAgentFile(path, options.file === undefined)
  const given = options.models ?? []
  const replaced = new Set(given.map(({ name }) => name))
  const fromFile = (file.models ?? []).map((model) => absolute(dirname(path), model))
  const twice = fromFile.find(({ name }, i) => fromFile.findIndex((m) => m.name === name) !== i)
  if (twice) throw new Error(`Cannot use "${path}": two models are called "${twice.name}"`)
  return {
    dataDir,
    models: [...fromFile.filter(({ name }) => !replaced.has(name)), ...given],
    outboxBytesMax: file.outbox?.bytesMax ?? 64 * mebibyte,
    snapshotsBytesMax: file.snapshots?.bytesMax ?? 256 * mebibyte,
    linkBytesPerSecondMax: file.link?.bytesPerSecondMax ?? 0,
    processesMax: file.media?.processesMax ?? availableParallelism(),
    streamsPerProcess: file.media?.streamsPerProcess ?? 8,
    heartbeatTimeoutMs: file.media?.heartbeatTimeoutMs ?? 5_000,
    healthIntervalMs: file.health?.intervalMs ?? 10_000,
  }
}

async function readAgentFile(path: string, mayBeMissing: boolean): Promise<AgentFile> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' && mayBeMissing) return {}
    throw new Error(`Cannot read "${path}": ${message}`, { cause })
  }
  let value: unknown
  try {
    value = parse(text) ?? {}
  } catch (cause) {
    const [firstLine] = (cause as Error).message.split('\n')
    throw new Error(`Cannot read "${path}": it is no YAML (${firstLine})`, { cause })
  }
  const misfit = misfitOf(AgentFile, value)
  if (misfit !== undefined) throw new Error(`Cannot use "${path}": ${misfit}`)
  return value as AgentFile
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
