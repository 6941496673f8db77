import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { chunkBytes, type Manifest, manifestBytesMax } from '@edgeloop/protocol'
import { digestOf } from './bounds.ts'
import { readManifest } from './manifest.ts'

const digest = (letter: string): string => letter.repeat(64)

const manifest: Manifest = {
  spec: 'edgeloop-manifest/1',
  fleet: 'works',
  targets: ['linux-x64-vnni'],
  name: 'parts',
  version: 3,
  scaleEpoch: 1,
  createdAt: '2026-11-21T09:00:00.000Z',
  expiresAt: '2027-11-21T09:00:00.000Z',
  agentMin: '0.1.0',
  runtime: { name: 'onnxruntime', opsetMax: 17 },
  file: { digest: digest('a'), lengthBytes: 200_000 },
  encodings: [
    {
      codec: 'delta',
      baseDigest: digest('b'),
      digest: digest('c'),
      lengthBytes: chunkBytes + 1,
      chunks: [digest('d'), digest('e')],
    },
    { codec: 'zstd', digest: digest('f'), lengthBytes: chunkBytes, chunks: [digest('f')] },
  ],
  layout: 'yolox',
  labels: ['nut', 'bolt'],
  description: '',
  golden: [
    {
      seed: 1,
      inputs: [{ name: 'x', type: 'uint8', shape: [1, 3, 64, 64], black: 0, white: 255 }],
      outputs: [{ name: 'y', shape: [1, 2], values: [0.25, 0.75], rms: 0.5, tolerance: 0.05 }],
    },
  ],
  limits: { memoryBytesMax: 200_000_000, loadMsMax: 10_000, inferenceMsMax: 1000 },
}
const bytesOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

test('a manifest is read as it was written', () => {
  assert.deepEqual(readManifest(bytesOf(manifest)), manifest)
})

test('the golden manifest is read: these bytes have this digest and say this', async () => {
  const bytes = await readFile(new URL('fixtures/manifest.json', import.meta.url))
  assert.equal(digestOf(bytes), '0271e0248af2ac4c9d187819310aa496b93c917ad1d99c9d0652c92a64de5813')
  assert.deepEqual(readManifest(bytes), manifest)
})

test('what is no manifest is refused, with the place that is wrong', () => {
  const [delta, zstd] = manifest.encodings
  const wrong: readonly [RegExp, unknown][] = [
    [/not JSON/, undefined],
    [/\/spec/, { ...manifest, spec: 'edgeloop-manifest/2' }],
    [/unknown key "layuot"; did you mean "layout"/, { ...manifest, layuot: 'x' }],
    [/\/encodings none of them is zstd/, { ...manifest, encodings: [delta] }],
    [
      /\/encodings\/0\/chunks 1 digests/,
      { ...manifest, encodings: [{ ...delta, chunks: [digest('d')] }, zstd] },
    ],
    [
      /\/encodings\/0\/baseDigest zstd has no base/,
      { ...manifest, encodings: [{ ...delta, codec: 'zstd' }, zstd] },
    ],
    [
      /\/encodings\/1\/baseDigest delta needs/,
      { ...manifest, encodings: [delta, { ...zstd, codec: 'delta' }] },
    ],
    [/not its own base/, { ...manifest, encodings: [{ ...delta, baseDigest: digest('a') }, zstd] }],
    [/\/file\/lengthBytes/, { ...manifest, file: { ...manifest.file, lengthBytes: 2 ** 40 } }],
    [/\/version/, { ...manifest, version: 0 }],
  ]
  for (const [why, value] of wrong) {
    assert.throws(() => readManifest(value === undefined ? Buffer.from('{') : bytesOf(value)), {
      code: 'damaged',
      message: why,
    })
  }
})

test('a manifest above its bound is not parsed', () => {
  const padded = Buffer.concat([bytesOf(manifest), Buffer.alloc(manifestBytesMax, ' ')])
  assert.throws(() => readManifest(padded), { code: 'too-large' })
})
