/** Models of a few hundred bytes for tests: whole ONNX files that a real runtime executes. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ModelParts,
  model,
  node,
  type TensorTypeName,
  tensor,
  value,
  writeModel,
} from '@edgeloop/model-compiler'

type Shape = readonly (number | string)[]

/** Bytes of a model of these parts. */
export function modelBytes(parts: Omit<ModelParts, 'name'>): Uint8Array {
  return writeModel(model({ name: 'tiny', ...parts }))
}

/** y = x + 1 over any float32 shape; a dimension given by name is free. */
export function plusOne(shape: Shape): Uint8Array {
  return modelBytes({
    nodes: [node('Add', ['x', 'one'], ['y'])],
    inputs: [value('x', 'float32', shape)],
    outputs: [value('y', 'float32', shape)],
    initializers: [tensor('one', [1], Float32Array.of(1))],
  })
}

export type ConstantOutput = { readonly shape: readonly number[]; readonly values?: Float32Array }

/**
 * A detector that looks at nothing and always says the same: what a layout makes of its outputs is
 * then known to the last digit. Outputs without values are zeros.
 */
export function constantDetector(
  input: { readonly type: TensorTypeName; readonly shape: Shape },
  outputs: Readonly<Record<string, ConstantOutput>>,
): Uint8Array {
  const entries = Object.entries(outputs)
  return modelBytes({
    nodes: entries.map(([name]) => node('Identity', [`${name}.values`], [name])),
    inputs: [value('images', input.type, input.shape)],
    outputs: entries.map(([name, { shape }]) => value(name, 'float32', shape)),
    initializers: entries.map(([name, { shape, values }]) =>
      tensor(`${name}.values`, shape, values ?? new Float32Array(shape.reduce((a, b) => a * b, 1))),
    ),
  })
}

/** Says how much of each of its three channels a picture holds, at the size of `side`: `[1, 3, 1, 1]`. */
export function channelMeans(side: number): Uint8Array {
  return modelBytes({
    nodes: [node('GlobalAveragePool', ['images'], ['output'])],
    inputs: [value('images', 'float32', [1, 3, side, side])],
    outputs: [value('output', 'float32', [1, 3, 1, 1])],
  })
}

/**
 * A detector of constants that takes its time: `products` times a 1024×1024 matrix by itself, made of the
 * picture so that no runtime can work it out beforehand.
 */
export function slowDetector(
  shape: Shape,
  output: { readonly shape: readonly number[]; readonly values: Float32Array },
  products: number,
): Uint8Array {
  const steps = Array.from({ length: products }, (_, i) =>
    node('MatMul', [`m${i}`, `m${i}`], [`m${i + 1}`]),
  )
  return modelBytes({
    nodes: [
      node('ReduceMean', ['images'], ['mean'], { keepdims: { int: 0 } }),
      // So small that no product of it ever grows.
      node('Mul', ['mean', 'tiny'], ['seed']),
      node('Expand', ['seed', 'size'], ['m0']),
      ...steps,
      node('ReduceMean', [`m${products}`], ['end'], { keepdims: { int: 0 } }),
      node('Mul', ['end', 'zero'], ['nothing']),
      node('Add', ['values', 'nothing'], ['output']),
    ],
    inputs: [value('images', 'float32', shape)],
    outputs: [value('output', 'float32', output.shape)],
    initializers: [
      tensor('tiny', [], Float32Array.of(1e-8)),
      tensor('zero', [], Float32Array.of(0)),
      tensor('size', [2], BigInt64Array.of(1024n, 1024n)),
      tensor('values', output.shape, output.values),
    ],
  })
}

/** Writes a file into a folder and gives its path back. */
export async function put(folder: string, name: string, bytes: Uint8Array | string) {
  const file = join(folder, name)
  await writeFile(file, bytes)
  return file
}
