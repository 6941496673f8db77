/** Where a picture lands in a model's input, and the numbers its bytes become there. Pure. */

/** As the agent places a frame: proportions kept and the rest padded, or stretched. */
export const canvasFits = ['stretch', 'letterbox-topleft', 'letterbox-center'] as const
export type CanvasFit = (typeof canvasFits)[number]

/** What a model's input takes. */
export type CanvasSpec = {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
  readonly fit: CanvasFit
  readonly order: 'rgb' | 'bgr'
  /** Taken from each byte, by channel in the order of the model. */
  readonly mean: readonly number[]
  /** What is left is divided by it. */
  readonly std: readonly number[]
  /** The byte around a letterboxed picture. */
  readonly pad: number
}

/** Left, top, width and height in pixels; may be fractions, and reach beyond the canvas. */
export type Area = {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** Where a picture lies that nothing is done to: to the pixel where the agent puts a frame of this size. */
export function contentOf(
  { fit, width, height }: Pick<CanvasSpec, 'fit' | 'width' | 'height'>,
  sourceWidth: number,
  sourceHeight: number,
): Area {
  if (fit === 'stretch') return { x: 0, y: 0, width, height }
  const scale = Math.min(width / sourceWidth, height / sourceHeight)
  const content = {
    width: Math.max(1, Math.min(width, Math.round(sourceWidth * scale))),
    height: Math.max(1, Math.min(height, Math.round(sourceHeight * scale))),
  }
  if (fit === 'letterbox-topleft') return { x: 0, y: 0, ...content }
  return { x: (width - content.width) >> 1, y: (height - content.height) >> 1, ...content }
}

/** Writes a canvas of bytes (row by row, RGB or grey) as planes of floats, as the model takes them. */
export type PlaneWriter = (canvas: Uint8Array, planes: Float32Array) => void

export function planeWriter({
  width,
  height,
  channels,
  order,
  mean,
  std,
}: CanvasSpec): PlaneWriter {
  const pixels = width * height
  // A byte has 256 values: looking up is faster than arithmetic, and exactly the same everywhere.
  const tables = Array.from({ length: channels }, (_, channel) =>
    Float32Array.from(
      { length: 256 },
      (_, byte) => (byte - (mean[channel] ?? mean[0] ?? 0)) / (std[channel] ?? std[0] ?? 1),
    ),
  )
  return (canvas, planes) => {
    for (let channel = 0; channel < channels; channel++) {
      const table = tables[channel]!
      let from = channels === 3 && order === 'bgr' ? 2 - channel : channel
      let to = channel * pixels
      for (const end = to + pixels; to < end; to++, from += channels)
        planes[to] = table[canvas[from]!]!
    }
  }
}
