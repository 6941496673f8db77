/**
 * Where an inference spends its time, by operator, as ONNX Runtime itself writes it down. The operators are those it
 * really executes: fused ones carry its own names (QLinearConv, QuickGelu). Profiling costs a few microseconds an
 * operator, so the sums lie above what `comparePairs` measures; the shares are what counts.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OnnxError } from '../onnx/read.ts'
import { openSession, type SessionOptions, type Value } from '../runtime/session.ts'

export type ProfileOptions = {
  /** Inferences that are averaged (default 10), after two that are not counted. */
  readonly runs?: number
  readonly session?: Pick<SessionOptions, 'level' | 'threads' | 'extra'>
  readonly signal?: AbortSignal
}

export type OperatorTime = {
  readonly opType: string
  /** Nodes of this kind. */
  readonly count: number
  /** All of them together, in milliseconds of one inference. */
  readonly ms: number
}

export type NodeTime = { readonly node: string; readonly opType: string; readonly ms: number }

export type Profile = {
  readonly totalMs: number
  /** Longest first. */
  readonly operators: readonly OperatorTime[]
  /** Longest first; the names are the runtime's, which may have joined several nodes into one. */
  readonly nodes: readonly NodeTime[]
}

const runsNotCounted = 2
/** The profile of a model with 1,000 nodes and 12 runs has 3 MB; beyond this something is wrong. */
const profileBytesMax = 256 * 1024 * 1024

/**
 * Runs a model a few times and reads the runtime's profile of it.
 * @throws {OnnxError} when the runtime refuses the model or the input, or its profile cannot be read
 */
export async function profileOperators(
  model: Uint8Array,
  feeds: Readonly<Record<string, Value>>,
  options: ProfileOptions = {},
): Promise<Profile> {
  const { runs = 10, signal } = options
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-profile-'))
  try {
    await using session = await openSession(model, {
      ...options.session,
      profileTo: join(folder, 'profile'),
    })
    for (let run = 0; run < runs + runsNotCounted; run++) {
      signal?.throwIfAborted()
      await session.run(feeds)
    }
    session.endProfiling()
    const [file] = await readdir(folder)
    if (file === undefined)
      throw new OnnxError('Cannot profile the model: the runtime wrote nothing')
    const bytes = await readFile(join(folder, file))
    if (bytes.length > profileBytesMax) {
      throw new OnnxError(
        `Cannot profile the model: the profile has ${bytes.length} bytes, at most ${profileBytesMax} are read; ask for fewer runs`,
      )
    }
    return summaryOf(JSON.parse(bytes.toString('utf8')))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What we read of an event in the profile (Chrome's trace format); `dur` is in microseconds. */
type Event = {
  readonly cat?: string
  readonly name?: string
  readonly dur?: number
  readonly args?: { readonly op_name?: string; readonly node_index?: string }
}

const kernelSuffix = '_kernel_time'

function summaryOf(events: readonly Event[]): Profile {
  const seen = new Map<string, { opType: string; times: number[] }>()
  for (const { cat, name, dur, args } of events) {
    if (cat !== 'Node' || !name?.endsWith(kernelSuffix) || dur === undefined) continue
    const node = name.slice(0, -kernelSuffix.length)
    // Names may repeat or be empty; the index is the node.
    const key = `${args?.node_index}:${node}`
    const entry = seen.get(key)
    if (entry) entry.times.push(dur / 1000)
    else seen.set(key, { opType: args?.op_name ?? '', times: [dur / 1000] })
  }
  const nodes = [...seen]
    .map(([key, { opType, times }]) => {
      const counted = times.length > runsNotCounted ? times.slice(runsNotCounted) : times
      return {
        node: key.slice(key.indexOf(':') + 1),
        opType,
        ms: counted.reduce((sum, ms) => sum + ms, 0) / counted.length,
      }
    })
    .toSorted((x, y) => y.ms - x.ms)
  const operators = [...Map.groupBy(nodes, ({ opType }) => opType)]
    .map(([opType, all]) => ({ opType, count: all.length, ms: sumOf(all) }))
    .toSorted((x, y) => y.ms - x.ms)
  return { totalMs: sumOf(nodes), operators, nodes }
}

const sumOf = (times: readonly { readonly ms: number }[]) =>
  times.reduce((sum, { ms }) => sum + ms, 0)
