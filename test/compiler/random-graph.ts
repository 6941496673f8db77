/** Graphs that somebody might have exported, from a list of numbers: what passes look for, put together at random. */
import { type Attribute, model, node, value } from '../../model-compiler/src/onnx/build.ts'
import type { ModelProto, NodeProto, TensorProto } from '../../model-compiler/src/onnx/schema.ts'
import { type Numbers, tensor } from '../../model-compiler/src/onnx/tensor.ts'
import { sequence } from '../../model-compiler/src/passes/equivalence.ts'

/** One step: which operator, on which values, with which numbers. */
export type Step = {
  readonly operator: number
  readonly first: number
  readonly second: number
  readonly seed: number
}

type Known = { readonly name: string; readonly shape: readonly number[] }

/** How many operators `step.operator` chooses from. */
export const operatorCount = 27

/** The steps on an input of 1×4×6×8; outputs are the last value and one more. */
export function randomGraph(steps: readonly Step[]): ModelProto {
  const build = new Builder()
  for (const step of steps) build.add(step)
  return build.finish()
}

class Builder {
  readonly nodes: NodeProto[] = []
  readonly initializers: TensorProto[] = []
  readonly values: Known[] = [{ name: 'x', shape: [1, 4, 6, 8] }]

  /** @returns the name of what it makes */
  add({ operator, first, second, seed }: Step): string {
    const x = this.values[first % this.values.length]!
    const next = sequence(seed + 1)
    const pick = (count: number) => Math.floor(next() * count)
    const rank = x.shape.length
    const channels = x.shape[1]!
    const unary = (op: string, attributes: Record<string, Attribute> = {}) =>
      this.make(op, [x.name], x.shape, attributes)
    switch (operator % operatorCount) {
      case 0:
        return this.convolve(x, next, 1, pick(2) === 0 ? 1 : channels % 2 === 0 ? 2 : 1)
      case 1:
        return this.convolve(x, next, 3, 1)
      case 2:
        return this.convolve(x, next, 3, channels)
      case 3: {
        const numbers = ['g', 'b', 'm'].map((name) => this.floats(name, [channels], next))
        const variance = this.floats('v', [channels], next, 0.5)
        return this.make('BatchNormalization', [x.name, ...numbers, variance], x.shape)
      }
      case 4:
      case 5:
      case 6: {
        const dims = [[], [1], new Array(rank).fill(1), [channels, ...new Array(rank - 2).fill(1)]]
        const operand = this.floats('k', dims[pick(4)]!, next, 0.5)
        const inputs = pick(4) === 0 ? [operand, x.name] : [x.name, operand]
        const op = ['Add', 'Mul', 'Sub', 'Div'][pick(4)]!
        // A number over a value that comes close to 0 says nothing about the passes.
        return this.make(op, op === 'Div' ? [x.name, operand] : inputs, x.shape)
      }
      case 7: {
        const same = this.values.filter(({ shape }) => shape.join() === x.shape.join())
        const y = same[second % same.length]!
        return this.make(['Add', 'Mul', 'Sub', 'Max'][pick(4)]!, [x.name, y.name], x.shape)
      }
      case 8:
        return unary(['Relu', 'Sigmoid', 'Identity', 'Dropout', 'HardSigmoid'][pick(5)]!)
      case 9:
        return unary('LeakyRelu', { alpha: { float: 0.1 } })
      case 10:
        return unary('Cast', { to: { int: 1 } })
      case 11:
      case 12: {
        const orders = [
          [0, 2, 3, 1],
          [0, 3, 1, 2],
          [0, 1, 2, 3],
          [3, 2, 1, 0],
        ]
        const perm =
          rank === 4 ? orders[pick(4)]! : [...x.shape.keys()].map((axis) => (axis + 1) % rank)
        return this.transpose(x, perm)
      }
      case 13: {
        // There and back again, with arithmetic between.
        const perm = rank === 4 ? [0, 2, 3, 1] : [...x.shape.keys()].toReversed()
        this.transpose(x, perm)
        const turned = this.values.at(-1)!
        this.make('Relu', [turned.name], turned.shape)
        const back = perm.map((_, axis) => perm.indexOf(axis))
        return this.transpose(this.values.at(-1)!, back)
      }
      case 14:
      case 15: {
        const size = x.shape.reduce((all, one) => all * one, 1)
        const shape = [
          [1, size],
          [1, channels, size / channels / x.shape[0]!],
          [1, 4, size / 4],
        ][pick(3)]!
        if (shape.some((one) => !Number.isInteger(one)) || x.shape[0] !== 1) return unary('Relu')
        return this.make('Reshape', [x.name, this.ints('s', shape)], shape)
      }
      case 16:
        return this.make('Unsqueeze', [x.name, this.ints('a', [0])], [1, ...x.shape])
      case 17: {
        if (x.shape[0] !== 1 || rank < 3) return unary('Neg')
        return this.make('Squeeze', [x.name, this.ints('a', [0])], x.shape.slice(1))
      }
      case 18: {
        if (rank !== 4) return unary('Abs')
        const pads = [0, 0, pick(2), pick(2), 0, 0, pick(2), pick(2)]
        const shape = x.shape.map((one, axis) => one + pads[axis]! + pads[axis + 4]!)
        return this.make('Pad', [x.name, this.ints('p', pads)], shape)
      }
      case 19: {
        if (rank !== 4 || x.shape[2]! < 2 || x.shape[3]! < 2) return unary('Abs')
        const shape = [...x.shape.slice(0, 2), x.shape[2]! - 1, x.shape[3]! - 1]
        return this.make('AveragePool', [x.name], shape, { kernel_shape: { ints: [2, 2] } })
      }
      case 20: {
        // Constants among themselves.
        const [one, other] = [this.floats('c', [1], next, 0.5), this.floats('d', [1], next, 0.5)]
        this.nodes.push(node('Mul', [one, other], [`${one}_${other}`]))
        return this.make('Mul', [x.name, `${one}_${other}`], x.shape)
      }
      case 21: {
        // HardSwish as it is exported.
        const [three, zero, six] = [3, 0, 6].map((number) => this.scalar('n', number))
        this.make('Add', [x.name, three!], x.shape)
        this.make('Clip', [this.values.at(-1)!.name, zero!, six!], x.shape)
        this.make('Mul', [x.name, this.values.at(-1)!.name], x.shape)
        return this.make('Div', [this.values.at(-1)!.name, six!], x.shape)
      }
      case 22: {
        this.make('Sigmoid', [x.name], x.shape)
        return this.make('Mul', [x.name, this.values.at(-1)!.name], x.shape)
      }
      case 23: {
        const order = Array.from({ length: channels }, (_, at) => channels - 1 - at)
        return this.make('Gather', [x.name, this.ints('o', order)], x.shape, { axis: { int: 1 } })
      }
      case 24: {
        // A normalization over some axes, as it is exported.
        const axes = { axes: { ints: rank === 4 && pick(2) === 0 ? [2, 3] : [...x.shape.keys()] } }
        const small = x.shape.map((one, axis) => (axes.axes.ints.includes(axis) ? 1 : one))
        const mean = this.make('ReduceMean', [x.name], small, axes)
        const apart = this.make('Sub', [x.name, mean], x.shape)
        const square = this.make('Mul', [apart, apart], x.shape)
        const spread = this.make('ReduceMean', [square], small, axes)
        const some = this.make('Add', [spread, this.scalar('e', 0.1)], small)
        return this.make('Div', [apart, this.make('Sqrt', [some], small)], x.shape)
      }
      case 25: {
        // Every second pixel, four times, and a convolution.
        const [, , height = 1, width = 1] = x.shape
        if (rank !== 4 || height % 2 !== 0 || width % 2 !== 0) return unary('Relu')
        const quarter = [x.shape[0]!, channels, height / 2, width / 2]
        const [step, far] = [this.ints('s', [2, 2]), this.ints('f', [999, 999])]
        const axes = this.ints('a', [2, 3])
        const quarters = [0, 1, 2, 3].map((at) =>
          this.make('Slice', [x.name, this.ints('b', [at & 1, at >> 1]), far, axes, step], quarter),
        )
        const stacked = [quarter[0]!, 4 * channels, ...quarter.slice(2)]
        const axis = { axis: { int: 1 } }
        const name = this.make('Concat', quarters, stacked, axis)
        return this.convolve({ name, shape: stacked }, next, 3, 1)
      }
      default: {
        const shape = [...x.shape]
        shape[1] = channels * 2
        return this.make('Concat', [x.name, x.name], shape, { axis: { int: 1 } })
      }
    }
  }

