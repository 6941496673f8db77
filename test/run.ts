/**
 * `npm test [-- FILE …]`: format, lint and types, the dashboard built, then every test of the house.
 * What needs something that is not installed is skipped and says so; `EDGELOOP_REQUIRE=all` forces it.
 * `EDGELOOP_RETRY=1` runs files with a failure once more, one at a time: stories with real processes, cameras
 * and a browser depend on a machine that is not starved. Both runs are printed.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildDashboard } from '@edgeloop/dashboard/build'
import { check } from './check.ts'
import { limitFiles } from './file-limit.ts'
import type { FileSummary } from './file-summary.ts'
import { joinFiles } from './join-files.ts'
import { joinTypebox } from './joined-typebox.ts'

const repository = fileURLToPath(new URL('..', import.meta.url))
const files = process.argv.slice(2)
const everything = [
  'protocol',
  'model-compiler',
  'edge-agent',
  'cloud-hub',
  'cli',
  'dashboard',
  'test',
].map((folder) => `${folder}/**/*.test.ts`)

/** No file takes nearly as long, even with others in its process. */
const fileLimitMs = 15 * 60_000
/** Most tests wait more than they compute. */
const together = 3
const checked = files.length > 0 || check()
// Browser tests look at what a visitor would be given, so it is built once, before they run in parallel.
await buildDashboard()
const withTypebox = await joinTypebox()
const scratch = mkdtempSync(join(tmpdir(), 'edgeloop-test-'))
process.once('exit', () => rmSync(scratch, { recursive: true, force: true }))
const failed = await run(files.length > 0 ? files : joinFiles(repository, everything, scratch))
const again = failed.length > 0 && process.env.EDGELOOP_RETRY === '1'
if (again) console.error(`failed, and once more each by itself: ${failed.join(' ')}`)
const stillFailed = again ? await run(failed, 1) : failed
process.exitCode = checked && stillFailed.length === 0 ? 0 : 1

/** @returns the files in which a test failed */
async function run(patterns: readonly string[], concurrency = together): Promise<string[]> {
  const summaryFile = join(scratch, 'summary')
  const runner = spawn(
    process.execPath,
    [
      // A file that leaves something open ends all the same, and is named.
      `--import=${new URL('./file-end.ts', import.meta.url).href}`,
      '--test',
      `--test-concurrency=${concurrency}`,
      // A test that hangs fails and is named, instead of holding up everything.
      '--test-timeout=240000',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${new URL('./file-summary.ts', import.meta.url).href}`,
      `--test-reporter-destination=${summaryFile}`,
      ...patterns,
    ],
    {
      cwd: repository,
      stdio: 'inherit',
      env: {
        ...process.env,
        UV_THREADPOOL_SIZE: '16',
        ORT_DISABLE_TELEMETRY: '1',
        NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} ${withTypebox}`.trim(),
      },
    },
  )
  const over = new AbortController()
  const limited = limitFiles({
    runner: runner.pid ?? 0,
    folder: repository,
    limitMs: fileLimitMs,
    signal: over.signal,
    tell: (file) =>
      console.error(`edgeloop: error: ${file} took ${fileLimitMs / 60_000} minutes and was ended`),
  })
  const [status] = (await once(runner, 'close')) as [number | null]
  over.abort()
  await limited
  const { failed, spent } = readSummary(summaryFile)
  tellLongest(spent)
  // The runner itself ended badly: nothing was shown to pass.
  return status !== 0 && failed.length === 0 ? [...patterns] : [...failed]
}

function readSummary(file: string): FileSummary {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as FileSummary
  } catch {
    return { failed: [], spent: [] }
  }
}

/** Where the time went, for whoever wants it back. */
function tellLongest(spent: FileSummary['spent']): void {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
  const total = spent.reduce((sum, [, ms]) => sum + ms, 0)
  const lines = spent.slice(0, 20).map(([file, ms]) => `${seconds(ms).padStart(9)}  ${file}`)
  console.log(`\n${spent.length} test files took ${seconds(total)}, the longest of them:`)
  console.log(lines.join('\n'))
}
