/** Ranges in a file: they come back as they were, and what is none is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { model, node, value } from '../onnx/build.ts'
import { readModel } from '../onnx/read.ts'
import { writeModel } from '../onnx/write.ts'
import { trainedRangesKey, trainedRangesOf, withTrainedRanges } from './trained-ranges.ts'

const plain = (metadata: Record<string, string> = {}) =>
  model({
    name: 'm',
    metadata,
    inputs: [value('x', 'float32', [1])],
    outputs: [value('y', 'float32', [1])],
    nodes: [node('Relu', ['x'], ['y'])],
  })

test('ranges come back from the file, and replace those that were there', () => {
  const end = fc.double({ noNaN: true, noDefaultInfinity: true })
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), end, end)), (list) => {
      const ranges = new Map(
        list
          .filter(([name]) => name !== '__proto__')
          .map(([name, a, b]) => [name, { min: Math.min(a, b) + 0, max: Math.max(a, b) + 0 }]),
      )
      const first = withTrainedRanges(
        plain({ author: 'me' }),
        new Map([['old', { min: 0, max: 1 }]]),
      )
      const read = readModel(writeModel(withTrainedRanges(first, ranges)))
      assert.deepEqual(new Map([...trainedRangesOf(read)!].sort()), new Map([...ranges].sort()))
      assert.equal(read.metadataProps.length, 2)
    }),
  )
  assert.equal(trainedRangesOf(plain()), undefined)
})

test('what is no range is refused with its name', () => {
  const refused = (text: string, why: RegExp) =>
    assert.throws(() => trainedRangesOf(plain({ [trainedRangesKey]: text })), why)
  refused('{', /it is no JSON/)
  refused('[]', /it is no object/)
  refused('{"a": [1]}', /"a" is \[1\], not \[min, max\]/)
  refused('{"a": [2, 1]}', /"a" is \[2,1\]/)
  refused('{"a": ["0", null]}', /"a" is/)
})
