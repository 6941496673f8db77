/**
 * Boxes between a layout's `decode` and non-maximum suppression: a struct of arrays that is reused
 * from frame to frame, so that thousands of cells cost no allocation.
 */

/**
 * Most candidates of one frame. When full, further ones are dropped and counted: only a score
 * threshold near zero on a noisy model gets here.
 */
export const candidatesMax = 65_536

const candidatesFirst = 256

export class Candidates {
  /** How many there are; what lies beyond in the arrays is of earlier frames. */
  count = 0
  /** Candidates that found no room. */
  dropped = 0
  scores = new Float32Array(candidatesFirst)
  classes = new Uint32Array(candidatesFirst)
  /** Left, top, right, bottom in canvas pixels; may reach beyond the canvas. */
  corners = new Float32Array(candidatesFirst * 4)

  clear(): void {
    this.count = 0
    this.dropped = 0
  }

  add(
    score: number,
    classIndex: number,
    left: number,
    top: number,
    right: number,
    bottom: number,
  ): void {
    if (this.count === this.scores.length && !this.#grow()) {
      this.dropped++
      return
    }
    const index = this.count++
    this.scores[index] = score
    this.classes[index] = classIndex
    this.corners[index * 4] = left
    this.corners[index * 4 + 1] = top
    this.corners[index * 4 + 2] = right
    this.corners[index * 4 + 3] = bottom
  }

  #grow(): boolean {
    const size = Math.min(this.scores.length * 2, candidatesMax)
    if (size === this.scores.length) return false
    const { scores, classes, corners } = this
    this.scores = new Float32Array(size)
    this.classes = new Uint32Array(size)
    this.corners = new Float32Array(size * 4)
    this.scores.set(scores)
    this.classes.set(classes)
    this.corners.set(corners)
    return true
  }
}
