/**
 * `npm test [-- FILE …]`: format, lint and types, the dashboard built, then every test of the house.
 * What needs something that is not installed is skipped and says so; `EDGELOOP_REQUIRE=all` forces it.
 * `EDGELOOP_RETRY=1` runs files with a failure once more, one at a time: stories with real processes, cameras
 * and a browser depend on a machine that is not starved. Both runs are printed.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildDashboard } from '@edgeloop/dashboard/build'
import { check } from './check.ts'
import { joinFiles } from './join-files.ts'

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

/** Most tests wait more than they compute; where browsers and brokers run as well, two at a time are enough. */
const together = process.env.EDGELOOP_REQUIRE ? 2 : 3
const checked = files.length > 0 || check()
// Browser tests look at what a visitor would be given, so it is built once, before they run in parallel.
await buildDashboard()
const failed = run(files)
const again = failed.length > 0 && process.env.EDGELOOP_RETRY === '1'
if (again) console.error(`failed, and once more each by itself: ${failed.join(' ')}`)
const stillFailed = again ? run(failed, 1) : failed
process.exitCode = checked && stillFailed.length === 0 ? 0 : 1

/**
 * @param wanted files to run; all when there are none
 * @returns the files in which a test failed
 */
function run(wanted: readonly string[], concurrency = together): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'edgeloop-test-'))
  try {
    const patterns = wanted.length > 0 ? wanted : joinFiles(repository, everything, folder)
    const list = join(folder, 'failed')
    const { status } = spawnSync(
      process.execPath,
      [
        '--test',
        `--test-concurrency=${concurrency}`,
        // A test that hangs fails and is named, instead of holding up everything.
        '--test-timeout=120000',
        '--test-reporter=spec',
        '--test-reporter-destination=stdout',
        `--test-reporter=${new URL('./failed-files.ts', import.meta.url).href}`,
        `--test-reporter-destination=${list}`,
        ...patterns,
      ],
      {
        cwd: repository,
        stdio: 'inherit',
        env: { ...process.env, UV_THREADPOOL_SIZE: '16', ORT_DISABLE_TELEMETRY: '1' },
      },
    )
    const failed = readFileSync(list, 'utf8').split('\n').filter(Boolean)
    // The runner itself ended badly: nothing was shown to pass.
    return status !== 0 && failed.length === 0 ? [...patterns] : failed
  } finally {
    rmSync(folder, { recursive: true })
  }
}
