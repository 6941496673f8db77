/**
 * What is proposed for a sample, from everybody who has looked at it: people who annotated a neighbouring frame come
 * before a large model, that before the champion, that before what the box found. Pure.
 */
import type { SampleAnnotation, Suggestion } from '@edgeloop/protocol'
import { isDrawn, matchDrawn, overlap } from './consensus.ts'
import { bitsApart } from './use.ts'

type Drawn = Parameters<typeof overlap>[0]

/** From this overlap on two proposals are the same object. */
const sameIou = 0.5
/** Below this score a model does not mean it: it counts for no disagreement. */
const meantScore = 0.3
export const suggestionsMax = 200

/**
 * One list of several: of proposals for the same object the first counts.
 * @param lists the most trusted first
 */
export function mergeSuggestions(lists: readonly (readonly Suggestion[])[]): Suggestion[] {
  const merged: Suggestion[] = []
  for (const list of lists) {
    const known = merged.flatMap((one) => drawnOf(one) ?? [])
    const classes = new Set(merged.flatMap((one) => (drawnOf(one) ? [] : [one.label])))
    for (const one of list.toSorted((a, b) => b.score - a.score)) {
      const drawn = drawnOf(one)
      const isKnown = drawn
        ? known.some((other) => overlap(drawn, other) >= sameIou)
        : classes.has(one.label)
      if (!isKnown) merged.push(one)
    }
  }
  return merged.slice(0, suggestionsMax)
}

/** Share (0..1) of what two models found that only one of them has, or calls by another name. */
export function disagreementOf(ones: readonly Suggestion[], others: readonly Suggestion[]): number {
  const meant = (list: readonly Suggestion[]) => list.filter(({ score }) => score >= meantScore)
  const [a, b] = [meant(ones), meant(others)]
  if (a.length + b.length === 0) return 0
  const [drawnA, drawnB] = [
    a.flatMap((one) => drawnOf(one) ?? []),
    b.flatMap((one) => drawnOf(one) ?? []),
  ]
  const pairs = matchDrawn(drawnA, drawnB, sameIou)
  const same = pairs.filter(({ one, other }) => drawnA[one]!.label === drawnB[other]!.label).length
  const classes = (list: readonly Suggestion[]) =>
    new Set(list.flatMap((one) => (drawnOf(one) ? [] : [one.label])))
  const both = classes(a).intersection(classes(b)).size
  return 1 - (2 * (same + both)) / (a.length + b.length)
}

/** A frame of a stream with what models found in it. */
export type SeenFrame = {
  /** 64 bits in hex; empty where unknown. */
  readonly looks: string
  readonly suggestions: readonly Suggestion[]
}

/** Bits up to which two frames of a stream are the same scene, so that nothing needs to have been found in both. */
const sameSceneBits = 6
/** Overlap of the same thing in two frames that are seconds apart, at least. */
const movedIou = 0.1

/**
 * What people said of a frame, carried over to another frame of the stream: each object goes where what a model found
 * at its place went, and where it found nothing there, where the others went on the whole.
 * @returns nothing where nothing tells how the picture moved, and it is not the same scene
 */
export function carryOver(
  annotations: readonly SampleAnnotation[],
  from: SeenFrame,
  to: SeenFrame,
): Suggestion[] {
  const found = (frame: SeenFrame) =>
    frame.suggestions.flatMap((one) => (isOfModel(one) ? (drawnOf(one) ?? []) : []))
  const [before, after] = [found(from), found(to)]
  const pairs = matchDrawn(before, after, movedIou).filter(
    ({ one, other }) => before[one]!.label === after[other]!.label,
  )
  const moves = pairs.map(({ one, other }) => moveOf(before[one]!, after[other]!))
  const isSame =
    from.looks !== '' && to.looks !== '' && bitsApart(from.looks, to.looks) <= sameSceneBits
  if (moves.length === 0 && !isSame) return []
  const middle = moves.length === 0 ? still : middleOf(moves)
  return annotations.flatMap((annotation): Suggestion[] => {
    if (annotation.kind === 'class') {
      return isSame ? [{ label: annotation.label, score: 0.6, from: 'track' }] : []
    }
    if (!isDrawn(annotation)) return []
    const own = pairs.findIndex(({ one }) => overlap(annotation, before[one]!) >= sameIou)
    const score = own === -1 ? 0.6 : 0.9
    return moved(annotation, own === -1 ? middle : moves[own]!, score)
  })
}

type Move = readonly [x: number, y: number, width: number, height: number]
const still: Move = [0, 0, 1, 1]

const isOfModel = ({ from }: Suggestion): boolean => from !== 'track' && from !== 'dataset'

function drawnOf({ label, box, points }: Suggestion): Drawn | undefined {
  if (box) return { kind: 'box', label, box }
  return points ? { kind: 'polygon', label, points } : undefined
}

function rectangle(drawn: Drawn): Move {
  if (drawn.kind === 'box') return drawn.box as unknown as Move
  const xs = drawn.points.map(([x]) => x)
  const ys = drawn.points.map(([, y]) => y)
  const [left, top] = [Math.min(...xs), Math.min(...ys)]
  return [left, top, Math.max(...xs) - left, Math.max(...ys) - top]
}

/** How the middle of a thing went, and how much it grew. */
function moveOf(before: Drawn, after: Drawn): Move {
  const [a, b] = [rectangle(before), rectangle(after)]
  return [
    b[0] + b[2] / 2 - a[0] - a[2] / 2,
    b[1] + b[3] / 2 - a[1] - a[3] / 2,
    a[2] > 0 ? b[2] / a[2] : 1,
    a[3] > 0 ? b[3] / a[3] : 1,
  ]
}

function middleOf(moves: readonly Move[]): Move {
  const middle = (at: 0 | 1 | 2 | 3): number => {
    const sorted = moves.map((move) => move[at]).toSorted((a, b) => a - b)
    return sorted[sorted.length >> 1]!
  }
  return [middle(0), middle(1), 1, 1]
}

/** Nothing where less than half of it is left in the picture. */
function moved(drawn: Drawn, [x, y, wider, higher]: Move, score: number): Suggestion[] {
  const [left, top, width, height] = rectangle(drawn)
  const [middleX, middleY] = [left + width / 2, top + height / 2]
  const place = (px: number, py: number): [number, number] => [
    clip(middleX + x + (px - middleX) * wider),
    clip(middleY + y + (py - middleY) * higher),
  ]
  const [from, to] = [place(left, top), place(left + width, top + height)]
  const area = (to[0] - from[0]) * (to[1] - from[1])
  if (area < 0.5 * width * wider * height * higher || area <= 0) return []
  const { label } = drawn
  const head = { label, score, from: 'track' }
  if (drawn.kind === 'polygon') {
    return [{ ...head, points: drawn.points.map(([px, py]) => place(px, py)) }]
  }
  return [{ ...head, box: [from[0], from[1], to[0] - from[0], to[1] - from[1]] }]
}

const clip = (share: number): number => Math.min(1, Math.max(0, share))
