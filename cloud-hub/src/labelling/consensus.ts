/**
 * What several people say of one picture, made one: drawn objects are matched by their overlap, whatever label they
 * were given, so that the same box with two labels is one object that is argued about. A majority decides what is
 * there and what it is; the box is the mean of theirs. Where no majority is, a further person has to look.
 */
import type { SampleAnnotation } from '@edgeloop/protocol'

type Drawn = Extract<SampleAnnotation, { kind: 'box' | 'polygon' }>
type Rectangle = readonly [left: number, top: number, width: number, height: number]

/** An object as several people drew it. */
type Group = { readonly drawn: { readonly by: number; readonly one: Drawn }[]; place: Rectangle }

export type Consensus =
  | { readonly agreed: true; readonly annotations: SampleAnnotation[] }
  /** In words, for the reviewer: `"cup" at 31 %, 40 %: drawn by 1 of 2`. */
  | { readonly agreed: false; readonly why: string }

/** Pairs of the same object in two lists, the best overlap first; each is in one pair at most. */
export function matchDrawn(
  ones: readonly Drawn[],
  others: readonly Drawn[],
  iouMin: number,
): { readonly one: number; readonly other: number; readonly iou: number }[] {
  const right = others
    .map((drawn, other) => ({ other, place: placeOf(drawn) }))
    .toSorted((a, b) => a.place[0] - b.place[0])
  const widest = Math.max(0, ...right.map(({ place }) => place[2]))
  const pairs: { one: number; other: number; iou: number; same: boolean }[] = []
  for (const [one, drawn] of ones.entries()) {
    const place = placeOf(drawn)
    // Sorted by their left edge: only those that can reach it are looked at.
    for (let at = firstFrom(right, place[0] - widest); at < right.length; at++) {
      const { other, place: there } = right[at]!
      if (there[0] >= place[0] + place[2]) break
      const iou = overlap(drawn, others[other]!)
      if (iou >= iouMin) pairs.push({ one, other, iou, same: drawn.label === others[other]!.label })
    }
  }
  // Of two that overlap alike, the one that was called the same.
  pairs.sort((a, b) => b.iou - a.iou || Number(b.same) - Number(a.same) || a.one - b.one)
  const [usedOne, usedOther] = [new Set<number>(), new Set<number>()]
  return pairs.filter(({ one, other }) => {
    if (usedOne.has(one) || usedOther.has(other)) return false
    usedOne.add(one)
    usedOther.add(other)
    return true
  })
}

/** @param answers what each person said, in any order */
export function consensusOf(
  answers: readonly (readonly SampleAnnotation[])[],
  iouMin: number,
): Consensus {
  if (answers.length === 1) return { agreed: true, annotations: [...answers[0]!] }
  const all = answers.length
  const annotations: SampleAnnotation[] = []
  for (const group of groupsOf(answers, iouMin)) {
    const votes = new Set(group.drawn.map(({ by }) => by)).size
    const where = `at ${percent(group.place[0])}, ${percent(group.place[1])}`
    const first = group.drawn[0]!.one
    if (votes * 2 === all) {
      return {
        agreed: false,
        why: `"${first.label}" ${where}: drawn by ${votes} of ${all}`,
      }
    }
    if (votes * 2 < all) continue
    const label = majority(group.drawn.map(({ one }) => one.label))
    if (label === undefined) {
      const labels = [...new Set(group.drawn.map(({ one }) => `"${one.label}"`))]
      return { agreed: false, why: `${labels.join(' or ')} ${where}: no majority` }
    }
    annotations.push(meanOf(group, label))
  }
  const said = new Map<string, { votes: number; one: SampleAnnotation }>()
  for (const answer of answers) {
    const own = new Map(answer.filter((one) => !isDrawn(one)).map((one) => [keyOf(one), one]))
    for (const [key, one] of own) {
      said.set(key, { votes: (said.get(key)?.votes ?? 0) + 1, one })
    }
  }
  for (const { votes, one } of said.values()) {
    if (votes * 2 > all) annotations.push(one)
    else if (votes * 2 === all) {
      return { agreed: false, why: `${wordsOf(one)}: said by ${votes} of ${all}` }
    }
  }
  // Three people with a name of their own each: a majority is against every one of them, and it says nothing.
  if (said.size > 0 && annotations.every(isDrawn) && answers.every((one) => !one.every(isDrawn))) {
    const words = [...said.values()].map(({ one }) => wordsOf(one))
    return { agreed: false, why: `${words.join(' or ')}: no majority` }
  }
  return { agreed: true, annotations }
}

