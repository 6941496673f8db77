/**
 * Makes or applies one delta in a fresh process, as a box does, and prints what that took: `node delta-process.ts make|apply BASE OTHER OUT`.
 * Memory is the most that was resident from then on, less what the process had with its code and no file loaded (Linux; elsewhere of its whole life).
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { applyDelta, makeDelta, readDeltaHead } from '@edgeloop/model-compiler/artifact'

const [what, baseFile = '', otherFile = '', out = ''] = process.argv.slice(2)
forgetPeak()
const idleBytes = process.memoryUsage().rss
const [base, other] = [baseFile, otherFile].map((file) => new Uint8Array(readFileSync(file))) as [
  Uint8Array,
  Uint8Array,
]
const begun = performance.now()
const cpu = process.cpuUsage()
const made =
  what === 'make' ? makeDelta(base, other) : applyDelta(base, other, readDeltaHead(other))
const ms = performance.now() - begun
const { user, system } = process.cpuUsage(cpu)
const memoryBytes = peakBytes() - idleBytes
writeFileSync(out, made)
console.log(JSON.stringify({ ms, cpuMs: (user + system) / 1000, memoryBytes }))

/** Loading TypeScript takes more than any delta: what counts begins after it. */
function forgetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5')
  } catch {
    // Elsewhere there is no such file.
  }
}

function peakBytes(): number {
  try {
    const [, kib] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
    if (kib !== undefined) return Number(kib) * 1024
  } catch {
    // Elsewhere there is no such file.
  }
  return process.resourceUsage().maxRSS * 1024
}
