/** Least squares with a ridge, in closed form: normal equations gathered row by row, then Cholesky. */

/** Samples that are taken into the sums together, so that each sum is loaded once for all of them. */
const batch = 64

/** `weights[target][feature]` and `biases[target]`. */
export type Solution = { readonly weights: readonly Float64Array[]; readonly biases: Float64Array }

export class Ridge {
  readonly #features: number
  readonly #targets: number
  /** Features and a constant 1; lower triangle of XᵀX. */
  readonly #gram: Float64Array
  /** YᵀX, a row for each target. */
  readonly #moments: Float64Array
  /** Samples that wait, feature by feature: `[feature][sample]`. */
  readonly #columns: Float64Array
  readonly #wanted: Float64Array
  #waiting = 0
  #weight = 0

  constructor(features: number, targets: number) {
    this.#features = features
    this.#targets = targets
    const size = features + 1
    this.#gram = new Float64Array(size * size)
    this.#moments = new Float64Array(size * targets)
    this.#columns = new Float64Array(size * batch)
    this.#wanted = new Float64Array(targets * batch)
  }

  /** One sample. Both arrays may be reused by the caller. */
  add(features: ArrayLike<number>, targets: ArrayLike<number>, weight = 1): void {
    const root = Math.sqrt(weight)
    const at = this.#waiting
    for (let i = 0; i < this.#features; i++) this.#columns[i * batch + at] = features[i]! * root
    this.#columns[this.#features * batch + at] = root
    for (let t = 0; t < this.#targets; t++) this.#wanted[t * batch + at] = targets[t]! * root
    this.#weight += weight
    if (++this.#waiting === batch) this.#take()
  }

  /**
   * Weights and biases that fit best.
   * @param share the ridge, as a share of the mean square of the features
   */
  solve(share: number): Solution {
    this.#take()
    const size = this.#features + 1
    let trace = 0
    for (let i = 0; i < this.#features; i++) trace += this.#gram[i * size + i]!
    const ridge = (share * trace) / this.#features
    const lower = this.#gram.slice()
    for (let i = 0; i < this.#features; i++) lower[i * size + i]! += ridge
    // The constant is not held back, but must not make the sums singular either.
    lower[size * size - 1]! += 1e-9 * this.#weight
    choleskyInPlace(lower, size)
    const biases = new Float64Array(this.#targets)
    const weights = Array.from({ length: this.#targets }, (_, target) => {
      const column = this.#moments.slice(target * size, (target + 1) * size)
      substitute(lower, size, column)
      biases[target] = column[this.#features]!
      return column.slice(0, this.#features)
    })
    return { weights, biases }
  }

  #take(): void {
    const size = this.#features + 1
    const columns = this.#columns
    if (this.#waiting < batch) {
      for (let i = 0; i < size; i++) columns.fill(0, i * batch + this.#waiting, (i + 1) * batch)
      for (let t = 0; t < this.#targets; t++) {
        this.#wanted.fill(0, t * batch + this.#waiting, (t + 1) * batch)
      }
    }
    this.#waiting = 0
    for (let i = 0; i < size; i += 2) this.#addRows(i, Math.min(i + 1, size - 1))
    const wanted = this.#wanted
    const moments = this.#moments
    for (let at = 0; at < wanted.length; at++) {
      const value = wanted[at]!
      // Most samples belong to one target out of many.
      if (value === 0) continue
      const from = at % batch
      const to = Math.floor(at / batch) * size
      for (let i = 0; i < size; i++) moments[to + i]! += columns[i * batch + from]! * value
    }
  }

  /** Two rows of the sums with two columns at a time: four products for four loads. */
  #addRows(first: number, second: number): void {
    const size = this.#features + 1
    const columns = this.#columns
    const gram = this.#gram
    const a = first * batch
    const b = second * batch
    for (let j = 0; j <= second; j += 2) {
      const next = Math.min(j + 1, size - 1)
      const c = j * batch
      const d = next * batch
      let ac = 0
      let ad = 0
      let bc = 0
      let bd = 0
      for (let k = 0; k < batch; k++) {
        const ak = columns[a + k]!
        const bk = columns[b + k]!
        const ck = columns[c + k]!
        const dk = columns[d + k]!
        ac += ak * ck
        ad += ak * dk
        bc += bk * ck
        bd += bk * dk
      }
      gram[first * size + j]! += ac
      if (next !== j) gram[first * size + next]! += ad
      if (second === first) continue
      gram[second * size + j]! += bc
      if (next !== j) gram[second * size + next]! += bd
    }
  }
}

function choleskyInPlace(lower: Float64Array, size: number): void {
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = lower[i * size + j]!
      const rowI = i * size
      const rowJ = j * size
      for (let k = 0; k < j; k++) sum -= lower[rowI + k]! * lower[rowJ + k]!
      if (i !== j) lower[rowI + j] = sum / lower[rowJ + j]!
      else if (sum > 0) lower[rowI + j] = Math.sqrt(sum)
      else throw new Error(`Cannot solve: feature ${i} depends on the others; use a larger ridge`)
    }
  }
}

function substitute(lower: Float64Array, size: number, column: Float64Array): void {
  for (let i = 0; i < size; i++) {
    let sum = column[i]!
    for (let k = 0; k < i; k++) sum -= lower[i * size + k]! * column[k]!
    column[i] = sum / lower[i * size + i]!
  }
  for (let i = size - 1; i >= 0; i--) {
    let sum = column[i]!
    for (let k = i + 1; k < size; k++) sum -= lower[k * size + i]! * column[k]!
    column[i] = sum / lower[i * size + i]!
  }
}
