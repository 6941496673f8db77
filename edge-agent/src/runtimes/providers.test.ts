/** Profiles as ONNX Runtime writes them, and reasons as it gives them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { placementIn, providerReason } from './providers.ts'

const event = (node: number, provider: string) => ({
  cat: 'Node',
  name: `n${node}_kernel_time`,
  args: { op_name: 'Conv', provider, node_index: String(node) },
})

test('placementIn() counts every operator once, however often it ran', () => {
  const events = [
    { cat: 'Session', name: 'model_run', args: {} },
    event(0, 'CUDAExecutionProvider'),
    event(1, 'CPUExecutionProvider'),
    event(0, 'CUDAExecutionProvider'),
  ]
  const profile = JSON.stringify(events)
  assert.deepEqual(placementIn(profile, 'cuda'), { operators: 2, onProvider: 1 })
  assert.deepEqual(placementIn(profile, 'cpu'), { operators: 2, onProvider: 1 })
  assert.deepEqual(placementIn(profile, 'webgpu'), { operators: 2, onProvider: 0 })
  assert.throws(() => placementIn('{}', 'cpu'), SyntaxError)
})

test('providerReason() says what is missing', () => {
  const reasons = {
    'no available backend found. ERR: [dml] backend not found.':
      'ONNX Runtime has no dml on this platform',
    'OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library':
      'the library of dml is not installed; docs/runtimes.md says how',
    'webgpu_context.cc:136 Failed to get a WebGPU adapter: No supported adapters':
      'there is no graphics processor that WebGPU can use',
  }
  for (const [text, reason] of Object.entries(reasons)) {
    assert.equal(providerReason('dml', text), reason)
  }
})
