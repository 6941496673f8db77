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
