/**
 * Measures runtimes on one model: which is fastest on this box, and does it compute the same? Run in a
 * process of its own, because drivers of accelerators may hang and crash.
 */
import {
  elementsOf,
  type Runtime,
  type RuntimeSession,
  type Tensor,
  type TensorInfo,
} from './runtime.ts'

/** What is told while measuring: after a crash, the last thing told says who did it. */
export type MeasureNews =
  | { readonly kind: 'opening'; readonly runtime: string }
  | { readonly kind: 'refused'; readonly runtime: string; readonly reason: string }
  | { readonly kind: 'running'; readonly runtime: string }
  | {
      readonly kind: 'measured'
      readonly runtime: string
      readonly medianMs: number
      readonly placedShare?: number
    }
  | { readonly kind: 'done' }

export type MeasureOptions = {
  readonly file: string
  /** The first one is what the others have to agree with. */
  readonly runtimes: readonly Runtime[]
  /** Canvas sides where the model leaves them free, in pixels. */
  readonly sides: { readonly width?: number | undefined; readonly height?: number | undefined }
  /** How long the rounds may take altogether; each runtime has at least `roundsMin`. */
  readonly budgetMs: number
  readonly tell: (news: MeasureNews) => void
  readonly monotonicMs: () => number
}

/** Runs that are not counted: kernels are compiled and memory is taken in them. */
const warmUpRuns = 2
const roundsMin = 3
const roundsMax = 50
/** Free canvas sides of which nobody said anything. */
const sideDefault = 320
/** Largest difference to the first runtime, as a share of its largest output: half floats keep 1e-3. */
const toleratedShare = 0.02

/** Tells of every runtime whether it is refused or how fast it is, then that it is done. */
export async function measureRuntimes(options: MeasureOptions): Promise<void> {
  const { tell } = options
  await using stack = new AsyncDisposableStack()
  const sessions = await openSessions(options, stack)
  const times = new Map(sessions.map(({ session }): [RuntimeSession, number[]] => [session, []]))
  const endMs = options.monotonicMs() + options.budgetMs
  // Interleaved, so that whatever else the box does meanwhile falls on all of them.
  for (let round = 0; round < roundsMax; round++) {
    if (round >= roundsMin && options.monotonicMs() >= endMs) break
    for (const { session, feeds } of sessions) {
      tell({ kind: 'running', runtime: session.runtime })
      const beganMs = options.monotonicMs()
      await session.run(feeds)
      times.get(session)?.push(options.monotonicMs() - beganMs)
    }
  }
  for (const { session } of sessions) {
    const { runtime, placement } = session
    const share = placement && placement.onProvider / Math.max(1, placement.operators)
    const medianMs = medianOf(times.get(session) ?? [])
    tell({
      kind: 'measured',
      runtime,
      medianMs,
      ...(share !== undefined && { placedShare: share }),
    })
  }
  tell({ kind: 'done' })
}

type Ready = {
  readonly session: RuntimeSession
  readonly feeds: Readonly<Record<string, Tensor>>
}

async function openSessions(
  { file, runtimes, sides, tell }: MeasureOptions,
  stack: AsyncDisposableStack,
): Promise<Ready[]> {
  const ready: Ready[] = []
  let expected: Readonly<Record<string, Tensor>> | undefined
  for (const runtime of runtimes) {
    tell({ kind: 'opening', runtime: runtime.name })
    try {
      const session = stack.use(await runtime.open(file, { threads: 1 }))
      const feeds = feedsFor(session.inputs, sides)
      let results = await session.run(feeds)
      for (let run = 1; run < warmUpRuns; run++) results = await session.run(feeds)
      if (expected) refuseDifference(expected, results)
      // What a run gives is valid until the next one only.
      expected ??= structuredClone(results)
      ready.push({ session, feeds })
    } catch (error) {
      tell({ kind: 'refused', runtime: runtime.name, reason: (error as Error).message })
    }
  }
  return ready
}

/** Tensors of noise, the same in every run: zeros would let some kernels skip work. */
function feedsFor(
  inputs: readonly TensorInfo[],
  sides: MeasureOptions['sides'],
): Record<string, Tensor> {
  return Object.fromEntries(
    inputs.map(({ name, type, shape }) => {
      const planes = shape[1] === 3
      const real = shape.map((size, i) => {
        if (typeof size === 'number' && size >= 0) return size
        if (i === 0 || shape.length !== 4) return 1
        const isHeight = i === (planes ? 2 : 1)
        return (isHeight ? sides.height : sides.width) ?? sideDefault
      })
      const data = noise(type, elementsOf(real))
      return [name, { type, shape: real, data }]
    }),
  )
}

function noise(type: Tensor['type'], count: number): Tensor['data'] {
  let state = 1
  const next = (): number => {
    state = (state * 1103515245 + 12345) % 2147483648
    return (state >>> 16) & 255
  }
  switch (type) {
    case 'float32':
      return Float32Array.from({ length: count }, next)
    case 'uint8':
      return Uint8Array.from({ length: count }, next)
    case 'int8':
      return Int8Array.from({ length: count }, next)
    case 'bool':
      return Uint8Array.from({ length: count }, () => next() & 1)
    case 'int32':
      return new Int32Array(count)
    case 'int64':
      return new BigInt64Array(count)
    case 'float16':
      return new Uint16Array(count)
  }
}

/** @throws {Error} when results are others than expected: a wrong answer is not to be had faster */
function refuseDifference(
  expected: Readonly<Record<string, Tensor>>,
  results: Readonly<Record<string, Tensor>>,
): void {
  for (const [name, { type, data }] of Object.entries(expected)) {
    const other = results[name]?.data
    if (other?.length !== data.length) throw new Error(`It gives "${name}" another size`)
    // Half floats come as bits, which cannot be subtracted.
    if (type === 'float16') continue
    let largest = 0
    let worst = 0
    for (let i = 0; i < data.length; i++) {
      const [right, given] = [Number(data[i]), Number(other[i])]
      if (Number.isFinite(right)) largest = Math.max(largest, Math.abs(right))
      const difference = Object.is(right, given) ? 0 : Math.abs(right - given)
      worst = Math.max(worst, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference)
    }
    if (worst > largest * toleratedShare) {
      throw new Error(
        `It computes something else: "${name}" differs by ${worst.toPrecision(3)} of ${largest.toPrecision(3)}`,
      )
    }
  }
}

function medianOf(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
