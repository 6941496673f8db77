import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hardwareDecodes } from '@edgeloop/protocol'
import { hardwareArguments, wasHardware } from './hardware-decode.ts'

test('hardwareArguments() asks ffmpeg for a method, or for a decoder of its own', () => {
  assert.deepEqual(hardwareArguments('none', 'h264'), [])
  assert.deepEqual(hardwareArguments('auto', 'h264'), ['-hwaccel', 'auto'])
  assert.deepEqual(hardwareArguments('cuda', 'hevc'), ['-hwaccel', 'cuda'])
  assert.deepEqual(hardwareArguments('v4l2m2m', 'h264'), ['-c:v', 'h264_v4l2m2m'])
  assert.deepEqual(hardwareArguments('v4l2m2m', 'mpeg2video'), ['-c:v', 'mpeg2_v4l2m2m'])
  assert.deepEqual(hardwareArguments('rkmpp', 'hevc'), ['-c:v', 'hevc_rkmpp'])
  assert.equal(hardwareArguments('rkmpp', 'mjpeg'), undefined)
  for (const hardware of hardwareDecodes) assert.ok(hardwareArguments(hardware, 'h264'), hardware)
})

test('wasHardware() tells by the pixel format what decoded', () => {
  assert.equal(wasHardware('vaapi', 'nv12'), true)
  assert.equal(wasHardware('auto', 'yuv420p'), false)
  assert.equal(wasHardware('v4l2m2m', 'yuv420p'), true)
  assert.equal(wasHardware('none', 'nv12'), false)
})
