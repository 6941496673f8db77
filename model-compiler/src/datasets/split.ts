/**
 * Which samples are learned from, which choose among checkpoints, and which test. Frames of one camera a moment apart
 * are nearly the same picture, so where streams and times are known, whole streams or blocks of time are dealt out, never
 * single frames; and what was found to be the same picture twice stays on one side. Pure; the same seed deals the same.
 */
import { createHash } from 'node:crypto'
import { type Dataset, type Sample, type Split, type SplitName, splitNames } from './dataset.ts'
import { DatasetError } from './dataset-error.ts'

/** What is dealt out whole. */
export const splitUnits = ['sample', 'stream', 'time'] as const
export type SplitUnit = (typeof splitUnits)[number]

/** Samples that are dealt, and what they are called. */
export type Splittable = Pick<Dataset, 'name' | 'samples'>

export type SplitOptions = {
  /** For the test: the last N samples in their order, or a share from 0 to below 1. Default .2. */
  readonly holdout?: `last:${number}` | number
  /** Share of what remains that chooses among checkpoints. Default 0. */
  readonly validation?: number
  /** Default: blocks of time within each stream where both are known, else streams where they are, else samples. */
  readonly by?: SplitUnit
  /** Each part has its share of every label, as far as units allow. Default true. */
  readonly stratify?: boolean
  /** Digests that stay on one side, as `findDuplicates` gives them. */
  readonly together?: readonly (readonly string[])[]
  /** Frames of one stream closer than this to a frame of another part are left out. Default 10 s. */
  readonly gapMs?: number
  readonly seed: number
}

/** A set of samples that goes one way. */
type Unit = { readonly key: string; readonly samples: readonly Sample[] }

const gapMsDefault = 10_000

/**
 * @returns a part for every sample but those that are left out: too close in time to another part, or the same picture
 * as one of the test
 * @throws {DatasetError} when a part that was asked for would be empty
 */
export function splitDataset(dataset: Splittable, options: SplitOptions): Split {
  const { holdout = 0.2, validation = 0, seed } = options
  checkShare('validation', validation)
  const last = typeof holdout === 'string' ? lastOf(holdout) : undefined
  if (last !== undefined) {
    if (last >= dataset.samples.length) {
      throw new DatasetError(
        `Cannot split "${dataset.name}": the last ${last} of ${dataset.samples.length} samples leave none to learn from`,
      )
    }
    return splitLast(dataset, last, options)
  }
  const share = holdout as number
  checkShare('holdout', share)
  const by = options.by ?? unitOf(dataset.samples)
  const units = unitsOf(dataset, by, share > 0 ? share : validation || 1, options)
  const dealing = { seed, stratify: options.stratify ?? true }
  // The test first: whoever holds out as much with the same seed has the same, whatever is done with the rest.
  const held = deal(units, [1 - share, share], dealing)
  const rest = units.filter((_, at) => held[at] === 0)
  const chosen = deal(rest, [1 - validation, validation], dealing)
  const split = new Map<string, SplitName>()
  const put = (unit: Unit, part: SplitName) => {
    for (const { digest } of unit.samples) split.set(digest, part)
  }
  for (const [at, unit] of units.entries()) if (held[at] === 1) put(unit, 'test')
  for (const [at, unit] of rest.entries()) put(unit, chosen[at] === 1 ? 'validation' : 'train')
  keepApart(dataset.samples, split, by === 'time' ? (options.gapMs ?? gapMsDefault) : 0)
  const names = splitNames.filter(
    (name) => (name !== 'test' || share > 0) && (name !== 'validation' || validation > 0),
  )
  refuseEmpty(dataset, split, names, units.length, { ...options, by })
  return split
}

/**
 * K splits, in each of which another part of the samples is the test.
 * @param folds at least 2
 * @throws {DatasetError} when there are fewer streams, blocks or samples than folds
 */
