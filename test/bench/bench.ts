/** What a benchmark gives back: a table for people and one JSON object for programs. */
export type BenchResult = {
  readonly name: string
  readonly rows: readonly Readonly<Record<string, string | number>>[]
  readonly json: Readonly<Record<string, unknown>>
}

/** A benchmark: `args` are the words after its name; it stops early when `signal` aborts. */
export type Bench = (options: { args: string[]; signal: AbortSignal }) => Promise<BenchResult>
