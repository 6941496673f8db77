/**
 * What people draw on a stream's picture: zones and lines that turn movement into facts, and masks
 * whose pixels nobody may see. Points are shares of the source frame, so a drawing stays right when
 * a camera changes its resolution.
 */
import { type Static, Type } from 'typebox'
import { Label } from './names.ts'

const closed = { additionalProperties: false } as const

/** Most zones, lines and masks of one stream, each, and most points of one of them. */
export const areasMax = 32
export const pointsMax = 64

/** Unique among the zones, lines or masks of its stream; people see it in events. */
export const AreaName = Type.String({ minLength: 1, maxLength: 60, pattern: '\\S' })

const Share = Type.Number({ minimum: 0, maximum: 1 })

/** From the left and from the top, as shares (0..1) of the source frame. */
export const Point = Type.Array(Share, { minItems: 2, maxItems: 2 })
export type Point = readonly [x: number, y: number]

/** Corners in order, the last one joined to the first; its sides must not cross or touch each other. */
export const Polygon = Type.Array(Point, { minItems: 3, maxItems: pointsMax })

/** Which objects: only these labels; all when left out. */
const labels = Type.Optional(Type.Array(Label, { minItems: 1, maxItems: 200 }))

/** An object is where it stands: at the middle of its box's lower edge. */
export const Zone = Type.Object(
  {
    name: AreaName,
    polygon: Polygon,
    labels,
    /** Say so, once per visit, when an object has stayed for this long. */
    dwellSeconds: Type.Optional(Type.Number({ minimum: 0.5, maximum: 86_400 })),
  },
  closed,
)
export type Zone = Static<typeof Zone>

/**
 * Sides of a line as seen by somebody who walks along it from its first point to its last, on the
 * picture: `toRight` is a crossing from the left hand to the right hand.
 */
export const lineDirections = ['both', 'toRight', 'toLeft'] as const
export const LineDirection = Type.Enum(lineDirections)
export type LineDirection = (typeof lineDirections)[number]

/** A line of one or more straight pieces; an object crosses it with its standing point. */
export const Line = Type.Object(
  {
    name: AreaName,
    points: Type.Array(Point, { minItems: 2, maxItems: pointsMax }),
    /** Which crossings count; both when left out. */
    direction: Type.Optional(LineDirection),
    labels,
  },
  closed,
)
export type Line = Static<typeof Line>

/** Blanked in the decoded picture, before motion gate, model, snapshot or live picture see it. */
export const Mask = Type.Object({ name: AreaName, polygon: Polygon }, closed)
export type Mask = Static<typeof Mask>

/** The areas of one stream. */
export type Areas = {
  readonly zones?: readonly Zone[]
  readonly lines?: readonly Line[]
  readonly masks?: readonly Mask[]
}

/**
 * What is wrong with the areas of a stream that no schema can say, as a place and a reason, or
 * undefined: `/zones/1/polygon crosses itself: side 1–2 and side 3–4 meet`. Points and sides are
 * counted from 1, as people count.
 */
export function areasMisfit({ zones = [], lines = [], masks = [] }: Areas): string | undefined {
  return (
    nameTwice('zones', zones) ??
    nameTwice('lines', lines) ??
    nameTwice('masks', masks) ??
    firstOf(zones, ({ polygon }, i) => prefixed(`/zones/${i}/polygon`, polygonMisfit(polygon))) ??
    firstOf(masks, ({ polygon }, i) => prefixed(`/masks/${i}/polygon`, polygonMisfit(polygon))) ??
    firstOf(lines, ({ points }, i) => prefixed(`/lines/${i}/points`, lineMisfit(points)))
  )
}

/** Areas smaller than this share of the picture are a slip of the hand, not a drawing. */
const areaMin = 1e-6

