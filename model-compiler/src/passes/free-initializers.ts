/** Before IR 4 every constant had to be listed as an input as well. From then on one can be a constant alone. */
import { dropInitializerInputs } from '../shapes/input-shapes.ts'
import type { Pass } from './pass.ts'

export const freeInitializers: Pass = {
  name: 'free-initializers',
  about: 'Brings a model to IR 4, where constants need not be listed as inputs.',
  run(graph) {
    if (graph.irVersion >= 4) return 0
    dropInitializerInputs(graph)
    graph.irVersion = 4
    return 1
  },
}
