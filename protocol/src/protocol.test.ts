import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkEvent, Misfit, parse, parsePayload } from './check.ts'
import {
  DeviceConfig,
  decodeLiveFrame,
  deviceMayPublish,
  deviceMaySubscribe,
  encodeLiveFrame,
  hideSecret,
  messageNames,
  messages,
  nearestName,
  parseTopic,
  pathOf,
  routes,
  topicFor,
} from './index.ts'

const box = { site: 'lab', deviceId: 'box-1' }
const at = '2026-01-01T00:00:00.000Z'

test('topicFor() and parseTopic() are each other’s inverse for every message', () => {
  for (const name of messageNames) {
    assert.deepEqual(parseTopic(topicFor(name, box)), { name, ...box })
  }
})

test('topicFor() refuses names that mean something in a topic', () => {
  for (const deviceId of ['a/b', '+', '#', '', '$SYS']) {
    assert.throws(() => topicFor('status', { site: 'lab', deviceId }), /is not a name/)
  }
})

test('parseTopic() knows no topic outside the table', () => {
  for (const topic of [
    'edgeloop/v1/lab/box-1/x',
    'edgeloop/v1/lab/box-1',
    'edgeloop/v2/a/b/status',
    '$SYS/a',
  ]) {
    assert.equal(parseTopic(topic), undefined)
  }
})

test('a device may publish and subscribe to its own rows only', () => {
  const other = { site: 'lab', deviceId: 'box-2' }
  for (const name of messageNames) {
    const mine = topicFor(name, box)
    const fromDevice = messages[name].from === 'device'
    assert.equal(deviceMayPublish(box, mine), fromDevice)
    assert.equal(deviceMaySubscribe(box, mine), !fromDevice)
    assert.equal(deviceMayPublish(other, mine), false)
    assert.equal(deviceMaySubscribe(other, mine), false)
  }
  for (const filter of ['#', '+/#', '$SYS/#', '$share/g/#', 'edgeloop/v1/lab/box-1/#']) {
    assert.equal(deviceMaySubscribe(box, filter), false)
  }
})

test('parsePayload() says size, syntax and place of a misfit', () => {
  const read = (text: string) => () => parsePayload('status', Buffer.from(text))
  assert.throws(read('x'.repeat(2000)), /Cannot read status payload: 2000 bytes, allowed 1024/)
  assert.throws(read('<html>'), /Cannot read status payload: not JSON/)
  assert.throws(read(JSON.stringify({ state: 'up', at, bootId: 'x' })), Misfit)
})

test('parse() names the nearest known key', () => {
  const config = { streams: [{ streamId: 'a', source: 'demo:1', analysisFsp: 5 }] }
  assert.throws(() => parse(DeviceConfig, config, 'configuration'), {
    message:
      'Cannot read configuration: /streams/0 has the unknown key "analysisFsp"; did you mean "analysisFps"?',
  })
})

test('checkEvent() accepts a whole event and says what is wrong with a broken one', () => {
  const appeared = {
    sequence: 1,
    kind: 'appeared',
    at,
    streamId: 's',
    trackId: 1,
    label: 'car',
    score: 0.5,
    box: [0, 0, 1, 1],
  }
  assert.ok('event' in checkEvent(appeared))
  assert.match((checkEvent({ ...appeared, score: 2 }) as { misfit: string }).misfit, /score/)
  assert.match(
    (checkEvent({ ...appeared, kind: 'toString' }) as { misfit: string }).misfit,
    /none of/,
  )
  assert.match((checkEvent(null) as { misfit: string }).misfit, /none of/)
})

test('nearestName() offers near names and no wild guesses', () => {
  assert.equal(nearestName('strem', ['stream', 'device']), 'stream')
  assert.equal(nearestName('zzz', ['stream', 'device']), undefined)
})

test('a live frame survives its trip and a cut one is refused', () => {
  const header = { deviceId: 'a', streamId: 'b', frame: 1, at, width: 2, height: 2, detections: [] }
  const bytes = encodeLiveFrame(header, Uint8Array.of(1, 2, 3))
  assert.deepEqual(decodeLiveFrame(bytes).header, header)
  assert.deepEqual([...decodeLiveFrame(bytes).jpeg], [1, 2, 3])
  assert.throws(() => decodeLiveFrame(bytes.subarray(0, 10)), /Cannot read live frame/)
})

test('hideSecret() takes the password out of a camera address', () => {
  assert.equal(hideSecret('rtsp://root:pa:ss@cam/1'), 'rtsp://root:…@cam/1')
  assert.equal(hideSecret('rtsp://cam/1'), 'rtsp://cam/1')
})

test('pathOf() fills parameters in and escapes them', () => {
  assert.equal(pathOf(routes.deviceShow, { deviceId: 'a b' }), '/api/devices/a%20b')
  assert.equal(pathOf(routes.eventList, {}, { limit: 5, label: undefined }), '/api/events?limit=5')
  assert.throws(() => pathOf(routes.deviceShow), /no deviceId/)
})
