/** `edgeloop train --dataset NAME`: the hub trains on its own data, and what comes out is fetched. */
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run, RunFileKind } from '@edgeloop/protocol'
import { watchRun } from '../commands/run.ts'
import { beginSearch, watchSearch } from '../commands/run-search.ts'
import { Failure, UsageFailure } from '../failure.ts'
import { connectHub, type HubClient, type HubOptions } from '../hub-client.ts'
import { printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'
import { requestOf } from './run-asked.ts'

export type HubTraining = HubOptions & {
  readonly dataset: string
  readonly model?: string
  readonly layout?: string
  readonly set?: readonly string[]
  readonly epochs?: number
  readonly seed: number
  readonly search?: string
  readonly teacher?: string
  readonly out: string
  readonly json?: boolean
}

/** Options that say what only a run on this machine can be told. */
const localOnly = [
  ...['datasetDir', 'format', 'labels', 'replayDir', 'holdout', 'validation', 'by', 'split'],
  ...['task', 'recipe', 'seeds', 'trainer', 'resume', 'memoryLimit'],
] as const

/** What is fetched, and under which name it is written. */
const fetched: readonly (readonly [RunFileKind, string])[] = [
  ['model', 'model.onnx'],
  ['report', 'report.html'],
  ['data', 'report.json'],
  ['card', 'card.md'],
]

/** @throws {UsageFailure} for an option that the hub cannot be told; {Failure} where the run does not end well */
export async function trainInHub(given: HubTraining): Promise<void> {
  const odd = localOnly.find((name) => name in given)
  if (odd !== undefined) {
    const flag = `--${odd.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    throw new UsageFailure(
      `Cannot take ${flag} with --dataset: the hub trains on what is frozen there`,
      'leave it out, or train here with --dataset-dir; --set says what the recipe is',
    )
  }
  const { model, out } = given
  if (model === undefined) throw new UsageFailure('Cannot train: --model is missing')
  if (/\.onnx$/i.test(model)) {
    throw new UsageFailure(
      `Cannot train "${model}" in the hub: it is a file here`,
      'take it there with `./edgeloop model add`, then give its name',
    )
  }
  if (given.teacher !== undefined && /\.onnx$/i.test(given.teacher)) {
    throw new UsageFailure(
      `Cannot learn from teacher "${given.teacher}" in the hub: it is a file here`,
      'take it there with `./edgeloop model add`, then give its name',
    )
  }
  await mkdir(out, { recursive: true })
  if ((await readdir(out)).length > 0) {
    throw new Failure(`Cannot write to "${out}": it is not empty`, 'name a new folder')
  }
  const hub = await connectHub(given)
  const epochs = given.epochs === undefined ? [] : [`epochs=${given.epochs}`]
  const asked = { ...given, model, set: [...epochs, ...(given.set ?? [])] }
  const run =
    given.search === undefined
      ? await watchRun(hub, await hub.call('runAdd', { body: await requestOf(hub, asked) }))
      : await bestOf(hub, given.search, asked)
  if (run.state !== 'ended') throw new Failure(run.error || `The run is ${run.state}`)
  const signal = stopSignal()
  const { files, evaluations } = await hub.call('runShow', { params: { runId: run.runId } })
  for (const [kind, name] of fetched) {
    if (!files.some((file) => file.kind === kind)) continue
    const content = await hub.stream('runFile', { params: { runId: run.runId, kind }, signal })
    await writeFile(join(out, name), content)
  }
  const test = evaluations.find(({ on }) => on === 'test')?.figures ?? {}
  if (given.json) printJson(resultOf(run, test, out))
  else console.log(`${join(out, 'model.onnx')}: ${run.result?.why ?? ''}`)
}

/** Searches, and gives the run of the best trial. @throws {Failure} where there is none */
async function bestOf(
  hub: HubClient,
  file: string,
  asked: Parameters<typeof requestOf>[1],
): Promise<Run> {
  const { searchId } = await watchSearch(hub, await beginSearch(hub, file, asked))
  const { search, trials } = await hub.call('searchShow', { params: { searchId } })
  const best = trials.find(({ trial }) => trial === search.best?.trial)
  if (search.state !== 'ended' || !best) {
    throw new Failure(search.error || `The search is ${search.state}`)
  }
  return (await hub.call('runShow', { params: { runId: best.runId } })).run
}

function resultOf(run: Run, test: Readonly<Record<string, number>>, out: string): object {
  const figures = Object.entries(test).map(([name, value]) => [
    `test${name.charAt(0).toUpperCase()}${name.slice(1)}`,
    value,
  ])
  return {
    ...Object.fromEntries(figures),
    seconds: run.activeMs / 1000,
    runId: run.runId,
    version: `${run.model}/${run.result?.version}`,
    champion: run.result?.champion,
    model: join(out, 'model.onnx'),
  }
}
