/** Reading and writing ONNX: real models come back byte for byte, and what is no model is named. */
import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { test } from 'node:test'
import { isFieldSet } from '@bufbuild/protobuf'
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { material, needs } from '../../../test/require.ts'
import { model, node, value } from './build.ts'
import { OnnxError, readModel } from './read.ts'
import { AttributeProtoSchema } from './schema.ts'
import { floatsOf, tensor, valuesOf } from './tensor.ts'
import { writeModel } from './write.ts'

/** y = relu(x · w + b) for x of 1×2. */
function smallModel() {
  return model({
    name: 'small',
    nodes: [
      node('Gemm', ['x', 'w', 'b'], ['h'], { alpha: { float: 1 } }),
      node('Relu', ['h'], ['y']),
    ],
    inputs: [value('x', 'float32', ['batch', 2])],
    outputs: [value('y', 'float32', ['batch', 3])],
    initializers: [
      tensor('w', [2, 3], Float32Array.of(1, -1, 0.5, 2, 1, -0.5)),
      tensor('b', [3], Float32Array.of(0, 0, 10)),
    ],
    metadata: { made: 'by hand' },
  })
}

test(
  'readModel() and writeModel() give real models back byte for byte',
  needs('material'),
  async () => {
    const files = globSync(`${material}/models/*.onnx`)
    assert.ok(files.length >= 9, `${files.length} models`)
    for (const file of files) {
      const bytes = await readFile(file)
      const written = writeModel(readModel(bytes, { name: basename(file) }))
      assert.equal(Buffer.compare(bytes, written), 0, `${basename(file)} differs`)
    }
  },
)

test('writeModel() keeps fields that the schema does not know', () => {
  const extra = new BinaryWriter().tag(999, 2).string('from the future').finish()
  const bytes = Buffer.concat([writeModel(smallModel()), extra])
  const again = readModel(bytes)
  assert.equal(again.$unknown?.length, 1)
  const unknown = again.$unknown?.[0]
  assert.equal(unknown && new BinaryReader(unknown.data).string(), 'from the future')
  assert.deepEqual(Buffer.from(writeModel(again)), bytes)
})

test('model() builds what ONNX Runtime executes', async () => {
  const session = await InferenceSession.create(writeModel(smallModel()))
  const outputs = await session.run({ x: new Tensor('float32', [3, 4], [1, 2]) })
  assert.deepEqual([...(outputs.y!.data as Float32Array)], [11, 1, 9.5])
  await session.release()
})

test('node() writes an attribute of 0 instead of leaving it out', () => {
  const bytes = writeModel(
    model({
      name: 'zero',
      nodes: [node('Softmax', ['x'], ['y'], { axis: { int: 0 } })],
      inputs: [value('x', 'float32', [2])],
      outputs: [value('y', 'float32', [2])],
    }),
  )
  const axis = readModel(bytes).graph?.node[0]?.attribute[0]
  assert.ok(axis && isFieldSet(axis, AttributeProtoSchema.field.i))
})

test('floatsOf() reads raw and listed values and refuses what does not fit', () => {
  const values = Float32Array.of(1.5, -2, 3e-9, 4)
  const raw = tensor('t', [2, 2], values)
  assert.deepEqual(floatsOf(raw), values)
  raw.rawData = new Uint8Array()
  raw.floatData = [...values]
  assert.deepEqual(floatsOf(raw), values)
  raw.floatData.pop()
  assert.throws(() => floatsOf(raw), /dimensions hold 4 values, 3 are there/)
  assert.throws(() => tensor('t', [3], values), /dimensions 3 hold 3 values, 4 were given/)
})

