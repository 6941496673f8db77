/** One pass on one graph, and the proof that the graph still computes what it did. */
import assert from 'node:assert/strict'
import { Graph } from '../../model-compiler/src/graph/graph.ts'
import type { ModelProto, NodeProto } from '../../model-compiler/src/onnx/schema.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { differences, randomFeeds } from '../../model-compiler/src/passes/equivalence.ts'
import type { Pass } from '../../model-compiler/src/passes/pass.ts'
import { openSession } from '../../model-compiler/src/runtime/session.ts'

export type Applied = {
  readonly graph: Graph
  readonly changes: number
  /** Operators in order: `Conv Relu`. */
  readonly operators: string
}

/**
 * Runs a pass until it finds nothing more, and compares before and after in ONNX Runtime on seeded inputs.
 * @param relativeMax of `differences` (default 1e-5)
 */
export async function applyPass(
  model: ModelProto,
  pass: Pass,
  { relativeMax = 1e-5, free = 3 } = {},
): Promise<Applied> {
  const graph = new Graph(model)
  let changes = 0
  for (let round = 0; round < 10; round++) {
    const found = await pass.run(graph)
    graph.sort()
    if (found === 0) break
    changes += found
  }
  await assertSame(model, graph.toModel(), { relativeMax, free })
  return { graph, changes, operators: graph.nodes.map(({ opType }) => opType).join(' ') }
}

/** Fails where two models differ on seeded inputs, as they are and as the runtime rewrites them. */
export async function assertSame(
  original: ModelProto,
  changed: ModelProto,
  { relativeMax = 1e-5, free = 3, seed = 7 } = {},
): Promise<void> {
  await using session = await openSession(writeModel(original))
  const feeds = randomFeeds(session.inputs, seed, free)
  for (const level of ['disabled', 'all'] as const) {
    for (const { output, relative } of await differences(original, changed, feeds, level)) {
      assert.ok(relative <= relativeMax, `${output} differs by ${relative} at level ${level}`)
    }
  }
}

/** The first node of an operator. */
export function nodeOf(graph: Graph, opType: string): NodeProto {
  const found = graph.nodes.find((node) => node.opType === opType)
  assert.ok(found, `no ${opType}`)
  return found
}