  finish(): ModelProto {
    const outputs = [this.values.at(-1)!, this.values[Math.floor(this.values.length / 2)]!]
    return model({
      name: 'random',
      opset: 17,
      inputs: [value('x', 'float32', this.values[0]!.shape)],
      outputs: outputs.map(({ name, shape }, at) => {
        this.nodes.push(node('Abs', [name], [`out${at}`]))
        return value(`out${at}`, 'float32', shape)
      }),
      initializers: this.initializers,
      nodes: this.nodes,
    })
  }

  make(
    op: string,
    inputs: readonly string[],
    shape: readonly number[],
    attributes: Record<string, Attribute> = {},
  ): string {
    const name = `value${this.values.length}`
    this.nodes.push(node(op, inputs, [name], attributes))
    this.values.push({ name, shape })
    return name
  }

  convolve(x: Known, next: () => number, side: number, group: number): string {
    const channels = x.shape[1]!
    if (x.shape.length !== 4) return this.make('Relu', [x.name], x.shape)
    const outputs = group === 1 ? 1 + Math.floor(next() * 5) : channels
    const pad = side >> 1
    const weights = this.floats('w', [outputs, channels / group, side, side], next)
    const bias = next() < 0.5 ? [this.floats('b', [outputs], next)] : []
    return this.make(
      'Conv',
      [x.name, weights, ...bias],
      [x.shape[0]!, outputs, ...x.shape.slice(2)],
      {
        group: { int: group },
        pads: { ints: [pad, pad, pad, pad] },
      },
    )
  }

  transpose(x: Known, perm: readonly number[]): string {
    const shape = perm.map((axis) => x.shape[axis]!)
    return this.make('Transpose', [x.name], shape, { perm: { ints: perm } })
  }

  floats(name: string, dims: readonly number[], next: () => number, from = -1): string {
    const length = dims.reduce((all, one) => all * one, 1)
    return this.constant(
      name,
      dims,
      Float32Array.from({ length }, () => from + next() * 2),
    )
  }
  scalar(name: string, number: number): string {
    return this.constant(name, [], Float32Array.of(number))
  }
  ints(name: string, numbers: readonly number[]): string {
    return this.constant(name, [numbers.length], BigInt64Array.from(numbers, BigInt))
  }
  constant(base: string, dims: readonly number[], numbers: Numbers): string {
    const name = `${base}${this.initializers.length}`
    this.initializers.push(tensor(name, dims, numbers))
    return name
  }
}
