/**
 * An edit of one stream before it is saved: what runs, what is wanted instead, and the way back through every
 * step. When somebody else saved first, the edit is put on top of theirs, and where both touched the same
 * setting that is said.
 */
import {
  type ConfigChange,
  diffConfigs,
  type RedactionConfig,
  type SamplingConfig,
  type StreamConfig,
} from '@edgeloop/protocol'

export type Draft = {
  /** The configuration as it was when the edit began, and its version. */
  readonly base: StreamConfig
  readonly version: number
  readonly stream: StreamConfig
  readonly past: readonly StreamConfig[]
  readonly future: readonly StreamConfig[]
}

/** Steps that can be undone; the oldest gives way. */
export const stepsMax = 100

export const beginDraft = (base: StreamConfig, version: number): Draft => ({
  base,
  version,
  stream: base,
  past: [],
  future: [],
})

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/**
 * One step further. Settings that become undefined are left out of the configuration.
 * @param goOn the step belongs to the one before it (dragging, typing): both are undone together
 */
export function editDraft(
  draft: Draft,
  change: { readonly [K in keyof StreamConfig]?: StreamConfig[K] | undefined },
  goOn = false,
): Draft {
  const entries = Object.entries({ ...draft.stream, ...change })
  const stream = Object.fromEntries(
    entries.filter(([, value]) => value !== undefined),
  ) as StreamConfig
  if (same(stream, draft.stream)) return draft
  const past = goOn && draft.past.length > 0 ? draft.past : [...draft.past, draft.stream]
  return { ...draft, stream, past: past.slice(-stepsMax), future: [] }
}

type Changed<T> = { readonly [K in keyof T]?: T[K] | undefined }

const merged = (before: object | undefined, change: object): object =>
  Object.fromEntries(
    Object.entries({ ...before, ...change }).filter(([, value]) => value !== undefined),
  )

/** Frames are kept so; what is not named stays as it is, also what no field is for. */
export const withSampling = (
  { sampling }: Pick<StreamConfig, 'sampling'>,
  change: Changed<SamplingConfig>,
): { sampling: SamplingConfig } => ({ sampling: merged(sampling, change) })

/** So it is made unreadable; what is not named stays. Without labels nothing is, and the setting goes. */
export function withRedaction(
  { redact }: Pick<StreamConfig, 'redact'>,
  change: Changed<RedactionConfig>,
): { redact: RedactionConfig | undefined } {
  const { labels = [], ...rest } = merged(redact, change) as Partial<RedactionConfig>
  return { redact: labels.length > 0 ? { labels, ...rest } : undefined }
}

export function undoDraft(draft: Draft): Draft {
  const stream = draft.past.at(-1)
  if (!stream) return draft
  const future = [draft.stream, ...draft.future]
  return { ...draft, stream, past: draft.past.slice(0, -1), future }
}

export function redoDraft(draft: Draft): Draft {
  const [stream, ...future] = draft.future
  if (!stream) return draft
  return { ...draft, stream, past: [...draft.past, draft.stream], future }
}

/** What differs from what runs, setting by setting; nothing where all is as it was. */
export const changesOf = (before: StreamConfig, after: StreamConfig): ConfigChange[] =>
  diffConfigs({ streams: [before] }, { streams: [after] })

export const isChanged = (draft: Draft): boolean => !same(draft.base, draft.stream)

type Key = keyof StreamConfig

const touched = (before: StreamConfig, after: StreamConfig): Key[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)] as Key[])].filter(
    (key) => !same(before[key], after[key]),
  )

/**
 * The same edit on top of what somebody else saved meanwhile.
 * @returns the new draft, and the settings that both changed: there this edit wins
 */
export function rebaseDraft(
  draft: Draft,
  theirs: StreamConfig,
  version: number,
): { draft: Draft; both: Key[] } {
  const mine = touched(draft.base, draft.stream)
  const both = touched(draft.base, theirs).filter(
    (key) => mine.includes(key) && !same(theirs[key], draft.stream[key]),
  )
  const change = Object.fromEntries(mine.map((key) => [key, draft.stream[key]]))
  return { draft: editDraft(beginDraft(theirs, version), change), both }
}
