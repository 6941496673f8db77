/**
 * A net layer by layer: what a builder calls to write a model that can be trained from scratch. BatchNorm stays apart
 * from its convolution, the batch is free, and weights are drawn as He et al. propose (2015): by the fan-in of what a
 * ReLU follows.
 */
import { type Attribute, model, node, value } from '../onnx/build.ts'
import type { ModelProto, NodeProto, TensorProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { normal, type Random, seededRandom } from './random.ts'

/** A value of the net, without its batch: channels, height, width, or only features. */
export type Layer = { readonly name: string; readonly shape: readonly number[] }

export type Activation = 'none' | 'relu' | 'relu6' | 'hard-swish' | 'silu'

export type ConvolutionOptions = {
  readonly kernel?: number
  readonly stride?: number
  /** Default: what keeps the size at stride 1. */
  readonly pad?: number
  readonly groups?: number
  /** Without one, with one of zeros, or with these numbers. */
  readonly bias?: boolean | readonly number[]
  /** Times the deviation of the weights. */
  readonly gain?: number
}

export class Net {
  readonly input: Layer
  readonly #nodes: NodeProto[] = []
  readonly #weights: TensorProto[] = []
  readonly #random: Random
  readonly #name: string

  /** @param shape of the input: channels, height, width */
  constructor(name: string, shape: readonly [number, number, number], seed: number) {
    this.#name = name
    this.#random = seededRandom(seed)
    this.input = { name: 'input', shape }
  }

  /** The input size is what the layer before gives; `name` begins the names of its parameters. */
  convolution(name: string, x: Layer, channels: number, options: ConvolutionOptions = {}): Layer {
    const { kernel = 3, stride = 1, groups = 1, bias = false, gain = 1 } = options
    const pad = options.pad ?? Math.floor(kernel / 2)
    const [incoming, height, width] = x.shape as [number, number, number]
    const fanIn = (incoming / groups) * kernel * kernel
    const dims = [channels, incoming / groups, kernel, kernel]
    const inputs = [x.name, this.#weight(`${name}.weight`, dims, gain * Math.sqrt(2 / fanIn))]
    if (bias === true) inputs.push(this.#filled(`${name}.bias`, [channels], 0))
    if (typeof bias === 'object') inputs.push(this.#given(`${name}.bias`, bias))
    const size = (length: number) => Math.floor((length + 2 * pad - kernel) / stride) + 1
    return this.#add('Conv', name, inputs, [channels, size(height), size(width)], {
      kernel_shape: { ints: [kernel, kernel] },
      strides: { ints: [stride, stride] },
      pads: { ints: [pad, pad, pad, pad] },
      group: { int: groups },
    })
  }

  /** @param gain of the scale: 0 makes a residual branch begin as nothing */
  batchNorm(name: string, x: Layer, gain = 1): Layer {
    const channels = [x.shape[0]!]
    const inputs = [
      x.name,
      this.#filled(`${name}.weight`, channels, gain),
      this.#filled(`${name}.bias`, channels, 0),
      this.#filled(`${name}.running_mean`, channels, 0),
      this.#filled(`${name}.running_var`, channels, 1),
    ]
    return this.#add('BatchNormalization', name, inputs, x.shape, {
      epsilon: { float: 1e-5 },
      momentum: { float: 0.9 },
    })
  }

  activation(name: string, x: Layer, kind: Activation): Layer {
    switch (kind) {
      case 'none':
        return x
      case 'relu':
        return this.#add('Relu', name, [x.name], x.shape)
      case 'hard-swish':
        return this.#add('HardSwish', name, [x.name], x.shape)
      case 'relu6': {
        const bounds = ['zero', 'six'].map((bound, at) =>
          this.#constant(bound, Float32Array.of(at * 6)),
        )
        return this.#add('Clip', name, [x.name, ...bounds], x.shape)
      }
      case 'silu': {
        const gate = this.#add('Sigmoid', `${name}.gate`, [x.name], x.shape)
        return this.#add('Mul', name, [x.name, gate.name], x.shape)
      }
    }
  }

  /** Convolution, BatchNorm and activation, as most nets repeat them. */
  block(
    name: string,
    x: Layer,
    channels: number,
    options: ConvolutionOptions & { readonly activation?: Activation } = {},
  ): Layer {
    const convolved = this.convolution(`${name}.conv`, x, channels, options)
    const normalized = this.batchNorm(`${name}.norm`, convolved)
    return this.activation(`${name}.act`, normalized, options.activation ?? 'relu')
  }

  dense(name: string, x: Layer, features: number, gain = 1): Layer {
    const [incoming] = x.shape as [number]
    const deviation = gain * Math.sqrt(2 / incoming)
    const inputs = [
      x.name,
      this.#weight(`${name}.weight`, [features, incoming], deviation),
      this.#filled(`${name}.bias`, [features], 0),
    ]
    return this.#add('Gemm', name, inputs, [features], { transB: { int: 1 } })
  }

  maxPool(name: string, x: Layer, kernel = 2, stride = kernel, pad = 0): Layer {
    const size = (length: number) => Math.floor((length + 2 * pad - kernel) / stride) + 1
    const [channels, height, width] = x.shape as [number, number, number]
    return this.#add('MaxPool', name, [x.name], [channels, size(height), size(width)], {
      kernel_shape: { ints: [kernel, kernel] },
      strides: { ints: [stride, stride] },
      pads: { ints: [pad, pad, pad, pad] },
    })
  }

  /** The mean of each channel, still with height and width 1. */
  globalMean(name: string, x: Layer): Layer {
    return this.#add('GlobalAveragePool', name, [x.name], [x.shape[0]!, 1, 1])
  }

  flatten(name: string, x: Layer): Layer {
    const features = x.shape.reduce((product, one) => product * one, 1)
    return this.#add('Flatten', name, [x.name], [features], { axis: { int: 1 } })
  }

  add(name: string, a: Layer, b: Layer): Layer {
    return this.#add('Add', name, [a.name, b.name], a.shape)
  }

  /** Twice as high and wide, each pixel four times. */
  twice(name: string, x: Layer): Layer {
    const [channels, height, width] = x.shape as [number, number, number]
    const scales = this.#constant('twice', Float32Array.of(1, 1, 2, 2))
    return this.#add('Resize', name, [x.name, '', scales], [channels, 2 * height, 2 * width], {
      mode: { string: 'nearest' },
      coordinate_transformation_mode: { string: 'asymmetric' },
      nearest_mode: { string: 'floor' },
    })
  }

  /** Channels of all, one after another. */
  join(name: string, parts: readonly Layer[]): Layer {
    const channels = parts.reduce((sum, { shape }) => sum + shape[0]!, 0)
    const names = parts.map((part) => part.name)
    return this.#add('Concat', name, names, [channels, ...parts[0]!.shape.slice(1)], {
      axis: { int: 1 },
    })
  }

  /** Channels weighted by what their means say (Hu et al., squeeze and excitation). */
  squeeze(name: string, x: Layer, channels: number): Layer {
    const mean = this.globalMean(`${name}.mean`, x)
    const options = { kernel: 1, bias: true }
    const narrow = this.convolution(`${name}.reduce`, mean, channels, options)
    const active = this.activation(`${name}.act`, narrow, 'relu')
    const wide = this.convolution(`${name}.expand`, active, x.shape[0]!, options)
    const gate = this.#add('HardSigmoid', `${name}.gate`, [wide.name], wide.shape, {
      alpha: { float: 1 / 6 },
      beta: { float: 0.5 },
    })
    return this.#add('Mul', name, [x.name, gate.name], x.shape)
  }

  /** The same numbers in another shape, which the batch is no part of. */
  reshape(name: string, x: Layer, shape: readonly number[]): Layer {
    const dims = BigInt64Array.from([0, ...shape], BigInt)
    const wanted = `${name}.shape`
    this.#weights.push(tensor(wanted, [dims.length], dims))
    return this.#add('Reshape', name, [x.name, wanted], shape)
  }

  /** Any operator without weights. @param shape of what it makes */
  operator(
    opType: string,
    name: string,
    inputs: readonly Layer[],
    shape: readonly number[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Layer {
    const names = inputs.map((input) => input.name)
    return this.#add(opType, name, names, shape, attributes)
  }

  /** The model that ends with these layers. */
  toModel(
    outputs: Readonly<Record<string, Layer>>,
    metadata: Record<string, string> = {},
  ): ModelProto {
    const renamed = Object.entries(outputs).map(([name, layer]) => {
      const last = this.#nodes.find(({ output }) => output[0] === layer.name)!
      last.output[0] = name
      return value(name, 'float32', ['N', ...layer.shape])
    })
    return model({
      name: this.#name,
      nodes: this.#nodes,
      inputs: [value(this.input.name, 'float32', ['N', ...this.input.shape])],
      outputs: renamed,
      initializers: this.#weights,
      metadata,
    })
  }

  #add(
    opType: string,
    name: string,
    inputs: readonly string[],
    shape: readonly number[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Layer {
    this.#nodes.push(node(opType, inputs, [name], attributes))
    return { name, shape }
  }

  #weight(name: string, dims: readonly number[], deviation: number): string {
    const count = dims.reduce((product, one) => product * one, 1)
    this.#weights.push(tensor(name, dims, normal(this.#random, count, deviation)))
    return name
  }

  #filled(name: string, dims: readonly number[], fill: number): string {
    const count = dims.reduce((product, one) => product * one, 1)
    this.#weights.push(tensor(name, dims, new Float32Array(count).fill(fill)))
    return name
  }

  #given(name: string, values: readonly number[]): string {
    this.#weights.push(tensor(name, [values.length], Float32Array.from(values)))
    return name
  }

  /** Numbers that many nodes share; a single one has no dimensions. */
  #constant(name: string, numbers: Float32Array): string {
    if (!this.#weights.some((one) => one.name === name)) {
      this.#weights.push(tensor(name, numbers.length === 1 ? [] : [numbers.length], numbers))
    }
    return name
  }
}
