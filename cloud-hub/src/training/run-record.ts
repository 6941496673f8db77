/**
 * What a run says while it goes on, on its way into the store: progress and new points about once a second, evaluations,
 * log, files. Only the hub that holds the run's job writes here.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import type { Figures, TrainProgress } from '@edgeloop/model-compiler/train'
import {
  modelBytesMax,
  type Run,
  type RunFileKind,
  type RunLogLine,
  type RunPoints,
  runEvaluationsMax,
  runLogLinesMax,
} from '@edgeloop/protocol'
import type { Selectable, Transaction } from 'kysely'
import type { Blobs } from '../blobs/blobs.ts'
import { digestOf, only } from '../blobs/bytes.ts'
import type { Store } from '../store/store.ts'
import type { RunTable, Tables } from '../store/tables.ts'
import {
  type CurvePart,
  type CurvePoint,
  CurveSieve,
  keptFigures,
  named,
  packPart,
  partPointsMax,
  unpackPart,
} from './curves.ts'
import { keyFigure } from './judge.ts'
import { runOf } from './run-row.ts'

/** Checkpoints of a run that are kept: the newest, and the one before it while the newest is written. */
export const checkpointsKept = 2
/** Points that open pages are told at once; the curves have the others. */
const toldPointsMax = 50
const logCharactersMax = 500

/** What a run goes on from: its weights, what makes it this run, and what it had said. */
export const checkpointParts = ['checkpoint', 'identity', 'words'] as const
export type CheckpointPart = (typeof checkpointParts)[number]

export type RunRecord = {
  readonly row: Selectable<RunTable>
  /** Takes a word of the trainer. Nothing is written before `flush`. */
  hear(progress: TrainProgress): void
  say(level: RunLogLine['level'], text: string): void
  phase(text: string): void
  /** Writes what was heard. @returns what somebody asked for meanwhile */
  flush(): Promise<'' | 'pause' | 'cancel'>
  evaluated(on: string, step: number, figures: Figures): Promise<void>
  /** Keeps a file of the run, instead of an earlier one of its kind. */
  keep(kind: RunFileKind, file: string): Promise<void>
  /**
   * Keeps the files of a checkpoint, all or none; those of older ones give way.
   * @param files by their kind
   */
  keepCheckpoint(step: number, files: Readonly<Record<CheckpointPart, string>>): Promise<void>
  /** What is to be laid out to go on from the newest checkpoint. */
  checkpoint(): Promise<
    { step: number; parts: Readonly<Record<CheckpointPart, Uint8Array>> } | undefined
  >
  /** The run ended at a checkpoint, as somebody asked. */
  paused(): Promise<void>
  /** The run has come to the end of a trial, which leaves no model version. */
  tried(end: { figures: Figures; seconds: number }): Promise<void>
  /** The run has come to a result, in the transaction that keeps it. */
  ended(
    tx: Transaction<Tables>,
    end: { result: NonNullable<Run['result']>; figures: Figures; recipe: unknown },
  ): Promise<void>
}

