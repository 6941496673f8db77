import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { elementTexts } from './element-texts.ts'

test('elementTexts() cuts elements out as they were written', () => {
  const json = '{ "a" : [1] , "entries" : [ {"x": 1.50} , "s]\\"," ,[[]], -2e3,null ] , "z": {} }'
  assert.deepEqual(elementTexts(json, 'entries'), [
    '{"x": 1.50}',
    '"s]\\","',
    '[[]]',
    '-2e3',
    'null',
  ])
})

test('elementTexts() takes the last array where the key stands twice', () => {
  assert.deepEqual(elementTexts('{"entries":[1],"entries":[2,3]}', 'entries'), ['2', '3'])
  assert.equal(elementTexts('{"entries":[1],"entries":2}', 'entries'), undefined)
})

test('elementTexts() finds nothing below the top, or under a key written with escapes', () => {
  assert.equal(elementTexts('{"a":{"entries":[1]}}', 'entries'), undefined)
  assert.equal(elementTexts('{"\\u0065ntries":[1]}', 'entries'), undefined)
  assert.equal(elementTexts('{}', 'entries'), undefined)
})

test('elementTexts() gives texts that parse to the elements, for any JSON', () => {
  const json = fc.record({ before: fc.jsonValue(), entries: fc.array(fc.jsonValue()) })
  fc.assert(
    fc.property(json, fc.integer({ min: 0, max: 3 }), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent)
      const parsed = JSON.parse(text) as { entries: unknown[] }
      const cut = elementTexts(text, 'entries')
      assert.deepEqual(
        cut?.map((element) => JSON.parse(element)),
        parsed.entries,
      )
    }),
  )
})