export function foldDataset(
  dataset: Splittable,
  { folds, ...options }: Omit<SplitOptions, 'holdout' | 'validation'> & { readonly folds: number },
): Split[] {
  if (!Number.isInteger(folds) || folds < 2 || folds > 100) {
    throw new DatasetError(`Cannot split into ${folds} folds: it is a whole number from 2 to 100`)
  }
  const by = options.by ?? unitOf(dataset.samples)
  const units = unitsOf(dataset, by, 1 / folds, options)
  if (units.length < folds) {
    throw new DatasetError(
      `Cannot split "${dataset.name}" into ${folds} folds: ${unitsText(units.length, by)} can be dealt`,
    )
  }
  const shares = Array.from({ length: folds }, () => 1 / folds)
  const dealt = deal(units, shares, { seed: options.seed, stratify: options.stratify ?? true })
  return shares.map((_, fold) => {
    const split = new Map<string, SplitName>()
    for (const [at, unit] of units.entries()) {
      for (const { digest } of unit.samples)
        split.set(digest, dealt[at] === fold ? 'test' : 'train')
    }
    keepApart(dataset.samples, split, by === 'time' ? (options.gapMs ?? gapMsDefault) : 0)
    refuseEmpty(dataset, split, ['train', 'test'], units.length, { ...options, by })
    return split
  })
}

/**
 * A split of a dataset that has grown: what was on a side before stays there for ever, and only what is new is dealt. Each
 * stream gives of its new samples what it still owes to each side, so the test part grows with every camera.
 * @param before sides of the samples that were dealt already; what was left out then is new
 * @throws {DatasetError} when nothing is left to learn from or to test on
 */
export function growSplit(
  dataset: Splittable,
  before: Split,
  options: Omit<SplitOptions, 'holdout' | 'stratify'> & { readonly holdout?: number },
): Split {
  const { holdout = 0.2, validation = 0, together = [], seed, gapMs = gapMsDefault } = options
  checkShare('holdout', holdout)
  checkShare('validation', validation)
  const split = new Map<string, SplitName>()
  const old: Sample[] = []
  const fresh: Sample[] = []
  for (const sample of dataset.samples) {
    const side = before.get(sample.digest)
    if (side) split.set(sample.digest, side)
    ;(side ? old : fresh).push(sample)
  }
  const by = options.by ?? unitOf(fresh)
  const units = unitsOf({ ...dataset, samples: fresh }, by, holdout || validation || 1, {
    together,
  })
  const shares: Readonly<Record<SplitName, number>> = {
    train: (1 - holdout) * (1 - validation),
    validation: (1 - holdout) * validation,
    test: holdout,
  }
  const owed = new Map<string, Record<SplitName, number>>()
  const countsOf = (stream: string) => {
    const counts = owed.get(stream) ?? { train: 0, validation: 0, test: 0 }
    owed.set(stream, counts)
    return counts
  }
  for (const sample of old) countsOf(streamOf(sample))[before.get(sample.digest)!]++
  const sidesOfCopies = copiesBefore(together, before)
  const startOf = ({ samples }: Unit) => Math.min(...samples.map((one) => one.capturedAt ?? 0))
  const place = new Map(units.map((unit) => [unit, placeOf(seed, unit.key)]))
  units.sort((a, b) => startOf(a) - startOf(b) || (place.get(a)! < place.get(b)! ? -1 : 1))
  const dealt: Sample[] = []
  for (const { samples } of units) {
    const counts = countsOf(streamOf(samples[0]!))
    const known = new Set(samples.flatMap(({ digest }) => [...(sidesOfCopies.get(digest) ?? [])]))
    // It shows what is on two sides already: on either it would tell of the other.
    if (known.size > 1) continue
    const side = [...known][0] ?? (by === 'stream' ? sideOfStream(counts) : undefined)
    const chosen = side ?? mostOwed(counts, shares, samples.length)
    for (const { digest } of samples) split.set(digest, chosen)
    counts[chosen] += samples.length
    dealt.push(...samples)
  }
  if (by === 'time') {
    keepApart(dealt, split, gapMs)
    leaveOutNear(dealt, old, split, gapMs)
  }
  const names = splitNames.filter(
    (name) => name !== 'validation' && (name !== 'test' || holdout > 0),
  )
  refuseEmpty(dataset, split, names, units.length, { ...options, by })
  return split
}

