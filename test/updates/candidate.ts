/** Candidates as a box has them in a slot: real files, and a manifest whose golden vectors were really run. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  digestOf,
  type GivenTensor,
  goldenInputs,
  goldenOutput,
} from '@edgeloop/model-compiler/artifact'
import type { Manifest } from '@edgeloop/protocol'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'
import { type Candidate, candidateIn, slotFiles } from '../../edge-agent/src/update/model-host.ts'

export type CandidateParts = {
  readonly name: string
  readonly version: number
  readonly layout: string
  readonly labels: readonly string[]
  readonly description?: string
  readonly limits?: Partial<Manifest['limits']>
  /** Vectors of another candidate in place of what this model gives. */
  readonly golden?: Manifest['golden']
}

/** Writes a model into a slot; its golden vector is what it gives here, where it can be run. */
export async function candidateOf(
  folder: string,
  bytes: Uint8Array,
  parts: CandidateParts,
): Promise<Candidate> {
  const { name, version, layout, labels, description = '' } = parts
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, slotFiles.model), bytes)
  if (labels.length > 0) await writeFile(join(folder, slotFiles.labels), labels.join('\n'))
  if (description !== '') await writeFile(join(folder, slotFiles.description), description)
  const digest = digestOf(bytes)
  const golden = parts.golden ?? [await vectorOf(join(folder, slotFiles.model))]
  const manifest: Manifest = {
    spec: 'edgeloop-manifest/1',
    fleet: 'test',
    targets: ['linux-x64'],
    name,
    version,
    scaleEpoch: 0,
    createdAt: '2026-01-01T00:00:00.000Z',
    expiresAt: '2036-01-01T00:00:00.000Z',
    agentMin: '0.1.0',
    runtime: { name: 'onnxruntime', opsetMax: 21 },
    file: { digest, lengthBytes: bytes.length },
    encodings: [{ codec: 'zstd', digest, lengthBytes: bytes.length, chunks: [digest] }],
    layout,
    labels: [...labels],
    description,
    golden,
    limits: {
      memoryBytesMax: 300e6,
      loadMsMax: 20_000,
      inferenceMsMax: 5_000,
      ...parts.limits,
    },
  }
  return candidateIn(folder, manifest)
}

async function vectorOf(file: string): Promise<Manifest['golden'][number]> {
  await using session = await ortRuntime.open(file, { threads: 1 })
  const inputs = session.inputs.map(({ name, type, shape }) => ({
    name,
    type: type as 'float32',
    shape: shape.map(Number),
    black: 0,
    white: 255,
  }))
  const drawn = goldenInputs({ seed: 7, inputs })
  const given = await session.run(drawn)
  const outputs = Object.entries(given).map(([name, tensor]) =>
    goldenOutput(name, tensor as GivenTensor, 0.02),
  )
  return { seed: 7, inputs, outputs }
}
