/**
 * What frames are worth that a box chose: a detector is trained again with so many labelled frames of a drifted stream,
 * once those that our samplers keep, once as many at random, and measured on later frames of that stream. Says how
 * many labels each needs to reach the same AP50, and how many bytes leave the box, beside sending everything that
 * has a score below the threshold.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { mixSeed, seededRandom } from '../../edge-agent/src/demo/random.ts'
import { openModel } from '../../edge-agent/src/models/open-model.ts'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'
import { type Shot, takeShot, writeShots } from '../loop/shots.ts'
import { type BeltWorld, type Conditions, createBelt, drifts, undrifted } from '../loop/world.ts'
import type { BenchResult } from './bench.ts'
import { belowThreshold, choose, type Day, drawAtRandom, lookAtDay } from './field-day.ts'

const edgeloop = fileURLToPath(new URL('../../edgeloop', import.meta.url))
const plantSeed = 1
const testFrames = 40
const baseFrames = 90
/** The detector's own blocks stay as they are but for the last, as in the loop. */
const frozen = [1, 2, 3].map((block) => ({ match: `map.${block}.*`, rate: 0 }))
const augment = {
  ...{ scale: [0.9, 1.15], flipVertical: 0.5 },
  ...{ brightness: 0.15, contrast: 0.15, saturation: 0.15 },
}

