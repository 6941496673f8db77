/** Description files as people write them, and the sentence for each mistake. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { put } from '../../../test/detection/tiny-models.ts'
import { type Description, parseDescription, readDescription } from './description.ts'

const parse = (text: string): Description => parseDescription(Buffer.from(text), 'description "x"')

test('parseDescription() reads YAML and JSON', () => {
  const wanted = { layout: 'yolox', input: { fit: 'stretch', mean: [1, 2, 3] }, strides: [8] }
  assert.deepEqual(parse(JSON.stringify(wanted)), wanted)
  const yaml = 'layout: yolox\ninput:\n  fit: stretch\n  mean: [1, 2, 3]\nstrides: [8]\n'
  assert.deepEqual(parse(yaml), wanted)
})

test('parseDescription() takes an empty file as saying nothing', () => {
  assert.deepEqual(parse(''), {})
  assert.deepEqual(parse('# later\n'), {})
})

const refusals = {
  'lables: coco': '/ has the unknown key "lables"; did you mean "labels"?',
  'input: { chanels: rgb }': '/input has the unknown key "chanels"; did you mean "channels"?',
  'input: { std: 0 }': '/input/std',
  'input: { width: 0 }': '/input/width must be >= 1',
  'strides: []': '/strides must not have fewer than 1 items',
  '- yolox': '/ must be object',
  'layout: [': 'not YAML or JSON',
} as const

test('parseDescription() says what is wrong with a description', () => {
  for (const [text, reason] of Object.entries(refusals)) {
    assert.throws(
      () => parse(text),
      (error: Error) => {
        const start = `Cannot read description "x": ${reason}`
        assert(error.message.startsWith(start), `${error.message} for ${text}`)
        assert.equal(error.name, 'ModelError')
        return true
      },
    )
  }
})

test('parseDescription() refuses a file of unreasonable size before reading it', () => {
  assert.throws(() => parseDescription(new Uint8Array(3_000_000), 'description "x"'), {
    message: 'Cannot read description "x": 3000000 bytes, allowed 2097152',
  })
})

test('parseDescription() does not unfold aliases without end', () => {
  const bomb = ['a: &a [x, x]', 'b: &b [*a, *a]']
  for (let level = 98; level < 120; level++) {
    const [name, before] = [level, level - 1].map((code) => String.fromCharCode(code + 1))
    bomb.push(`${name}: &${name} [*${before}, *${before}]`)
  }
  assert.throws(() => parse(bomb.join('\n')), { name: 'ModelError' })
})

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
