/**
 * What a test needs of the machine. Without it the test is skipped and says why; with
 * `EDGELOOP_REQUIRE=all` (or a comma-separated list of names) it is not skipped, so that CI fails
 * loudly where something it should have is missing. `EDGELOOP_LEAVE_OUT=NAME` skips what needs NAME whatever is required:
 * tests of the hub set it for their second run, on PostgreSQL, which leaves out what takes long beside the store.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const repository = fileURLToPath(new URL('..', import.meta.url))

/** Third-party models, clips and data sets, where this checkout has them beside it. */
export const material = fileURLToPath(new URL('../../shared/material', import.meta.url))

const requirements = {
  curl: { present: () => answers('curl', '--version'), way: 'install the package curl' },
  ffmpeg: { present: () => answers('ffmpeg', '-version'), way: 'install the package ffmpeg' },
  mosquitto: { present: () => answers('mosquitto', '-h'), way: 'install the package mosquitto' },
  'mosquitto-clients': {
    present: () => answers('mosquitto_pub', '--help'),
    way: 'install the package mosquitto-clients',
  },
  chromium: {
    present: () => chromiumPath() !== undefined,
    way: 'install the package chromium or set CHROMIUM_PATH',
  },
  postgresql: {
    present: () => globSync('/usr/lib/postgresql/*/bin/postgres').length > 0,
    way: 'install the package postgresql',
  },
  'systemd-analyze': {
    present: () => answers('systemd-analyze', '--version'),
    way: 'install the package systemd',
  },
  torch: {
    present: () => runs('/usr/bin/python3', '-c', 'import torch, PIL'),
    way: 'install the packages python3-torch and python3-pil',
  },
  // A stranger's run ends within five minutes; CI runs everything.
  time: { present: () => false, way: 'it takes long; EDGELOOP_REQUIRE=time runs it' },
  material: { present: () => existsSync(material), way: 'no ../shared/material' },
  'node-av': {
    present: () => resolves('node-av', `${repository}edge-agent/package.json`),
    way: 'the optional dependency node-av is not installed',
  },
} as const satisfies Record<string, { present: () => boolean; way: string }>

export type Requirement = keyof typeof requirements

/**
 * Options for `test()`: `{ skip: reason }` where one of `names` is missing and not required.
 * @example test('draws a box', needs('chromium'), async () => { … })
 */
export function needs(...names: Requirement[]): { skip?: string } {
  const required = (process.env.EDGELOOP_REQUIRE ?? '').split(',')
  const leftOut = process.env.EDGELOOP_LEAVE_OUT
  for (const name of names) {
    if (name === leftOut) return { skip: `no ${name}: it is left out of this run` }
    if (required.includes('all') || required.includes(name)) continue
    if (!requirements[name].present()) return { skip: `no ${name}: ${requirements[name].way}` }
  }
  return {}
}

/** Where Chromium is, or undefined. */
export function chromiumPath(): string | undefined {
  const candidates = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser']
  return candidates.find((path) => path !== undefined && existsSync(path))
}

function answers(program: string, flag: string): boolean {
  try {
    execFileSync(program, [flag], { stdio: 'ignore' })
    return true
  } catch (error) {
    // mosquitto -h exits with 3; only a program that is not there is missing.
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
}

/** Whether a program ends well. */
function runs(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function resolves(name: string, from: string): boolean {
  try {
    createRequire(from).resolve(name)
    return true
  } catch {
    return false
  }
}
