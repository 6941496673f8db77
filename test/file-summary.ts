/** A reporter of the test runner that prints one line of JSON: what the run says of each file. */
import { relative } from 'node:path'
import type { TestEvent } from 'node:test/reporters'

export type FileSummary = {
  readonly failed: readonly string[]
  /** Milliseconds of a file's tests, which run one after the other; longest first. */
  readonly spent: readonly (readonly [file: string, ms: number])[]
}

export default async function* fileSummary(events: AsyncIterable<TestEvent>) {
  const failed = new Set<string>()
  const spent = new Map<string, number>()
  for await (const { type, data } of events) {
    if ((type !== 'test:pass' && type !== 'test:fail') || data.file === undefined) continue
    const file = relative(process.cwd(), data.file)
    // A test marked as todo may fail.
    if (type === 'test:fail' && data.todo === undefined) failed.add(file)
    if (data.nesting === 0) spent.set(file, (spent.get(file) ?? 0) + data.details.duration_ms)
  }
  const summary: FileSummary = {
    failed: [...failed],
    spent: [...spent].sort(([, a], [, b]) => b - a),
  }
  yield JSON.stringify(summary)
}
