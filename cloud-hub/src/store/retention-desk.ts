/** When what is too old goes: by a schedule, or when somebody asks; one run at a time, and never unannounced. */
import { Refusal, type Retention, type RetentionKind } from '@edgeloop/protocol'
import { schedule, validate } from 'node-cron'
import type { Logger } from 'pino'
import type { Audit } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import { pruneInferences, surveyInferences } from '../inference/inference-retention.ts'
import { pruneSamples, surveySamples } from '../samples/sample-retention.ts'
import { type Expired, pruneStore, surveyStore } from './retention.ts'
import type { Store } from './store.ts'

const dayMs = 86_400_000
/** A machine that is off at night gets to it too. */
const firstRunMs = 3_600_000

export type RetentionConfig = {
  readonly retentionSchedule: string
  readonly eventsKeptDays: number
  readonly healthKeptDays: number
  readonly auditKeptDays: number
  readonly snapshotsKeptDays: number
  readonly samplesKeptDays: number
  readonly inferencesKeptDays: number
}

export type RetentionDesk = AsyncDisposable & {
  /** What would go now, and when it will. */
  show(signal: AbortSignal): Promise<Retention>
  /** Begins a run. @throws {Refusal} conflict while one is under way */
  begin(): void
}

/** @throws {Error} when the schedule cannot be read */
export function openRetention(deps: {
  store: Store
  blobs: Blobs
  /** Pictures of samples. */
  files: Blobs
  audit: Audit
  config: RetentionConfig
  clock: () => number
  log: Logger
  failed: (error: unknown) => void
}): RetentionDesk {
  const { store, blobs, files, audit, config, clock, log } = deps
  if (!validate(config.retentionSchedule)) {
    throw new Error(
      `Cannot use the retention schedule "${config.retentionSchedule}": it is no cron expression. Write minute, hour, day, month, weekday, such as "17 3 * * *"`,
    )
  }
  const stopping = new AbortController()
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    const { signal } = stopping
    const now = clock()
    const removed = await pruneStore(store, { ...config, now, signal })
    await audit.prune(config.auditKeptDays)
    const snapshots = await blobs.prune(now - config.snapshotsKeptDays * dayMs, signal)
    const before = now - config.samplesKeptDays * dayMs
    const samples = await pruneSamples({ store, files }, before, signal)
    const inferences = await pruneInferences(store, now - config.inferencesKeptDays * dayMs, signal)
    log.info({ ...removed, snapshots, samples, inferences }, 'what was too old is gone')
  }

  /** False while another run is under way. */
  function start(): boolean {
    if (running || stopping.signal.aborted) return false
    running = run()
      .catch((error) => {
        // What was cut off by the end of the hub goes the next time.
        if (!stopping.signal.aborted) deps.failed(error)
      })
      .finally(() => {
        running = undefined
      })
    return true
  }

  const task = schedule(config.retentionSchedule, () => void start(), { unref: true })
  const first = setTimeout(start, firstRunMs)
  first.unref()

  async function show(signal: AbortSignal): Promise<Retention> {
    const now = clock()
    const { events, health } = await surveyStore(store, { ...config, now })
    const log = await surveyAudit(store, now - config.auditKeptDays * dayMs)
    const snapshots = await blobs.survey(now - config.snapshotsKeptDays * dayMs, signal)
    const before = now - config.samplesKeptDays * dayMs
    const samples = await surveySamples({ store, files }, before)
    const inferences = await surveyInferences(store, now - config.inferencesKeptDays * dayMs)
    const kind = (name: RetentionKind['kind'], keptDays: number, expired: Expired) => ({
      kind: name,
      keptDays,
      expired: expired.count,
      oldestKeptAt:
        expired.oldestKeptAt === null ? null : new Date(expired.oldestKeptAt).toISOString(),
    })
    return {
      schedule: config.retentionSchedule,
      nextAt: task.getNextRun()?.toISOString() ?? null,
      running: running !== undefined,
      kinds: [
        kind('events', config.eventsKeptDays, events),
        kind('health', config.healthKeptDays, health),
        kind('audit', config.auditKeptDays, log),
        kind('snapshots', config.snapshotsKeptDays, snapshots),
        kind('samples', config.samplesKeptDays, samples),
        kind('inferences', config.inferencesKeptDays, inferences),
      ],
    }
  }

  return {
    show,
    begin: () => {
      if (!start()) throw new Refusal('conflict', 'Cannot begin: what is too old is being removed')
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(first)
      await task.destroy()
      stopping.abort()
      await running
    },
  }
}

async function surveyAudit({ reader }: Store, before: number): Promise<Expired> {
  const count = await reader
    .selectFrom('audit_entry')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('at', '<', before)
    .executeTakeFirstOrThrow()
  const kept = await reader
    .selectFrom('audit_entry')
    .select(({ fn }) => fn.min('at').as('at'))
    .where('at', '>=', before)
    .executeTakeFirst()
  return { count: count.count, oldestKeptAt: kept?.at ?? null }
}
