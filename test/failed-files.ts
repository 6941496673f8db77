/** A reporter of the test runner that prints nothing but the files in which a test failed, one a line. */
import { relative } from 'node:path'
import type { TestEvent } from 'node:test/reporters'

export default async function* failedFiles(events: AsyncIterable<TestEvent>) {
  const failed = new Set<string>()
  for await (const { type, data } of events) {
    // A test marked as todo may fail.
    if (type !== 'test:fail' || data.todo !== undefined || data.file === undefined) continue
    failed.add(relative(process.cwd(), data.file))
  }
  for (const file of failed) yield `${file}\n`
}
