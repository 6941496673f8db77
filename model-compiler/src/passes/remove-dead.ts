/** What nobody reads goes: nodes, then the constants that only they read. */
import type { Graph } from '../graph/graph.ts'
import type { Pass } from './pass.ts'

export const removeDead: Pass = {
  name: 'remove-dead',
  about: 'Removes nodes and constants that no output depends on.',
  run(graph) {
    let changes = 0
    // From the end, so that a whole dead branch goes in one walk.
    graph.sort()
    for (const node of graph.nodes.toReversed()) {
      if (node.output.some((value) => value !== '' && isRead(graph, value))) continue
      graph.remove(node)
      changes++
    }
    for (const name of [...graph.initializers.keys()]) {
      // One that is an input as well is part of what the model says to the outside.
      if (isRead(graph, name) || graph.isInput(name)) continue
      graph.removeInitializer(name)
      changes++
    }
    return changes
  },
}

const isRead = (graph: Graph, value: string): boolean =>
  graph.isOutput(value) || graph.usersOf(value).length > 0
