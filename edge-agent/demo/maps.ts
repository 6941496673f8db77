/**
 * The detector's arithmetic in plain JavaScript, with the same meaning as the ONNX operators of the same
 * names: what the fit sees is what the model will compute, on every machine alike.
 */

/** Channels × height × width. */
export type Maps = {
  readonly channels: number
  readonly height: number
  readonly width: number
  readonly data: Float32Array
}

/** Weights `[out][in][kernel][kernel]`, one bias per output. */
export type Convolution = {
  readonly outputs: number
  readonly inputs: number
  readonly kernel: number
  readonly stride: number
  /** Distance between the cells that the kernel looks at. */
  readonly dilation: number
  readonly weights: Float32Array
  readonly biases: Float32Array
}

export function maps(channels: number, height: number, width: number): Maps {
  return { channels, height, width, data: new Float32Array(channels * height * width) }
}

/** Conv with zeros around the rim (pads = dilation · (kernel >> 1)); kernels of 3 and 5. */
export function convolve(input: Maps, convolution: Convolution): Maps {
  const { outputs, inputs, kernel, stride, dilation, weights, biases } = convolution
  const { data, height: rows, width: columns } = padded(input, dilation * (kernel >> 1))
  const reach = dilation * (kernel - 1) + 1
  const height = Math.floor((rows - reach) / stride) + 1
  const width = Math.floor((columns - reach) / stride) + 1
  const result = maps(outputs, height, width)
  const sums = new Float64Array(width)
  const addRow = kernel === 3 ? addRow3 : addRow5
  for (let o = 0; o < outputs; o++) {
    for (let y = 0; y < height; y++) {
      sums.fill(biases[o]!)
      for (let i = 0; i < inputs; i++) {
        for (let k = 0; k < kernel; k++) {
          const from = (i * rows + y * stride + k * dilation) * columns
          const first = ((o * inputs + i) * kernel + k) * kernel
          addRow(sums, data, from, stride, dilation, weights, first)
        }
      }
      result.data.set(sums, (o * height + y) * width)
    }
  }
  return result
}

/** Adds one row of a kernel over one row of the input. Written out, because it is where the time goes. */
function addRow3(
  sums: Float64Array,
  data: Float32Array,
  from: number,
  stride: number,
  dilation: number,
  weights: Float32Array,
  first: number,
): void {
  const a = weights[first]!
  const b = weights[first + 1]!
  const c = weights[first + 2]!
  for (let x = 0, at = from; x < sums.length; x++, at += stride) {
    sums[x]! += a * data[at]! + b * data[at + dilation]! + c * data[at + 2 * dilation]!
  }
}

function addRow5(
  sums: Float64Array,
  data: Float32Array,
  from: number,
  stride: number,
  dilation: number,
  weights: Float32Array,
  first: number,
): void {
  const a = weights[first]!
  const b = weights[first + 1]!
  const c = weights[first + 2]!
  const d = weights[first + 3]!
  const e = weights[first + 4]!
  for (let x = 0, at = from; x < sums.length; x++, at += stride) {
    sums[x]! +=
      a * data[at]! +
      b * data[at + dilation]! +
      c * data[at + 2 * dilation]! +
      d * data[at + 3 * dilation]! +
      e * data[at + 4 * dilation]!
  }
}

function padded(input: Maps, pad: number): Maps {
  const result = maps(input.channels, input.height + 2 * pad, input.width + 2 * pad)
  for (let c = 0; c < input.channels; c++) {
    for (let y = 0; y < input.height; y++) {
      const from = (c * input.height + y) * input.width
      const to = (c * result.height + y + pad) * result.width + pad
      result.data.set(input.data.subarray(from, from + input.width), to)
    }
  }
  return result
}

/** Relu, in place. */
export function rectify(input: Maps): Maps {
  const { data } = input
  for (let i = 0; i < data.length; i++) if (data[i]! < 0) data[i] = 0
  return input
}

/** AveragePool of 2×2 with stride 2, a last odd row or column left out. */
export function halve(input: Maps): Maps {
  const height = input.height >> 1
  const width = input.width >> 1
  const result = maps(input.channels, height, width)
  for (let c = 0, to = 0; c < input.channels; c++) {
    for (let y = 0; y < height; y++) {
      let at = (c * input.height + 2 * y) * input.width
      for (let x = 0; x < width; x++, at += 2, to++) {
        const below = at + input.width
        result.data[to] =
          (input.data[at]! + input.data[at + 1]! + input.data[below]! + input.data[below + 1]!) / 4
      }
    }
  }
  return result
}

/** Add. */
export function plus(a: Maps, b: Maps): Maps {
  return { ...a, data: a.data.map((value, at) => value + b.data[at]!) }
}

/** Concat along the channels. */
export function stack(...inputs: readonly Maps[]): Maps {
  const [first] = inputs
  if (first === undefined) throw new RangeError('Cannot stack no maps')
  const channels = inputs.reduce((sum, input) => sum + input.channels, 0)
  const result = maps(channels, first.height, first.width)
  let at = 0
  for (const { data } of inputs) {
    result.data.set(data, at)
    at += data.length
  }
  return result
}

/** What a kernel looks at around one cell. */
export type Window = Pick<Convolution, 'kernel' | 'dilation'>

/**
 * What a convolution sees at one cell: `[in][kernel][kernel]`, zeros beyond the rim, so that weights
 * fitted to these rows are the convolution's weights.
 * @param at where in `to` the row begins
 * @returns where it ends
 */
export function patch(
  input: Maps,
  x: number,
  y: number,
  { kernel, dilation }: Window,
  to: Float64Array,
  at = 0,
): number {
  const half = kernel >> 1
  let end = at
  for (let c = 0; c < input.channels; c++) {
    for (let ky = -half; ky <= half; ky++) {
      const row = y + ky * dilation
      const from = (c * input.height + row) * input.width
      for (let kx = -half; kx <= half; kx++) {
        const column = x + kx * dilation
        const inside = row >= 0 && row < input.height && column >= 0 && column < input.width
        to[end++] = inside ? input.data[from + column]! : 0
      }
    }
  }
  return end
}
