/** Detectors of a few thousand weights in the forms that exporters write, for tests of what is trained at their heads. */
import {
  type ModelProto,
  model,
  type NodeProto,
  node,
  type TensorProto,
  tensor,
  value,
} from '@edgeloop/model-compiler'

export type TinyOptions = {
  readonly classes: number
  /** Pixels of a side of the canvas; 64 unless said otherwise. */
  readonly side?: number
  readonly seed?: number
}

const strides = [8, 16]
const width = 12

/** Numbers in [0, 1) that depend on nothing but the seed. */
export function numbersFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

class Parts {
  readonly nodes: NodeProto[] = []
  readonly initializers: TensorProto[] = []
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = numbersFrom(seed)
  }
  conv(input: string, name: string, from: number, to: number, stride = 1, kernel = 1): string {
    const size = from * kernel * kernel
    const any = (count: number, spread: number) =>
      Float32Array.from({ length: count }, () => (this.#random() - 0.5) * spread)
    this.initializers.push(
      tensor(`${name}.weight`, [to, from, kernel, kernel], any(to * size, 4 / Math.sqrt(size))),
      tensor(`${name}.bias`, [to], any(to, 1)),
    )
    this.nodes.push(
      node('Conv', [input, `${name}.weight`, `${name}.bias`], [name], {
        kernel_shape: { ints: [kernel, kernel] },
        strides: { ints: [stride, stride] },
      }),
    )
    return name
  }
  op(opType: string, inputs: readonly string[], name: string, attributes = {}): string {
    this.nodes.push(node(opType, inputs, [name], attributes))
    return name
  }
  ints(name: string, values: readonly number[]): string {
    this.initializers.push(tensor(name, [values.length], BigInt64Array.from(values, BigInt)))
    return name
  }
  /** Maps of stride 8 and 16, `width` channels each. */
  trunk(): string[] {
    const first = this.op('Relu', [this.conv('images', 'stem', 3, width, 4, 4)], 'stem.out')
    const near = this.op('Relu', [this.conv(first, 'near', width, width, 2, 2)], 'near.out')
    const far = this.op('Relu', [this.conv(near, 'far', width, width, 2, 2)], 'far.out')
    return [near, far]
  }
}

const finished = (
  parts: Parts,
  side: number,
  outputs: Readonly<Record<string, readonly number[]>>,
): ModelProto =>
  model({
    name: 'tiny',
    nodes: parts.nodes,
    initializers: parts.initializers,
    inputs: [value('images', 'float32', [1, 3, side, side])],
    outputs: Object.entries(outputs).map(([name, shape]) => value(name, 'float32', shape)),
  })

const cellsOf = (side: number): number =>
  strides.reduce((sum, stride) => sum + (side / stride) ** 2, 0)

/** As YOLOX is exported: box, objectness and classes joined per map, undecoded. */
export function tinyYolox({ classes, side = 64, seed = 1 }: TinyOptions): ModelProto {
  const parts = new Parts(seed)
  const rows = parts.trunk().map((input, at) => {
    const box = parts.conv(input, `box${at}`, width, 4)
    const objectness = parts.conv(input, `obj${at}`, width, 1)
    const kinds = parts.conv(input, `cls${at}`, width, classes)
    const joined = parts.op(
      'Concat',
      [
        box,
        parts.op('Sigmoid', [objectness], `obj${at}.share`),
        parts.op('Sigmoid', [kinds], `cls${at}.share`),
      ],
      `map${at}`,
      { axis: { int: 1 } },
    )
    return parts.op(
      'Reshape',
      [joined, parts.ints(`map${at}.shape`, [1, 5 + classes, -1])],
      `row${at}`,
    )
  })
  parts.op('Concat', rows, 'rows', { axis: { int: 2 } })
  parts.op('Transpose', ['rows'], 'output', { perm: { ints: [0, 2, 1] } })
  return finished(parts, side, { output: [1, cellsOf(side), 5 + classes] })
}

/** As YOLOv8 is exported: distributions of four distances, decoded in the graph. */
export function tinyYolov8({ classes, side = 64, seed = 1 }: TinyOptions): ModelProto {
  const parts = new Parts(seed)
  const bins = 8
  const cells = cellsOf(side)
  const rows = parts.trunk().map((input, at) => {
    const box = parts.conv(input, `box${at}`, width, 4 * bins)
    const kinds = parts.conv(input, `cls${at}`, width, classes)
    const joined = parts.op('Concat', [box, kinds], `map${at}`, { axis: { int: 1 } })
    const shape = parts.ints(`map${at}.shape`, [1, 4 * bins + classes, -1])
    return parts.op('Reshape', [joined, shape], `row${at}`)
  })
  parts.op('Concat', rows, 'rows', { axis: { int: 2 } })
  parts.nodes.push(
    node('Split', ['rows', parts.ints('parts', [4 * bins, classes])], ['sides', 'kinds'], {
      axis: { int: 1 },
    }),
  )
  parts.op('Reshape', ['sides', parts.ints('sides.shape', [1, 4, bins, cells])], 'sides.bins')
  parts.op('Transpose', ['sides.bins'], 'bins.first', { perm: { ints: [0, 2, 1, 3] } })
  parts.op('Softmax', ['bins.first'], 'bins.shares', { axis: { int: 1 } })
  parts.initializers.push(
    tensor(
      'numbers',
      [1, bins, 1, 1],
      Float32Array.from({ length: bins }, (_, at) => at),
    ),
  )
  parts.op('Conv', ['bins.shares', 'numbers'], 'distances.map')
  parts.op('Reshape', ['distances.map', parts.ints('distances.shape', [1, 4, cells])], 'distances')
  const axis = parts.ints('one', [1])
  const bounds = [0, 2, 4].map((bound) => parts.ints(`bound${bound}`, [bound]))
  parts.op('Slice', ['distances', bounds[0]!, bounds[1]!, axis], 'before')
  parts.op('Slice', ['distances', bounds[1]!, bounds[2]!, axis], 'after')
  const middles: number[][] = [[], []]
  const steps: number[] = []
  for (const stride of strides) {
    for (let cell = 0; cell < (side / stride) ** 2; cell++) {
      middles[0]!.push((cell % (side / stride)) + 0.5)
      middles[1]!.push(Math.floor(cell / (side / stride)) + 0.5)
      steps.push(stride)
    }
  }
  parts.initializers.push(
    tensor('middles', [1, 2, cells], Float32Array.from(middles.flat())),
    tensor('strides', [1, 1, cells], Float32Array.from(steps)),
    tensor('two', [], Float32Array.of(2)),
  )
  parts.op('Sub', ['middles', 'before'], 'corner')
  parts.op('Add', ['middles', 'after'], 'opposite')
  parts.op('Add', ['corner', 'opposite'], 'twice')
  parts.op('Div', ['twice', 'two'], 'centre')
  parts.op('Sub', ['opposite', 'corner'], 'size')
  parts.op('Concat', ['centre', 'size'], 'boxes.cells', { axis: { int: 1 } })
  parts.op('Mul', ['boxes.cells', 'strides'], 'boxes')
  parts.op('Sigmoid', ['kinds'], 'kinds.share')
  parts.op('Concat', ['boxes', 'kinds.share'], 'output', { axis: { int: 1 } })
  return finished(parts, side, { output: [1, 4 + classes, cells] })
}

/** As NanoDet is exported: one convolution per map, parted into classes and distributions. */
export function tinyNanodet({ classes, side = 64, seed = 1 }: TinyOptions): ModelProto {
  const parts = new Parts(seed)
  const bins = 8
  const outputs: Record<string, readonly number[]> = {}
  for (const [at, input] of parts.trunk().entries()) {
    const stride = strides[at]!
    const whole = parts.conv(input, `gfl${at}`, width, classes + 4 * bins)
    parts.nodes.push(
      node(
        'Split',
        [whole, parts.ints(`parts${at}`, [classes, 4 * bins])],
        [`kinds${at}`, `sides${at}`],
        {
          axis: { int: 1 },
        },
      ),
    )
    const rowsOf = (input: string, channels: number, name: string) => {
      const shape = parts.ints(`${name}.shape`, [1, channels, -1])
      const flat = parts.op('Reshape', [input, shape], `${name}.flat`)
      parts.op('Transpose', [flat], name, { perm: { ints: [0, 2, 1] } })
      outputs[name] = [1, (side / stride) ** 2, channels]
    }
    rowsOf(parts.op('Sigmoid', [`kinds${at}`], `kinds${at}.share`), classes, `cls_${stride}`)
    rowsOf(`sides${at}`, 4 * bins, `dis_${stride}`)
  }
  return finished(parts, side, outputs)
}
