/** Frames of the demo scene as the detector gets them, with their truth in pixels of its canvas. */
import { demoLabels } from '../src/demo/parts.ts'
import { createScene, sceneHeight, sceneWidth, type TruePart } from '../src/demo/scene.ts'
import { type Maps, maps } from './maps.ts'

/** Half the scene, and four rows below so that the strides divide it. */
export const canvasWidth = 320
export const canvasHeight = 184
/** Byte value of the rows below the frame (letterbox of the layout). */
export const canvasPad = 114

/** Parts that show less of themselves are neither right nor wrong to find. */
export const visibleShareMin = 0.25

/** Centre and size in pixels of the canvas. */
export type Target = {
  /** Index into `demoLabels`. */
  readonly label: number
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  /** Hardly visible: to be left out of training and of measuring. */
  readonly ignored: boolean
}

export type TrainingFrame = { readonly canvas: Maps; readonly targets: readonly Target[] }

/** `count` frames of one seed, spread over its loop. */
export function* trainingFrames(seed: number, count: number): Generator<TrainingFrame> {
  const scene = createScene({ seed, seconds: 48 })
  const rgb = new Uint8Array(sceneWidth * sceneHeight * 3)
  for (let k = 0; k < count; k++) {
    // The seed shifts the grid of moments, so that not every scene is seen at the same ones.
    const frame = Math.floor(((k + (seed % 10) / 10) * scene.frameCount) / count)
    scene.render(frame, rgb)
    yield { canvas: toCanvas(rgb), targets: scene.truth(frame).map(toTarget) }
  }
}

/** Means of 2×2 pixels, what every scaler makes of an exact half. */
export function toCanvas(rgb: Uint8Array): Maps {
  const canvas = maps(3, canvasHeight, canvasWidth)
  canvas.data.fill(canvasPad)
  const row = sceneWidth * 3
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < sceneHeight / 2; y++) {
      let to = (c * canvasHeight + y) * canvasWidth
      let at = 2 * y * row + c
      for (let x = 0; x < sceneWidth / 2; x++, to++, at += 6) {
        const sum = rgb[at]! + rgb[at + 3]! + rgb[at + row]! + rgb[at + row + 3]!
        canvas.data[to] = (sum + 2) >> 2
      }
    }
  }
  return canvas
}

function toTarget({ label, box, visibleShare }: TruePart): Target {
  const [left, top, width, height] = box
  const scaleX = sceneWidth / 2
  const scaleY = sceneHeight / 2
  return {
    label: demoLabels.indexOf(label),
    x: (left + width / 2) * scaleX,
    y: (top + height / 2) * scaleY,
    width: width * scaleX,
    height: height * scaleY,
    ignored: visibleShare < visibleShareMin,
  }
}
