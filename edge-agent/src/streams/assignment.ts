/**
 * Who belongs to whom: pairs rows with columns so that the sum of their gains is largest. The
 * tracker asks it which detection continues which track.
 */

/** A row and the column it was paired with. */
export type Pair = readonly [row: number, column: number]

/**
 * Pairs rows and columns one to one, maximizing the summed gain; pairs that gain nothing are left
 * out. The Hungarian method by shortest augmenting paths with potentials (Kuhn 1955; Jonker and
 * Volgenant 1987), O(rows² × columns).
 * @param gain of pairing a row with a column, ≥ 0; 0 means never
 */
export function assign(
  rows: number,
  columns: number,
  gain: (row: number, column: number) => number,
): Pair[] {
  if (rows > columns) {
    return assign(columns, rows, (row, column) => gain(column, row)).map(([r, c]) => [c, r])
  }
  if (rows === 0) return []
  const gains = Float64Array.from({ length: rows * columns }, (_, i) =>
    gain(Math.floor(i / columns), i % columns),
  )
  // Columns are counted from 1 here; column 0 stands for "the row that is being placed".
  const rowPrice = new Float64Array(rows + 1)
  const columnPrice = new Float64Array(columns + 1)
  const rowOf = new Int32Array(columns + 1)
  const cameFrom = new Int32Array(columns + 1)
  for (let row = 1; row <= rows; row++) {
    rowOf[0] = row
    let column = 0
    const slack = new Float64Array(columns + 1).fill(Number.POSITIVE_INFINITY)
    const visited = new Uint8Array(columns + 1)
    do {
      visited[column] = 1
      const from = rowOf[column]!
      let least = Number.POSITIVE_INFINITY
      let next = 0
      for (let c = 1; c <= columns; c++) {
        if (visited[c]) continue
        const cost = -gains[(from - 1) * columns + c - 1]! - rowPrice[from]! - columnPrice[c]!
        if (cost < slack[c]!) {
          slack[c] = cost
          cameFrom[c] = column
        }
        if (slack[c]! < least) {
          least = slack[c]!
          next = c
        }
      }
      for (let c = 0; c <= columns; c++) {
        if (visited[c]) {
          rowPrice[rowOf[c]!]! += least
          columnPrice[c]! -= least
        } else slack[c]! -= least
      }
      column = next
    } while (rowOf[column] !== 0)
    while (column !== 0) {
      const previous = cameFrom[column]!
      rowOf[column] = rowOf[previous]!
      column = previous
    }
  }
  const pairs: Pair[] = []
  for (let c = 1; c <= columns; c++) {
    const row = rowOf[c]! - 1
    if (row >= 0 && gains[row * columns + c - 1]! > 0) pairs.push([row, c - 1])
  }
  return pairs
}
