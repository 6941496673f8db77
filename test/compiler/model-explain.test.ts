/** `./edgeloop model explain` from the outside: the map points at what the model looks for, also behind a letterbox. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { node, tensor, value } from '@edgeloop/model-compiler'
import sharp from 'sharp'
import { modelBytes, put } from '../detection/tiny-models.ts'
import { needs } from '../require.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edgeloop-explain-'))
})
after(() => rm(folder, { recursive: true }))

async function explain(...args: string[]) {
  const command = [`${repository}edgeloop`, 'model', 'explain', ...args]
  const { stdout } = await promisify(execFile)(process.execPath, command, { timeout: 300_000 })
  return JSON.parse(stdout)
}

test(
  'the strongest place is where the bright spot is, in shares of the image',
  needs('time'),
  async () => {
    // Logit of "bright": how much brighter than a half the places are.
    const bytes = modelBytes({
      nodes: [
        node('Conv', ['images', 'w', 'b'], ['map']),
        node('Relu', ['map'], ['found']),
        node('GlobalAveragePool', ['found'], ['pooled']),
        node('Flatten', ['pooled'], ['flat']),
        node('Gemm', ['flat', 'fc'], ['output']),
      ],
      inputs: [value('images', 'float32', [1, 3, 16, 16])],
      outputs: [value('output', 'float32', [1, 2])],
      initializers: [
        tensor('w', [1, 3, 1, 1], new Float32Array(3).fill(1 / 3)),
        tensor('b', [1], Float32Array.of(-0.5)),
        tensor('fc', [1, 2], Float32Array.of(-20, 20)),
      ],
    })
    const model = await put(folder, 'bright.onnx', bytes)
    const input = { mean: 0, std: 255, fit: 'letterbox-topleft' }
    const description = { layout: 'classifier', labels: ['dark', 'bright'], input }
    await put(folder, 'bright.model.json', JSON.stringify(description))
    // Twice as wide as high: the lower half of the canvas shows nothing of it.
    const spot = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#fff' } })
      .png()
      .toBuffer()
    const image = await sharp({
      create: { width: 64, height: 32, channels: 3, background: '#000' },
    })
      .composite([{ input: spot, left: 48, top: 16 }])
      .png()
      .toBuffer()
    const file = await put(folder, 'spot.png', image)
    const out = join(folder, 'why')
    const said = await explain(model, '--image', file, '--out', out, '--json')
    assert.equal(said.label, 'bright')
    assert.equal(said.layer, 'found')
    const [x, y] = said.peak
    assert(x > 0.72 && x < 0.9 && y > 0.45 && y < 0.8, `${x}, ${y}`)
    const { data, info } = await sharp(said.files.gradCam)
      .raw()
      .toBuffer({ resolveWithObject: true })
    assert.deepEqual([info.width, info.height], [64, 32])
    // Yellow where the spot is, untouched where it is not.
    const at = (column: number, row: number) => [
      ...data.subarray((row * 64 + column) * 3).subarray(0, 3),
    ]
    assert.deepEqual(at(5, 5), [0, 0, 0])
    assert(at(52, 20)[2]! < 240)
    const away = explain(model, '--image', file, '--out', out, '--label', 'brigth')
    await assert.rejects(away, /no such label[\s\S]*did you mean "bright"\?/)
  },
)
