/**
 * What the agent's processes cost, as the kernel counts it: the supervisor, its media processes and
 * whatever those have started. Pages that several of them share are counted once (PSS).
 */
import { readFile } from 'node:fs/promises'

export type ProcessCosts = {
  /** Resident memory of all processes together, shared pages counted once. */
  readonly memoryBytes: number
  /** CPU time used so far by processes that run now, by process id, ms. */
  readonly cpuMs: ReadonlyMap<number, number>
}

/** Clock ticks per second in /proc: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100
/** Most descendants looked at, so that a fork bomb in a decoder costs nothing here. */
const processesMax = 256

/**
 * Measures processes and all their descendants. Where there is no /proc, only this process is known.
 * @param pids processes to start from
 */
export async function measureProcesses(pids: readonly number[]): Promise<ProcessCosts> {
  const cpuMs = new Map<number, number>()
  let memoryBytes = 0
  const waiting = [...new Set(pids)]
  const seen = new Set<number>()
  while (waiting.length > 0 && seen.size < processesMax) {
    const pid = waiting.pop()!
    if (seen.has(pid)) continue
    seen.add(pid)
    const [stat, memory, children] = await Promise.all([
      read(`/proc/${pid}/stat`),
      memoryOf(pid),
      read(`/proc/${pid}/task/${pid}/children`),
    ])
    waiting.push(...(children?.match(/\d+/g) ?? []).map(Number))
    memoryBytes += memory
    if (stat !== undefined) cpuMs.set(pid, cpuMsOf(stat))
  }
  if (cpuMs.size > 0) return { memoryBytes, cpuMs }
  const { user, system } = process.cpuUsage()
  return {
    memoryBytes: process.memoryUsage.rss(),
    cpuMs: new Map([[process.pid, (user + system) / 1000]]),
  }
}

/** CPU time used between two measurements, ms; a process that has ended meanwhile is left out. */
export function cpuBetween(before: ProcessCosts, after: ProcessCosts): number {
  let sum = 0
  for (const [pid, cpuMs] of after.cpuMs) sum += Math.max(0, cpuMs - (before.cpuMs.get(pid) ?? 0))
  return sum
}

/** PSS where the kernel tells it, else RSS. */
async function memoryOf(pid: number): Promise<number> {
  const rollup = await read(`/proc/${pid}/smaps_rollup`)
  const pss = /^Pss:\s+(\d+) kB$/m.exec(rollup ?? '')?.[1]
  if (pss !== undefined) return Number(pss) * 1024
  const rss = /^VmRSS:\s+(\d+) kB$/m.exec((await read(`/proc/${pid}/status`)) ?? '')?.[1]
  return Number(rss ?? 0) * 1024
}

/** User and system time: fields 14 and 15 of proc(5) stat; the name before them may hold spaces. */
function cpuMsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond
}

/** Undefined when the process has gone or must not be looked at. */
async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return undefined
  }
}
