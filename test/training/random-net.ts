/** Nets that somebody might train, put together from a list of numbers. */
import { type Attribute, model, node, value } from '../../model-compiler/src/onnx/build.ts'
import type { ModelProto, NodeProto, TensorProto } from '../../model-compiler/src/onnx/schema.ts'
import { type Numbers, tensor } from '../../model-compiler/src/onnx/tensor.ts'
import { sequence } from '../../model-compiler/src/passes/equivalence.ts'

/** One layer: which, on which of the values so far, with which numbers. */
export type NetStep = { readonly layer: number; readonly from: number; readonly seed: number }

type Known = { readonly name: string; readonly shape: readonly [number, number, number] }

/** The steps on `x` of n×4×6×6, with a matrix product to 3 numbers behind the last value. */
export function randomNet(steps: readonly NetStep[]): ModelProto {
  const net = new Net()
  for (const step of steps) net.add(step)
  return net.finish()
}

class Net {
  readonly nodes: NodeProto[] = []
  readonly constants: TensorProto[] = []
  readonly values: Known[] = [{ name: 'x', shape: [4, 6, 6] }]
  next: () => number = sequence(1)

  add({ layer, from, seed }: NetStep): void {
    this.next = sequence(seed + 1)
    // Mostly the newest value, so that nets are deep.
    const x =
      this.values[from % 3 === 0 ? (from >> 2) % this.values.length : this.values.length - 1]!
    const [channels, height, width] = x.shape
    const pick = (count: number) => Math.floor(this.next() * count)
    const bend = (op: string, attributes: Record<string, Attribute> = {}) =>
      this.make(op, [x.name], x.shape, attributes)
    const layers: (() => void)[] = [
      () => this.conv(x, 1, [2, 4, 6][pick(3)]!, 1, 1),
      () => this.conv(x, 3, [2, 4, 6][pick(3)]!, 1, height > 3 ? 1 + pick(2) : 1),
      () => this.conv(x, 3, channels, channels, height > 3 ? 1 + pick(2) : 1),
      () => this.conv(x, 1, channels, channels % 2 === 0 ? 2 : 1, 1),
      () => bend('Relu'),
      () => bend('Sigmoid'),
      () => bend('HardSwish'),
      () => bend('LeakyRelu', { alpha: { float: 0.1 } }),
      () => {
        bend('Sigmoid')
        const gate = this.values.at(-1)!
        this.make('Mul', [x.name, gate.name], x.shape)
      },
      () => {
        const figures = [0.6, 0.4, 0.3].map((scale) => this.floats([channels], scale))
        this.make(
          'BatchNormalization',
          [x.name, ...figures, this.floats([channels], 0.3, 1)],
          x.shape,
        )
      },
      () => {
        const same = this.values.filter(({ shape }) => shape.join() === x.shape.join())
        const other = same[pick(same.length)]!
        this.make(['Add', 'Mul', 'Sub'][pick(3)]!, [x.name, other.name], x.shape)
      },
      () => {
        const joins = this.values.filter(({ shape }) => shape[1] === height && shape[2] === width)
        const other = joins[pick(joins.length)]!
        if (channels + other.shape[0] > 12) return
        const shape: Known['shape'] = [channels + other.shape[0], height, width]
        this.make('Concat', [other.name, x.name], shape, { axis: { int: 1 } })
      },
      () => {
        if (height < 4 || width < 4) return
        const attributes = { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } }
        const shape: Known['shape'] = [channels, height >> 1, width >> 1]
        this.make(pick(2) === 0 ? 'MaxPool' : 'AveragePool', [x.name], shape, attributes)
      },
      () => {
        if (height > 6) return
        const scales = this.constant([4], Float32Array.of(1, 1, 2, 2))
        const linear = pick(2) === 0
        this.make('Resize', [x.name, '', scales], [channels, height * 2, width * 2], {
          mode: { string: linear ? 'linear' : 'nearest' },
          coordinate_transformation_mode: { string: linear ? 'half_pixel' : 'asymmetric' },
          nearest_mode: { string: 'floor' },
        })
      },
      () => {
        if (height < 3) return
        const ints = (...list: number[]) =>
          this.constant([list.length], BigInt64Array.from(list, BigInt))
        const step = 1 + pick(2)
        const shape: Known['shape'] = [channels, Math.ceil((height - 1) / step), width]
        this.make('Slice', [x.name, ints(1), ints(100), ints(2), ints(step)], shape)
      },
      () => {
        // Squeeze and excite.
        this.make('GlobalAveragePool', [x.name], [channels, 1, 1])
        this.conv(this.values.at(-1)!, 1, channels, 1, 1)
        this.make('HardSigmoid', [this.values.at(-1)!.name], [channels, 1, 1])
        this.make('Mul', [x.name, this.values.at(-1)!.name], x.shape)
      },
      () => {
        const perm = [0, 1, 3, 2]
        this.make('Transpose', [x.name], [channels, width, height], { perm: { ints: perm } })
      },
      () => this.make('Softmax', [x.name], x.shape, { axis: { int: 1 + pick(3) } }),
    ]
    layers[layer % layers.length]!()
  }

  finish(): ModelProto {
    const last = this.values.at(-1)!
    const length = last.shape.reduce((a, b) => a * b, 1)
    this.nodes.push(node('Flatten', [last.name], ['flat']))
    const inputs = ['flat', this.floats([length, 3], 1 / Math.sqrt(length)), this.floats([3], 1)]
    this.nodes.push(node('Gemm', inputs, ['y']))
    return model({
      name: 'random',
      nodes: this.nodes,
      inputs: [value('x', 'float32', ['n', 4, 6, 6])],
      outputs: [value('y', 'float32', ['n', 3])],
      initializers: this.constants,
    })
  }

  conv(x: Known, kernel: number, outputs: number, group: number, stride: number): void {
    const [channels, height, width] = x.shape
    const fan = (channels / group) * kernel ** 2
    const weights = this.floats([outputs, channels / group, kernel, kernel], 1 / Math.sqrt(fan))
    const bias = this.next() < 0.5 ? [this.floats([outputs], 0.5)] : []
    const pad = kernel >> 1
    const after = (length: number) => Math.floor((length - 1) / stride) + 1
    this.make('Conv', [x.name, weights, ...bias], [outputs, after(height), after(width)], {
      group: { int: group },
      strides: { ints: [stride, stride] },
      pads: { ints: [pad, pad, pad, pad] },
    })
  }
  make(
    op: string,
    inputs: readonly string[],
    shape: Known['shape'],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): void {
    const name = `v${this.nodes.length}`
    this.nodes.push(node(op, inputs, [name], attributes))
    this.values.push({ name, shape })
  }
  floats(dims: readonly number[], scale: number, shift = 0): string {
    const length = dims.reduce((a, b) => a * b, 1)
    const numbers = Float32Array.from({ length }, () => (this.next() * 2 - 1) * scale + shift)
    return this.constant(dims, numbers)
  }
  constant(dims: readonly number[], numbers: Numbers): string {
    const name = `k${this.constants.length}`
    this.constants.push(tensor(name, dims, numbers))
    return name
  }
}