/** The sides on which what shows the same is already, by the digest of what is new. */
function copiesBefore(
  together: readonly (readonly string[])[],
  before: Split,
): ReadonlyMap<string, ReadonlySet<SplitName>> {
  const found = new Map<string, Set<SplitName>>()
  for (const group of together) {
    const sides = group.flatMap((digest) => before.get(digest) ?? [])
    for (const digest of group) {
      if (before.has(digest)) continue
      found.set(digest, (found.get(digest) ?? new Set()).union(new Set(sides)))
    }
  }
  return found
}

/** Where a stream that is dealt whole has gone before; undefined for one that is new. */
function sideOfStream(counts: Readonly<Record<SplitName, number>>): SplitName | undefined {
  const most = splitNames.reduce((a, b) => (counts[b] > counts[a] ? b : a))
  return counts[most] > 0 ? most : undefined
}

function mostOwed(
  counts: Readonly<Record<SplitName, number>>,
  shares: Readonly<Record<SplitName, number>>,
  more: number,
): SplitName {
  const total = counts.train + counts.validation + counts.test + more
  const owes = (name: SplitName) => shares[name] * total - counts[name]
  return splitNames.reduce((a, b) => (owes(b) > owes(a) + 1e-9 ? b : a))
}

/** Leaves out what is new and closer than the gap to an old frame of another side: models have seen that one. */
function leaveOutNear(
  fresh: readonly Sample[],
  old: readonly Sample[],
  split: Map<string, SplitName>,
  gapMs: number,
): void {
  const lines = Map.groupBy(
    old.filter(({ capturedAt }) => capturedAt !== undefined),
    streamOf,
  )
  for (const line of lines.values()) line.sort((a, b) => a.capturedAt! - b.capturedAt!)
  for (const sample of fresh) {
    const { capturedAt: at, digest } = sample
    const line = lines.get(streamOf(sample))
    if (at === undefined || !line) continue
    let low = 0
    for (let high = line.length; low < high; ) {
      const middle = (low + high) >> 1
      if (line[middle]!.capturedAt! <= at - gapMs) low = middle + 1
      else high = middle
    }
    for (; low < line.length && line[low]!.capturedAt! < at + gapMs; low++) {
      if (split.get(line[low]!.digest) !== split.get(digest)) {
        split.delete(digest)
        break
      }
    }
  }
}

/** The digests of a part in the order of the samples. */
export function digestsOf(dataset: Splittable, split: Split, name: SplitName): string[] {
  return dataset.samples
    .filter(({ digest }) => split.get(digest) === name)
    .map(({ digest }) => digest)
}

/** Reads `last:N` or a share, as a command line has it. */
export function readHoldout(text: string): `last:${number}` | number {
  if (text.startsWith('last:')) return `last:${lastOf(text)}`
  const share = Number(text)
  if (text.trim() === '') throw new DatasetError('Cannot hold out "": it is last:N or a share')
  checkShare('holdout', share)
  return share
}

function lastOf(text: string): number {
  const count = /^last:(\d{1,9})$/.exec(text)?.[1]
  if (count === undefined || Number(count) < 1) {
    throw new DatasetError(
      `Cannot hold out "${text.slice(0, 40)}": it is last:N with N from 1, or a share such as 0.2`,
    )
  }
  return Number(count)
}

function checkShare(what: string, share: number): void {
  if (!(share >= 0 && share < 1)) {
    throw new DatasetError(`Cannot split: ${what} is ${share}, and a share is from 0 to below 1`)
  }
}

/** The last in order are the test, exactly; what is the same picture as one of them is left out of the rest. */
function splitLast(dataset: Splittable, count: number, options: SplitOptions): Split {
  const cut = dataset.samples.length - count
  const test = dataset.samples.slice(cut)
  const held = new Set(test.map(({ digest }) => digest))
  const spoiled = new Set(
    (options.together ?? []).filter((group) => group.some((digest) => held.has(digest))).flat(),
  )
  const rest = {
    name: dataset.name,
    samples: dataset.samples.slice(0, cut).filter(({ digest }) => !spoiled.has(digest)),
  }
  const split = new Map<string, SplitName>(
    options.validation
      ? splitDataset(rest, { ...options, holdout: 0 })
      : rest.samples.map(({ digest }) => [digest, 'train']),
  )
  for (const { digest } of test) split.set(digest, 'test')
  return split
}

