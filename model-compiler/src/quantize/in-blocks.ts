/** A float model that is about to become codes, with its channels in the blocks that the target's kernels want. */
import { Graph } from '../graph/graph.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { alignChannels } from '../passes/align-channels.ts'
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
