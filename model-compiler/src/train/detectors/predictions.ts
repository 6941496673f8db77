/** What a head says, lined up over the cells of all maps, and the boxes that it means. */
import type { Sym, Tape } from '../tape/tape.ts'
import type { AnchorSyms } from './anchors.ts'
import type { Head, HeadLevel, HeadPiece } from './head.ts'

/** Raw numbers of the head. */
export type Predictions = {
  /** [N, 4 × bins, A] */
  readonly box: Sym
  /** [N, 1, A]; undefined for a head without it. */
  readonly objectness: Sym | undefined
  /** [N, K, A] */
  readonly classes: Sym
}

/** Boxes as [N, 2, A]: left and top, right and bottom, in pixels. */
export type Corners = { readonly leftTop: Sym; readonly rightBottom: Sym }

/** Sizes beyond e^±8 strides are no boxes; without the bound one stray number makes all others NaN. */
const sizeLogMax = 8

/** @param outputs the cut values of the model, [N, C, rows, columns] */
export function lineUp(
  tape: Tape,
  head: Head,
  outputs: Readonly<Record<string, Sym>>,
): Predictions {
  const all = (pieceOf: (level: HeadLevel) => HeadPiece | undefined): Sym | undefined => {
    const parts = head.levels.flatMap((level) => {
      const piece = pieceOf(level)
      if (!piece) return []
      const { value, from, channels } = piece
      const output = outputs[value]!
      const own = tape.slice(output, [{ axis: 1, start: from, end: from + channels }])
      return [tape.reshape(own, [output.shape[0]!, channels, level.columns * level.rows])]
    })
    return parts.length > 0 ? tape.concat(parts, 2) : undefined
  }
  return {
    box: all(({ box }) => box)!,
    objectness: all(({ objectness }) => objectness),
    classes: all(({ classes }) => classes)!,
  }
}

/** The boxes that raw numbers mean. */
export function cornersOf(tape: Tape, head: Head, box: Sym, anchors: AnchorSyms): Corners {
  const middles = tape.concat([anchors.x, anchors.y], 1)
  if (head.kind === 'sized') {
    const [move, size] = tape.split(box, [2, 2], 1) as [Sym, Sym]
    // A head of this kind counts from the corner of its cell.
    const corner = tape.sub(middles, tape.mul(anchors.stride, 0.5))
    const middle = tape.add(tape.mul(move, anchors.stride), corner)
    const bounded = tape.clip(size, -sizeLogMax, sizeLogMax)
    const half = tape.mul(tape.exp(bounded), tape.mul(anchors.stride, 0.5))
    return { leftTop: tape.sub(middle, half), rightBottom: tape.add(middle, half) }
  }
  const shares = tape.softmax(binsOf(tape, head, box), 2)
  const numbers = tape.constant([1, 1, head.bins, 1], range(head.bins))
  const means = tape.reduceSum(tape.mul(shares, numbers), [2])
  const distances = tape.mul(means, anchors.stride)
  const [before, after] = tape.split(distances, [2, 2], 1) as [Sym, Sym]
  return { leftTop: tape.sub(middles, before), rightBottom: tape.add(middles, after) }
}

/** [N, 4, bins, A]: for each side the raw numbers of its bins. */
export function binsOf(tape: Tape, { bins }: Head, box: Sym): Sym {
  const [pictures, , anchors] = box.shape as [number, number, number]
  return tape.reshape(box, [pictures, 4, bins, anchors])
}

export const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at)