const whole = writeModel(smallModel())
const strangers: Record<string, [Uint8Array, RegExp]> = {
  'an empty file': [new Uint8Array(), /the file is empty/],
  'a web page': [Buffer.from('\n<!DOCTYPE html><html>'), /it is a web page; download the file/],
  'a Git LFS pointer': [Buffer.from('version https://git-lfs.github.com/spec/v1'), /git lfs pull/],
  'a zip archive': [Buffer.from('PK\x03\x04........'), /zip archive/],
  JSON: [Buffer.from('{"error":"not found"}'), /it is JSON/],
  noise: [Buffer.from('07'.repeat(99), 'hex'), /it is not protobuf, or damaged/],
  text: [Buffer.from('no model at all, only text'), /Cannot read "x.onnx" as an ONNX model/],
  'a model cut off in a field': [whole.subarray(0, whole.length >> 1), /it may be truncated/],
  'a model without a graph': [
    writeModel({ ...smallModel(), graph: undefined } as never),
    /no graph/,
  ],
}
for (const [what, [bytes, expected]] of Object.entries(strangers)) {
  test(`readModel() says so when it gets ${what}`, () => {
    assert.throws(
      () => readModel(bytes, { name: 'x.onnx' }),
      (error) => error instanceof OnnxError && expected.test(error.message),
    )
  })
}

test('readModel() refuses a model cut at any byte, or reads only what is whole', () => {
  for (let length = 0; length < whole.length; length++) {
    try {
      readModel(whole.subarray(0, length))
    } catch (error) {
      assert.ok(error instanceof OnnxError, `at ${length}: ${error}`)
      continue
    }
    // What comes after the operator set is free text: a cut between two entries is a whole model.
    assert.ok(length > whole.length - 40, `read a model cut at ${length} of ${whole.length}`)
  }
})

test('readModel() refuses more bytes than it was allowed', () => {
  assert.throws(
    () => readModel(whole, { sizeBytesMax: 100 }),
    /it has \d+ bytes, and at most 100 are read/,
  )
})

test('numbers of every type come back from raw data and from the fields of their type', () => {
  const arrays = [
    new Float32Array([1.5, -0, 3e38]),
    new Float64Array([Math.PI, 1e300]),
    new Float16Array([0.5, -65504]),
    new Uint8Array([0, 255]),
    new Int8Array([-128, 127]),
    new Uint16Array([65535]),
    new Int16Array([-32768]),
    new Uint32Array([2 ** 32 - 1]),
    new Int32Array([-(2 ** 31)]),
    new BigUint64Array([2n ** 64n - 1n]),
    new BigInt64Array([-(2n ** 63n)]),
  ]
  for (const values of arrays) {
    const raw = tensor('t', [values.length], values)
    assert.deepEqual(valuesOf(raw), values)
    // A view into a larger buffer is only its own part.
    const part = values.subarray(0, 1)
    assert.deepEqual(valuesOf(tensor('t', [1], part)), values.slice(0, 1))
    raw.rawData = new Uint8Array()
    const bits = values instanceof Float16Array ? new Uint16Array(values.buffer) : values
    if (values instanceof Float32Array) raw.floatData = [...values]
    else if (values instanceof Float64Array) raw.doubleData = [...values]
    else if (values instanceof BigInt64Array) raw.int64Data = [...values]
    else if (values instanceof BigUint64Array || values instanceof Uint32Array)
      raw.uint64Data = Array.from(values, BigInt)
    else raw.int32Data = Array.from(bits as Uint8Array)
    assert.deepEqual(valuesOf(raw), values)
  }
  assert.throws(
    () => valuesOf({ ...tensor('t', [1], new Int8Array(1)), dims: [2n] }),
    /hold 2 values, 1 are there/,
  )
  const odd = { ...tensor('t', [1], new Float32Array(1)), rawData: new Uint8Array(3) }
  assert.throws(() => valuesOf(odd), /3 bytes are no whole number of float32/)
  assert.throws(() => valuesOf({ ...odd, dataType: 8 }), /its type 8 is not read/)
})

test('an integer attribute that was read as a number and is set again stays within 64 bits', () => {
  const most = 2n ** 63n - 1n
  const slice = node('Slice', ['x'], ['y'], { ends: { ints: [Number(most), -(2 ** 63)] } })
  assert.deepEqual(slice.attribute[0]?.ints, [most, -(2n ** 63n)])
})
