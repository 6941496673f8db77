/**
 * Makes or applies one delta in a fresh process, as a box does, and prints what that took: `node delta-process.ts make|apply BASE OTHER OUT`.
 * Memory is the most that was resident less what the process had with its code and no file loaded.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { applyDelta, makeDelta, readDeltaHead } from '@edgeloop/model-compiler/artifact'

const [what, baseFile = '', otherFile = '', out = ''] = process.argv.slice(2)
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
const memoryBytes = process.resourceUsage().maxRSS * 1024 - idleBytes
writeFileSync(out, made)
console.log(JSON.stringify({ ms, cpuMs: (user + system) / 1000, memoryBytes }))