/** Why these corners enclose no area of which it is clear what lies inside, or undefined. */
export function polygonMisfit(polygon: readonly (readonly number[])[]): string | undefined {
  const corners = polygon as readonly Point[]
  if (corners.length < 3) return `has ${corners.length} points, at least 3 are needed`
  const twice = samePoint([...corners, corners[0]!])
  if (twice !== undefined) return twice
  for (let a = 0; a < corners.length; a++) {
    for (let b = a + 1; b < corners.length; b++) {
      const neighbours = b === a + 1 || (a === 0 && b === corners.length - 1)
      if (neighbours ? foldsBack(corners, a, b) : sidesMeet(sideOf(corners, a), sideOf(corners, b)))
        return `crosses itself: side ${sideName(corners, a)} and side ${sideName(corners, b)} meet`
    }
  }
  return Math.abs(signedArea(corners)) < areaMin ? 'encloses no area' : undefined
}

/** Why these points are no line that can be crossed, or undefined. */
export function lineMisfit(points: readonly (readonly number[])[]): string | undefined {
  return samePoint(points as readonly Point[])
}

/** Twice-named points of a path: its piece between them has no direction. */
function samePoint(path: readonly Point[]): string | undefined {
  for (let i = 1; i < path.length; i++) {
    const [before, after] = [path[i - 1]!, path[i]!]
    if (before[0] === after[0] && before[1] === after[1]) {
      return `has point ${i} twice, at ${before[0]}, ${before[1]}`
    }
  }
  return undefined
}

type Side = readonly [from: Point, to: Point]

const sideOf = (corners: readonly Point[], index: number): Side => [
  corners[index]!,
  corners[(index + 1) % corners.length]!,
]

const sideName = (corners: readonly Point[], index: number): string =>
  `${index + 1}–${((index + 1) % corners.length) + 1}`

/** Twice the area of the triangle, positive where `c` lies to the right of the way from `a` to `b`. */
export function turn(a: Point, b: Point, c: Point): number {
  return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/** Two sides that share a corner meet elsewhere too only when one lies on the other. */
function foldsBack(corners: readonly Point[], a: number, b: number): boolean {
  const [shared, before, after] =
    b === a + 1
      ? [corners[b]!, corners[a]!, corners[(b + 1) % corners.length]!]
      : [corners[0]!, corners[b]!, corners[1]!]
  const ahead =
    (before[0] - shared[0]) * (after[0] - shared[0]) +
    (before[1] - shared[1]) * (after[1] - shared[1])
  return turn(before, shared, after) === 0 && ahead > 0
}

/** True where two sides have a point in common. */
function sidesMeet([a, b]: Side, [c, d]: Side): boolean {
  const [abc, abd] = [turn(a, b, c), turn(a, b, d)]
  const [cda, cdb] = [turn(c, d, a), turn(c, d, b)]
  if (
    ((abc > 0 && abd < 0) || (abc < 0 && abd > 0)) &&
    ((cda > 0 && cdb < 0) || (cda < 0 && cdb > 0))
  )
    return true
  return (
    (abc === 0 && isWithin(a, b, c)) ||
    (abd === 0 && isWithin(a, b, d)) ||
    (cda === 0 && isWithin(c, d, a)) ||
    (cdb === 0 && isWithin(c, d, b))
  )
}

/** Whether `point`, which is on the line through both, lies between them. */
function isWithin([ax, ay]: Point, [bx, by]: Point, [x, y]: Point): boolean {
  return (
    x >= Math.min(ax, bx) && x <= Math.max(ax, bx) && y >= Math.min(ay, by) && y <= Math.max(ay, by)
  )
}

function signedArea(corners: readonly Point[]): number {
  let sum = 0
  for (let i = 0; i < corners.length; i++) {
    const [a, b] = sideOf(corners, i)
    sum += a[0] * b[1] - b[0] * a[1]
  }
  return sum / 2
}

function nameTwice(what: string, areas: readonly { readonly name: string }[]): string | undefined {
  const seen = new Set<string>()
  for (const [i, { name }] of areas.entries()) {
    if (seen.has(name)) return `/${what}/${i}/name "${name}" is there twice`
    seen.add(name)
  }
  return undefined
}

function firstOf<T>(
  areas: readonly T[],
  misfitOf: (area: T, index: number) => string | undefined,
): string | undefined {
  for (const [index, area] of areas.entries()) {
    const misfit = misfitOf(area, index)
    if (misfit !== undefined) return misfit
  }
  return undefined
}

const prefixed = (place: string, misfit: string | undefined): string | undefined =>
  misfit === undefined ? undefined : `${place} ${misfit}`
