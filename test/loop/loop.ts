/**
 * `npm run loop`: the whole loop, three times, by itself. A hub trains a detector for three boxes; then the world changes
 * under their cameras: other light, pushed cameras, a new part. Boxes send what they are unsure of, a scripted person
 * labels what is asked, and everything else (training, gate, int8, delta, canary, fleet) follows from the pipeline. Ends
 * well only where every round brought accuracy back on every box. `--short` is one round with two boxes
 * and a small net, for CI.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openDataset } from '@edgeloop/model-compiler/datasets'
import { isOver, type Job, type PipelineRound, type SamplingConfig } from '@edgeloop/protocol'
import { sendDataset } from '../../cli/src/dataset/send-dataset.ts'
import { Failure, reportFailure } from '../../cli/src/failure.ts'
import type { HubClient } from '../../cli/src/hub-client.ts'
import { bytes, formatTable } from '../../cli/src/output.ts'
import { stopSignal } from '../../cli/src/stopping.ts'
import { type Worked, workShift } from './labeller.ts'
import { Observer, type Sight } from './observer.ts'
import { Plant } from './plant.ts'
import { type Mark, plotSights } from './plot.ts'
import { augment, recipe } from './recipe.ts'
import { takeShot, writeShots } from './shots.ts'
import {
  type BoxName,
  type BoxOptions,
  boxNames,
  configure,
  runningOn,
  startBox,
  startHub,
  until,
} from './stage.ts'
import { type Bounds, faultsOf, promised, type RoundFigures } from './verdict.ts'
import { drifts, undrifted, worldFps, worldLabels } from './world.ts'

const model = 'parts'
const queue = 'parts'
const layout = 'yolox'

export type Form = {
  readonly boxes: readonly BoxName[]
  readonly rounds: number
  /** What the first version is trained from. */
  readonly net: string
  /** Labelled frames of each box that the first version is trained on, and its steps. */
  readonly framesFirst: number
  readonly stepsFirst: number
  /** Labels of a round, over all boxes. */
  readonly labels: number
  readonly steps: number
  /** From the drift to the round's end, at most, ms. */
  readonly roundMs: number
  readonly bounds: Bounds
}

const full: Form = {
  net: 'new:relu-detector?size=256x144',
  boxes: boxNames,
  rounds: drifts.length,
  framesFirst: 70,
  stepsFirst: 900,
  labels: 120,
  steps: 400,
  roundMs: 15 * 60_000,
  bounds: promised,
}
/**
 * One round, for CI: a net of a quarter of the pixels and half the width, which is trained in a minute and comes back most
 * of the way. What it shows is that every part does its work and hands on to the next.
 */
const short: Form = {
  net: 'new:relu-detector?size=128x72&width=0.5',
  boxes: boxNames.slice(0, 2),
  rounds: 1,
  framesFirst: 40,
  stepsFirst: 300,
  labels: 40,
  steps: 150,
  roundMs: 6 * 60_000,
  bounds: { ...promised, gapMax: 0.35, deltaShareMax: 0.35 },
}

const recipeFirst = (steps: number) => ({
  batch: 8,
  steps,
  augment,
  optimizer: { name: 'adamw', learningRate: 5e-3, weightDecay: 0.01, clipNorm: 10 },
})
/** Boxes that are watched for minutes keep more in each than boxes that have years. */
const sampling: SamplingConfig = {
  framesPerDay: 20_000,
  bytesPerDay: 1_000_000_000,
  intervalMinMs: 1200,
}
const fleetBudget = { framesPerDay: 60_000, bytesPerDay: 3_000_000_000 }

/**
 * Shorter looks than a fleet would take. That a new model disagrees with one that a drift has made wrong is what is
 * wanted: whether it is better is for the gate, on labelled frames.
 */
