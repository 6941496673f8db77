/**
 * What frames are worth that a box chose: a detector is trained again with so many labelled frames of a drifted stream,
 * once those that our samplers keep, once as many at random, and measured on later frames of that stream. Says how
 * many labels each needs to reach the same AP50, and how many bytes leave the box, beside sending everything that
 * has a score below the threshold. With `--out DIR` each training is written down as it ends, and neither it nor a
 * seed that is complete is done again: another sampler wants another folder.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { TrainOrder } from '@edgeloop/model-compiler/train'
import { mixSeed } from '../../edge-agent/src/demo/random.ts'
import { openModel } from '../../edge-agent/src/models/open-model.ts'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'
import { recipe as recipeAgain } from '../loop/recipe.ts'
import { type Shot, takeShot, writeShots } from '../loop/shots.ts'
import {
  type BeltWorld,
  type Conditions,
  createBelt,
  drifts,
  undrifted,
  worldLabels,
} from '../loop/world.ts'
import type { BenchResult } from './bench.ts'
import { belowThreshold, choose, type Day, drawAtRandom, lookAtDay } from './field-day.ts'
import {
  curveOf,
  type Interval,
  labelsFor,
  labelsRatio,
  meanOf,
  overSeeds,
  type Point,
} from './label-curves.ts'
import { plotCurves } from './plot-curves.ts'

const trainings = fileURLToPath(new URL('./sampling-trainings.ts', import.meta.url))
const plantSeed = 1
const testFrames = 40
const baseFrames = 90

/**
 * What a box may meet: the drifts of the loop, and one of which chance shows little. Measured is on frames of `test`: of
 * a part that is made seldom a few frames would show none.
 */
type Scene = {
  readonly name: string
  readonly title: string
  /** The world before; what happened in it stays. */
  readonly before: Conditions
  readonly day: Conditions
  readonly test: Conditions
}
const scenes: readonly Scene[] = [
  ...drifts.map(({ name, title, conditions }, at) => ({
    name,
    title,
    before: drifts[at - 1]?.conditions ?? undrifted,
    day: conditions,
    test: conditions,
  })),
  {
    name: 'seldom',
    title: 'a new part is made, one of 33',
    before: { light: 1, moved: 1, part: 0 },
    day: { light: 1, moved: 1, part: 0.1 },
    test: { light: 1, moved: 1, part: 1 },
  },
]