function unitOf(samples: readonly Sample[]): SplitUnit {
  const times = new Set(samples.map(({ capturedAt }) => capturedAt))
  times.delete(undefined)
  // A single time for all is when somebody exported them.
  if (times.size > 1 && samples.every(({ capturedAt }) => capturedAt !== undefined)) return 'time'
  return samples.some(({ stream }) => stream !== undefined) ? 'stream' : 'sample'
}

const streamOf = ({ site = '', stream = '' }: Sample): string => `${site}/${stream}`

function unitsOf(
  { samples }: Splittable,
  by: SplitUnit,
  shareMin: number,
  { together = [] }: Pick<SplitOptions, 'together'>,
): Unit[] {
  const keyed = new Map<string, string>()
  if (by === 'time') {
    for (const [digest, key] of blockKeys(samples, shareMin)) keyed.set(digest, key)
  } else
    for (const sample of samples)
      keyed.set(sample.digest, by === 'stream' ? streamOf(sample) : sample.digest)
  const joined = new Joined()
  for (const group of together) {
    const keys = group.flatMap((digest) => keyed.get(digest) ?? [])
    for (const key of keys.slice(1)) joined.join(keys[0]!, key)
  }
  const byKey = Map.groupBy(samples, ({ digest }) => joined.of(keyed.get(digest)!))
  return [...byKey].map(([key, those]) => ({ key, samples: those }))
}

/** Each stream cut into blocks of equally many frames that follow each other. */
function* blockKeys(samples: readonly Sample[], shareMin: number): Generator<[string, string]> {
  // Twice as many blocks as the smallest part needs, so that it does not all come from one time of day.
  const blocks = Math.min(40, Math.max(4, Math.ceil(2 / shareMin)))
  for (const [stream, frames] of Map.groupBy(samples, streamOf)) {
    const ordered = frames.toSorted((a, b) => (a.capturedAt ?? 0) - (b.capturedAt ?? 0))
    const length = Math.max(1, Math.ceil(ordered.length / blocks))
    let block = 0
    for (const [at, { digest, capturedAt }] of ordered.entries()) {
      // Frames of one moment are not parted.
      if (at >= (block + 1) * length && capturedAt !== ordered[at - 1]?.capturedAt) block++
      yield [digest, `${stream}#${block}`]
    }
  }
}

/** Which names stand for the same: a forest with paths that are shortened as they are walked. */
class Joined {
  readonly #parent = new Map<string, string>()

  of(key: string): string {
    let root = key
    for (let up = this.#parent.get(root); up !== undefined; up = this.#parent.get(root)) root = up
    for (let at = key; at !== root; ) {
      const up = this.#parent.get(at)!
      this.#parent.set(at, root)
      at = up
    }
    return root
  }

  join(a: string, b: string): void {
    const [one, other] = [this.of(a), this.of(b)].sort() as [string, string]
    if (one !== other) this.#parent.set(other, one)
  }
}

/** Labels of a sample, and how often: what is balanced between parts. */
function labelCounts({ samples }: Unit): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { annotations } of samples) {
    for (const annotation of annotations) {
      const labels = 'label' in annotation ? [annotation.label] : []
      for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1)
    }
  }
  return counts
}

/**
 * Deals units to parts: the label with fewest units left goes first, each unit to the part that lacks most of it
 * (iterative stratification, Sechidis et al. 2011). @returns the part of each unit
 */
