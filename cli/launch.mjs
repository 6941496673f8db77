/**
 * The launcher: all that runs on a stranger's own Node (≥ 20), so plain JavaScript without
 * dependencies. It installs what the lockfile says when that differs from what was last installed
 * (pnpm comes through npx, Node 24 is a dev dependency), then hands over to Node 24 and passes
 * signals and the exit code through.
 *
 *   node cli/launch.mjs PROGRAM.ts [argument …]     PROGRAM relative to the repository
 *
 * The scripts of package.json `exec` the Node that runs npm: once installed, `node` on a script's path is a
 * shell script that stays in between, dies of the first signal, and leaves this process without a parent.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const pnpmVersion = '10.34.9'
const repository = fileURLToPath(new URL('..', import.meta.url))
const node = join(repository, 'node_modules/node/bin/node')
const stamp = join(repository, 'node_modules/.edgeloop-installed')
const packages = [
  'protocol',
  'model-compiler',
  'edge-agent',
  'cloud-hub',
  'dashboard',
  'cli',
  'test',
]
const inputs = [
  'pnpm-lock.yaml',
  'pnpm-workspace.yaml',
  'package.json',
  ...packages.map((p) => `${p}/package.json`),
]

/** Runs a program of the repository on Node 24, after installing what is missing. */
export function launch(program, args) {
  installIfNeeded()
  // Each live camera parks one thread of libuv's pool; the size is fixed before Node starts.
  const env = { UV_THREADPOOL_SIZE: '16', ...process.env }
  env.PATH = `${join(repository, 'node_modules/node/bin')}:${env.PATH}`
  // Modules as Node compiled them, with their types stripped: every process after the first starts in half the time, and
  // without the stripper, which takes 20 MB of each. Where the folder cannot be written, Node goes on without.
  env.NODE_COMPILE_CACHE ??= join(repository, 'node_modules/.cache/compiled')
  const { flags, env: agentEnv } = JSON.parse(
    readFileSync(join(repository, 'edge-agent/supervisor-node.json'), 'utf8'),
  )
  const isAgent = args[0] === 'agent'
  const nodeFlags = isAgent ? flags : []
  if (isAgent) for (const [key, value] of Object.entries(agentEnv)) env[key] ??= value
  const child = spawn(node, [...nodeFlags, join(repository, program), ...args], {
    stdio: 'inherit',
    env,
  })
  // A terminal signals the whole group, a service manager only us: pass it on in both cases.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) =>
    fail(`Cannot start Node 24: ${error.message}`, 'delete node_modules and try again'),
  )
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}

function installIfNeeded() {
  const digest = createHash('sha256')
  for (const file of inputs) digest.update(readFileSync(join(repository, file)))
  const wanted = `${digest.digest('hex')} ${process.platform}-${process.arch}`
  if (existsSync(node) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  if (Number(process.versions.node.split('.')[0]) < 20) {
    fail(
      `Cannot start: Node ${process.versions.node} is too old`,
      'install Node 20 or newer; Edgeloop brings its own Node 24 from there',
    )
  }
  process.stderr.write('edgeloop: installing dependencies (once; takes a minute or two) …\n')
  rmSync(stamp, { force: true })
  const npx = process.platform === 'win32' ? 'npx.cmd' : 'npx'
  const { status, error } = spawnSync(
    npx,
    ['--yes', `pnpm@${pnpmVersion}`, 'install', '--frozen-lockfile', '--reporter=append-only'],
    // Standard output carries results only: what the install prints goes to standard error.
    {
      cwd: repository,
      stdio: ['ignore', 2, 2],
      env: { ...process.env, CI: 'true' },
      shell: process.platform === 'win32',
    },
  )
  if (status !== 0) {
    fail(
      `Cannot install dependencies: ${error?.message ?? `pnpm ended with ${status}`}`,
      'is a package registry reachable? See the lines above',
    )
  }
  writeFileSync(stamp, wanted)
}

function fail(text, hint) {
  process.stderr.write(`edgeloop: error: ${text}\nedgeloop: hint: ${hint}\n`)
  process.exit(1)
}

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) {
  const [program = 'cli/src/main.ts', ...args] = process.argv.slice(2)
  launch(program, args)
}
