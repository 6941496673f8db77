import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { elementSpans } from './element-spans.ts'

test('elementSpans() finds elements as they were written', () => {
  const json =
    '{ "a" : [1] , "entries" : [ {"x": 1.50} , "s]\\"," ,[[]], -2e3,null ,"ü€😀"] , "z": {} }'
  assert.deepEqual(cut(json), ['{"x": 1.50}', '"s]\\","', '[[]]', '-2e3', 'null', '"ü€😀"'])
})

test('elementSpans() takes the last array where the key stands twice', () => {
  assert.deepEqual(cut('{"entries":[1],"entries":[2,3]}'), ['2', '3'])
  assert.equal(cut('{"entries":[1],"entries":2}'), undefined)
})

test('elementSpans() finds nothing below the top, or under a key written with escapes', () => {
  assert.equal(cut('{"a":{"entries":[1]}}'), undefined)
  assert.equal(cut('{"\\u0065ntries":[1]}'), undefined)
  assert.equal(cut('{"entriex":[1],"entry":[2]}'), undefined)
  assert.equal(cut('{}'), undefined)
})

test('elementSpans() gives texts that parse to the elements, for any JSON', () => {
  const value = fc.record({
    before: fc.jsonValue({ stringUnit: 'binary' }),
    entries: fc.array(fc.jsonValue({ stringUnit: 'binary' })),
  })
  fc.assert(
    fc.property(value, fc.integer({ min: 0, max: 3 }), (data, indent) => {
      const text = JSON.stringify(data, undefined, indent)
      const parsed = JSON.parse(text) as { entries: unknown[] }
      assert.deepEqual(
        cut(text)?.map((element) => JSON.parse(element)),
        parsed.entries,
      )
    }),
  )
})

function cut(json: string): string[] | undefined {
  const bytes = Buffer.from(json)
  const spans = elementSpans(bytes, 'entries')
  if (!spans) return undefined
  return Array.from({ length: spans.length / 2 }, (_, i) =>
    bytes.toString('utf8', spans[i * 2], spans[i * 2 + 1]),
  )
}