function deal(
  units: readonly Unit[],
  shares: readonly number[],
  { seed, stratify }: { readonly seed: number; readonly stratify: boolean },
): number[] {
  const place = new Map(units.map(({ key }) => [key, placeOf(seed, key)]))
  const order = [...units.keys()].sort((a, b) =>
    place.get(units[a]!.key)! < place.get(units[b]!.key)! ? -1 : 1,
  )
  // Large units first: what is small can still even out what they leave.
  order.sort((a, b) => units[b]!.samples.length - units[a]!.samples.length)
  const total = units.reduce((sum, { samples }) => sum + samples.length, 0)
  const lacking = shares.map((share) => share * total)
  const counts = units.map((unit) => (stratify ? labelCounts(unit) : new Map<string, number>()))
  const unitsWith = new Map<string, number[]>()
  const lackingOf = new Map<string, number[]>()
  for (const at of order) {
    for (const [label, count] of counts[at]!) {
      if (!unitsWith.has(label)) unitsWith.set(label, [])
      unitsWith.get(label)!.push(at)
      const lacks = lackingOf.get(label) ?? shares.map(() => 0)
      lackingOf.set(
        label,
        lacks.map((lack, part) => lack + shares[part]! * count),
      )
    }
  }
  const part = new Array<number>(units.length).fill(-1)
  const left = new Map([...unitsWith].map(([label, those]) => [label, those.length]))
  const give = (at: number, first: readonly number[]) => {
    const chosen = indexOfMost(first, lacking)
    part[at] = chosen
    lacking[chosen]! -= units[at]!.samples.length
    for (const [label, count] of counts[at]!) {
      lackingOf.get(label)![chosen]! -= count
      left.set(label, left.get(label)! - 1)
    }
  }
  for (let label = rarest(left); label !== undefined; label = rarest(left)) {
    for (const at of unitsWith.get(label)!) {
      if (part[at] === -1) give(at, lackingOf.get(label)!)
    }
    left.delete(label)
  }
  for (const at of order) if (part[at] === -1) give(at, lacking)
  return part
}

function rarest(left: ReadonlyMap<string, number>): string | undefined {
  let found: string | undefined
  for (const [label, count] of left) {
    if (
      found === undefined ||
      count < left.get(found)! ||
      (count === left.get(found)! && label < found)
    ) {
      found = label
    }
  }
  return found
}

function indexOfMost(first: readonly number[], second: readonly number[]): number {
  let most = 0
  for (let at = 1; at < first.length; at++) {
    const ahead = first[at]! - first[most]!
    // Shares add up with rounding errors; what differs by less is equal.
    if (ahead > 1e-9 || (Math.abs(ahead) <= 1e-9 && second[at]! > second[most]!)) most = at
  }
  return most
}

/** Where a seed puts something, whatever the order it came in. */
const placeOf = (seed: number, key: string): string =>
  createHash('sha256').update(`${seed} ${key}`).digest('hex')

/** Leaves out what is closer than the gap to a frame of another part of its stream: from what is learned, before anything else. */
function keepApart(samples: readonly Sample[], split: Map<string, SplitName>, gapMs: number): void {
  if (gapMs <= 0) return
  const rank: Readonly<Record<SplitName, number>> = { train: 0, validation: 1, test: 2 }
  const removed: string[] = []
  for (const frames of Map.groupBy(samples, streamOf).values()) {
    const ordered = frames
      .filter(({ capturedAt }) => capturedAt !== undefined)
      .sort((a, b) => a.capturedAt! - b.capturedAt!)
    for (const step of [1, -1]) {
      // The latest frame of each part that was passed on the way.
      const latest: Partial<Record<SplitName, number>> = {}
      for (const { digest, capturedAt } of step === 1 ? ordered : ordered.toReversed()) {
        const name = split.get(digest)!
        for (const [other, at] of Object.entries(latest) as [SplitName, number][]) {
          if (rank[other] > rank[name] && Math.abs(capturedAt! - at) < gapMs) removed.push(digest)
        }
        latest[name] = capturedAt!
      }
    }
  }
  for (const digest of removed) split.delete(digest)
}

const unitsText = (count: number, by: SplitUnit): string =>
  `${count} ${{ sample: 'sample', stream: 'stream', time: 'block of time' }[by]}${count === 1 ? '' : 's'}`.replace(
    'block of times',
    'blocks of time',
  )

function refuseEmpty(
  { name, samples }: Splittable,
  split: Split,
  names: readonly SplitName[],
  units: number,
  { by, together = [] }: { readonly by: SplitUnit } & Pick<SplitOptions, 'together'>,
): void {
  const used = new Set(split.values())
  const missing = names.find((part) => !used.has(part))
  if (missing === undefined) return
  const copies = together.length > 0
  throw new DatasetError(
    `Cannot split "${name}": nothing is left for ${missing}, as ${samples.length} samples are ${copies ? `${units} that can be dealt, with near copies taken together` : unitsText(units, by)}`,
    copies
      ? 'add samples that show something else, or let near copies go apart'
      : by === 'sample'
        ? 'add samples, or hold out less or more'
        : 'add streams, or say what is dealt: --by sample, stream or time',
  )
}
