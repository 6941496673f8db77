/** A wish for a runtime is granted or answered with what there is. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseRuntime } from './choose.ts'

test('chooseRuntime() takes the CPU for auto and for no wish at all', () => {
  assert.equal(chooseRuntime().name, 'ort:cpu')
  assert.equal(chooseRuntime('auto').name, 'ort:cpu')
  assert.equal(chooseRuntime('ort:cpu').name, 'ort:cpu')
})

test('chooseRuntime() names the nearest runtime, or all of them', () => {
  assert.throws(() => chooseRuntime('ort:cpus'), {
    name: 'ModelError',
    message: 'Cannot use runtime "ort:cpus": there is no such runtime; did you mean "ort:cpu"?',
  })
  assert.throws(() => chooseRuntime('gpu'), {
    message:
      'Cannot use runtime "gpu": there is no such runtime; there are auto, ort:cpu, ort:webgpu, ort:cuda, ort:tensorrt, ort:coreml, ort:dml, ort:qnn, oip:URL',
  })
})
