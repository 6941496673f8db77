/**
 * What a format's reader gives, before anybody has looked at the images; and the one place where it becomes samples:
 * sizes and digests are taken from the images themselves, and what does not fit is cut or left out, with a problem.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Annotation, Box, Point, Sample } from './dataset.ts'
import type { FileTree } from './file-tree.ts'
import { imageSize, readImageFile } from './pictures.ts'
import type { Problem, Problems } from './problems.ts'

export type Size = { readonly width: number; readonly height: number }

/** An annotation with the place it was read from; places may lie anywhere yet. */
export type Read = Annotation & { readonly at?: { readonly file: string; readonly line?: number } }

export type Draft = {
  /** Path of the image within the folder. */
  readonly name: string
  readonly site?: string
  readonly stream?: string
  readonly capturedAt?: number
  /** @param size of the image, for formats that speak of pixels without saying of how many */
  readonly annotations: (size: Size) => readonly Read[]
  /** What the labels say about the size of the image. */
  readonly size?: Size
}

export type Reading = {
  readonly labels: readonly string[]
  readonly drafts: readonly Draft[]
  readonly problems: Problems
}

/** Images that are looked at together: reading one waits for the disk, and decoding its head for a thread. */
const together = 8
/** Most annotations of one image. */
export const annotationsMax = 10_000

/** Samples of drafts in their order, and the file of each by digest. */
export async function samplesOf(
  tree: FileTree,
  { labels, drafts, problems }: Reading,
  signal?: AbortSignal,
): Promise<{ readonly samples: Sample[]; readonly files: Map<string, string> }> {
  const known = new Set(labels)
  const looked = await inTurns(drafts, together, async (draft) => {
    signal?.throwIfAborted()
    return await look(tree, draft.name)
  })
  const samples: Sample[] = []
  const files = new Map<string, string>()
  for (const [index, draft] of drafts.entries()) {
    const seen = looked[index]!
    const report = (kind: Problem['kind'], text: string) =>
      problems.add({ kind, file: draft.name, text })
    if (typeof seen === 'string') {
      report('unreadable-image', seen)
      continue
    }
    const { digest, size } = seen
    const first = files.get(digest)
    if (first !== undefined) {
      report('same-bytes', `the same bytes as "${first}"; left out`)
      continue
    }
    if (draft.size && !sameShape(draft.size, size)) {
      report(
        'size-differs',
        `its labels speak of ${draft.size.width}×${draft.size.height} pixels, it has ${size.width}×${size.height}`,
      )
    }
    files.set(digest, draft.name)
    samples.push({
      digest,
      name: draft.name,
      ...size,
      ...(draft.site !== undefined && { site: draft.site }),
      ...(draft.stream !== undefined && { stream: draft.stream }),
      ...(draft.capturedAt !== undefined && { capturedAt: draft.capturedAt }),
      annotations: tidy(draft.annotations(size), { name: draft.name, size, known, problems }),
    })
  }
  return { samples, files }
}

type Seen = { readonly digest: string; readonly size: Size }

async function look(tree: FileTree, name: string): Promise<Seen | string> {
  try {
    const bytes = await readImageFile(join(tree.folder, name))
    const size = await imageSize(bytes)
    return { digest: createHash('sha256').update(bytes).digest('hex'), size }
  } catch (error) {
    return (error as Error).message
  }
}

/** Labels of a copy at another scale are still right, as they become shares. */
const sameShape = (a: Size, b: Size): boolean =>
  Math.abs(a.width * b.height - a.height * b.width) <= 0.02 * a.width * b.height

type Tidying = {
  readonly name: string
  readonly size: Size
  readonly known: ReadonlySet<string>
  readonly problems: Problems
}