/** What `npm run bench -- sampling` measures; see the head of the file. */
export async function bench(options: {
  args: string[]
  signal: AbortSignal
}): Promise<BenchResult> {
  const { values } = parseArgs({
    args: options.args,
    options: {
      drift: { type: 'string', default: 'seldom' },
      // Share of the day, at its end, in which the world has drifted.
      drifted: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '5' },
      from: { type: 'string', default: '101' },
      labels: { type: 'string', default: '2,4,8,16,32' },
      // 0: only says what is chosen.
      steps: { type: 'string', default: '120' },
      seconds: { type: 'string', default: '720' },
      net: { type: 'string', default: 'new:relu-detector?size=192x112&width=0.5' },
      'base-steps': { type: 'string', default: '1200' },
      // A float detector of the world, instead of one that is trained first.
      base: { type: 'string' },
      out: { type: 'string' },
      // Words before each training, such as "nice -n 19".
      with: { type: 'string', default: '' },
    },
  })
  const drift = scenes.find(({ name }) => name === values.drift)
  if (!drift) {
    const names = scenes.map(({ name }) => name).join(', ')
    throw new Error(`Cannot bench drift "${values.drift}": there are ${names}`)
  }
  const { signal } = options
  const share = values.drifted === '1' ? '' : `, in ${values.drifted} of the day`
  const title = `${drift.title}${share}`
  const folder = values.out ?? (await mkdtemp(join(tmpdir(), 'edgeloop-bench-sampling-')))
  const shape = `${drift.name}-${values.drifted}-${values.labels}-${values.steps}-${values.seconds}`
  const kept = join(folder, `runs-${shape}.jsonl`)
  const trainer = new Trainer(folder, values.with.split(' ').filter(Boolean), signal)
  const steps = Number(values.steps)
  try {
    await mkdir(folder, { recursive: true })
    const measured = await runsIn(kept)
    const { before } = drift
    const belts = [0, 1, 2].map((belt) => createBelt({ seed: plantSeed, belt }))
    const replay = join(folder, `before-${drift.name}`)
    const isTrained = steps > 0 || values.base === undefined
    // Another run beside this one may read it.
    if (isTrained && !existsSync(join(replay, 'instances.json'))) {
      await writeSet(replay, await shotsOf(belts, before, baseFrames, 0))
    }
    const base =
      values.base ??
      (await trainer.base(drift.name, replay, values.net, Number(values['base-steps'])))
    const runs: Run[] = []
    for (let k = 0; k < Number(values.seeds); k++) {
      const seed = Number(values.from) + k
      const known = measured.filter((run) => run.seed === seed)
      runs.push(...known)
      if (known.length > 0) continue
      const belt = belts[seed % belts.length]!
      const day = await dayOf(belt, base, {
        seconds: Number(values.seconds),
        firstFrame: 60_000 * seed,
        before,
        after: drift.day,
        drifted: Number(values.drifted),
      })
      // Later than all that could be sent.
      const tests = steps > 0 ? testFrames : 0
      const test = await shotsOf([belt], drift.test, tests, 60_000 * seed + 30_000)
      const chosen = values.labels.split(',').flatMap((text) => {
        const budget = Number(text)
        const ours = choose(day, budget, seed)
        const reasons = countsOf(ours.map(({ reason }) => reason))
        const random = drawAtRandom(day, budget, mixSeed(seed, budget))
        return [
          { how: 'ours', budget, reasons, shots: ours.map(({ shot }) => shot) },
          { how: 'random', budget, reasons: {}, shots: random.map(({ shot }) => shot) },
        ] as const
      })
      const sets = chosen.map(({ shots }) => ({ base, replay, seed, shots, test, steps }))
      const figures = steps > 0 ? await trainer.again(sets) : []
      for (const [at, { shots, ...one }] of chosen.entries()) {
        const run = { seed, ...one, labels: shots.length, bytes: bytesOf(shots) }
        runs.push({ ...run, ...partsOf(shots), ...(figures[at] ?? unmeasured) })
        console.error(told(runs.at(-1)!))
      }
      const from = runs.length - chosen.length
      const banded = belowThreshold(day).map(({ shot }) => shot)
      runs.push({
        seed,
        how: 'below threshold',
        budget: 0,
        labels: banded.length,
        reasons: {},
        bytes: bytesOf(banded),
        ...partsOf(banded),
        ...unmeasured,
      })
      console.error(
        `seed ${seed}: ${day.seen.length} of ${day.frames} frames were analysed, ${banded.length} have a score below the threshold`,
      )
      if (steps > 0) await appendFile(kept, `${JSON.stringify(runs.slice(from))}\n`)
    }
    if (values.out !== undefined && steps > 0) {
      await writeFile(join(folder, `sampling-${shape}.svg`), plotCurves(pointsOf(runs), title))
    }
    return resultOf(runs, title)
  } finally {
    if (values.out === undefined) await rm(folder, { recursive: true, force: true })
  }
}

type Run = Omit<Point, 'how'> & {
  readonly how: Point['how'] | 'below threshold'
  /** Parts that are to be found in the frames, and how many different ones these are. */
  readonly parts: number
  readonly distinct: number
  /** Those of them that were never made before. */
  readonly new: number
  /** How many frames were kept why. */
  readonly reasons: Readonly<Record<string, number>>
}

const unmeasured = { ap50: Number.NaN, ap50Before: Number.NaN }

const bytesOf = (shots: readonly Shot[]): number =>
  shots.reduce((sum, { jpeg }) => sum + jpeg.length, 0)

function partsOf(shots: readonly Shot[]): Pick<Run, 'parts' | 'distinct' | 'new'> {
  const all = shots.flatMap(({ parts, truths }) => {
    const found = truths.filter(({ crowd }) => !crowd)
    return parts.map((part, at) => ({ part, label: found[at]!.label }))
  })
  const made = all.filter(({ label }) => label === worldLabels.at(-1))
  return { parts: all.length, distinct: countOf(all), new: countOf(made) }
}

const countOf = (parts: readonly { part: number }[]): number =>
  new Set(parts.map(({ part }) => part)).size

function countsOf(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1
  return counts
}

function told({ seed, how, budget, labels, parts, distinct, reasons, ...run }: Run): string {
  const why = Object.entries(reasons).map(([reason, count]) => `${count} ${reason}`)
  return [
    `seed ${seed}: ${how} with ${labels} of ${budget} labels`,
    `${distinct} different parts of ${parts}, ${run.new} of them new`,
    ...(why.length > 0 ? [why.join(', ')] : []),
    ...(Number.isNaN(run.ap50)
      ? []
      : [`AP50 ${run.ap50.toFixed(3)}, ${run.ap50Before.toFixed(3)} before`]),
  ].join('; ')
}

