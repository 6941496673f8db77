/** Searches: runs of one recipe with other values, one after another, of which the best becomes a model version. */
import { type Static, Type } from 'typebox'
import { JobId } from './jobs.ts'
import { ModelName } from './models.ts'
import { Timestamp } from './names.ts'
import { DatasetVersionName, Run, RunId, RunRequest } from './runs.ts'

const closed = { additionalProperties: false } as const

export const SearchId = JobId

export const searchMethods = ['grid', 'random', 'halving'] as const

/** Characters of a value that is a word. */
const wordCharactersMax = 200

const SearchValue = Type.Union([
  Type.Number(),
  Type.String({ maxLength: wordCharactersMax }),
  Type.Boolean(),
  Type.Null(),
])

/** Values between two ends. */
export const SearchSpan = Type.Object(
  {
    from: Type.Number(),
    to: Type.Number(),
    /** `log` draws each power of ten as often. */
    scale: Type.Optional(Type.Union([Type.Literal('linear'), Type.Literal('log')])),
    whole: Type.Optional(Type.Boolean({ description: 'whole numbers only' })),
    /** How many values a grid takes of it, ends included. */
    steps: Type.Optional(Type.Integer({ minimum: 2, maximum: 100 })),
  },
  closed,
)
export type SearchSpan = Static<typeof SearchSpan>

/** Which keys of a recipe are tried with which values, and in what way. */
export const SearchPlan = Type.Object(
  {
    method: Type.Enum(searchMethods),
    /** Values by key of the recipe (`optimizer.learningRate`): a list, or two ends. */
    keys: Type.Record(
      Type.String({ minLength: 1, maxLength: 100 }),
      Type.Union([Type.Array(SearchValue, { minItems: 1, maxItems: 100 }), SearchSpan]),
      { minProperties: 1, maxProperties: 20 },
    ),
    /** How many candidates are drawn (random and halving). */
    trials: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
    /** Halving: one of so many goes on, with so many times the epochs. */
    factor: Type.Optional(Type.Integer({ minimum: 2, maximum: 10 })),
    /** The figure of the validation samples that decides (default: the task's own). */
    metric: Type.Optional(Type.String({ minLength: 1, maxLength: 40 })),
  },
  closed,
)
export type SearchPlan = Static<typeof SearchPlan>

/** What a search is asked: a run, and what of its recipe is tried. */
export const SearchRequest = Type.Object(
  { run: RunRequest, plan: SearchPlan },
  { $id: 'SearchRequest', ...closed },
)
export type SearchRequest = Static<typeof SearchRequest>

/**
 * `running`: trials wait or run; `keeping`: the best is being made a model version; `ended`: it is one; `failed`: it says
 * why; `cancelled`: by somebody.
 */
export const searchStates = ['running', 'keeping', 'ended', 'failed', 'cancelled'] as const
export type SearchState = (typeof searchStates)[number]

/** True for a search that begins no trial any more. */
export const isSearchOver = ({ state }: { readonly state: SearchState }): boolean =>
  state !== 'running' && state !== 'keeping'

/** Keys of a recipe with the values of one trial. */
export const TrialSettings = Type.Record(Type.String(), SearchValue)
export type TrialSettings = Static<typeof TrialSettings>

export const Search = Type.Object(
  {
    searchId: SearchId,
    state: Type.Enum(searchStates),
    method: Type.Enum(searchMethods),
    dataset: DatasetVersionName,
    parent: Type.String(),
    /** Whose next version the best becomes. */
    model: ModelName,
    note: Type.String(),
    /** The figure that decides; empty before it is known. */
    metric: Type.String(),
    /** Trials in all, if none fails. */
    trials: Type.Integer({ minimum: 0 }),
    /** Trials that are over, failed ones counted. */
    ended: Type.Integer({ minimum: 0 }),
    /** The best so far; null before there is one. */
    best: Type.Union([Type.Null(), Type.Object({ trial: Type.String(), value: Type.Number() })]),
    /** What it became. */
    result: Run.properties.result,
    /** Why it failed; empty where it did not. */
    error: Type.String(),
    by: Type.String(),
    createdAt: Timestamp,
    endedAt: Type.Union([Timestamp, Type.Null()]),
  },
  { $id: 'Search' },
)
export type Search = Static<typeof Search>

export const SearchTrial = Type.Object({
  /** Candidate and round, from 1: `3-1`. */
  trial: Type.String(),
  runId: RunId,
  settings: TrialSettings,
  /** Of halving, from 0. */
  round: Type.Integer({ minimum: 0 }),
  /** Share of the recipe's epochs (0..1]. */
  share: Type.Number(),
  over: Type.Boolean(),
  /** The figure that decides, on the validation samples; null before its end, and where it failed. */
  value: Type.Union([Type.Number(), Type.Null()]),
  seconds: Type.Number(),
  /** Why it failed; empty where it did not. */
  failure: Type.String(),
})
export type SearchTrial = Static<typeof SearchTrial>

export const SearchDetail = Type.Object(
  {
    search: Search,
    plan: SearchPlan,
    /** `more` or `less` of the figure is better; empty before it is known. */
    better: Type.Enum(['', 'more', 'less']),
    /** Best first, then failed ones, then those that are not over. */
    trials: Type.Array(SearchTrial),
  },
  { $id: 'SearchDetail' },
)
export type SearchDetail = Static<typeof SearchDetail>