const care = {
  shadowMs: 8000,
  shadowFramesMin: 20,
  shadowCpuShare: 0.5,
  agreementMin: 0,
  probationMs: 8000,
  driftMax: 100,
  latencyRatioMax: 20,
}
const gate = { failuresMax: 1, agreementMin: 0, driftMax: 100, latencyRatioMax: 20 }
const freeze = { holdout: 0.2, validation: 0, by: 'sample', seed: 1 } as const
/** Share of a shift's labels from which on a round begins: what one of them is refused for must not stop everything. */
const labelsEnough = 0.95
/** The first version, which is trained from nothing, on a machine that is busy. */
const firstRoundMs = 20 * 60_000
const stages = [
  { name: 'canary', share: 0.33, devicesMin: 1, soakMs: 2000, gate },
  { name: 'fleet', share: 1, soakMs: 0, gate },
]

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      short: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
      data: { type: 'string' },
      out: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const form = values.short ? short : full
  const seed = Number(values.seed)
  const data = values.data ? resolve(values.data) : await mkdtemp(join(tmpdir(), 'edgeloop-loop-'))
  await mkdir(data, { recursive: true })
  // Said before the rounds, not after them, where it cannot be made.
  if (values.out !== undefined) await mkdir(values.out, { recursive: true })
  const startedAt = performance.now()
  const tell = (text: string): void => {
    const seconds = (performance.now() - startedAt) / 1000
    process.stderr.write(`${seconds.toFixed(1).padStart(7)} s  ${text}\n`)
  }
  tell(`seed ${seed}; data and logs in ${data}`)
  const ended = await runLoop({ form, seed, data, tell })
  const faults = faultsOf(ended.rounds, ended.eventsLost, form.bounds)
  const minutes = (performance.now() - startedAt) / 60_000
  const picture = plotSights(ended.sights, ended.marks, ended.seconds)
  const pictures =
    values.out ??
    (values.short ? data : fileURLToPath(new URL('../../docs/pictures/', import.meta.url)))
  await writeFile(join(pictures, 'loop.svg'), picture)
  const { sights: _, ...figures } = ended
  await writeFile(
    join(data, 'loop.json'),
    JSON.stringify({ ...ended, seed, minutes, faults }, null, 2),
  )
  if (values.json) console.log(JSON.stringify({ ...figures, seed, minutes, faults }))
  else console.log(tableOf(ended.rounds))
  tell(`${minutes.toFixed(1)} minutes; plot in ${join(pictures, 'loop.svg')}`)
  for (const fault of faults) process.stderr.write(`not reached: ${fault}\n`)
  // What went wrong is in what hub and boxes wrote.
  if (faults.length === 0 && !values.data) await rm(data, { recursive: true, force: true })
  return faults.length === 0 ? 0 : 1
}

type Order = {
  readonly form: Form
  readonly seed: number
  readonly data: string
  readonly tell: (text: string) => void
}

type Ended = {
  readonly rounds: readonly RoundFigures[]
  readonly eventsLost: number
  readonly events: number
  readonly sights: readonly Sight[]
  readonly marks: readonly Mark[]
  readonly seconds: number
}

