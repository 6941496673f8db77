/**
 * Training steps (forward, backward, Adam) of four nets on the CPU, in turns with PyTorch where python3 has it: both sides
 * train the same graph on pictures that lie ready, each in a process of its own that waits while the other runs. What is
 * compared is the median step of each turn; ratios are taken within a round.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { nearestName } from '@edgeloop/protocol'
import type { BenchResult } from './bench.ts'
import { answer, start, stop } from './bench-process.ts'
import { choicesOf, forTorch, type NetOrder, operationsOf } from './train-nets.ts'
import type { StepOrder, StepTimes } from './train-steps.ts'

const nets: Readonly<Record<string, NetOrder & { readonly aim: number }>> = {
  'mnist-cnn': { net: 'mnist-cnn', channels: 1, size: 28, batch: 64, aim: 1.3 },
  'resnet-18': { net: 'resnet-18', channels: 3, size: 64, batch: 16, aim: 0.85 },
  'mobilenet-v2': { net: 'mobilenet-v2', channels: 3, size: 96, batch: 16, aim: 1.1 },
  'mobilenet-v3-small': { net: 'mobilenet-v3-small', channels: 3, size: 96, batch: 16, aim: 1.1 },
}

/** What `npm run bench -- train` measures; see the head of the file. */
export async function bench(options: {
  args: string[]
  signal: AbortSignal
}): Promise<BenchResult> {
  const { values } = parseArgs({
    args: options.args,
    options: {
      models: { type: 'string', default: Object.keys(nets).join(',') },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '3' },
      threads: { type: 'string', default: '2' },
      level: { type: 'string', default: 'all' },
      python: { type: 'string', default: 'python3' },
      profile: { type: 'boolean', default: false },
      choices: { type: 'boolean', default: false },
    },
  })
  const [rounds, seconds, threads] = [values.rounds, values.seconds, values.threads].map(Number)
  const level = values.level as StepOrder['level']
  const torch = await torchOf(values.python)
  if (torch === undefined) {
    console.error('PyTorch is not installed (apt install python3-torch libopenblas0)')
  }
  const rows: Record<string, string | number>[] = []
  const results: object[] = []
  for (const name of values.models.split(',')) {
    options.signal.throwIfAborted()
    const net = nets[name]
    if (net === undefined) {
      const near = nearestName(name, Object.keys(nets))
      throw new Error(
        `Cannot train "${name}": there is no such net${near ? `; did you mean "${near}"?` : ''}`,
      )
    }
    if (values.choices) {
      rows.push(...choicesOf(net))
      continue
    }
    console.error(`training ${name}`)
    const setting = { threads: threads!, level, seconds: seconds!, signal: options.signal }
    if (values.profile) {
      rows.push(...(await profiled(name, net, setting)))
      continue
    }
    const turns = await inTurns(net, torch && values.python, rounds!, setting)
    const figures = figuresOf(net, turns)
    rows.push({
      net: `${name}, ${net.size} px, batch ${net.batch}`,
      'ms a step': round(figures.stepMs, 1),
      'CPU ms': round(figures.cpuMs, 1),
      'images/s': Math.round(figures.imagesPerSecond),
      'GFLOP/s': Math.round(figures.gigaflops),
      'outside the runtime': `${round(figures.outsideShare * 100, 1)} %`,
      'peak MB': Math.round(figures.peakBytes / 2 ** 20),
      'PyTorch ms': figures.torch
        ? round(figures.torch.stepMs, 1)
        : 'not installed: apt install python3-torch',
      'PyTorch CPU ms': figures.torch ? round(figures.torch.cpuMs, 1) : '',
      'PyTorch MB': figures.torch ? Math.round(figures.torch.peakBytes / 2 ** 20) : '',
      'times as fast': figures.torch
        ? `${round(figures.torch.ratio, 2)} (${figures.torch.ratios.map((one) => round(one, 2)).join(', ')})`
        : '',
      aim: `≥ ${net.aim}`,
    })
    results.push({ model: name, ...net, ...figures })
  }
  return {
    name: `train (PyTorch ${torch ?? 'not installed'})`,
    rows,
    json: { torch, models: results },
  }
}

type Setting = Pick<StepOrder, 'threads' | 'level'> & {
  readonly seconds: number
  readonly signal: AbortSignal
}
type TorchTimes = Pick<StepTimes, 'stepMs' | 'cpuMs' | 'loss' | 'peakBytes'> & {
  /** Which form of its Adam this version has for the CPU. */
  readonly adam: string
}
type Turn = { readonly ours: StepTimes; readonly torch: TorchTimes | undefined }

/** One turn each, so many times; the first of each side only warms it up. */
async function inTurns(
  net: NetOrder,
  python: string | undefined,
  rounds: number,
  setting: Setting,
) {
  const { threads, level, seconds, signal } = setting
  const ours = await opened(net, { threads, level }, signal)
  const torch = python === undefined ? undefined : new Torch(python, net, threads, signal)
  try {
    const turns: Turn[] = []
    for (let turn = 0; turn <= rounds; turn++) {
      signal.throwIfAborted()
      const one = { ours: await trained(ours, seconds), torch: await torch?.train(seconds) }
      if (turn > 0) turns.push(one)
    }
    return turns
  } finally {
    torch?.end()
    await stop(ours)
  }
}

async function opened(
  net: NetOrder,
  order: Omit<StepOrder, keyof NetOrder>,
  signal: AbortSignal,
): Promise<ChildProcess> {
  const child = start('./train-steps.ts', signal)
  child.send({ ...net, ...order } satisfies StepOrder)
  await answer<'ready'>(child)
  return child
}
async function trained(child: ChildProcess, seconds: number): Promise<StepTimes> {
  child.send(seconds)
  return await answer<StepTimes>(child)
}

