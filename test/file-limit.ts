/**
 * Ends processes of test files that run for too long, and names them: a thread that is blocked hears no timeout of its
 * own. Only where the system says who a process has started (Linux); elsewhere they run for as long as they want.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Watches what the test runner starts until the signal aborts.
 * @param runner its process id; each of its children is one test file, the last word of its command line
 * @param tell told of each file that is ended, relative to `folder`
 */
export async function limitFiles(options: {
  readonly runner: number
  readonly folder: string
  readonly limitMs: number
  readonly tell: (file: string) => void
  readonly signal: AbortSignal
}): Promise<void> {
  const { runner, folder, limitMs, tell, signal } = options
  const firstSeen = new Map<number, number>()
  while (!signal.aborted) {
    const now = performance.now()
    const running = childrenOf(runner)
    for (const pid of firstSeen.keys()) if (!running.includes(pid)) firstSeen.delete(pid)
    for (const pid of running) {
      const began = firstSeen.get(pid)
      if (began === undefined) firstSeen.set(pid, now)
      else if (now - began >= limitMs) end(pid, folder, tell)
    }
    await sleep(Math.min(limitMs / 4, 5000), undefined, { signal }).catch(() => {})
  }
}

function end(pid: number, folder: string, tell: (file: string) => void): void {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    const file = words.findLast((word) => word.endsWith('.test.ts'))
    if (file === undefined) return
    process.kill(pid, 'SIGKILL')
    tell(relative(folder, file))
  } catch {
    // It has just ended by itself.
  }
}

/** Processes that any thread of this one has started; none where the system does not say. */
function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')
        .split(' ')
        .filter((word) => word !== '')
        .map(Number),
    )
  } catch {
    return []
  }
}
