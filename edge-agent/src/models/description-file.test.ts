/** Where a description is found, and what is said when it cannot be read. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { put } from '../../../test/detection/tiny-models.ts'
import { readDescription } from './description-file.ts'

test('readDescription() finds the file beside the model, and labels relative to it', async (t) => {
  const folder = await folderFor(t)
  const model = join(folder, 'gate.onnx')
  assert.deepEqual(await readDescription(model), {})
  await put(folder, 'gate.model.json', '{"layout": "nanodet"}')
  assert.deepEqual(await readDescription(model), { layout: 'nanodet' })
  // YAML comes first where there are both.
  await put(folder, 'gate.model.yaml', 'labels: names/gate.txt')
  assert.deepEqual(await readDescription(model), { labels: join(folder, 'names/gate.txt') })
  await put(folder, 'gate.model.yaml', 'labels: coco')
  assert.deepEqual(await readDescription(model), { labels: 'coco' })
})

test('readDescription() prefers the file that was named, and refuses one that is not there', async (t) => {
  const folder = await folderFor(t)
  const model = join(folder, 'gate.onnx')
  await put(folder, 'gate.model.yaml', 'layout: nanodet')
  const named = await put(folder, 'other.yaml', 'layout: yolox')
  assert.deepEqual(await readDescription(model, named), { layout: 'yolox' })
  const none = join(folder, 'none.yaml')
  await assert.rejects(readDescription(model, none), {
    name: 'ModelError',
    message: `Cannot read description "${none}": there is no such file`,
  })
  await mkdir(join(folder, 'odd.model.yaml'))
  await assert.rejects(readDescription(join(folder, 'odd.onnx')), {
    message: `Cannot read description "${join(folder, 'odd.model.yaml')}": it is a folder`,
  })
})

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-description-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}
