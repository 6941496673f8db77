/** `./edgeloop up` as a stranger starts it, on free ports, and `./edgeloop` for everything else, each in a process of its own. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const repository = fileURLToPath(new URL('../..', import.meta.url))

export type Outcome = { code: number | string | null | undefined; stdout: string; stderr: string }

/** Runs `./edgeloop` to its end. */
export function edgeloop(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [`${repository}edgeloop`, ...args], (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr })
    })
  })
}

/**
 * Starts `./edgeloop up`; what is left of it when the test ends is killed.
 * @param more words beside ports and folder
 * @returns the sign-in link once it is running, and what it said on standard error
 */
export async function startUp(
  t: TestContext,
  data: string,
  ...more: string[]
): Promise<{ up: ChildProcess; link: URL; log: () => string }> {
  const words = ['up', '--port', '0', '--data', data, ...more]
  const up = spawn(process.execPath, [`${repository}edgeloop`, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a group of its own, so that what is left of it can be seen
  })
  t.after(() => killGroup(up))
  let log = ''
  up.stderr?.on('data', (chunk) => {
    log += chunk
  })
  const ended = once(up, 'exit').then(() => assert.fail(`edgeloop up ended early:\n${log}`))
  ended.catch(() => undefined)
  const lines = createInterface({ input: up.stdout as NodeJS.ReadableStream })
  const found = new Promise<URL>((resolve) => {
    lines.on('line', (line) => {
      const match = /^Edgeloop is running: (\S+)$/.exec(line)
      if (match?.[1]) resolve(new URL(match[1]))
    })
  })
  return { up, link: await Promise.race([found, ended]), log: () => log }
}

function killGroup(child: ChildProcess): void {
  try {
    process.kill(-(child.pid ?? 0), 'SIGKILL')
  } catch {
    // Nothing of it is left, which is what the tests ask for.
  }
}

/** True while any process of the group lives. */
function groupLives(child: ChildProcess): boolean {
  try {
    process.kill(-(child.pid ?? 0), 0)
    return true
  } catch {
    return false
  }
}

/** Ends it as Ctrl-C does; fails where a process of it is left. @returns how long it took, in ms */
export async function stopUp(up: ChildProcess, withinMs = 10_000): Promise<number> {
  const begin = performance.now()
  process.kill(-(up.pid ?? 0), 'SIGTERM')
  while (groupLives(up) && performance.now() - begin < withinMs) await sleep(50)
  assert.equal(groupLives(up), false, 'processes are left after SIGTERM')
  return performance.now() - begin
}
