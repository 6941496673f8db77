/** Draws a picture with what is said of it on two canvases: what lies still below, what is moved above. */
import { classColour } from '../live/class-colour.ts'
import type { Piece } from './desk.ts'
import { handlesOf, type Shape, type Spot } from './shapes.ts'
import { toCanvas, type View } from './view.ts'

/** Side of a handle, CSS pixels. */
export const handleSide = 8
/** Words on more boxes than this cannot be read. */
const platesMax = 150
/** Narrower boxes, in CSS pixels, have no room for a word. */
const plateWidthMin = 36
/** From this zoom on, pixels of the picture are seen as squares. */
const squaresFrom = 4

export type Look = {
  readonly view: View
  /** 1 as it is. */
  readonly brightness: number
  readonly contrast: number
}

export type Ghost = { readonly shape: Shape; readonly colour: string }

/** Gives a canvas the size of its element in device pixels, and a context in CSS pixels. */
export function prepared(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  const ratio = devicePixelRatio
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((one) =>
    Math.round(one * ratio),
  )
  if (width === undefined || height === undefined) return null
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width
    canvas.height = height
  }
  const context = canvas.getContext('2d')
  context?.setTransform(ratio, 0, 0, ratio, 0, 0)
  context?.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight)
  return context
}

export function paintPicture(
  context: CanvasRenderingContext2D,
  bitmap: ImageBitmap,
  size: { readonly width: number; readonly height: number },
  { view, brightness, contrast }: Look,
): void {
  const plain = brightness === 1 && contrast === 1
  context.filter = plain ? 'none' : `brightness(${brightness}) contrast(${contrast})`
  context.imageSmoothingEnabled = view.scale < squaresFrom
  context.imageSmoothingQuality = 'high'
  context.drawImage(bitmap, view.x, view.y, size.width * view.scale, size.height * view.scale)
  context.filter = 'none'
}

/** @param colourOf of a piece, where it is not that of its label */
export function paintPieces(
  context: CanvasRenderingContext2D,
  pieces: readonly Piece[],
  view: View,
  colourOf: (piece: Piece) => string,
): void {
  for (const piece of pieces) {
    paintShape(context, piece.shape, view, {
      colour: colourOf(piece),
      proposed: piece.score !== undefined,
    })
  }
  if (pieces.length > platesMax) return
  for (const piece of pieces) paintPlate(context, piece, view, colourOf(piece))
}

export function paintGhosts(
  context: CanvasRenderingContext2D,
  ghosts: readonly Ghost[],
  view: View,
): void {
  for (const { shape, colour } of ghosts) {
    paintShape(context, shape, view, { colour, proposed: true, thin: true })
  }
}

/** What is selected or being drawn, with its handles. */
export function paintActive(
  context: CanvasRenderingContext2D,
  shape: Shape,
  view: View,
  { colour, handles }: { readonly colour: string; readonly handles: boolean },
): void {
  paintShape(context, shape, view, { colour, proposed: false, wide: true })
  if (!handles) return
  for (const { at } of handlesOf(shape)) {
    const [x, y] = toCanvas(at, view)
    const half = handleSide / 2
    context.fillStyle = '#000000'
    context.fillRect(x - half - 1, y - half - 1, handleSide + 2, handleSide + 2)
    context.fillStyle = '#ffffff'
    context.fillRect(x - half, y - half, handleSide, handleSide)
  }
}

/** Lines through the pointer, to aim with. */
export function paintCross(
  context: CanvasRenderingContext2D,
  [x, y]: Spot,
  { width, height }: { readonly width: number; readonly height: number },
): void {
  for (const [colour, dash] of [
    ['#000000', []],
    ['#ffffff', [4, 4]],
  ] as const) {
    context.strokeStyle = colour
    context.lineWidth = 1
    context.setLineDash([...dash])
    context.beginPath()
    context.moveTo(x, 0)
    context.lineTo(x, height)
    context.moveTo(0, y)
    context.lineTo(width, y)
    context.stroke()
  }
  context.setLineDash([])
}

type Stroke = {
  readonly colour: string
  readonly proposed: boolean
  readonly thin?: true
  readonly wide?: true
}

function paintShape(
  context: CanvasRenderingContext2D,
  shape: Shape,
  view: View,
  { colour, proposed, thin, wide }: Stroke,
): void {
  if (shape.kind === 'whole') return
  const width = thin ? 1 : wide ? 3 : 2
  context.beginPath()
  if (shape.kind === 'box') {
    const [left, top] = toCanvas([shape.left, shape.top], view)
    context.rect(
      left,
      top,
      (shape.right - shape.left) * view.scale,
      (shape.bottom - shape.top) * view.scale,
    )
  } else {
    for (const [at, point] of shape.points.entries()) {
      const [x, y] = toCanvas(point, view)
      if (at === 0) context.moveTo(x, y)
      else context.lineTo(x, y)
    }
    context.closePath()
  }
  context.strokeStyle = '#000000'
  context.lineWidth = width + 2
  context.setLineDash([])
  context.stroke()
  context.strokeStyle = colour
  context.lineWidth = width
  if (proposed) context.setLineDash([6, 4])
  context.stroke()
  context.setLineDash([])
}

const plateHeight = 16

export function paintPlate(
  context: CanvasRenderingContext2D,
  { label, score, crowd, shape }: Piece,
  view: View,
  colour: string = classColour(label),
): void {
  if (shape.kind === 'whole') return
  const points = shape.kind === 'box' ? undefined : shape.points
  const left = points ? Math.min(...points.map(([x]) => x)) : shape.kind === 'box' ? shape.left : 0
  const right = points
    ? Math.max(...points.map(([x]) => x))
    : shape.kind === 'box'
      ? shape.right
      : 0
  const top = points ? Math.min(...points.map(([, y]) => y)) : shape.kind === 'box' ? shape.top : 0
  if ((right - left) * view.scale < plateWidthMin) return
  const [x, y] = toCanvas([left, top], view)
  const text = `${label}${score === undefined ? '' : ` ${score.toFixed(2)}`}${crowd ? ' difficult' : ''}`
  context.font = '12px system-ui, sans-serif'
  context.textBaseline = 'middle'
  const width = context.measureText(text).width + 12
  const at = y - plateHeight >= 0 ? y - plateHeight : y
  context.fillStyle = 'rgba(0, 0, 0, 0.72)'
  context.fillRect(x - 1, at, width, plateHeight)
  context.fillStyle = colour
  context.fillRect(x - 1, at, 3, plateHeight)
  context.fillStyle = '#ffffff'
  context.fillText(text, x + 6, at + plateHeight / 2 + 0.5)
}
