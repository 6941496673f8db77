/** A head run plainly: the raw numbers of one picture, read cell by cell in TypeScript. */
import { Graph } from '../../graph/graph.ts'
import { OnnxError } from '../../onnx/read.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { tensorTypes } from '../../onnx/types.ts'
import { writeModel } from '../../onnx/write.ts'
import { removeDead } from '../../passes/remove-dead.ts'
import { openSession, type Session, type Value } from '../../runtime/session.ts'
import { dropInitializerInputs } from '../../shapes/input-shapes.ts'
import { Anchors } from './anchors.ts'
import { cutsOf, type Head, type HeadPiece } from './head.ts'

/** Left, top, right, bottom in pixels of the canvas. */
export type CornerBox = readonly [number, number, number, number]

/** What the head says of one picture. */
export type HeadReading = {
  boxOf(cell: number): CornerBox
  /** 0..1; 1 for a head without it. */
  objectnessOf(cell: number): number
  /** 0..1, by class. */
  scoreOf(cell: number, index: number): number
}

/** The model up to its raw head, with one picture a run. */
export class HeadReader implements AsyncDisposable {
  readonly head: Head
  readonly anchors: Anchors
  readonly #session: Session
  readonly #firstOf: readonly number[]

  private constructor(head: Head, session: Session) {
    this.head = head
    this.anchors = new Anchors(head)
    this.#session = session
    this.#firstOf = head.levels.map((_, level) => this.anchors.level.indexOf(level))
  }

  /** @throws {OnnxError} when the runtime refuses the model */
  static async open(model: ModelProto, head: Head): Promise<HeadReader> {
    const graph = new Graph(model)
    dropInitializerInputs(graph)
    const cuts = new Set(cutsOf(head))
    for (const { name } of [...graph.outputs]) if (!cuts.has(name)) graph.removeOutput(name)
    for (const name of cuts) {
      if (!graph.isOutput(name)) {
        graph.addOutput(name, { elementType: tensorTypes.float32, shape: undefined })
      }
    }
    removeDead.run(graph)
    return new HeadReader(head, await openSession(writeModel(graph.toModel())))
  }

  /** @param image [1, C, height, width], as the model's input takes it */
  async read(image: Value): Promise<HeadReading> {
    const [input] = this.#session.inputs
    if (!input) throw new OnnxError('Cannot read the head: the model has no input')
    const said = await this.#session.run({ [input.name]: image })
    const { head, anchors } = this
    const firstOf = this.#firstOf
    const raw = ({ value, from }: HeadPiece, channel: number, cell: number): number => {
      const { columns, rows } = head.levels[anchors.level[cell]!]!
      const own = cell - firstOf[anchors.level[cell]!]!
      return (said[value]!.data as Float32Array)[(from + channel) * columns * rows + own]!
    }
    const levelOf = (cell: number) => head.levels[anchors.level[cell]!]!
    return {
      boxOf: (cell) => {
        const [x, y, stride] = [anchors.x[cell]!, anchors.y[cell]!, anchors.stride[cell]!]
        const { box } = levelOf(cell)
        if (head.kind === 'sized') {
          const centreX = x + (raw(box, 0, cell) - 0.5) * stride
          const centreY = y + (raw(box, 1, cell) - 0.5) * stride
          const halfWidth = (Math.exp(raw(box, 2, cell)) * stride) / 2
          const halfHeight = (Math.exp(raw(box, 3, cell)) * stride) / 2
          return [
            centreX - halfWidth,
            centreY - halfHeight,
            centreX + halfWidth,
            centreY + halfHeight,
          ]
        }
        const side = (at: number) => {
          const bins = Array.from({ length: head.bins }, (_, bin) =>
            raw(box, at * head.bins + bin, cell),
          )
          return meanBin(bins) * stride
        }
        return [x - side(0), y - side(1), x + side(2), y + side(3)]
      },
      objectnessOf: (cell) => {
        const { objectness } = levelOf(cell)
        return objectness ? sigmoid(raw(objectness, 0, cell)) : 1
      },
      scoreOf: (cell, index) => sigmoid(raw(levelOf(cell).classes, index, cell)),
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#session[Symbol.asyncDispose]() as Promise<void>
  }
}

const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value))

function meanBin(logits: readonly number[]): number {
  const highest = Math.max(...logits)
  const powers = logits.map((one) => Math.exp(one - highest))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.reduce((mean, one, bin) => mean + one * bin, 0) / sum
}