export async function runLoop({ form, seed, data, tell }: Order): Promise<Ended> {
  const stop = new AbortController()
  const signal = AbortSignal.any([stop.signal, stopSignal()])
  await using opened = new AsyncDisposableStack()
  opened.defer(() => stop.abort())
  await using plant = await Plant.open({
    seed,
    belts: form.boxes.length,
    now: () => performance.now(),
  })
  const stage = await startHub(data, opened, signal)
  const { hub } = stage

  tell(`a hub at ${stage.ready.signInUrl}`)
  await sendFirstFrames(hub, plant, { form, data, signal })
  tell(`${form.framesFirst * form.boxes.length} labelled frames are in dataset ${model}`)
  // The first round makes the first version, of what was labelled before; boxes bring it with them.
  await hub.call('pipelinePut', {
    params: { model },
    body: {
      dataset: model,
      trigger: { annotations: form.framesFirst * form.boxes.length },
      freeze,
      train: { from: form.net, recipe: recipeFirst(form.stepsFirst), seed },
      compile: null,
      rollout: null,
      note: 'the first version',
    },
  })
  const limit = AbortSignal.any([signal, AbortSignal.timeout(firstRoundMs)])
  const made = await untilRoundOver(hub, 1, tell, limit)
  if (made.state !== 'done') throw new Failure(`The first version is ${made.state}: ${made.why}`)
  const first = await fetchModel(hub, data, { digest: 'as-trained', version: 0 })
  const boxes = form.boxes.map(
    (name, belt): BoxOptions => ({
      name,
      camera: plant.cameraOf(belt),
      data,
      model: { name: model, file: first, description: first.replace(/onnx$/, 'model.json') },
    }),
  )
  for (const box of boxes) await startBox(stage, box, opened, signal)
  await until('the boxes do not look at frames', 180_000, signal, async () => {
    const running = await Promise.all(form.boxes.map((box) => runningOn(hub, box, model)))
    return running.every((one) => one !== undefined)
  })
  tell(`${form.boxes.join(', ')} look at their belts`)

  // What is compiled is calibrated with what boxes have seen.
  await until('no pictures of events have come', 120_000, signal, async () => {
    const { events } = await hub.call('eventList', { query: { limit: 200 } })
    const pictures = new Set(events.flatMap(({ snapshot }) => snapshot ?? []))
    // The newest may still be on their way.
    return pictures.size >= 24
  })
  await done(
    hub,
    signal,
    await hub.call('modelCompile', {
      params: { name: model, version: 1 },
      body: { precision: 'int8', maxDrop: 0.05, images: 48 },
    }),
  )
  await done(
    hub,
    signal,
    await hub.call('modelPublish', { params: { name: model, version: 1 }, body: {} }),
  )
  await hub.call('rolloutCreate', {
    body: {
      name: model,
      version: 1,
      select: { devices: [...form.boxes] },
      care,
      stages,
      jitterMs: 0,
    },
  })
  await until('the boxes do not run version 1', 300_000, signal, () => allRun(hub, form, 1))
  tell('every box runs version 1 in int8')

  const observer = new Observer({
    hub,
    plant,
    boxes: form.boxes,
    model,
    fileOf: (digest, version) => fetchModel(hub, data, { digest, version }),
    told: ({ box, version, measured }) => {
      const labels = Object.entries(measured.labels).map(([name, ap]) => `${name} ${ap.toFixed(2)}`)
      tell(
        `${box.padEnd(6)} runs ${model}/${version}: AP50 ${measured.ap50.toFixed(3)} (${labels.join(', ')})`,
      )
    },
  })
  const before = await observer.look()
  const watching = observer.watch(signal)
  watching.catch((error: Error) => stop.abort(error))

  await hub.call('queuePut', { params: { queue }, body: { dataset: model, models: [model] } })
  await hub.call('pipelinePut', {
    params: { model },
    body: {
      dataset: model,
      trigger: { annotations: Math.floor(form.labels * labelsEnough) },
      freeze,
      train: { recipe: recipe(form.steps), seed, replayShare: 0.5 },
      gate: { siteDropMax: 0.03, siteSamplesMin: 5, unknownSites: 'ship' },
      compile: { precision: 'int8', maxDrop: 0.05, images: 48 },
      rollout: { approve: false, care, stages, jitterMs: 0 },
    },
  })
  await hub.call('sampleBudgetPut', { body: fleetBudget })
  for (const box of boxes) await configure(hub, box, 1, sampling)
  tell('from here on nobody touches anything but labels')

  const rounds: RoundFigures[] = []
  const marks: Mark[] = []
  for (const [at, { name, title, conditions }] of drifts.slice(0, form.rounds).entries()) {
    const begun = performance.now()
    const sent = await bytesSent(hub)
    const undriftedSights = at === 0 ? before : await observer.look()
    plant.drift(conditions)
    marks.push({ seconds: observer.seconds, text: title })
    tell(`round ${at + 1}: ${title}`)
    const since = Date.now() + 2000
    await sleep(1500, undefined, { signal })
    const drifted = await observer.look()
    const limit = AbortSignal.any([signal, AbortSignal.timeout(form.roundMs)])
    const worked = await workShift(
      {
        hub,
        queue,
        plant,
        pictureOf: stage.pictureOf,
        beltOf: (deviceId) => {
          const belt = (form.boxes as readonly string[]).indexOf(deviceId)
          return belt < 0 ? undefined : belt
        },
      },
      {
        frames: form.labels,
        since,
        signal: limit,
        told: (labelled) => tell(`labelled ${labelled} of ${form.labels}`),
      },
    )
    const round = await untilRoundOver(hub, at + 2, tell, limit)
    if (round.state !== 'done') throw new Failure(`Round ${at + 1} is ${round.state}: ${round.why}`)
    await until('the boxes do not run the new version', 120_000, limit, () =>
      allRun(hub, form, round.version ?? 0),
    )
    marks.push({ seconds: observer.seconds, text: `version ${round.version}` })
    const after = await observer.look()
    const costs = await costsOf(hub, round)
    rounds.push({
      round: at + 1,
      drift: name,
      version: round.version ?? 0,
      labels: worked.labelled,
      before: apOf(undriftedSights),
      drifted: apOf(drifted),
      after: apOf(after),
      reference: apOf(before),
      bytesUp: (await bytesSent(hub)) - sent,
      ...costs,
      minutes: (performance.now() - begun) / 60_000,
    })
    tell(lineOf(rounds.at(-1)!, worked))
  }
  const { events, lost } = await countEvents(hub)
  const { sights, seconds } = observer
  stop.abort()
  await watching.catch(() => {})
  return { rounds, eventsLost: lost, events, sights, marks, seconds }
}

