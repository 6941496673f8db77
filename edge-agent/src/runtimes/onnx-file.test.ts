/** Any bytes at all: the walker says what is wrong and never fails in another way. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { constantDetector } from '../../../test/detection/tiny-models.ts'
import { material, needs } from '../../../test/require.ts'
import { inspectOnnx, OnnxError } from './onnx-file.ts'

const sound = constantDetector(
  { type: 'float32', shape: [1, 3, 8, 8] },
  { output: { shape: [1, 1, 6] } },
)

/** True when `inspectOnnx` accepts the bytes or refuses them by its own error. */
function staysCalm(bytes: Uint8Array): boolean {
  try {
    inspectOnnx(bytes)
    return true
  } catch (error) {
    return error instanceof OnnxError
  }
}

test('inspectOnnx() accepts a model that is whole', () => {
  assert.deepEqual(inspectOnnx(sound), { externalTensors: [] })
})

test('inspectOnnx() refuses a model that was cut anywhere before its graph ends', () => {
  for (let size = 0; size < sound.length - 8; size++) {
    assert.throws(() => inspectOnnx(sound.subarray(0, size)), OnnxError, `${size} bytes`)
  }
})

test('inspectOnnx() survives any bytes and any damage', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), staysCalm))
  const damage = fc.tuple(fc.nat(sound.length - 1), fc.integer({ min: 0, max: 255 }))
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (changes) => {
      const bytes = sound.slice()
      for (const [at, byte] of changes) bytes[at] = byte
      return staysCalm(bytes)
    }),
  )
})

test('inspectOnnx() refuses graphs nested without end', () => {
  let graph = Uint8Array.of()
  const wrap = (field: number, inner: Uint8Array) =>
    Uint8Array.of((field << 3) | 2, (inner.length & 127) | 128, inner.length >> 7, ...inner)
  for (let depth = 0; depth < 40; depth++) graph = wrap(1, wrap(5, wrap(6, graph)))
  assert.throws(() => inspectOnnx(Uint8Array.of(8, 8, ...wrap(7, graph))), {
    message: 'its graphs are nested more than 32 deep',
  })
})

const disguises = {
  'it is a ZIP archive; unpack it first': Buffer.from('PK\u0003\u0004rest'),
  'it is gzip-compressed; unpack it first': Uint8Array.of(0x1f, 0x8b, 8, 0),
  'it is a TensorFlow Lite model; convert it to ONNX': Buffer.from('\u001c\0\0\0TFL3'),
} as const

test('inspectOnnx() names what a file is instead', () => {
  for (const [message, bytes] of Object.entries(disguises)) {
    assert.throws(() => inspectOnnx(bytes), { message })
  }
})

test('inspectOnnx() accepts every real model', needs('material'), () => {
  const files = globSync(`${material}/models/*.onnx`)
  assert(files.length >= 9)
  for (const file of files) {
    assert.deepEqual(inspectOnnx(readFileSync(file)), { externalTensors: [] }, basename(file))
  }
})
