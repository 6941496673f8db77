/** A float model that is about to become codes, with its channels in the blocks that the target's kernels want. */
import type { Range } from '../calibrate/range.ts'
import { Graph } from '../graph/graph.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { alignChannels, filledName } from '../passes/align-channels.ts'
import { optimize } from '../passes/optimize.ts'
import { removeDead } from '../passes/remove-dead.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import type { TargetProfile } from '../targets/target.ts'

/** Computes the same; slower as long as it is float. The model itself where the target has no such kernels. */
export async function inBlocks(model: ModelProto, target: TargetProfile): Promise<ModelProto> {
  if (target.channelBlocks === undefined) return model
  const graph = new Graph(model)
  inferTypes(graph)
  await optimize(graph, { passes: [alignChannels(target.channelBlocks), removeDead] })
  return graph.toModel()
}

/** Ranges of a model for the same model in blocks: what was filled up has the range that it had. */
export function rangesInBlocks(
  ranges: ReadonlyMap<string, Range>,
  model: ModelProto,
): ReadonlyMap<string, Range> {
  const made = new Map(
    model.graph!.node.flatMap(({ output }) =>
      output.map((name) => [name.replace(filledName, ''), name] as const),
    ),
  )
  return new Map(
    [...ranges].flatMap(([name, range]) => {
      const now = made.get(name)
      return now === undefined || now === name
        ? [[name, range]]
        : [
            [name, range],
            [now, range],
          ]
    }),
  )
}
