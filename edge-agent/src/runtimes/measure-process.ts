/** Program of a measuring process: measures one model on ONNX Runtime's providers, tells, and ends. */
import { loadOrt } from './load-ort.ts'
import { measureRuntimes } from './measure.ts'
import { ortRuntimeOn } from './ort.ts'
import { type OrtProvider, ortProviders } from './providers.ts'

/** What it is told, once. */
export type MeasureOrder = {
  readonly file: string
  readonly sides: { readonly width?: number | undefined; readonly height?: number | undefined }
  /** Runtimes that have hung or crashed here before. */
  readonly without: readonly string[]
  readonly budgetMs: number
}

process.once('message', (order: MeasureOrder) => void measure(order))
// Whoever wanted to know has gone.
process.once('disconnect', () => process.exit(0))

async function measure({ without, ...order }: MeasureOrder): Promise<void> {
  const { listSupportedBackends } = await loadOrt()
  const there = new Set<string>(listSupportedBackends().map(({ name }) => name))
  const isWanted = (provider: OrtProvider): boolean =>
    there.has(provider) && !without.includes(`ort:${provider}`)
  await measureRuntimes({
    ...order,
    runtimes: ortProviders.filter(isWanted).map((provider) => ortRuntimeOn(provider)),
    tell: (news) => process.send?.(news),
    monotonicMs: () => performance.now(),
  })
  process.disconnect()
}
