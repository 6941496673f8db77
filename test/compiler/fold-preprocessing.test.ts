/** Real models that take bytes: the agent runs them from their description, and finds what it found before. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Detection } from '@edgeloop/protocol'
import { detectImages } from '../../edge-agent/src/detect/detect-images.ts'
import { layoutNamed } from '../../edge-agent/src/models/layouts/index.ts'
import { openModel } from '../../edge-agent/src/models/open-model.ts'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'
import { Graph } from '../../model-compiler/src/graph/graph.ts'
import { readModel } from '../../model-compiler/src/onnx/read.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { foldPreprocessing } from '../../model-compiler/src/passes/fold-preprocessing.ts'
import { optimize } from '../../model-compiler/src/passes/optimize.ts'
import { dropInitializerInputs } from '../../model-compiler/src/shapes/input-shapes.ts'
import { coco128Images } from '../detection/coco128.ts'
import { material, needs } from '../require.ts'

const cases = [
  { name: 'nanodet_m_320', layout: 'nanodet', labels: 'coco' },
  { name: 'fastestdet_352', layout: 'fastestdet', labels: 'coco' },
  { name: 'ultraface_slim_320', layout: 'ultraface', labels: undefined },
] as const
const images = ['000000000009', '000000000025', '000000000036', '000000000113', '000000000127'].map(
  (name) => `${coco128Images}/${name}.jpg`,
)

for (const { name, layout, labels } of cases) {
  for (const reversed of [false, true]) {
    const order = reversed ? 'with red and blue exchanged' : 'in its own order'
    test(
      `the agent runs ${name} on bytes ${order} and finds the same`,
      needs('material'),
      async (t) => {
        const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bytes-'))
        t.after(() => rm(folder, { recursive: true }))
        const original = `${material}/models/${name}.onnx`
        const { mean, std, channels } = layoutNamed(layout).preset
        const graph = new Graph(readModel(await readFile(original)))
        dropInitializerInputs(graph)
        await foldPreprocessing({ mean, std, reversed }).run(graph)
        await optimize(graph)
        const file = join(folder, 'bytes.onnx')
        await writeFile(file, writeModel(graph.toModel()))
        const fed = reversed ? (channels === 'rgb' ? 'bgr' : 'rgb') : channels
        const description = join(folder, 'bytes.yaml')
        await writeFile(
          description,
          `layout: ${layout}\ninput: {type: uint8, layout: nhwc, channels: ${fed}}\n`,
        )
        const given = labels === undefined ? {} : { labels }
        const before = await found({ name, file: original, layout, ...given })
        const after = await found({ name, file, description, ...given })
        assert.ok(before.length > 3, `${before.length} detections`)
        assert.equal(after.length, before.length)
        for (const [at, one] of before.entries()) {
          assert.equal(after[at]!.label, one.label)
          assert.ok(Math.abs(after[at]!.score - one.score) < 1e-3)
          for (const [side, share] of one.box.entries()) {
            assert.ok(Math.abs(after[at]!.box[side]! - share) < 2e-3)
          }
        }
      },
    )
  }
}

async function found(source: Parameters<typeof openModel>[0]) {
  await using model = await openModel(source, ortRuntime)
  const all: Detection[] = []
  const options = { scoreMin: 0.2, nmsIou: 0.6, maxDetections: 100 }
  for await (const { detections } of detectImages({ model, images, options })) {
    all.push(...(detections ?? []))
  }
  return all
}