export async function openRunRecord(deps: {
  store: Store
  files: Blobs
  clock: () => number
  row: Selectable<RunTable>
  tell: (run: Run, points?: RunPoints) => void
}): Promise<RunRecord> {
  const { store, files, clock, row, tell } = deps
  const runId = row.run_id
  const last = await store.writer
    .selectFrom('run_curve')
    .selectAll()
    .where('run_id', '=', runId)
    .orderBy('first_step', 'desc')
    .limit(1)
    .executeTakeFirst()
  let sieve = new CurveSieve(row.steps, last?.last_step ?? 0)
  /** The part that is being filled. */
  let part = last ? unpackPart(JSON.parse(last.data) as CurvePart) : []
  let fresh: CurvePoint[] = []
  let log = JSON.parse(row.log) as RunLogLine[]
  let at = {
    step: row.step,
    steps: row.steps,
    epoch: row.epoch,
    eta_ms: row.eta_ms,
    images_per_second: row.images_per_second,
    phase: row.phase,
    loss: row.loss,
    key_figure: row.key_figure,
  }
  let evaluations: Extract<TrainProgress, { kind: 'evaluation' }>[] = []
  let countedAt = clock()
  let logged = false

  const say = (level: RunLogLine['level'], text: string): void => {
    const line = {
      at: new Date(clock()).toISOString(),
      level,
      text: text.slice(0, logCharactersMax),
    }
    log = [...log, line].slice(-runLogLinesMax)
    logged = true
  }
  const phase = (text: string): void => {
    if (text === at.phase) return
    at = { ...at, phase: text }
    say('info', text)
  }

  function hear(progress: TrainProgress): void {
    switch (progress.kind) {
      case 'started': {
        const { step, steps, batch, parameters, trainable, samples, memoryBytes } = progress
        sieve = new CurveSieve(steps, part.at(-1)?.step ?? 0)
        at = { ...at, step, steps, phase: 'training' }
        say(
          'info',
          `${step > 0 ? `Goes on after step ${step} of ${steps}` : `${steps} steps`} with ${batch} pictures each; ${trainable} of ${parameters} parameters learn; ${samples.train} samples to train with, ${samples.validation} to choose by, ${samples.test} to test on; about ${Math.ceil(memoryBytes / 1024 ** 2)} MiB of memory`,
        )
        return
      }
      case 'step': {
        const { step, steps, epoch, loss, imagesPerSecond, etaMs, learningRate } = progress
        at = {
          step,
          steps,
          epoch,
          loss: Number.isFinite(loss) ? loss : null,
          eta_ms: etaMs,
          images_per_second: imagesPerSecond,
          phase: 'training',
          key_figure: at.key_figure,
        }
        const terms = Object.entries(progress.terms).map(([name, value]) => [
          `loss: ${name}`,
          value,
        ])
        const figures = keptFigures({
          loss,
          learningRate,
          imagesPerSecond,
          dataWaitShare: progress.dataWaitShare,
          ...Object.fromEntries(terms),
        })
        fresh.push(...sieve.take({ step, figures }))
        return
      }
      case 'evaluation': {
        evaluations.push(progress)
        const key = keyFigure(progress.figures)
        if (key) at = { ...at, key_figure: JSON.stringify(key) }
        return
      }
      case 'warning':
        say('warn', progress.text)
        return
      case 'paused':
        at = { ...at, step: progress.step }
        say('info', `Paused after step ${progress.step}`)
        return
      case 'checkpoint':
        return
    }
  }

  async function flush(): Promise<'' | 'pause' | 'cancel'> {
    const now = clock()
    const points = fresh
    const evaluated = evaluations
    fresh = []
    evaluations = []
    let filled = part
    const write = async (tx: Transaction<Tables>) => {
      filled = await addPoints(tx, points)
      for (const { step, on, figures, best } of evaluated) {
        await addEvaluation(tx, { step, samples: on, figures, best: best ? 1 : 0 })
      }
      return await tx
        .updateTable('run')
        .set((e) => ({
          ...at,
          ...(logged ? { log: JSON.stringify(log) } : {}),
          heard_at: now,
          active_ms: e('active_ms', '+', Math.max(0, now - countedAt)),
        }))
        .where('run_id', '=', runId)
        .returningAll()
        .executeTakeFirstOrThrow()
    }
    const changed = await store.writer
      .transaction()
      .execute(write)
      .catch((error: unknown) => {
        // They are written with the next flush.
        fresh = [...points, ...fresh]
        evaluations = [...evaluated, ...evaluations]
        throw error
      })
    part = filled
    countedAt = now
    logged = false
    const told = [
      ...points.slice(-toldPointsMax),
      ...evaluated
        .filter(({ on }) => on === 'validation')
        .map(({ step, figures }) => ({ step, figures: named('validation', keptFigures(figures)) })),
    ]
    tell(runOf(changed), {
      runId,
      points: told.map(({ step, figures }) => ({ step, figures: { ...figures } })),
    })
    return changed.asked as '' | 'pause' | 'cancel'
  }

  /** @returns the part that is being filled then */
  async function addPoints(tx: Transaction<Tables>, points: readonly CurvePoint[]) {
    let filled = part
    for (let from = 0; from < points.length; ) {
      if (filled.length >= partPointsMax) filled = []
      const some = points.slice(from, from + partPointsMax - filled.length)
      filled = [...filled, ...some]
      from += some.length
      const values = {
        last_step: filled.at(-1)?.step ?? 0,
        points: filled.length,
        data: JSON.stringify(packPart(filled)),
      }
      await tx
        .insertInto('run_curve')
        .values({ run_id: runId, first_step: filled[0]?.step ?? 0, ...values })
        .onConflict((on) => on.columns(['run_id', 'first_step']).doUpdateSet(values))
        .execute()
    }
    return filled
  }

  async function addEvaluation(
    tx: Transaction<Tables>,
    given: { step: number; samples: string; figures: Figures; best: number },
  ): Promise<void> {
    const values = {
      at: clock(),
      figures: JSON.stringify(keptFigures(given.figures)),
      best: given.best,
    }
    await tx
      .insertInto('run_evaluation')
      .values({ run_id: runId, step: given.step, samples: given.samples, ...values })
      .onConflict((on) => on.columns(['run_id', 'step', 'samples']).doUpdateSet(values))
      .execute()
    const over = await tx
      .selectFrom('run_evaluation')
      .select('step')
      .where('run_id', '=', runId)
      .orderBy('step', 'desc')
      .offset(runEvaluationsMax)
      .limit(1)
      .executeTakeFirst()
    if (!over) return
    await tx
      .deleteFrom('run_evaluation')
      .where('run_id', '=', runId)
      .where('step', '<=', over.step)
      .execute()
  }

  async function put(file: string): Promise<{ digest: string; size_bytes: number }> {
    const { size } = await stat(file)
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(file)) hash.update(chunk)
    const digest = hash.digest('hex')
    await files.put(digest, createReadStream(file), { bytesMax: modelBytesMax * 4 })
    return { digest, size_bytes: size }
  }

  /** Of a file that may grow meanwhile: as it is now. */
  async function putNow(file: string): Promise<{ digest: string; size_bytes: number }> {
    const bytes = await readFile(file)
    const digest = digestOf(bytes)
    await files.put(digest, only(bytes), { bytesMax: modelBytesMax })
    return { digest, size_bytes: bytes.length }
  }

  return {
    row,
    hear,
    say,
    phase,
    flush,
    evaluated: async (on, step, figures) => {
      await store.writer
        .transaction()
        .execute((tx) => addEvaluation(tx, { step, samples: on, figures, best: 0 }))
    },
    keep: async (kind, file) => {
      const kept = await put(file)
      const values = { ...kept, created_at: clock() }
      await store.writer
        .insertInto('run_file')
        .values({ run_id: runId, kind, step: 0, ...values })
        .onConflict((on) => on.columns(['run_id', 'kind', 'step']).doUpdateSet(values))
        .execute()
    },
    keepCheckpoint: async (step, parts) => {
      const kept: { kind: CheckpointPart; digest: string; size_bytes: number }[] = []
      for (const kind of checkpointParts) {
        const keep = kind === 'checkpoint' ? put : putNow
        kept.push({ kind, ...(await keep(parts[kind])) })
      }
      await store.writer.transaction().execute(async (tx) => {
        for (const { kind, ...facts } of kept) {
          const values = { ...facts, created_at: clock() }
          await tx
            .insertInto('run_file')
            .values({ run_id: runId, kind, step, ...values })
            .onConflict((on) => on.columns(['run_id', 'kind', 'step']).doUpdateSet(values))
            .execute()
        }
      })
      await dropCheckpoints({ store, files }, runId, checkpointsKept)
    },
    checkpoint: async () => {
      const rows = await checkpointFiles(store, runId)
      const steps = [...new Set(rows.map(({ step }) => step))].sort((a, b) => b - a)
      // Where the newest was lost, the one before it is as good: the steps between are made again.
      for (const step of steps) {
        const parts: { [K in CheckpointPart]?: Uint8Array } = {}
        for (const { kind, digest } of rows.filter((row) => row.step === step)) {
          const bytes = await files.read(digest).catch(() => undefined)
          if (bytes) parts[kind as CheckpointPart] = bytes
        }
        const { checkpoint, identity, words } = parts
        if (checkpoint && identity && words) return { step, parts: { checkpoint, identity, words } }
      }
      return undefined
    },
    paused: async () => {
      await flush()
      const paused = await store.writer
        .updateTable('run')
        .set({ state: 'paused', asked: '', eta_ms: null })
        .where('run_id', '=', runId)
        .returningAll()
        .executeTakeFirstOrThrow()
      tell(runOf(paused))
    },
    tried: async ({ figures, seconds }) => {
      const key = keyFigure(figures)
      const ended = await store.writer.transaction().execute(async (tx) => {
        await tx
          .updateTable('run_trial')
          .set({ figures: JSON.stringify(figures), seconds, ended_at: clock() })
          .where('run_id', '=', runId)
          .execute()
        return await tx
          .updateTable('run')
          .set({
            state: 'ended',
            asked: '',
            eta_ms: null,
            ended_at: clock(),
            ...(key ? { key_figure: JSON.stringify(key) } : {}),
          })
          .where('run_id', '=', runId)
          .returningAll()
          .executeTakeFirstOrThrow()
      })
      tell(runOf(ended))
    },
    ended: async (tx, { result, figures, recipe }) => {
      const key = keyFigure(figures)
      await tx
        .updateTable('run')
        .set({
          state: 'ended',
          asked: '',
          eta_ms: null,
          ended_at: clock(),
          ...(key ? { key_figure: JSON.stringify(key) } : {}),
          result: JSON.stringify(result),
          recipe: JSON.stringify(recipe),
        })
        .where('run_id', '=', runId)
        .execute()
    },
  }
}

