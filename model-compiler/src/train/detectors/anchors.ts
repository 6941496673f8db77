/** The cells of a head, map by map and row by row, in the order in which the step graph lines them up. */
import type { Sym, Tape } from '../tape/tape.ts'
import { anchorsOf, type Head } from './head.ts'

/** Cells as constants [1, 1, A] of a step graph. */
export type AnchorSyms = {
  readonly count: number
  /** Middles in pixels. */
  readonly x: Sym
  readonly y: Sym
  readonly stride: Sym
}

export class Anchors {
  readonly count: number
  /** Index of the cell's map. */
  readonly level: Uint8Array
  /** Pixels per cell. */
  readonly stride: Float32Array
  /** Middle of each cell in pixels. */
  readonly x: Float32Array
  readonly y: Float32Array

  constructor(head: Head) {
    this.count = anchorsOf(head)
    this.level = new Uint8Array(this.count)
    this.stride = new Float32Array(this.count)
    this.x = new Float32Array(this.count)
    this.y = new Float32Array(this.count)
    let at = 0
    for (const [level, { columns, rows, stride }] of head.levels.entries()) {
      for (let cell = 0; cell < columns * rows; cell++, at++) {
        this.level[at] = level
        this.stride[at] = stride
        this.x[at] = ((cell % columns) + 0.5) * stride
        this.y[at] = (Math.floor(cell / columns) + 0.5) * stride
      }
    }
  }

  write(tape: Tape): AnchorSyms {
    const all = (values: Float32Array, name: string) =>
      tape.constant([1, 1, this.count], values, { name: `anchors/${name}` })
    return {
      count: this.count,
      x: all(this.x, 'x'),
      y: all(this.y, 'y'),
      stride: all(this.stride, 'stride'),
    }
  }
}