/** How much of what two people said is the same: matched annotations and all of them, and labels of matched pairs. */
export function comparedOf(
  one: readonly SampleAnnotation[],
  other: readonly SampleAnnotation[],
  iouMin: number,
): { matched: number; all: number; labels: [string, string][] } {
  const [drawnOne, drawnOther] = [one.filter(isDrawn), other.filter(isDrawn)]
  const pairs = matchDrawn(drawnOne, drawnOther, iouMin)
  const labels = pairs.map((pair): [string, string] => [
    ...([drawnOne[pair.one]!.label, drawnOther[pair.other]!.label] as const),
  ])
  const same = labels.filter(([left, right]) => left === right).length
  const saidOne = new Set(one.filter((each) => !isDrawn(each)).map(keyOf))
  const saidOther = new Set(other.filter((each) => !isDrawn(each)).map(keyOf))
  const both = saidOne.intersection(saidOther).size
  const classes = [one, other].map((each) => each.filter(({ kind }) => kind === 'class'))
  if (classes[0]!.length === 1 && classes[1]!.length === 1) {
    const [[left], [right]] = classes as [[SampleAnnotation], [SampleAnnotation]]
    if (left.kind === 'class' && right.kind === 'class') labels.push([left.label, right.label])
  }
  // Two people who both say that nothing is there agree on it.
  if (one.length + other.length === 0) return { matched: 1, all: 1, labels: [] }
  return {
    matched: 2 * (same + both),
    all: drawnOne.length + drawnOther.length + saidOne.size + saidOther.size,
    labels,
  }
}

/**
 * Cohen's kappa: how much more often two name a thing alike than chance would have it.
 * @returns undefined where everything has one label, so that chance is all there is
 */
export function kappaOf(pairs: readonly (readonly [string, string])[]): number | undefined {
  const total = pairs.length
  if (total === 0) return undefined
  // Who of the two is first is chance: each pair counts both ways.
  const counts = new Map<string, number>()
  for (const label of pairs.flat()) counts.set(label, (counts.get(label) ?? 0) + 1)
  if (counts.size < 2) return undefined
  const expected = [...counts.values()].reduce((sum, one) => sum + (one / (2 * total)) ** 2, 0)
  const observed = pairs.filter(([left, right]) => left === right).length / total
  return (observed - expected) / (1 - expected)
}

/** Share (0..1) of their union that two shapes have in common. */
export function overlap(one: Drawn, other: Drawn): number {
  const rough = rectangleOverlap(placeOf(one), placeOf(other))
  if (rough === 0 || (one.kind === 'box' && other.kind === 'box')) return rough
  return shapeOverlap(one, other)
}

export const isDrawn = (one: SampleAnnotation): one is Drawn =>
  one.kind === 'box' || one.kind === 'polygon'

function groupsOf(answers: readonly (readonly SampleAnnotation[])[], iouMin: number): Group[] {
  const groups: Group[] = []
  for (const [by, answer] of answers.entries()) {
    const drawn = answer.filter(isDrawn)
    const known = groups.map(
      ({ place, drawn: [first] }): Drawn =>
        first!.one.kind === 'box'
          ? { kind: 'box', label: first!.one.label, box: [...place] }
          : first!.one,
    )
    const matched = new Set<number>()
    for (const { one, other } of matchDrawn(drawn, known, iouMin)) {
      matched.add(one)
      const group = groups[other]!
      group.drawn.push({ by, one: drawn[one]! })
      group.place = meanPlace(group.drawn.map((each) => placeOf(each.one)))
    }
    for (const [at, one] of drawn.entries()) {
      if (!matched.has(at)) groups.push({ drawn: [{ by, one }], place: placeOf(one) })
    }
  }
  return groups
}

function meanOf({ drawn, place }: Group, label: string): SampleAnnotation {
  const boxes = drawn.filter(({ one }) => one.kind === 'box')
  if (boxes.length * 2 >= drawn.length) {
    const crowd = boxes.filter(({ one }) => one.kind === 'box' && one.crowd === true).length
    const box = boxes.length === drawn.length ? place : meanPlace(boxes.map((b) => placeOf(b.one)))
    return { kind: 'box', label, box: [...box], ...(crowd * 2 > drawn.length && { crowd: true }) }
  }
  // The outline that is most like the others': a mean of outlines is nobody's.
  const outlines = drawn.flatMap(({ one }) => (one.kind === 'polygon' ? [one] : []))
  const likeness = (one: Drawn) => outlines.reduce((sum, other) => sum + overlap(one, other), 0)
  const best = outlines.toSorted((a, b) => likeness(b) - likeness(a))[0]!
  return { ...best, label }
}

