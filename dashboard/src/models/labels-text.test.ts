import assert from 'node:assert/strict'
import { test } from 'node:test'
import { labelsIn, layoutFrom, nameFrom } from './labels-text.ts'

test('labels are lines, whatever ends them', () => {
  assert.deepEqual(labelsIn('bolt\r\n nut \n\ngear'), ['bolt', 'nut', 'gear'])
  assert.deepEqual(labelsIn('  \n'), [])
})

test('a file gives its model a name that the hub takes', () => {
  assert.equal(nameFrom('YOLOX Nano (416).onnx'), 'yolox_nano_416')
  assert.equal(nameFrom('nanodet_m_320.ONNX'), 'nanodet_m_320')
  assert.equal(nameFrom('.onnx'), '')
  assert.equal(nameFrom(`${'a'.repeat(62)}-b.onnx`), 'a'.repeat(62))
})

test('a name that speaks of a layout suggests it, the longest that fits', () => {
  const layouts = ['yolo', 'yolox', 'nanodet']
  assert.equal(layoutFrom('yolox_nano_416', layouts), 'yolox')
  assert.equal(layoutFrom('parts', layouts), undefined)
})