/** What was measured before; none where nothing was. */
async function runsIn(file: string): Promise<Run[]> {
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  // The last line of a run that was killed may be half a line.
  return lines.flatMap((line): Run[] => (line.endsWith(']') ? JSON.parse(line) : []))
}

async function dayOf(
  belt: BeltWorld,
  file: string,
  options: Parameters<typeof lookAtDay>[2],
): Promise<Day> {
  await using model = await openModel({ name: 'base', file }, ortRuntime)
  return await lookAtDay(belt, model, options)
}

async function shotsOf(
  belts: readonly BeltWorld[],
  conditions: Conditions,
  count: number,
  first: number,
): Promise<Shot[]> {
  const shots: Shot[] = []
  for (let k = 0; k < count; k++) {
    shots.push(await takeShot(belts[k % belts.length]!, first + k * 47, conditions))
  }
  return shots
}

async function writeSet(folder: string, shots: readonly Shot[]): Promise<void> {
  await mkdir(folder, { recursive: true })
  const framed = shots.map((shot, frame) => ({ frame, shot }))
  await writeShots(folder, [{ site: 'plant', stream: 'belt', startAt: 0, shots: framed }])
}

/** Writes what is learned from and what is measured on as one set; @returns the file that says which is which */
async function writeSplit(
  data: string,
  learned: readonly Shot[],
  test: readonly Shot[],
): Promise<string> {
  const held = new Set(test.map(({ image }) => image))
  await writeSet(data, [...learned.filter(({ image }) => !held.has(image)), ...test])
  const split = Object.fromEntries([
    ...learned.map(({ image }) => [image, 'train']),
    ...test.map(({ image }) => [image, 'test']),
  ])
  const file = join(data, 'split.json')
  await writeFile(file, JSON.stringify(split))
  return file
}

type Again = {
  readonly base: string
  /** Folder of labelled frames from before the drift. */
  readonly replay: string
  readonly shots: readonly Shot[]
  readonly test: readonly Shot[]
  readonly steps: number
  readonly seed: number
}

type Figures = { readonly ap50: number; readonly ap50Before: number }

/** Trains in a process apart, and remembers what came of it under what it was made of. */
class Trainer {
  readonly #folder: string
  readonly #before: readonly string[]
  readonly #signal: AbortSignal
  readonly #file: string

  constructor(folder: string, before: readonly string[], signal: AbortSignal) {
    this.#folder = folder
    this.#before = before
    this.#signal = signal
    this.#file = join(folder, 'trainings.jsonl')
  }