const meanPlace = (places: readonly Rectangle[]): Rectangle => {
  const mean = (at: 0 | 1 | 2 | 3) => places.reduce((sum, one) => sum + one[at], 0) / places.length
  return [mean(0), mean(1), mean(2), mean(3)]
}

function placeOf(drawn: Drawn): Rectangle {
  if (drawn.kind === 'box') return drawn.box as unknown as Rectangle
  let [left, top, right, bottom] = [1, 1, 0, 0]
  for (const [x, y] of drawn.points) {
    left = Math.min(left, x)
    right = Math.max(right, x)
    top = Math.min(top, y)
    bottom = Math.max(bottom, y)
  }
  return [left, top, right - left, bottom - top]
}

function rectangleOverlap(one: Rectangle, other: Rectangle): number {
  const across = (at: 0 | 1) =>
    Math.min(one[at] + one[at + 2]!, other[at] + other[at + 2]!) - Math.max(one[at], other[at])
  const [width, height] = [across(0), across(1)]
  if (width <= 0 || height <= 0) return 0
  const both = width * height
  return both / (one[2] * one[3] + other[2] * other[3] - both)
}

/** Points a side at which outlines are compared: exact to a percent or two. */
const gridSide = 96

function shapeOverlap(one: Drawn, other: Drawn): number {
  const [a, b] = [placeOf(one), placeOf(other)]
  const [left, top] = [Math.min(a[0], b[0]), Math.min(a[1], b[1])]
  const width = Math.max(a[0] + a[2], b[0] + b[2]) - left
  const height = Math.max(a[1] + a[3], b[1] + b[3]) - top
  let [both, either] = [0, 0]
  for (let row = 0; row < gridSide; row++) {
    const y = top + ((row + 0.5) / gridSide) * height
    const [inOne, inOther] = [crossings(one, y), crossings(other, y)]
    for (let column = 0; column < gridSide; column++) {
      const x = left + ((column + 0.5) / gridSide) * width
      const [first, second] = [isInside(inOne, x), isInside(inOther, x)]
      if (first && second) both++
      if (first || second) either++
    }
  }
  return either === 0 ? 0 : both / either
}

/** Where a line across the picture enters and leaves a shape, left to right. */
function crossings(drawn: Drawn, y: number): number[] {
  if (drawn.kind === 'box') {
    const [left, top, width, height] = drawn.box as unknown as Rectangle
    return y >= top && y < top + height ? [left, left + width] : []
  }
  const found: number[] = []
  const { points } = drawn
  for (let at = 0; at < points.length; at++) {
    const [x1, y1] = points[at]!
    const [x2, y2] = points[(at + 1) % points.length]!
    if (y1 <= y !== y2 <= y) found.push(x1 + ((y - y1) / (y2 - y1)) * (x2 - x1))
  }
  return found.toSorted((a, b) => a - b)
}

const isInside = (edges: readonly number[], x: number): boolean =>
  edges.filter((edge) => edge <= x).length % 2 === 1

function firstFrom(sorted: readonly { readonly place: Rectangle }[], left: number): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]!.place[0] < left) low = middle + 1
    else high = middle
  }
  return low
}

/** What more than half say; undefined where no more than half agree. */
function majority(words: readonly string[]): string | undefined {
  for (const word of new Set(words)) {
    if (words.filter((one) => one === word).length * 2 > words.length) return word
  }
  return undefined
}

/** What two annotations that are not drawn have in common when they say the same. */
function keyOf(one: SampleAnnotation): string {
  if (one.kind === 'class') return `class ${one.label}`
  if (one.kind === 'mask') return `mask ${one.digest}`
  if (one.kind === 'number') return `number ${one.name} ${one.value}`
  return JSON.stringify(one)
}

const wordsOf = (one: SampleAnnotation): string =>
  one.kind === 'class'
    ? `"${one.label}"`
    : one.kind === 'number'
      ? `${one.name} ${one.value}`
      : 'a mask'

const percent = (share: number): string => `${Math.round(share * 100)} %`