const checkpointFiles = (store: Store, runId: string) =>
  store.writer
    .selectFrom('run_file')
    .select(['kind', 'step', 'digest'])
    .where('run_id', '=', runId)
    .where('kind', 'in', [...checkpointParts])
    .execute()

/** Leaves the newest checkpoints of a run. */
export async function dropCheckpoints(
  deps: { store: Store; files: Blobs },
  runId: string,
  leave: number,
): Promise<void> {
  const rows = await checkpointFiles(deps.store, runId)
  const steps = [...new Set(rows.map(({ step }) => step))].sort((a, b) => b - a)
  const kept = new Set(steps.slice(0, leave))
  for (const { kind, step, digest } of rows.filter((row) => !kept.has(row.step))) {
    await deps.store.writer
      .deleteFrom('run_file')
      .where('run_id', '=', runId)
      .where('kind', '=', kind)
      .where('step', '=', step)
      .execute()
    await removeUnused(deps, digest)
  }
}

/** Removes bytes that nothing names any more: the same recipe on the same data gives the same bytes twice. */
export async function removeUnused(
  { store, files }: { store: Store; files: Blobs },
  digest: string,
): Promise<void> {
  const db = store.writer
  const users = await Promise.all([
    db.selectFrom('run_file').select('digest').where('digest', '=', digest).limit(1).execute(),
    db.selectFrom('model_version').select('digest').where('digest', '=', digest).limit(1).execute(),
    db
      .selectFrom('artifact')
      .select('digest')
      .where((e) =>
        e.or([
          e('digest', '=', digest),
          e('manifest_digest', '=', digest),
          e('report_digest', '=', digest),
        ]),
      )
      .limit(1)
      .execute(),
  ])
  if (users.every((rows) => rows.length === 0)) await files.remove(digest)
}
