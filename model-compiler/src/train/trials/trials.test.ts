/** Searches over a hill whose top is known; killed and gone on with at every point. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { SearchPlan } from '@edgeloop/protocol'
import { type Recipe, recipeDefault, recipeOf } from '../run/recipe.ts'
import { TrainError } from '../run/train-error.ts'
import {
  type EndedTrial,
  nextTrial,
  ranked,
  roundsOf,
  type Trial,
  trialCount,
} from './plan-trials.ts'
import { runTrials, type SearchOptions } from './run-trials.ts'
import { candidate, candidateCount, partOf, searchOf } from './search.ts'
import { parallelCoordinates, trialsSection } from './trials-page.ts'

const rate = 'optimizer.learningRate'
const span = { from: 1e-5, to: 1, scale: 'log' } as const

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-trials-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

/** Best at a rate of 0.01; more epochs make it better without changing the order. */
function hill({ optimizer, epochs: all }: Recipe, share: number): number {
  const epochs = all * share
  const off = Math.abs(Math.log10(optimizer.learningRate) + 2)
  return 1 - off / 10 - 0.1 / epochs
}

const optionsOf = (
  folder: string,
  search: SearchPlan,
  more: Partial<SearchOptions> = {},
): SearchOptions => ({
  search,
  seed: 3,
  subject: 'hill',
  folder,
  train: async (part, to, { share }) => {
    await mkdir(to, { recursive: true })
    await writeFile(join(to, 'model.onnx'), 'weights')
    return { figures: { accuracy: hill(recipeOf(recipeDefault, part), share) }, seconds: 1 }
  },
  ...more,
})

test('a grid has every combination once', () => {
  const search = searchOf(
    { method: 'grid', keys: { batch: [8, 16, 32], [rate]: { ...span, steps: 6 } } },
    recipeDefault,
  )
  assert.equal(candidateCount(search), 18)
  const all = Array.from({ length: 18 }, (_, at) => JSON.stringify(candidate(search, 1, at)))
  assert.equal(new Set(all).size, 18)
  const rates = new Set(all.map((one) => JSON.parse(one)[rate]))
  assert.deepEqual([...rates].sort(), [0.00001, 0.0001, 0.001, 0.01, 0.1, 1])
})

test('random candidates stay within their ends, spread evenly over powers of ten, and do not depend on each other', () => {
  const search = searchOf(
    {
      method: 'random',
      trials: 400,
      keys: { [rate]: span, batch: { from: 2, to: 5, whole: true } },
    },
    recipeDefault,
  )
  const drawn = Array.from({ length: 400 }, (_, at) => candidate(search, 9, at))
  const powers = drawn.map((one) => Math.floor(Math.log10(Number(one[rate]))))
  for (const power of [-5, -4, -3, -2, -1]) {
    const count = powers.filter((one) => one === power).length
    assert(count > 50 && count < 110, `${count} at 1e${power}`)
  }
  assert.deepEqual([...new Set(drawn.map(({ batch }) => batch))].sort(), [2, 3, 4, 5])
  assert.deepEqual(candidate({ ...search, trials: 7 }, 9, 5), drawn[5])
  assert.notDeepEqual(candidate(search, 10, 5), drawn[5])
})

test('what cannot be searched is refused with the key', () => {
  const refused = (given: unknown, message: RegExp, hint?: RegExp) =>
    assert.throws(
      () => searchOf(given, recipeDefault),
      (error: TrainError) => message.test(error.message) && (hint?.test(error.hint ?? '') ?? true),
    )
  const keys = { batch: [8] }
  refused(3, /no object/)
  refused({ method: 'grid', key: keys }, /no key "key"/, /did you mean "keys"/)
  refused({ method: 'gird', keys }, /method/, /grid, random, halving/)
  refused({ method: 'grid', keys: {} }, /keys/)
  refused({ method: 'grid', keys, metric: 'acuracy' }, /no such figure/, /"accuracy"/)
  refused({ method: 'grid', keys: { batchh: [8] } }, /no key "batchh"/, /did you mean "batch"/)
  refused({ method: 'grid', keys: { batch: [8, 0] } }, /batch must be >= 1/)
  refused({ method: 'random', keys: { [rate]: { from: 1, to: 0.1 } } }, /not smaller/)
  refused({ method: 'random', keys: { [rate]: { from: 0, to: 1, scale: 'log' } } }, /above 0/)
  refused({ method: 'grid', keys: { [rate]: span } }, /no steps/)
  refused({ method: 'halving', keys: { epochs: [1, 2] } }, /what halving changes/)
  refused({ method: 'grid', keys: { '__proto__.x': [1] } }, /no key "__proto__"/)
  const many = Array.from({ length: 40 }, (_, at) => at + 1)
  refused({ method: 'grid', keys: { batch: many, accumulate: many } }, /grid of 1600/)
  assert.deepEqual(partOf({ 'a.b': 1, 'a.c': 2, d: 3 }), { a: { b: 1, c: 2 }, d: 3 })
})

