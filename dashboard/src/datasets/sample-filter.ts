/** Which samples of a dataset are looked at, as the address says it. Pure. */
import { type SampleQuery, splitNames } from '@edgeloop/protocol'

/** What is asked of the samples of a dataset; all of it stands in the address. */
export type SampleFilter = Omit<SampleQuery, 'after' | 'limit'>

/** Reads a filter from an address; what does not fit is left out. */
export function readSampleFilter(search: Record<string, unknown>): SampleFilter {
  const text = (key: string): string | undefined => {
    const value = search[key]
    if (typeof value === 'number') return String(value)
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const whole = (key: string, min: number): number | undefined => {
    const value = search[key]
    return Number.isSafeInteger(value) && Number(value) >= min ? Number(value) : undefined
  }
  const { annotated } = search
  const split = splitNames.find((name) => name === search.split)
  const given = {
    version: whole('version', 1),
    label: text('label'),
    annotated: annotated === 'yes' || annotated === 'no' ? annotated : undefined,
    site: text('site'),
    stream: text('stream'),
    problem: text('problem'),
    split,
    fold: whole('fold', 0),
  }
  const filter = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as SampleFilter
  // Only a version has sides.
  if (filter.version !== undefined) return filter
  const { split: _, fold: __, ...rest } = filter
  return rest
}
