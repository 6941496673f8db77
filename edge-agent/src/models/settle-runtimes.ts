/** What `auto` means for each model of this box, before any of them is opened. */
import type { ReportedModel } from '@edgeloop/protocol'
import { fastestOf, type MeasurementOptions, measurementOf } from '../runtimes/measurement.ts'
import { readDescription } from './description-file.ts'
import type { ModelSource } from './model.ts'

export type SettledModel = {
  /** Its `runtime` is no longer `auto`. */
  readonly source: ModelSource
  /** What the choice rests on. */
  readonly measured?: NonNullable<ReportedModel['measured']>
}

export type SettleOptions = Pick<MeasurementOptions, 'cacheFolder' | 'mode' | 'module' | 'now'> & {
  readonly log: {
    info(fields: object, text: string): void
    warn(text: string): void
  }
  readonly signal: AbortSignal
}

const safe = 'ort:cpu'
/** A runtime that is silent for longer does not hold up the start of the agent. */
const silenceMs = 30_000

/** How long an agent may measure before its streams start; what is left then is measured next time. */
const budgetMsDefault = 60_000

/** Settles the runtimes of models, one after the other: two measurements would disturb each other. */
export async function settleRuntimes(
  sources: readonly ModelSource[],
  options: SettleOptions,
  budgetMs = budgetMsDefault,
): Promise<SettledModel[]> {
  const settled: SettledModel[] = []
  const endMs = performance.now() + budgetMs
  for (const source of sources) {
    const isLate = performance.now() >= endMs
    settled.push(await settleRuntime(source, { ...options, ...(isLate && { mode: 'known' }) }))
  }
  return settled
}

/** A model that cannot be measured runs on the CPU; that it cannot be opened is said there. */
export async function settleRuntime(
  source: ModelSource,
  { log, ...options }: SettleOptions,
): Promise<SettledModel> {
  const { name, file, runtime } = source
  if ((runtime !== undefined && runtime !== 'auto') || options.signal.aborted) return { source }
  try {
    const { input } = await readDescription(file, source.description)
    const measurement = await measurementOf({
      ...options,
      file,
      sides: { width: input?.width, height: input?.height },
      ...(options.mode !== 'again' && { limits: { silenceMs } }),
    })
    if (!measurement) return { source: { ...source, runtime: safe } }
    const { at, runtimes } = measurement
    const fastest = fastestOf(runtimes)
    log.info({ model: name, runtime: fastest, runtimes }, 'Runtime chosen by measurement')
    return {
      source: {
        ...source,
        runtime: fastest,
        ...(fastest !== safe && { fallback: safe }),
      },
      measured: { at, runtimes: [...runtimes] },
    }
  } catch (error) {
    if (!options.signal.aborted) {
      log.warn(`Cannot measure runtimes of model "${name}": ${(error as Error).message}`)
    }
    return { source: { ...source, runtime: safe } }
  }
}
