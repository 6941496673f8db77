/** Second step of a publication: what the model gives, and what that costs. */
import { readFile } from 'node:fs/promises'
import {
  digestOf,
  goldenDifference,
  goldenInputs,
  goldenOutput,
} from '@edgeloop/model-compiler/artifact'
import { openSession, type Value } from '@edgeloop/model-compiler/compile'
import type { GoldenVector } from '@edgeloop/protocol'
import { Failure } from '../failure.ts'
import type { Measured, MeasureOrder } from './publish-order.ts'

/** Runs that are signed with a model. */
const vectors = 3
const timedRuns = 10
/**
 * What a box may need at most, as multiples of what it took here: boxes are slower by far, and their processes are not larger.
 * The least is what any box is granted.
 */
const grant = {
  memory: { factor: 2, moreBytes: 128 * 1024 ** 2 },
  load: { factor: 20, leastMs: 20_000, mostMs: 600_000 },
  inference: { factor: 20, leastMs: 1000, mostMs: 60_000 },
} as const
/** Difference between two ways to compute the same here, and how much more another processor may differ. */
const tolerances = { factor: 4, least: 0.03, most: 0.5 } as const
const outputNameMax = 200

/**
 * Runs the golden vectors twice: as the runtime would, and with everything it would rewrite left as it is. Where the two differ, other
 * processors differ too; what differs too much says nothing and is left out.
 * @throws {Failure} when nothing of it can be repeated
 */
export async function measure({ file, inputs }: MeasureOrder): Promise<Measured> {
  const bytes = await readFile(file)
  const seed = Number.parseInt(digestOf(bytes).slice(0, 8), 16)
  const drawn = Array.from({ length: vectors }, (_, at) => {
    const vector = { seed: (seed + at) >>> 0, inputs }
    const feeds = Object.fromEntries(
      Object.entries(goldenInputs(vector)).map(([name, { type, shape, data }]) => [
        name,
        { type, dims: shape, data } as Value,
      ]),
    )
    return { vector, feeds }
  })
  const began = performance.now()
  const session = await openSession(bytes)
  const loadMs = performance.now() - began
  const results: Record<string, Value>[] = []
  const times: number[] = []
  for (let run = 0; run < timedRuns + vectors; run++) {
    const from = performance.now()
    const result = await session.run(drawn[run % vectors]!.feeds)
    times.push(performance.now() - from)
    if (run < vectors) results.push(result)
  }
  const memoryBytes = process.resourceUsage().maxRSS * 1024
  await session[Symbol.asyncDispose]()
  await using plain = await openSession(bytes, { level: 'disabled' })
  const golden: GoldenVector[] = []
  for (const [at, { vector, feeds }] of drawn.entries()) {
    const outputs = outputsOf(results[at]!, await plain.run(feeds))
    if (outputs.length > 0) golden.push({ ...vector, outputs })
  }
  if (golden.length === 0) {
    throw new Failure(
      'Cannot publish the model: none of its outputs is the same when it is computed in another way, so that no box could show that it runs well',
    )
  }
  const { memory, load, inference } = grant
  return {
    golden,
    limits: {
      memoryBytesMax: Math.ceil(memoryBytes * memory.factor) + memory.moreBytes,
      loadMsMax: granted(loadMs, load),
      inferenceMsMax: granted(Math.max(...times), inference),
    },
  }
}

function outputsOf(
  given: Readonly<Record<string, Value>>,
  other: Readonly<Record<string, Value>>,
): GoldenVector['outputs'] {
  return Object.entries(given).flatMap(([name, { dims, data }]) => {
    const again = other[name]
    if (data.length === 0 || name.length > outputNameMax || `${again?.dims}` !== `${dims}`)
      return []
    const found = goldenOutput(name, { shape: dims, data }, tolerances.least)
    const apart = goldenDifference(found, { shape: dims, data: again!.data })
    const tolerance = Math.max(tolerances.least, apart * tolerances.factor)
    return tolerance <= tolerances.most ? [{ ...found, tolerance }] : []
  })
}

const granted = (
  ms: number,
  { factor, leastMs, mostMs }: { factor: number; leastMs: number; mostMs: number },
): number => Math.min(mostMs, Math.max(leastMs, Math.ceil(ms * factor)))