const apOf = (sights: readonly Sight[]): Record<string, number> =>
  Object.fromEntries(sights.map(({ box, measured }) => [box, measured.ap50]))

/** Labelled frames from before everything, as a folder that is sent as `dataset import` sends it. */
async function sendFirstFrames(
  hub: HubClient,
  plant: Plant,
  {
    form,
    data,
    signal,
  }: { readonly form: Form; readonly data: string; readonly signal: AbortSignal },
): Promise<void> {
  const folder = join(data, 'first-frames')
  const streams = []
  for (const [belt, site] of form.boxes.entries()) {
    const shots = []
    for (let at = 0; at < form.framesFirst; at++) {
      signal.throwIfAborted()
      // From months ago: the frames that cameras show now are others.
      const frame = 2_000_000 + at * 61
      shots.push({ frame, shot: await takeShot(plant.belts[belt]!, frame, undrifted) })
    }
    const startAt = Date.UTC(2026, 0, 1) - (2_000_000 * 1000) / worldFps
    streams.push({ site, stream: 'belt', startAt, shots })
  }
  await writeShots(folder, streams)
  const dataset = await openDataset(folder, { format: 'coco', signal })
  await hub.call('datasetAdd', { body: { name: model, labels: [...worldLabels] } })
  await sendDataset(hub, dataset, model, { signal, told: () => {} })
}

/** Waits for a job. @throws {Failure} unless it is done */
async function done(hub: HubClient, signal: AbortSignal, { jobId }: Job): Promise<void> {
  const deadline = performance.now() + 600_000
  for (;;) {
    const job = await hub.call('jobShow', { params: { jobId } })
    if (isOver(job)) {
      if (job.state === 'done') return
      throw new Failure(`Cannot go on: the job for ${job.subject} is ${job.state}: ${job.error}`)
    }
    if (performance.now() > deadline)
      throw new Failure(`Cannot go on: ${job.subject} takes too long`)
    await sleep(500, undefined, { signal })
  }
}

/**
 * The file with this digest, its description beside it: what a version was published as, or for version 0, which boxes
 * brought with them, the first version as it was trained.
 */
async function fetchModel(
  hub: HubClient,
  data: string,
  { digest, version }: { readonly digest: string; readonly version: number },
): Promise<string> {
  const folder = join(data, 'seen')
  const file = join(folder, `${digest.slice(0, 16)}.onnx`)
  await mkdir(folder, { recursive: true })
  const params = { name: model, version: Math.max(1, version) }
  const { model: row } = await hub.call('modelShow', { params })
  const artifactId = version === 0 ? null : await artifactOf(hub, version, digest)
  const stream =
    artifactId === null
      ? await hub.stream('modelFile', { params })
      : await hub.stream('artifactFile', { params: { artifactId } })
  await writeFile(file, new Uint8Array(await new Response(stream).arrayBuffer()))
  const description = { ...JSON.parse(row.description || '{}'), layout, labels: row.labels }
  await writeFile(file.replace(/onnx$/, 'model.json'), JSON.stringify(description))
  return file
}

/** What a version was compiled as; null where the file with this digest is the version as it was trained. */
async function artifactOf(hub: HubClient, version: number, digest: string) {
  const all = await hub.call('modelPublished', { params: { name: model, version } })
  const found = all.find(({ file }) => file.digest === digest)
  if (found) return found.artifactId
  throw new Failure(
    `Cannot measure ${model}/${version}: nothing with digest ${digest} is published`,
  )
}

/** Whether every box says that its frames go to a version, as it was compiled. */
async function allRun(hub: HubClient, form: Form, version: number): Promise<boolean> {
  const published = await hub.call('modelPublished', { params: { name: model, version } })
  const compiled = new Set(
    published.flatMap(({ artifactId, file }) => (artifactId === null ? [] : file.digest)),
  )
  const running = await Promise.all(form.boxes.map((box) => runningOn(hub, box, model)))
  return running.every((one) => one !== undefined && compiled.has(one.digest))
}

