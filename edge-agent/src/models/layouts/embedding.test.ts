/** Embeddings: directions by hand, and real people with a real model. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { material, needs } from '../../../../test/require.ts'
import { detectImages } from '../../detect/detect-images.ts'
import { ortRuntime } from '../../runtimes/ort.ts'
import { openModel } from '../open-model.ts'
import { embedding, unitVector } from './embedding.ts'

test('unitVector() keeps the direction and nothing else', () => {
  assert.deepEqual(unitVector(Float32Array.of(3, 0, -4)), [0.6, 0, -0.8])
  assert.throws(() => unitVector(Float32Array.of(0, 0)), /length is 0, it has no direction/)
  assert.throws(() => unitVector(Float32Array.of(1, Number.NaN)), /length is NaN/)
})

test('embedding.check() says which output it had expected', () => {
  const output = (...shape: number[]) => ({ name: 'e', type: 'float32' as const, shape })
  assert.ok('read' in embedding.check({ width: 8, height: 8, outputs: [output(1, 256)] }))
  assert.ok('read' in embedding.check({ width: 8, height: 8, outputs: [output(1, 256, 1, 1)] }))
  for (const outputs of [[], [output(1, 1)], [output(1, 1025)], [output(1, 8, 8)]]) {
    assert.deepEqual(embedding.check({ width: 8, height: 8, outputs }), {
      expected: 'one output [1, numbers] with 2 to 1024 numbers',
    })
  }
})

test('embeddings of one person are nearer than those of two', needs('material'), async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-embedding-'))
  t.after(() => rm(folder, { recursive: true }))
  const photograph = sharp(join(material, 'images', 'darknet_person.jpg'))
  const { width = 0, height = 0 } = await photograph.metadata()
  const part = async (name: string, [left, top, w, h]: readonly number[], bright = 1) => {
    const file = join(folder, name)
    await photograph
      .clone()
      .extract({
        left: Math.round(left! * width),
        top: Math.round(top! * height),
        width: Math.round(w! * width),
        height: Math.round(h! * height),
      })
      .modulate({ brightness: bright })
      .toFile(file)
    return file
  }
  const images = [
    await part('a-person.png', [0.3, 0.23, 0.13, 0.66]),
    await part('b-again.png', [0.29, 0.21, 0.14, 0.68], 1.1),
    await part('c-horse.png', [0.62, 0.32, 0.32, 0.5]),
    await part('d-dog.png', [0.1, 0.62, 0.22, 0.19]),
  ]
  const file = join(material, 'models', 'person_reid_retail_0288.onnx')
  await using model = await openModel({ name: 'reid', file, layout: 'embedding' }, ortRuntime)
  assert.deepEqual([model.task, model.labels, model.input.channels], ['embedding', [], 'bgr'])
  const options = { scoreMin: 0, nmsIou: 1, maxDetections: 1 }
  const vectors: (readonly number[])[] = []
  for await (const read of detectImages({ model, images, options })) vectors.push(read.embedding!)
  const cosine = (a: readonly number[], b: readonly number[]) =>
    a.reduce((sum, value, i) => sum + value * b[i]!, 0)
  const [person, again, ...others] = vectors
  assert.ok(Math.abs(cosine(person!, person!) - 1) < 1e-3)
  const same = cosine(person!, again!)
  assert.ok(same > 0.9, `the same person: ${same}`)
  for (const other of others) {
    const cos = cosine(person!, other)
    assert.ok(cos < same - 0.1, `somebody else: ${cos}, the same person: ${same}`)
  }
})