  /** A detector of the world as it was. */
  async base(name: string, data: string, net: string, steps: number): Promise<string> {
    const key = `base-${name}-${digestOf({ net, steps }).slice(0, 8)}`
    const folder = join(this.#folder, key)
    if (!(await this.#known()).has(key)) {
      const split = { kind: 'rule', by: 'sample' } as const
      const order = { ...orderOf(folder, data, 1), split, model: net, recipe: [{ steps }] }
      await this.#train([{ key, order }])
    }
    return join(folder, 'model.onnx')
  }

  /** Goes on training with frames of the drifted world, once with each set of them. */
  async again(sets: readonly Again[]): Promise<Figures[]> {
    const model = sets[0] && digestOf(await readFile(sets[0].base, 'base64'))
    const images = (some: readonly Shot[]) => some.map(({ image }) => image).sort()
    const jobs = sets.map((set) => {
      const { steps, seed, shots, test } = set
      const recipe = { ...recipeAgain(steps), workers: 1 }
      const of = { model, recipe, seed, shots: images(shots), test: images(test) }
      return { ...set, recipe, key: digestOf(of).slice(0, 24) }
    })
    const known = await this.#known()
    const open: Job[] = []
    for (const { key, base, replay, shots, test, recipe, seed } of jobs) {
      if (known.has(key) || open.some((one) => one.key === key)) continue
      const data = join(this.#folder, key)
      const split = { kind: 'file', file: await writeSplit(data, shots, test) } as const
      const order = orderOf(join(data, 'out'), data, seed)
      const before = { folder: replay, format: 'coco' } as const
      open.push({ key, order: { ...order, split, replay: before, model: base, recipe: [recipe] } })
    }
    if (open.length > 0) await this.#train(open)
    for (const { key } of open) await rm(join(this.#folder, key), { recursive: true })
    const all = await this.#known()
    return jobs.map(({ key }) => all.get(key)!)
  }

  async #train(jobs: readonly Job[]): Promise<void> {
    const orders = join(this.#folder, `${jobs[0]!.key}.orders.json`)
    await writeFile(orders, JSON.stringify(jobs.map(({ order }) => order)))
    const [program, ...words] = [...this.#before, process.execPath, trainings, orders]
    const child = spawn(program!, words, {
      signal: this.#signal,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(child, 'close')
    for await (const line of createInterface({ input: child.stdout })) {
      const { folder, ap50, ap50Before = 0 } = JSON.parse(line)
      const { key } = jobs.find(({ order }) => order.folder === folder)!
      await appendFile(this.#file, `${JSON.stringify({ key, ap50, ap50Before })}\n`)
    }
    const [code] = await ended
    await rm(orders)
    if (code !== 0) throw new Error(`Cannot go on: the trainings ended with ${code}`)
  }

  async #known(): Promise<ReadonlyMap<string, Figures>> {
    const text = await readFile(this.#file, 'utf8').catch(() => '')
    // The last line of a run that was killed may be half a line.
    const lines = text.split('\n').filter((line) => line.endsWith('}'))
    return new Map(
      lines.map((line) => {
        const { key, ap50, ap50Before } = JSON.parse(line)
        return [key, { ap50, ap50Before }]
      }),
    )
  }
}

type Job = { readonly key: string; readonly order: TrainOrder }

const orderOf = (folder: string, data: string, seed: number) =>
  ({ kind: 'train', data: { folder: data, format: 'coco' }, folder, seed }) as const

const digestOf = (what: unknown): string =>
  createHash('sha256').update(JSON.stringify(what)).digest('hex')

const pointsOf = (runs: readonly Run[]): Point[] =>
  runs.flatMap((run) => (run.how === 'below threshold' ? [] : [{ ...run, how: run.how }]))

function resultOf(runs: readonly Run[], title: string): BenchResult {
  const seeds = [...new Set(runs.map(({ seed }) => seed))]
  const points = pointsOf(runs)
  const budgets = [...new Set(points.map(({ budget }) => budget))].sort((a, b) => a - b)
  const ratios = budgets.map((budget) =>
    overSeeds(seeds, (some) => labelsRatio(points, some, budget)),
  )
  const rows = budgets.map((budget, at) => {
    const here = points.filter((one) => one.budget === budget)
    const figures = (how: Point['how']) => {
      const own = here.filter((one) => one.how === how)
      const ap50 = overSeeds(seeds, (some) => curveOf(here, how, some)[1]!.ap50)
      return { labels: meanOf(own, 'labels').toFixed(1), ap50: textOf(ap50) }
    }
    const [ours, random] = [figures('ours'), figures('random')]
    return {
      budget,
      ours: ours.labels,
      'AP50 of ours': ours.ap50,
      random: random.labels,
      'AP50 of random': random.ap50,
      'labels for the AP50 of random, ours : random': textOf(ratios[at]!),
    }
  })
  const labels = overSeeds(seeds, (some) => labelsRatio(points, some))
  const bytes = overSeeds(seeds, (some) => bytesRatio(runs, points, some))
  const last = { budget: 'bytes, ours : all below the threshold', 'AP50 of ours': textOf(bytes) }
  return {
    name: `sampling (${title}; seeds ${seeds.join(', ')})`,
    rows: [...rows, last],
    json: { title, seeds, runs, budgets, ratios, labelsRatio: labels, bytesRatio: bytes },
  }
}

const textOf = ({ mean, low, high }: Interval): string =>
  `${mean.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`

/** Bytes of the budget that comes as far as chance does with all, beside those of everything below the threshold. */
function bytesRatio(
  runs: readonly Run[],
  points: readonly Point[],
  seeds: readonly number[],
): number {
  const wanted = Math.max(...curveOf(points, 'random', seeds).map(({ ap50 }) => ap50))
  const budgets = points.map(({ budget }) => budget)
  const needed = labelsFor(curveOf(points, 'ours', seeds), wanted) ?? Number.POSITIVE_INFINITY
  const enough = budgets.filter((budget) => budget >= needed)
  const budget = enough.length > 0 ? Math.min(...enough) : Math.max(...budgets)
  const sum = (some: readonly Run[]) =>
    seeds.reduce((all, seed) => all + (some.find((one) => one.seed === seed)?.bytes ?? 0), 0)
  return (
    sum(runs.filter((one) => one.how === 'ours' && one.budget === budget)) /
    sum(runs.filter(({ how }) => how === 'below threshold'))
  )
}