/** Follows a round of the pipeline, saying what it does. */
async function untilRoundOver(
  hub: HubClient,
  number: number,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<PipelineRound> {
  const said = new Map<string, string>()
  for (;;) {
    const rounds = await hub.call('pipelineRoundList', { params: { model }, query: { limit: 10 } })
    const round = rounds.find((one) => one.round === number)
    for (const { name, state, why } of round?.steps ?? []) {
      const text = state === 'running' ? state : `${state}: ${why}`
      if (state === 'ahead' || said.get(name) === text) continue
      said.set(name, text)
      tell(`pipeline ${name.padEnd(8)} ${text}`)
    }
    if (round && round.state !== 'running') return round
    await sleep(1000, undefined, { signal })
  }
}

/** Bytes of the samples that have come. */
async function bytesSent(hub: HubClient): Promise<number> {
  const { days } = await hub.call('sampleBudgetShow', {})
  return days.reduce((sum, day) => sum + day.bytes, 0)
}

async function costsOf(hub: HubClient, round: PipelineRound) {
  const version = round.version ?? 0
  const published = await hub.call('modelPublished', { params: { name: model, version } })
  const encodings = published.flatMap((one) => one.encodings)
  const whole = published.map(({ file }) => file.lengthBytes)
  const deltas = encodings.filter(({ baseDigest }) => baseDigest !== undefined)
  const full = encodings.filter(({ baseDigest }) => baseDigest === undefined)
  const least = (lengths: readonly number[]) => Math.min(...lengths)
  const { rollout } = await hub.call('rolloutShow', {
    params: { rolloutId: round.rolloutId ?? '' },
  })
  return {
    deltaBytes: least([...deltas, ...full].map(({ lengthBytes }) => lengthBytes)),
    fullBytes: least([...full.map(({ lengthBytes }) => lengthBytes), ...whole]),
    bytesDown: rollout.bytes.fromHub + rollout.bytes.fromMirrors,
    bytesWhole: rollout.bytes.whole,
  }
}

/** Events that came, and those that boxes had to drop. */
async function countEvents(hub: HubClient): Promise<{ events: number; lost: number }> {
  const { eventsStored } = await hub.call('health', {})
  const { events } = await hub.call('eventList', { query: { kind: 'loss', limit: 200 } })
  const lost = events.reduce(
    (sum, { data }) => sum + Number(data.aggregates) + Number(data.events) + Number(data.alarms),
    0,
  )
  return { events: eventsStored, lost }
}

const meanText = (values: Readonly<Record<string, number>>): string => {
  const all = Object.values(values)
  return (all.reduce((sum, value) => sum + value, 0) / all.length).toFixed(3)
}

function lineOf(figures: RoundFigures, { skipped }: Worked): string {
  const { round, before, drifted, after, labels, deltaBytes, fullBytes, minutes } = figures
  return [
    `round ${round}: AP50 ${meanText(before)} → ${meanText(drifted)} → ${meanText(after)}`,
    `${labels} labels (${skipped} left to others)`,
    `delta ${bytes(deltaBytes)} of ${bytes(fullBytes)}, ${minutes.toFixed(1)} min`,
  ].join(', ')
}

const tableOf = (rounds: readonly RoundFigures[]): string =>
  formatTable(rounds, [
    { title: 'ROUND', of: (one) => `${one.round} ${one.drift}` },
    { title: 'BEFORE', of: (one) => meanText(one.before), right: true },
    { title: 'DRIFTED', of: (one) => meanText(one.drifted), right: true },
    { title: 'AFTER', of: (one) => meanText(one.after), right: true },
    { title: 'LABELS', of: (one) => String(one.labels), right: true },
    { title: 'UP', of: (one) => bytes(one.bytesUp), right: true },
    { title: 'DOWN', of: (one) => bytes(one.bytesDown), right: true },
    { title: 'DELTA', of: (one) => bytes(one.deltaBytes), right: true },
    { title: 'OF', of: (one) => bytes(one.fullBytes), right: true },
    { title: 'MINUTES', of: (one) => one.minutes.toFixed(1), right: true },
  ])

// Last, when everything above is there.
if (import.meta.main) process.exitCode = await main().catch(reportFailure)
