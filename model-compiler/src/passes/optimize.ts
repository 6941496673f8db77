/** Runs passes over a graph, in order, again and again until none finds anything. */
import type { Graph } from '../graph/graph.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import { floatPasses } from './index.ts'
import type { Pass } from './pass.ts'

/** One pass that has run. */
export type PassReport = {
  readonly pass: string
  /** From 1. */
  readonly round: number
  /** Places changed. */
  readonly changes: number
}

export type OptimizeOptions = {
  /** In the order in which they run (default `floatPasses`). */
  readonly passes?: readonly Pass[]
  /** Called after each pass that has changed something; the graph is in order and must not be changed. */
  readonly trace?: (report: PassReport, graph: Graph) => void
  /** Most rounds (default 20): passes that undo each other must not run for ever. */
  readonly roundsMax?: number
  readonly signal?: AbortSignal
}

/**
 * Makes a graph smaller and faster without changing what it computes: to a fixed point, or until `roundsMax`.
 * @returns every pass that has changed something, in order
 * @throws the signal's reason when it is aborted; the graph is then whole, but not finished
 */
export async function optimize(graph: Graph, options: OptimizeOptions = {}): Promise<PassReport[]> {
  const { passes = floatPasses, trace, roundsMax = 20, signal } = options
  const reports: PassReport[] = []
  for (let round = 1; round <= roundsMax; round++) {
    let found = false
    // Passes ask for shapes, and make values that nothing is known of yet.
    inferTypes(graph)
    for (const pass of passes) {
      signal?.throwIfAborted()
      const changes = await pass.run(graph)
      if (changes === 0) continue
      found = true
      graph.sort()
      const report = { pass: pass.name, round, changes }
      reports.push(report)
      trace?.(report, graph)
    }
    if (!found) break
  }
  return reports
}