/** What of annotations can be learned from: labels of the list, places within the image, sizes above nothing. */
export function tidy(
  read: readonly Read[],
  { name, size, known, problems }: Tidying,
): Annotation[] {
  const kept: Annotation[] = []
  for (const { at, ...annotation } of read) {
    const report = (kind: Problem['kind'], text: string) =>
      problems.add({ kind, file: at?.file ?? name, ...(at?.line && { line: at.line }), text })
    if (kept.length === annotationsMax) {
      report('unreadable-label', `more than ${annotationsMax} annotations; the others are left out`)
      break
    }
    if ('label' in annotation && !known.has(annotation.label)) {
      report('unknown-label', `label "${annotation.label.slice(0, 60)}" is not in the list`)
      continue
    }
    if (annotation.kind === 'box') {
      const box = cutBox(annotation.box, size, (kind, text) => report(kind, text))
      if (box) kept.push({ ...annotation, box })
    } else if (annotation.kind === 'polygon') {
      const points = cutPoints(annotation.points, size, (kind, text) => report(kind, text))
      if (points) kept.push({ ...annotation, points })
    } else if (annotation.kind === 'number' && !Number.isFinite(annotation.value)) {
      report('unreadable-label', `"${annotation.name.slice(0, 60)}" is no number`)
    } else kept.push(annotation)
  }
  return kept
}

type Report = (kind: Problem['kind'], text: string) => void

/** Rounding moves a box by up to a pixel over the edge; nobody needs to hear of that. */
const pixelsOver = 1.01

function cutBox([x, y, width, height]: Box, size: Size, report: Report): Box | undefined {
  if (![x, y, width, height].every(Number.isFinite)) {
    report('unreadable-label', 'a box whose place is no number')
    return undefined
  }
  if (!(width > 0 && height > 0)) {
    report('zero-size', 'a box without size')
    return undefined
  }
  const over = Math.max(
    -x * size.width,
    (x + width - 1) * size.width,
    -y * size.height,
    (y + height - 1) * size.height,
  )
  if (over <= 0) return [x, y, width, height]
  const [left, top] = [Math.max(0, x), Math.max(0, y)]
  const [right, bottom] = [Math.min(1, x + width), Math.min(1, y + height)]
  const inside = right > left && bottom > top
  if (!inside) report('outside', 'a box that lies beside the image; left out')
  else if (over > pixelsOver) {
    report('outside', `a box that reaches ${Math.round(over)} pixels beyond the image; cut there`)
  }
  return inside ? [left, top, right - left, bottom - top] : undefined
}

function cutPoints(points: readonly Point[], size: Size, report: Report): Point[] | undefined {
  if (points.length < 3 || !points.every(([x, y]) => Number.isFinite(x) && Number.isFinite(y))) {
    report(
      'unreadable-label',
      'an outline of fewer than three points, or with one that is no number',
    )
    return undefined
  }
  const over = Math.max(
    ...[0, 1].map((axis) => {
      const pixels = axis === 0 ? size.width : size.height
      return points.reduce(
        (most, point) => Math.max(most, -point[axis]! * pixels, (point[axis]! - 1) * pixels),
        0,
      )
    }),
  )
  const cut = points.map(([x, y]): Point => [inUnit(x), inUnit(y)])
  const [first] = cut
  const flat = (axis: 0 | 1) => cut.every((point) => point[axis] === first?.[axis])
  if (flat(0) || flat(1)) {
    report('zero-size', 'an outline around nothing')
    return undefined
  }
  if (over > pixelsOver) {
    report(
      'outside',
      `an outline that reaches ${Math.round(over)} pixels beyond the image; cut there`,
    )
  }
  return cut
}

const inUnit = (value: number): number => Math.min(1, Math.max(0, value))

/** Results in the order of the items; `atOnce` of them are worked on at a time. */
export async function inTurns<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results = new Array<Result>(items.length)
  let next = 0
  await Promise.all(
    Array.from({ length: Math.min(atOnce, items.length) }, async () => {
      while (next < items.length) {
        const index = next++
        results[index] = await work(items[index]!)
      }
    }),
  )
  return results
}
