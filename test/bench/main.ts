/**
 * `npm run bench -- NAME [options]`: runs one benchmark, prints its table with the machine it ran on
 * to standard error, and one JSON line to standard output. Nothing here judges: figures are compared within one run.
 */
import { cpus, platform, release, totalmem } from 'node:os'
import { nearestName } from '@edgeloop/protocol'
import type { Bench } from './bench.ts'

const benches: Readonly<Record<string, { says: string; load: () => Promise<Bench> }>> = {
  agent: {
    says: 'CPU, memory and latency of the agent against its physical limit',
    load: async () => (await import('./agent.ts')).bench,
  },
  idle: {
    says: 'CPU of a still 720p scene: key frames only, beside everything decoded',
    load: async () => (await import('./idle.ts')).bench,
  },
  ingest: {
    says: 'events per second committed before acknowledged, 200 agents over mutual TLS',
    load: async () => (await import('./ingest.ts')).bench,
  },
  pages: {
    says: 'Fleet with 10,000 devices and a wall of 16 live tiles in Chromium',
    load: async () => (await import('./pages.ts')).bench,
  },
  label: {
    says: 'the Label page in Chromium: from the key that accepts a frame to the next one on screen',
    load: async () => (await import('./label.ts')).bench,
  },
  fleet: {
    says: '2,000 agents on one hub: back after a restart, pages, events to the screen, memory',
    load: async () => (await import('./fleet.ts')).bench,
  },
  rollout: {
    says: 'a staged rollout to 2,000 simulated boxes: cut transfers, lost messages, a killed hub',
    load: async () => (await import('./rollout.ts')).bench,
  },
  'rollout-gates': {
    says: 'simulated rollouts: how often a good model is stopped, and where a bad one is',
    load: async () => (await import('./rollout-gates.ts')).bench,
  },
  redaction: {
    says: 'CPU and time of a picture in which something is made unreadable, beside one as it is',
    load: async () => (await import('./redaction.ts')).bench,
  },
  'model-change': {
    says: 'the longest time without detections when a box changes its model under running streams',
    load: async () => (await import('./model-change.ts')).bench,
  },
  drift: {
    says: 'drift of simulated cameras over days: found, how soon, told apart, false alarms',
    load: async () => (await import('./drift.ts')).bench,
  },
  faults: {
    says: 'kills and cuts while 100,000 events flow; full disk: what was lost, what was doubled',
    load: async () => (await import('./faults.ts')).bench,
  },
  compile: {
    says: 'speed, size and accuracy of what the compiler makes of every model, beside the reference',
    load: async () => (await import('./compile.ts')).bench,
  },
  delta: {
    says: 'sizes of deltas between trained versions, beside bsdiff, xdelta3, zstd and xz; time, memory',
    load: async () => (await import('./delta.ts')).bench,
  },
  int8: {
    says: 'what int8 gains in time on networks shaped like ResNet-50 and MobileNetV2, and on nanodet',
    load: async () => (await import('./int8.ts')).bench,
  },
  batches: {
    says: 'share of a training run that waits for pictures: MobileNetV2 at 96 px on photographs',
    load: async () => (await import('./batches.ts')).bench,
  },
  learning: {
    says: 'what training reaches on digits, raccoons and crowds, with its defaults',
    load: async () => (await import('./learning.ts')).bench,
  },
  sampling: {
    says: 'labels and bytes that chosen frames of a drifted stream need, beside random ones and everything below the threshold',
    load: async () => (await import('./sampling.ts')).bench,
  },
  'sampling-cost': {
    says: 'CPU of decoding, detecting and tracking with and without sampling, in turns',
    load: async () => (await import('./sampling-cost.ts')).bench,
  },
  train: {
    says: 'training steps of four nets beside PyTorch on the same CPU: images/s, GFLOP/s, memory',
    load: async () => (await import('./train.ts')).bench,
  },
}

const [name, ...args] = process.argv.slice(2)
const chosen = name === undefined ? undefined : benches[name]
if (!chosen) {
  const near = name && nearestName(name, Object.keys(benches))
  if (name) console.error(`error: Cannot run benchmark "${name}": there is none of that name`)
  if (near) console.error(`hint: did you mean "${near}"?`)
  console.error('\nUsage: npm run bench -- NAME\n')
  for (const [key, { says }] of Object.entries(benches)) console.error(`  ${key.padEnd(8)} ${says}`)
  process.exit(2)
}

const abort = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort())

const cores = cpus()
const machine = {
  cpu: cores[0]?.model.trim() ?? 'unknown',
  cores: cores.length,
  memoryGb: Math.round(totalmem() / 2 ** 30),
  os: `${platform()} ${release()}`,
  node: process.version,
}
const bench = await chosen.load()
const result = await bench({ args, signal: abort.signal })
console.error(
  `\n${result.name} on ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.os}, Node ${machine.node}`,
)
console.error(markdownTable(result.rows))
console.log(JSON.stringify({ name: result.name, machine, ...result.json }))
// What a benchmark leaves open must not keep a finished run alive.
process.exit(0)

/** Rows as a Markdown table, so that it can go into docs/benchmarks.md as it is. */
function markdownTable(rows: readonly Readonly<Record<string, string | number>>[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const lines = [
    columns,
    columns.map(() => '---'),
    ...rows.map((row) => columns.map((c) => row[c] ?? '')),
  ]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
