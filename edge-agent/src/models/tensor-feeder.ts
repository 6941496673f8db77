/** From canvas to input tensor: by the cheapest way that a model's input allows. */
import type { Tensor } from '../runtimes/runtime.ts'
import { type InputSpec, tensorWriter } from './canvas.ts'

/** Gives the input tensors for a canvas; they are valid until the next canvas. */
export type TensorFeeder = (canvas: Uint8Array) => Readonly<Record<string, Tensor>>

/**
 * Makes the feeder of a model; its buffer is allocated once.
 * @param name of the model's input
 */
export function tensorFeeder(name: string, spec: InputSpec): TensorFeeder {
  const { width, height, layout } = spec
  const depth = spec.gray ? 1 : 3
  const shape = layout === 'nchw' ? [1, depth, height, width] : [1, height, width, depth]
  if (spec.type === 'uint8' && layout === 'nhwc' && !spec.gray) {
    // The compiler folded everything into the graph: the canvas is the tensor.
    return (canvas) => ({ [name]: { type: 'uint8', shape, data: canvas } })
  }
  const write = tensorWriter(spec)
  if (spec.type === 'uint8') {
    const data = new Uint8Array(width * height * depth)
    return (canvas) => {
      write(canvas, data)
      return { [name]: { type: 'uint8', shape, data } }
    }
  }
  const data = new Float32Array(width * height * depth)
  return (canvas) => {
    write(canvas, data)
    return { [name]: { type: 'float32', shape, data } }
  }
}
