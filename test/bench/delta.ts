/**
 * Sizes of deltas between versions that our own trainer made, beside bsdiff, xdelta3, zstd and xz at their best; time and memory of a fresh
 * process. `--cache DIR` keeps what was trained (default: a folder for temporary files), `--only TEXT` takes some of the pairs.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import onBox from '@edgeloop/edge-agent/supervisor-node.json' with { type: 'json' }
import { digestOf, encodings } from '@edgeloop/model-compiler/artifact'
import { otherTools } from '../../cli/src/delta/other-tools.ts'
import type { BenchResult } from './bench.ts'
import { deltaPairs, type Pair } from './delta-pairs.ts'

const worker = fileURLToPath(new URL('./delta-process.ts', import.meta.url))

/** What `npm run bench -- delta` measures; see the head of the file. */
export async function bench(options: {
  args: string[]
  signal: AbortSignal
}): Promise<BenchResult> {
  const { values } = parseArgs({
    args: options.args,
    options: {
      cache: { type: 'string', default: join(tmpdir(), 'edgeloop-bench-delta') },
      only: { type: 'string', default: '' },
    },
  })
  const { signal } = options
  const isWanted = (name: string) => name.includes(values.only)
  const pairs = await deltaPairs(values.cache, (text) => console.error(text), isWanted, signal)
  const rows: Record<string, string | number>[] = []
  const results: (Measured & { name: string })[] = []
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bench-delta-run-'))
  try {
    for (const pair of pairs) {
      console.error(`measuring ${pair.name}`)
      const one = await measure(pair, folder, signal)
      results.push({ name: pair.name, ...one })
      rows.push({
        pair: pair.name,
        ours: one.ours,
        ...Object.fromEntries(one.others.map(({ name, bytes }) => [name, bytes ?? '–'])),
        'of the best': one.ofBest === null ? '–' : one.ofBest.toFixed(3),
        'zstd-19, whole': one.zstd,
        smaller: `${(one.zstd / one.ours).toFixed(1)}×`,
        'make ms': Math.round(one.make.ms),
        'apply ms': Math.round(one.apply.ms),
        'apply memory': `${(one.apply.memoryBytes / pair.next.length).toFixed(1)}×`,
      })
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  const judged = results.filter(({ isInt8, ofBest }) => isInt8 && ofBest !== null)
  const mean = judged.reduce((sum, { ofBest }) => sum + ofBest!, 0) / Math.max(1, judged.length)
  const worst = Math.max(...judged.map(({ ofBest }) => ofBest!))
  console.error(
    `int8 pairs: ours is ${mean.toFixed(3)} of the smallest other on the mean, ${worst.toFixed(3)} at worst`,
  )
  return { name: 'delta', rows, json: { pairs: results, meanOfBest: mean, worstOfBest: worst } }
}

type Run = { readonly ms: number; readonly cpuMs: number; readonly memoryBytes: number }
type Measured = {
  readonly isInt8: boolean
  readonly ours: number
  readonly zstd: number
  readonly others: readonly { readonly name: string; readonly bytes: number | undefined }[]
  /** Ours over the smallest of the others; null where none is installed. */
  readonly ofBest: number | null
  readonly make: Run
  readonly apply: Run
}

async function measure(
  { isInt8, base, next }: Pair,
  folder: string,
  signal: AbortSignal,
): Promise<Measured> {
  const [baseFile, nextFile, patchFile, outFile] = ['base', 'next', 'patch', 'out'].map((name) =>
    join(folder, name),
  ) as [string, string, string, string]
  await writeFile(baseFile, base)
  await writeFile(nextFile, next)
  const run = async (...args: string[]): Promise<Run> => {
    // A hub makes deltas, and a box applies them, which runs Node for little memory.
    const [flags, env] = args[0] === 'apply' ? [onBox.flags, onBox.env] : [[], {}]
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, worker, ...args], {
      signal,
      env: { ...process.env, ...env },
    })
    return JSON.parse(stdout)
  }
  const make = await run('make', baseFile, nextFile, patchFile)
  const apply = await run('apply', baseFile, patchFile, outFile)
  if (digestOf(await readFile(outFile)) !== digestOf(next)) throw new Error('wrong bytes came out')
  const ours = (await readFile(patchFile)).length
  const zstd = encodings(next, []).at(-1)!.bytes.length
  const others = await otherTools(base, next, signal)
  const sizes = others.flatMap(({ bytes }) => bytes ?? [])
  const ofBest = sizes.length > 0 ? ours / Math.min(...sizes) : null
  return { isInt8, ours, zstd, others, ofBest, make, apply }
}
