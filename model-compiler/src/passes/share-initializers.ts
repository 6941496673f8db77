/** Constants that are equal become one. */
import { createHash } from 'node:crypto'
import type { TensorProto } from '../onnx/schema.ts'
import { numberTypeOf, valuesOf } from '../onnx/tensor.ts'
import type { Pass } from './pass.ts'

export const shareInitializers: Pass = {
  name: 'share-initializers',
  about: 'Keeps one of several equal constants: smaller, and equal computations become visible.',
  run(graph) {
    let changes = 0
    const first = new Map<string, string>()
    for (const [name, tensor] of [...graph.initializers]) {
      // What an input can replace is no constant; what is an output keeps its name.
      if (graph.constantOf(name) === undefined || graph.isInput(name) || graph.isOutput(name)) {
        continue
      }
      const key = contentOf(tensor)
      if (key === undefined) continue
      const same = first.get(key)
      if (same === undefined) {
        first.set(key, name)
        continue
      }
      graph.redirect(name, same)
      graph.removeInitializer(name)
      changes++
    }
    return changes
  },
}

/** Digests by tensor, as tensors are never changed in place. */
const digests = new WeakMap<TensorProto, string>()

/** Equal for tensors of equal type, dimensions and bits, however the file keeps them. */
function contentOf(tensor: TensorProto): string | undefined {
  const known = digests.get(tensor)
  if (known !== undefined) return known
  if (numberTypeOf(tensor.dataType) === undefined || tensor.externalData.length > 0)
    return undefined
  const { buffer, byteOffset, byteLength } = valuesOf(tensor)
  const bits = createHash('sha256').update(new Uint8Array(buffer, byteOffset, byteLength))
  const key = `${tensor.dataType}:${tensor.dims.join()}:${bits.digest('base64')}`
  digests.set(tensor, key)
  return key
}
