/**
 * Loaded before each test file: ends its process when its tests are over and something that they left open keeps it, and
 * says what that is. One forgotten connection, such as of a test that failed half-way, would hold up all other files.
 *
 *   node --import=./test/file-end.ts?patienceMs=60000 --test …
 */
import { relative } from 'node:path'
import { after } from 'node:test'
import { isMainThread } from 'node:worker_threads'

const file = process.argv[1] ?? ''

// Threads, and processes that tests start, may be given the same flags.
if (isMainThread && file.endsWith('.test.ts')) {
  // Closing what tests shared takes its time on a machine that is busy.
  const patienceMs = Number(new URL(import.meta.url).searchParams.get('patienceMs') ?? 60_000)
  after(() => {
    const end = setTimeout(() => {
      const open = [...new Set(process.getActiveResourcesInfo())].join(', ')
      const name = relative(process.cwd(), file)
      console.error(`edgeloop: error: ${name} is ended: its tests are over, but it holds ${open}`)
      process.exit(1)
    }, patienceMs)
    // A process that ends by itself does not wait for it.
    end.unref()
  })
}
