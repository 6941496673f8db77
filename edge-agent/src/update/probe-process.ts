/**
 * Program that tries a candidate: the gate, opening it as the agent would, the golden vectors, how long it takes. It says
 * what it is about to do before it does it, so that whoever watches knows what it died of. It needs no network.
 */
import { readFile } from 'node:fs/promises'
import {
  ArtifactError,
  checkModelFile,
  compareGolden,
  digestOf,
  goldenInputs,
} from '@edgeloop/model-compiler/artifact'
import type { Manifest, UpdateCode } from '@edgeloop/protocol'
import { readDescription } from '../models/description-file.ts'
import type { ModelSource } from '../models/model.ts'
import { openModel } from '../models/open-model.ts'
import { ortRuntime } from '../runtimes/ort.ts'

/** First message to the process. */
export type ProbeOrder = {
  readonly source: ModelSource
  readonly digest: string
  readonly golden: Manifest['golden']
}

export type ProbeNews =
  | { readonly kind: 'about'; readonly act: 'check' | 'open' | 'golden' | 'measure' }
  | { readonly kind: 'refused'; readonly code: UpdateCode; readonly reason: string }
  | { readonly kind: 'done'; readonly loadMs: number; readonly runsMs: readonly number[] }

/** Runs that are timed, and for how long at most. */
const runsMax = 30
const runsMin = 5
const measureMs = 3_000

class Refusal extends Error {
  readonly code: UpdateCode
  constructor(code: UpdateCode, reason: string) {
    super(reason)
    this.code = code
  }
}

const tell = (news: ProbeNews): void => void process.send?.(news)

process.once('message', (order: ProbeOrder) => {
  probe(order)
    .then(tell, (error: Error) => {
      const code = error instanceof Refusal ? error.code : 'probe-load'
      tell({ kind: 'refused', code, reason: error.message })
    })
    .finally(() => process.disconnect())
})

async function probe({ source, digest, golden }: ProbeOrder): Promise<ProbeNews> {
  tell({ kind: 'about', act: 'check' })
  const bytes = await readFile(source.file)
  if (digestOf(bytes) !== digest) {
    throw new Refusal('integrity', `"${source.file}" is not the file that was signed`)
  }
  try {
    checkModelFile(bytes)
  } catch (error) {
    if (error instanceof ArtifactError) throw new Refusal('model-refused', error.message)
    throw error
  }
  const { labels } = await readDescription(source.file, source.description)
  if (typeof labels === 'string' && labels !== 'coco') {
    throw new Refusal('model-refused', 'Its description takes labels from a file of this device')
  }
  tell({ kind: 'about', act: 'open' })
  const openedMs = performance.now()
  await using model = await openModel({ ...source, runtime: 'ort:cpu' }, ortRuntime)
  const loadMs = performance.now() - openedMs
  const runsMs: number[] = []
  for (const vector of golden) {
    tell({ kind: 'about', act: 'golden' })
    const { agrees, reason } = compareGolden(vector, await model.run(goldenInputs(vector)))
    if (!agrees) throw new Refusal('probe-golden', `Golden vector ${vector.seed}: ${reason}`)
  }
  const [first] = golden
  const feeds = first && goldenInputs(first)
  const endMs = performance.now() + measureMs
  while (feeds && runsMs.length < runsMax) {
    if (runsMs.length >= runsMin && performance.now() > endMs) break
    tell({ kind: 'about', act: 'measure' })
    const startMs = performance.now()
    await model.run(feeds)
    runsMs.push(performance.now() - startMs)
  }
  return { kind: 'done', loadMs, runsMs }
}
