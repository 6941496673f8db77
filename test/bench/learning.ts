/**
 * What training reaches with its defaults on whole data sets, each a run of `./edgeloop train`: digits from nothing, a
 * detector of one new thing from 86 photographs, and one of several things in crowds. Needs ../shared/material.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { material, needs } from '../require.ts'
import { writeDrawnSet } from '../training/drawn-set.ts'
import type { BenchResult } from './bench.ts'

const edgeloop = fileURLToPath(new URL('../../edgeloop', import.meta.url))
const names = ['mnist', 'raccoon', 'crowds'] as const

/** What `npm run bench -- learning` measures; see the head of the file. */
export async function bench(options: {
  args: string[]
  signal: AbortSignal
}): Promise<BenchResult> {
  const { values } = parseArgs({
    args: options.args,
    options: {
      only: { type: 'string', default: names.join(',') },
      seeds: { type: 'string', default: '3' },
    },
  })
  const { skip } = needs('material')
  if (skip) throw new Error(`Cannot run the learning bench: ${skip}`)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bench-learning-'))
  const rows: Record<string, string | number>[] = []
  const results: object[] = []
  const detector = ['--model', join(material, 'models/yolox_nano_416.onnx'), '--layout', 'yolox']
  const asked = {
    mnist: ['--format', 'idx', '--holdout', 'last:10000', '--model', 'new:mnist-cnn'],
    raccoon: ['--format', 'voc', ...detector],
    crowds: ['--format', 'coco', ...detector],
  }
  try {
    for (const name of names) {
      if (!values.only.split(',').includes(name)) continue
      const data = name === 'crowds' ? join(folder, 'drawn') : join(material, 'datasets', name)
      if (name === 'crowds') {
        await writeDrawnSet(data, {
          pictures: 60,
          width: 416,
          height: 416,
          least: 15,
          most: 40,
          sizes: [24, 90],
          seed: 5,
        })
      }
      const [seeds, more] = name === 'mnist' ? ['1', ['--epochs', '5']] : [values.seeds, []]
      const args = ['train', '--dataset-dir', data, ...asked[name], ...more, '--seeds', seeds]
      const out = ['--out', join(folder, name), '--json', '--progress', 'none']
      const run = promisify(execFile)(process.execPath, [edgeloop, ...args, ...out], {
        signal: options.signal,
        maxBuffer: 64 * 1024 * 1024,
      })
      const said = (await run).stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
      for (const [at, one] of said.entries()) {
        const isMean = said.length > 1 && at === said.length - 1
        rows.push({ what: name, seed: isMean ? 'mean' : 42 + at, ...figuresOf(one) })
      }
      results.push({ name, runs: said })
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return { name: 'learning', rows, json: { results } }
}

function figuresOf(said: Readonly<Record<string, unknown>>): Record<string, string | number> {
  const shown = ['testAccuracy', 'testAp50', 'testAp', 'testAp50Before', 'testApBefore', 'seconds']
  const known = shown.filter((key) => typeof said[key] === 'number')
  return Object.fromEntries(known.map((key) => [key, Number(Number(said[key]).toFixed(4))]))
}
