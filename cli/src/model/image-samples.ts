/** Images as samples for the compiler: put onto the canvas and made a tensor exactly as on a box. */
import type { Model, Tensors } from '@edgeloop/edge-agent/detect'
import type { Sample, SampleSource, Value } from '@edgeloop/model-compiler'
import { Failure } from '../failure.ts'
import type { Canvases } from './canvases.ts'

/** An image that is smaller on a side is a thumbnail or damaged, and says nothing about what a camera sees. */
const sideMin = 8

/**
 * What a model is fed for each image, in their order.
 * @throws {Failure} while reading, when an image is too small to calibrate with
 */
export function imageSamples(model: Model, canvases: Canvases): SampleSource {
  return {
    count: canvases.images.length,
    async *read() {
      for await (const { image, bytes, width, height } of canvases.read()) {
        if (Math.min(width, height) < sideMin) {
          throw new Failure(
            `Cannot calibrate with "${image.file}": it is ${width}×${height} pixels, at least ${sideMin}×${sideMin} are needed`,
            'give images as the camera makes them',
          )
        }
        yield sampleOf(model.tensorsOf(bytes))
      }
    },
  }
}

/** A copy, as the model's own tensors are overwritten by the next canvas. */
function sampleOf(tensors: Tensors): Sample {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { type, shape, data }]) => [
      name,
      { type, dims: shape, data: data.slice() } as Value,
    ]),
  )
}
