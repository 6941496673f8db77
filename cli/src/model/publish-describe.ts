/** First step of a publication: may boxes load the file, and what do they feed it? */
import { readFile } from 'node:fs/promises'
import { openModel, ortRuntime } from '@edgeloop/edge-agent/detect'
import { checkModelFile } from '@edgeloop/model-compiler/artifact'
import type { Described, DescribeOrder } from './publish-order.ts'

/** @throws {ArtifactError | ModelError} saying why no box would take it */
export async function describe({ file, ...order }: DescribeOrder): Promise<Described> {
  const { opset } = checkModelFile(await readFile(file))
  await using model = await openModel({ name: file, file, ...order }, ortRuntime)
  const { width, height, mean, std, type } = model.input
  const black = Math.min(...mean.map((value, at) => (0 - value) / std[at]!))
  const white = Math.max(...mean.map((value, at) => (255 - value) / std[at]!))
  const planar = model.input.layout === 'nchw'
  return {
    opset,
    inputs: model.signature.inputs.map(({ name, shape }) => {
      const channels = Number(shape[planar ? 1 : 3])
      const picture = planar ? [1, channels, height, width] : [1, height, width, channels]
      return { name, type, shape: picture, black, white }
    }),
  }
}
