/** Description files as people write them, and the sentence for each mistake. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Description, parseDescription } from './description.ts'

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
