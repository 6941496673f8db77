/**
 * `npm test [-- FILE …]`: format, lint and types, the dashboard built, then every test of the house.
 * What needs something that is not installed is skipped and says so; `EDGELOOP_REQUIRE=all` forces it.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { buildDashboard } from '@edgeloop/dashboard/build'
import { check } from './check.ts'

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

const checked = files.length > 0 || check()
// Browser tests look at what a visitor would be given, so it is built once, before they run in parallel.
await buildDashboard()
const { status } = spawnSync(
  process.execPath,
  [
    '--test',
    '--test-concurrency=2',
    // A test that hangs fails and is named, instead of holding up everything.
    '--test-timeout=120000',
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    ...(files.length > 0 ? files : everything),
  ],
  {
    cwd: repository,
    stdio: 'inherit',
    env: { ...process.env, UV_THREADPOOL_SIZE: '16', ORT_DISABLE_TELEMETRY: '1' },
  },
)
process.exitCode = checked && status === 0 ? 0 : 1
