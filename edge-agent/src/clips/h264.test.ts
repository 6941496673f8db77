import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codingOf, codingWithin, isSameCoding, sampleOf, sizeOf, unitsOf } from './h264.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
/** As x264 writes them: High profile, 320×180, which is 320×192 less cropping. */
const sps = hex('6764000dacd941419f9e100000030010002bf200f1429960')
const pps = hex('68efbcb0')
const start = hex('00000001')
/** Baseline, 640×480, without cropping. */
const baseline = hex('6742c01eda0280f6840000030004000003000a3c58ba80')

test('sizeOf() reads the size behind profile, escapes and cropping', () => {
  assert.deepEqual(sizeOf(sps), { width: 320, height: 180 })
  assert.deepEqual(sizeOf(baseline), { width: 640, height: 480 })
  assert.equal(sizeOf(sps.subarray(0, 6)), undefined, 'cut off')
  assert.equal(sizeOf(Buffer.alloc(40, 0)), undefined, 'zeros')
})

test('unitsOf() takes both kinds of start code, and no zero that belongs to none', () => {
  const data = Buffer.concat([
    start,
    hex('09f0'),
    hex('000001'),
    sps,
    hex('00 000001'),
    pps,
    hex('0000'),
  ])
  assert.deepEqual([...unitsOf(data)], [hex('09f0'), sps, pps])
  assert.deepEqual([...unitsOf(hex('1234'))], [])
})

test('codingOf() makes one configuration of either packing', () => {
  const coding = codingOf(Buffer.concat([start, sps, start, pps]))
  assert.ok(coding)
  assert.deepEqual([coding.width, coding.height, coding.packing], [320, 180, 'start codes'])
  assert.equal(
    Buffer.from(coding.configuration).toString('hex'),
    `0164000dffe10018${sps.toString('hex')}010004${pps.toString('hex')}`,
  )
  const again = codingOf(coding.configuration)
  assert.deepEqual([again?.width, again?.packing], [320, 'lengths'])
  assert.ok(again && !isSameCoding(coding, again), 'their packets are packed differently')
  assert.equal(codingOf(Buffer.concat([start, pps])), undefined)
  assert.equal(codingOf(Buffer.alloc(0)), undefined)
})

test('a key frame brings its own parameter sets, and its sample leaves them out', () => {
  const slice = hex('65 8884 00 11')
  const data = Buffer.concat([start, hex('09f0'), start, sps, start, pps, start, slice])
  const coding = codingWithin(data)
  assert.ok(coding)
  assert.equal(codingWithin(Buffer.concat([start, slice])), undefined)
  const packet = { coding, data, isKey: true, at: 0, decodeMs: 0, shownMs: 0 }
  assert.deepEqual(sampleOf(packet), Buffer.concat([hex('00000005'), slice]))
})