/** What `npm run bench -- sampling` measures; see the head of the file. */
export async function bench(options: {
  args: string[]
  signal: AbortSignal
}): Promise<BenchResult> {
  const { values } = parseArgs({
    args: options.args,
    options: {
      seeds: { type: 'string', default: '5' },
      labels: { type: 'string', default: '6,12,24,48' },
      steps: { type: 'string', default: '120' },
      'base-steps': { type: 'string', default: '1200' },
      // A float detector of the world, instead of one that is trained first.
      base: { type: 'string' },
      seconds: { type: 'string', default: '720' },
      drift: { type: 'string', default: 'part' },
    },
  })
  const drift = drifts.find(({ name }) => name === values.drift)
  if (!drift) throw new Error(`Cannot bench drift "${values.drift}": there is none of that name`)
  const { signal } = options
  const budgets = values.labels.split(',').map(Number)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bench-sampling-'))
  try {
    const before = beforeOf(drift.name)
    const replay = join(folder, 'before')
    const belts = [0, 1, 2].map((belt) => createBelt({ seed: plantSeed, belt }))
    await writeSet(replay, await shotsOf(belts, before, baseFrames, 0))
    const base: string =
      values.base ??
      (await trained({
        ...{ out: join(folder, 'base'), data: replay, signal, seed: 1 },
        more: [
          '--model',
          'new:relu-detector?size=256x144',
          '--set',
          `steps=${values['base-steps']}`,
        ],
      }).then(({ model }) => model))
    const runs: Run[] = []
    for (let seed = 1; seed <= Number(values.seeds); seed++) {
      const belt = createBelt({ seed: plantSeed, belt: seed % belts.length })
      const day = await dayOf(belt, drift.conditions, base, seed, Number(values.seconds))
      // Later than all that could be sent.
      const test = await shotsOf([belt], drift.conditions, testFrames, 60_000 * seed + 30_000)
      const banded = belowThreshold(day)
      for (const labels of budgets) {
        const random = drawAtRandom(day, labels, mixSeed(seed, labels))
        const ours = choose(day, labels, seed)
        for (const [how, chosen] of [
          ['ours', ours],
          ['random', random],
        ] as const) {
          const shots = chosen.map(({ shot }) => shot)
          const data = join(folder, `${seed}-${how}-${labels}`)
          const split = await writeSplit(data, shots, test)
          const more = ['--model', base, '--split', split, '--replay-dir', replay]
          const recipe = await writeRecipe(data, Number(values.steps))
          const out = join(data, 'out')
          const { ap50, ap50Before } = await trained({
            ...{ out, data, signal, seed, more: [...more, '--recipe', recipe] },
          })
          const bytes = shots.reduce((sum, { jpeg }) => sum + jpeg.length, 0)
          runs.push({ seed, how, labels, sent: shots.length, bytes, ap50, ap50Before })
          console.error(
            `seed ${seed}: ${how} with ${shots.length} of ${labels} labels: AP50 ${ap50.toFixed(3)}, ${ap50Before.toFixed(3)} before`,
          )
          await rm(data, { recursive: true })
        }
      }
      const bytes = banded.reduce((sum, { shot }) => sum + shot.jpeg.length, 0)
      runs.push({
        ...{ seed, how: 'below threshold', labels: banded.length, sent: banded.length, bytes },
        ...{ ap50: Number.NaN, ap50Before: Number.NaN },
      })
      console.error(
        `seed ${seed}: ${day.seen.length} of ${day.frames} frames were analysed, ${banded.length} have a score below the threshold`,
      )
    }
    return resultOf(runs, budgets, drift.name)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

type Run = {
  readonly seed: number
  readonly how: 'ours' | 'random' | 'below threshold'
  readonly labels: number
  readonly sent: number
  readonly bytes: number
  readonly ap50: number
  readonly ap50Before: number
}

/** How the world was before a drift: what happened before it stays. */
function beforeOf(name: string): Conditions {
  const at = drifts.findIndex((drift) => drift.name === name)
  return at <= 0 ? undrifted : drifts[at - 1]!.conditions
}

async function dayOf(
  belt: BeltWorld,
  conditions: Conditions,
  file: string,
  seed: number,
  seconds: number,
): Promise<Day> {
  await using model = await openModel({ name: 'base', file }, ortRuntime)
  return await lookAtDay(belt, conditions, model, { seconds, firstFrame: 60_000 * seed })
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

async function writeRecipe(data: string, steps: number): Promise<string> {
  const file = join(data, 'recipe.json')
  const recipe = { batch: 8, steps, workers: 1, optimizer: { groups: frozen }, augment }
  await writeFile(file, JSON.stringify(recipe))
  return file
}

async function trained(of: {
  out: string
  data: string
  more: readonly string[]
  seed: number
  signal: AbortSignal
}): Promise<{ model: string; ap50: number; ap50Before: number }> {
  const args = ['train', '--dataset-dir', of.data, '--format', 'coco', '--seed', String(of.seed)]
  const rest = [...of.more, '--out', of.out, '--json', '--progress', 'none']
  const { stdout } = await promisify(execFile)(process.execPath, [edgeloop, ...args, ...rest], {
    ...{ signal: of.signal, maxBuffer: 64 * 1024 * 1024 },
  })
  const result = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}')
  return { model: result.model, ap50: result.testAp50, ap50Before: result.testAp50Before ?? 0 }
}

function resultOf(runs: readonly Run[], budgets: readonly number[], drift: string): BenchResult {
  const seeds = [...new Set(runs.map(({ seed }) => seed))]
  const curve = (seed: number, how: Run['how']) =>
    runs.filter((run) => run.seed === seed && run.how === how).sort((a, b) => a.sent - b.sent)
  const most = Math.max(...budgets)
  const needs = seeds.map((seed) => {
    const random = curve(seed, 'random')
    // What random reaches with all its labels.
    const wanted = Math.max(...random.map(({ ap50 }) => ap50))
    return {
      ...{ seed, wanted },
      random: labelsFor(random, wanted) ?? most,
      ours: labelsFor(curve(seed, 'ours'), wanted),
    }
  })
  // Who does not get there counts as twice the most that was tried: nothing better is known.
  const ratios = needs.map(({ ours, random }) => (ours ?? 2 * most) / random)
  const bytes = seeds.map((seed, i) => {
    const ours = curve(seed, 'ours')
    const needed = ours.find(({ sent }) => sent >= (needs[i]!.ours ?? most)) ?? ours.at(-1)
    return (needed?.bytes ?? 0) / Math.max(1, curve(seed, 'below threshold')[0]?.bytes ?? 1)
  })
  const rows = (['ours', 'random'] as const).flatMap((how) =>
    budgets.map((labels) => {
      const some = runs.filter((run) => run.how === how && run.labels === labels)
      const ap50 = intervalOf(some.map((run) => run.ap50))
      const sent = some.reduce((sum, run) => sum + run.sent, 0) / some.length
      return { frames: how, budget: labels, labelled: sent.toFixed(1), 'AP50 (95 %)': ap50.text }
    }),
  )
  const [labels, sent] = [intervalOf(ratios), intervalOf(bytes)]
  return {
    name: `sampling (${drift}, ${seeds.length} seeds)`,
    rows: [
      ...rows,
      { frames: 'labels needed, ours : random', 'AP50 (95 %)': labels.text },
      { frames: 'bytes, ours : all below the threshold', 'AP50 (95 %)': sent.text },
    ],
    json: { drift, runs, needs, labelsRatio: labels, bytesRatio: sent },
  }
}

/** Labels at which a curve reaches a figure, between two points as on a straight line; undefined where it does not. */
function labelsFor(curve: readonly Run[], wanted: number): number | undefined {
  let before = { sent: 0, ap50: curve[0]?.ap50Before ?? 0 }
  for (const { sent, ap50 } of curve) {
    if (ap50 >= wanted) {
      const share = ap50 === before.ap50 ? 1 : (wanted - before.ap50) / (ap50 - before.ap50)
      return before.sent + (sent - before.sent) * Math.max(0, share)
    }
    before = { sent, ap50 }
  }
  return undefined
}

const resamples = 2_000

/** Mean, and between what it lies in 95 % of bootstrap resamples. */
function intervalOf(values: readonly number[]) {
  const random = seededRandom(1)
  const mean = (some: readonly number[]) => some.reduce((sum, one) => sum + one, 0) / some.length
  const means = Array.from({ length: resamples }, () =>
    mean(values.map(() => values[Math.floor(random() * values.length)]!)),
  ).sort((a, b) => a - b)
  const [low, high] = [means[Math.floor(resamples * 0.025)]!, means[Math.floor(resamples * 0.975)]!]
  const middle = mean(values)
  return {
    mean: middle,
    low,
    high,
    text: `${middle.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`,
  }
}
