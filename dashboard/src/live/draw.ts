/**
 * Draws a frame and its detections on one canvas, so a box can never be beside its picture. Boxes
 * are shares of the source frame; the picture may come in any size.
 */
import type { Detection } from '@edgeloop/protocol'
import { classColour } from './class-colour.ts'

/** Where a picture of `width`×`height` lies in an area, whole and centred, in the area's units. */
export type Placed = {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** @returns the largest centred rectangle of the picture's shape that fits the area */
export function contain(
  areaWidth: number,
  areaHeight: number,
  width: number,
  height: number,
): Placed {
  const scale = Math.min(areaWidth / width, areaHeight / height)
  return {
    x: (areaWidth - width * scale) / 2,
    y: (areaHeight - height * scale) / 2,
    width: width * scale,
    height: height * scale,
  }
}

/** A normalized box in the units of where its picture was placed. */
export function boxWithin(box: readonly number[], placed: Placed): Placed {
  const [left = 0, top = 0, width = 0, height = 0] = box
  return {
    x: placed.x + left * placed.width,
    y: placed.y + top * placed.height,
    width: width * placed.width,
    height: height * placed.height,
  }
}

/** Gives the canvas the size of its element in device pixels; resets it only when that changed. */
function prepare(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  const ratio = devicePixelRatio
  const width = Math.round(canvas.clientWidth * ratio)
  const height = Math.round(canvas.clientHeight * ratio)
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width
    canvas.height = height
  }
  const context = canvas.getContext('2d')
  context?.setTransform(ratio, 0, 0, ratio, 0, 0)
  return context
}

/**
 * Draws everything anew.
 * @param source the source frame's size in pixels, which the picture has the shape of
 * @param scoreMin what scores less is only hinted at: it is not tracked
 */
export function drawFrame(
  canvas: HTMLCanvasElement,
  picture: CanvasImageSource,
  source: { readonly width: number; readonly height: number },
  detections: readonly Detection[],
  scoreMin: number,
): void {
  const context = prepare(canvas)
  if (!context) return
  const { clientWidth, clientHeight } = canvas
  context.clearRect(0, 0, clientWidth, clientHeight)
  const placed = contain(clientWidth, clientHeight, source.width, source.height)
  context.imageSmoothingQuality = 'high'
  context.drawImage(picture, placed.x, placed.y, placed.width, placed.height)
  // Small ones last: they lie on top of what they stand in front of.
  const byArea = detections.toSorted((a, b) => area(b) - area(a))
  const sure = byArea.filter(({ score }) => score >= scoreMin)
  for (const detection of byArea) {
    if (detection.score >= scoreMin) drawBox(context, detection, placed)
    else drawHint(context, detection, placed)
  }
  for (const detection of sure) drawPlate(context, detection, placed, clientWidth)
}

const area = ({ box }: Detection): number => (box[2] ?? 0) * (box[3] ?? 0)

function drawBox(context: CanvasRenderingContext2D, detection: Detection, placed: Placed): void {
  const { x, y, width, height } = boxWithin(detection.box, placed)
  context.strokeStyle = '#000000'
  context.lineWidth = 4
  context.strokeRect(x, y, width, height)
  context.strokeStyle = classColour(detection.label)
  context.lineWidth = 2
  context.strokeRect(x, y, width, height)
}

/** Not sure enough to be followed: thin and dashed, without a word. */
function drawHint(context: CanvasRenderingContext2D, detection: Detection, placed: Placed): void {
  const { x, y, width, height } = boxWithin(detection.box, placed)
  context.setLineDash([3, 3])
  context.strokeStyle = classColour(detection.label)
  context.lineWidth = 1
  context.strokeRect(x, y, width, height)
  context.setLineDash([])
}

const plateHeight = 18

function drawPlate(
  context: CanvasRenderingContext2D,
  detection: Detection,
  placed: Placed,
  areaWidth: number,
): void {
  // Nothing legible fits on a thumbnail.
  if (areaWidth < 280) return
  const box = boxWithin(detection.box, placed)
  const text = `${detection.label} ${detection.score.toFixed(2)}`
  context.font = '12px system-ui, sans-serif'
  context.textBaseline = 'middle'
  const width = context.measureText(text).width + 16
  // Above the box, or inside where it would leave the picture.
  const x = Math.max(placed.x, Math.min(box.x - 2, placed.x + placed.width - width))
  const y = box.y - plateHeight >= placed.y ? box.y - plateHeight : box.y
  context.fillStyle = 'rgba(0, 0, 0, 0.72)'
  context.fillRect(x, y, width, plateHeight)
  context.fillStyle = classColour(detection.label)
  context.fillRect(x, y, 3, plateHeight)
  context.fillStyle = '#ffffff'
  context.fillText(text, x + 9, y + plateHeight / 2 + 0.5)
}
