/** What a pass is: a named change of a graph that leaves what it computes as it was. */
import type { Graph } from '../graph/graph.ts'

export type Pass = {
  /** As it is shown and named on the command line: `fold-batch-norm`. */
  readonly name: string
  /** One sentence: what it does and what that is good for. */
  readonly about: string
  /**
   * Changes the graph as often as it finds something; the nodes may be out of order afterwards. A value that
   * comes to mean something else gets another name, so that what is known of a name stays true.
   * @returns how many places it has changed; 0 means that it has changed nothing. A promise where it asks the
   *   runtime.
   */
  readonly run: (graph: Graph) => number | Promise<number>
}