/** The other side: a line of JSON in, a line out. */
class Torch {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #reader: Interface
  #greeting: { readonly adam: string } | undefined

  constructor(python: string, net: NetOrder, threads: number, signal: AbortSignal) {
    const script = fileURLToPath(new URL('./train-torch.py', import.meta.url))
    // Its dense layers go to a library that counts threads for itself.
    const env = { ...process.env, OPENBLAS_NUM_THREADS: `${threads}` }
    this.#child = spawn(python, [script], { signal, env, stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child.on('error', () => {})
    this.#reader = createInterface({ input: this.#child.stdout! })
    this.#lines = this.#reader[Symbol.asyncIterator]()
    this.#child.stdin!.write(`${forTorch(net, threads)}\n`)
  }
  async train(seconds: number): Promise<TorchTimes> {
    this.#greeting ??= (await this.#line()) as { readonly adam: string }
    this.#child.stdin!.write(`${seconds}\n`)
    const times = (await this.#line()) as Omit<TorchTimes, 'adam'>
    return { ...times, adam: this.#greeting.adam }
  }
  end(): void {
    this.#child.stdin!.end()
    this.#reader.close()
  }
  async #line(): Promise<unknown> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('PyTorch ended before it answered; its words are above')
    return JSON.parse(value)
  }
}

/** Version of PyTorch and the form of its Adam, or undefined where there is none. */
async function torchOf(python: string): Promise<string | undefined> {
  const ask = 'import torch; print(torch.__version__)'
  return await promisify(execFile)(python, ['-c', ask]).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  )
}

function figuresOf(net: NetOrder, turns: readonly Turn[]) {
  const stepMs = median(turns.map(({ ours }) => median(ours.stepMs)))
  const total = sum(turns.flatMap(({ ours }) => ours.stepMs))
  const ran = sum(turns.flatMap(({ ours }) => ours.runMs))
  const torches = turns.flatMap(({ torch }) => (torch ? [torch] : []))
  const ratios = turns.flatMap(({ ours, torch }) =>
    torch ? [median(torch.stepMs) / median(ours.stepMs)] : [],
  )
  return {
    stepMs,
    cpuMs: median(turns.map(({ ours }) => ours.cpuMs)),
    imagesPerSecond: (net.batch * 1000) / stepMs,
    gigaflops: operationsOf(net) / stepMs / 1e6,
    outsideShare: 1 - ran / total,
    peakBytes: Math.max(...turns.map(({ ours }) => ours.peakBytes)),
    torch:
      torches.length === 0
        ? undefined
        : {
            stepMs: median(torches.map(({ stepMs }) => median(stepMs))),
            cpuMs: median(torches.map(({ cpuMs }) => cpuMs)),
            peakBytes: Math.max(...torches.map(({ peakBytes }) => peakBytes)),
            adam: torches[0]!.adam,
            ratio: median(ratios),
            ratios,
          },
  }
}

/** Where the runtime spends a step: the fastest run of each node, summed by operator, and the slowest nodes. */
async function profiled(name: string, net: NetOrder, setting: Setting) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bench-'))
  const { threads, level, seconds, signal } = setting
  const child = await opened(net, { threads, level, profileTo: join(folder, 'profile') }, signal)
  try {
    await trained(child, seconds)
    const [file] = await readdir(folder)
    return slowest(name, JSON.parse(readFileSync(join(folder, file!), 'utf8')))
  } finally {
    await stop(child)
    await rm(folder, { recursive: true, force: true })
  }
}

type ProfileEvent = {
  readonly cat: string
  readonly name: string
  readonly dur: number
  readonly args?: { readonly op_name?: string; readonly output_type_shape?: readonly object[] }
}

function slowest(net: string, events: readonly ProfileEvent[]) {
  const times = new Map<string, { operator: string; shape: string; durations: number[] }>()
  for (const { cat, name, dur, args } of events) {
    if (cat !== 'Node' || !name.endsWith('_kernel_time')) continue
    const entry = times.get(name) ?? {
      operator: args?.op_name ?? '?',
      shape: JSON.stringify(args?.output_type_shape ?? []),
      durations: [],
    }
    entry.durations.push(dur)
    times.set(name, entry)
  }
  const nodes = [...times].map(([name, { operator, shape, durations }]) => ({
    name: name.replace(/_kernel_time$/, ''),
    operator,
    shape,
    ms: Math.min(...durations) / 1000,
  }))
  const total = sum(nodes.map(({ ms }) => ms))
  const byOperator = Map.groupBy(nodes, ({ operator }) => operator)
  const rowOf = (what: string, shape: string, ms: number, count: number) => ({
    net,
    what,
    shape,
    count,
    ms: round(ms, 2),
    share: `${round((100 * ms) / total, 1)} %`,
  })
  const operators = [...byOperator]
    .map(([operator, of]) => rowOf(operator, '', sum(of.map(({ ms }) => ms)), of.length))
    .toSorted((a, b) => b.ms - a.ms)
  const single = nodes
    .toSorted((a, b) => b.ms - a.ms)
    .slice(0, 40)
    .map(({ name, shape, ms }) => rowOf(name, shape, ms, 1))
  return [...operators, ...single]
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0)
const median = (numbers: readonly number[]): number => {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
const round = (number: number, digits: number): number => Number(number.toFixed(digits))