test('halving: of nine a third goes on with three times the epochs, twice', async (t) => {
  const search = searchOf({ method: 'halving', trials: 9, keys: { [rate]: span } }, recipeDefault)
  assert.deepEqual(
    roundsOf(search).map(({ candidates, share }) => [candidates, Math.round(1 / share)]),
    [
      [9, 9],
      [3, 3],
      [1, 1],
    ],
  )
  const shares: number[] = []
  const options = optionsOf(await folderFor(t), search)
  const { best, trials } = await runTrials({
    ...options,
    train: async (part, folder, trial) => {
      shares.push(trial.share)
      return await options.train(part, folder, trial)
    },
  })
  assert.equal(trials.length, trialCount(search))
  assert.deepEqual([...new Set(shares.map((one) => Math.round(one * 1000)))], [111, 333, 1000])
  // The one that is nearest to the top of the hill of all nine.
  const rates = Array.from({ length: 9 }, (_, at) => Number(candidate(search, 3, at)[rate]))
  const off = (one: number) => Math.abs(Math.log10(one) + 2)
  assert.equal(best.settings[rate], rates.toSorted((a, b) => off(a) - off(b))[0])
  assert.equal(best.share, 1)
})

test('a search that is stopped anywhere goes on, and ends as one that was not', async (t) => {
  const search = searchOf(
    { method: 'halving', trials: 6, factor: 2, keys: { [rate]: span } },
    recipeDefault,
  )
  const whole = await runTrials(optionsOf(await folderFor(t), search))
  const folder = await folderFor(t)
  let runs = 0
  for (;;) {
    const stop = new AbortController()
    const options = optionsOf(folder, search, {
      signal: stop.signal,
      // It is killed while its second trial runs, and has to begin that one again.
      onProgress: ({ kind }) => {
        if (kind === 'trial' && ++runs % 2 === 0) stop.abort(new Error('killed'))
      },
    })
    const result = await runTrials({
      ...options,
      train: async (parts, to, trial) => {
        stop.signal.throwIfAborted()
        return await options.train(parts, to, trial)
      },
    }).catch((error: Error) => (error.message === 'killed' ? undefined : Promise.reject(error)))
    if (!result) continue
    assert.deepEqual(result.trials, whole.trials)
    assert.equal(result.best.id, whole.best.id)
    break
  }
  assert(runs > trialCount(search))
  // Weights of one trial are left: the best one's.
  const left = (await readdir(folder)).filter((name) => name !== 'trials.json')
  assert.deepEqual(left, [`trial-${whole.best.id}`])
  await assert.rejects(
    runTrials(optionsOf(folder, search, { subject: 'another hill' })),
    /another search, recipe, seed, data set or model/,
  )
  await writeFile(join(folder, 'trials.json'), '{"digest"')
  await assert.rejects(runTrials(optionsOf(folder, search)), /Cannot go on with the search/)
})

test('a trial that cannot be trained is written down, and never goes on', async (t) => {
  const search = searchOf(
    { method: 'halving', trials: 4, factor: 2, keys: { [rate]: span } },
    recipeDefault,
  )
  const folder = await folderFor(t)
  const options = optionsOf(folder, search)
  const { trials, best } = await runTrials({
    ...options,
    train: async (parts, to, trial) => {
      if (trial.candidate === 0)
        throw new TrainError('Cannot go on at step 3: the loss is no number')
      return await options.train(parts, to, trial)
    },
  })
  const failed = trials.filter(({ failure }) => failure !== undefined)
  assert.deepEqual(
    failed.map((one) => [one.candidate, one.value]),
    [[0, null]],
  )
  assert.notEqual(best.candidate, 0)
  const never = optionsOf(await folderFor(t), search, {
    train: async () => {
      throw new TrainError('no memory')
    },
  })
  await assert.rejects(runTrials(never), /the first 3 trials all fail; they say: no memory/)
  const other = optionsOf(await folderFor(t), search, {
    train: async () => {
      throw new Error('disk full')
    },
  })
  await assert.rejects(runTrials(other), /disk full/, 'the world failing is no verdict on a recipe')
  const blind = optionsOf(await folderFor(t), search, {
    train: async () => ({ figures: {}, seconds: 1 }),
  })
  await assert.rejects(runTrials(blind), /the validation samples gave no figure/)
})

test('where less is better, the least is the best', () => {
  const trial = (id: number, value: number | null): EndedTrial => ({
    id: String(id),
    candidate: id,
    settings: {},
    round: 0,
    share: 1,
    value,
    figures: {},
    seconds: 0,
  })
  const order = ranked([trial(1, 3), trial(2, null), trial(3, 1)], 'rmse')
  assert.deepEqual(
    order.map(({ id }) => id),
    ['3', '1', '2'],
  )
  const search: SearchPlan = { method: 'grid', keys: { batch: [1] } }
  assert.equal(nextTrial(search, 1, 'rmse', [trial(0, 1)]), undefined)
})

test('the picture has a line for each trial, and names that bite are escaped', async (t) => {
  const search = searchOf(
    { method: 'random', trials: 5, keys: { [rate]: span, trainable: ['all', 'head'] } },
    recipeDefault,
  )
  const folder = await folderFor(t)
  const { trials } = await runTrials(optionsOf(folder, search))
  const svg = parallelCoordinates(trials, 'accuracy')
  assert.equal(svg.match(/<polyline/g)?.length, 5)
  assert.equal(svg.match(/class="trial best"/g)?.length, 1)
  assert.match(svg, />head<[\s\S]*5 trials|5 trials[\s\S]*>head</)
  const biting = trials.map((one): EndedTrial => ({ ...one, settings: { '<b>': '"><script>' } }))
  assert.doesNotMatch(trialsSection(biting, 'accuracy'), /<b>|<script|NaN|undefined/)
  assert.equal(parallelCoordinates([], 'accuracy'), '')
  const table = JSON.parse(await readFile(join(folder, 'trials.json'), 'utf8'))
  assert.equal(table.trials.length, 5)
  const first: Trial = table.trials[0]
  assert.equal(first.id, '1-1')
})
