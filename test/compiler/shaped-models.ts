/**
 * Networks with the shape of well-known ones and seeded random weights: what they compute means nothing, but what int8
 * gains on them in time does, and every convolution has to be computed with codes. Plain Relu, BatchNorm folded.
 */
import { model, node, value } from '../../model-compiler/src/onnx/build.ts'
import type { ModelProto, NodeProto, TensorProto } from '../../model-compiler/src/onnx/schema.ts'
import { tensor } from '../../model-compiler/src/onnx/tensor.ts'

export type Shape = {
  /** Height and width of the picture (default 224). */
  readonly size?: number
  /** Share of the channels of the original (default 1). */
  readonly width?: number
  readonly seed?: number
}

/** He et al. 2015: a stem, four stages of bottlenecks with 3, 4, 6 and 3 of them, a classifier of 1,000. */
export function resNet50Shaped(shape: Shape = {}): ModelProto {
  const net = new Builder(shape)
  net.conv(64, { kernel: 7, stride: 2, relu: true })
  net.add('MaxPool', {
    kernel_shape: { ints: [3, 3] },
    strides: { ints: [2, 2] },
    pads: { ints: [1, 1, 1, 1] },
  })
  for (const [stage, blocks] of [3, 4, 6, 3].entries()) {
    for (let block = 0; block < blocks; block++) {
      const narrow = 64 * 2 ** stage
      const stride = stage > 0 && block === 0 ? 2 : 1
      const before = net.at
      net.conv(narrow, { relu: true })
      net.conv(narrow, { kernel: 3, stride, relu: true })
      net.conv(narrow * 4, {})
      const after = net.at
      if (block === 0) {
        net.at = before
        net.conv(narrow * 4, { stride })
      }
      net.at = {
        ...after,
        value: net.append('Add', [after.value, block === 0 ? net.at.value : before.value]),
      }
      net.add('Relu')
    }
  }
  return net.classifier('resnet50-shaped')
}

/** Sandler et al. 2018: inverted residuals (expansion, stride of the first, how many, channels), a classifier of 1,000. */
export function mobileNetV2Shaped(shape: Shape = {}): ModelProto {
  const net = new Builder(shape)
  net.conv(32, { kernel: 3, stride: 2, relu: true })
  const stages = [
    ...[[1, 1, 1, 16] as const, [6, 2, 2, 24] as const, [6, 2, 3, 32] as const],
    ...[
      [6, 2, 4, 64] as const,
      [6, 1, 3, 96] as const,
      [6, 2, 3, 160] as const,
      [6, 1, 1, 320] as const,
    ],
  ]
  for (const [expansion, first, blocks, channels] of stages) {
    for (let block = 0; block < blocks; block++) {
      const before = net.at
      if (expansion > 1) net.conv(before.channels * expansion, { relu: true, exact: true })
      net.conv(net.at.channels, {
        kernel: 3,
        stride: block === 0 ? first : 1,
        relu: true,
        depthwise: true,
        exact: true,
      })
      net.conv(channels, {})
      if (block > 0) {
        net.at = { ...net.at, value: net.append('Add', [before.value, net.at.value]) }
      }
    }
  }
  net.conv(1280, { relu: true })
  return net.classifier('mobilenetv2-shaped')
}

type ConvOptions = {
  readonly kernel?: number
  readonly stride?: number
  readonly relu?: boolean
  readonly depthwise?: boolean
  /** The channels are scaled already. */
  readonly exact?: boolean
}

class Builder {
  at: { readonly value: string; readonly channels: number } = { value: 'x', channels: 3 }
  readonly #nodes: NodeProto[] = []
  readonly #weights: TensorProto[] = []
  readonly #size: number
  readonly #width: number
  #state: number

  constructor({ size = 224, width = 1, seed = 1 }: Shape) {
    this.#size = size
    this.#width = width
    this.#state = seed
  }

  conv(channels: number, options: ConvOptions): void {
    const { kernel = 1, stride = 1, relu = false, depthwise = false, exact = false } = options
    const outputs = exact ? channels : Math.max(4, Math.round(channels * this.#width))
    const perGroup = depthwise ? 1 : this.at.channels
    const name = `w${this.#weights.length}`
    const fan = perGroup * kernel * kernel
    this.#weights.push(
      tensor(
        name,
        [outputs, perGroup, kernel, kernel],
        this.#random(outputs * fan, Math.sqrt(6 / fan)),
      ),
      tensor(`${name}b`, [outputs], this.#random(outputs, 0.1)),
    )
    const pad = (kernel - 1) / 2
    const value = this.append('Conv', [this.at.value, name, `${name}b`], {
      kernel_shape: { ints: [kernel, kernel] },
      strides: { ints: [stride, stride] },
      pads: { ints: [pad, pad, pad, pad] },
      group: { int: depthwise ? outputs : 1 },
    })
    this.at = { value, channels: outputs }
    if (relu) this.add('Relu')
  }

  add(opType: string, attributes: Parameters<typeof node>[3] = {}): void {
    this.at = { ...this.at, value: this.append(opType, [this.at.value], attributes) }
  }

  append(
    opType: string,
    inputs: readonly string[],
    attributes: Parameters<typeof node>[3] = {},
  ): string {
    const output = `v${this.#nodes.length}`
    this.#nodes.push(node(opType, inputs, [output], attributes))
    return output
  }

  classifier(name: string): ModelProto {
    const { channels } = this.at
    this.add('GlobalAveragePool')
    this.add('Flatten')
    this.#weights.push(
      tensor('classes', [channels, 1000], this.#random(channels * 1000, Math.sqrt(3 / channels))),
      tensor('classesb', [1000], this.#random(1000, 0.1)),
    )
    this.#nodes.push(node('Gemm', [this.at.value, 'classes', 'classesb'], ['y']))
    return model({
      name,
      inputs: [value('x', 'float32', [1, 3, this.#size, this.#size])],
      outputs: [value('y', 'float32', [1, 1000])],
      initializers: this.#weights,
      nodes: this.#nodes,
    })
  }

  /** Evenly in ±`most` (Park and Miller's generator), so that activations keep their size from layer to layer. */
  #random(size: number, most: number): Float32Array {
    return Float32Array.from({ length: size }, () => {
      this.#state = (this.#state * 48271) % 2147483647
      return ((this.#state / 2147483647) * 2 - 1) * most
    })
  }
}

/** Seeded noise in the shape of the networks' input. */
export function noise(size: number, seed: number) {
  let state = seed
  const data = Float32Array.from({ length: 3 * size * size }, () => {
    state = (state * 48271) % 2147483647
    return (state / 2147483647) * 2 - 1
  })
  return { x: { type: 'float32', dims: [1, 3, size, size], data } as const }
}
