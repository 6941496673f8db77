import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diffConfigs, emptyConfig, hideSecrets } from './config-versions.ts'
import { type DeviceConfig, hideSecret, isSecretHidden, type StreamConfig } from './stream.ts'

const gate: StreamConfig = { streamId: 'gate', source: 'rtsp://admin:secret@camera/1' }
const config = (...streams: StreamConfig[]): DeviceConfig => ({ streams })
const square = (size: number): [number, number][] => [
  [0, 0],
  [size, 0],
  [size, size],
]

test('diffConfigs() names streams by id and areas by name, whatever their order', () => {
  const yard = { streamId: 'yard', source: 'demo:1' }
  assert.deepEqual(diffConfigs(config(gate, yard), config(yard, gate)), [])
  const before = config({ ...gate, zones: [{ name: 'door', polygon: square(0.5) }] }, yard)
  const after = config({
    ...gate,
    analysisFps: 2,
    zones: [{ name: 'door', polygon: square(0.7) }],
  })
  assert.deepEqual(diffConfigs(before, after), [
    {
      path: '/streams/gate/zones/door/polygon',
      before: square(0.5),
      after: square(0.7),
      secret: false,
    },
    { path: '/streams/gate/analysisFps', after: 2, secret: false },
    { path: '/streams/yard', before: yard, secret: false },
  ])
  const [added] = diffConfigs(emptyConfig, config(gate))
  assert.deepEqual(added?.after, { ...gate, source: 'rtsp://admin:…@camera/1' })
})

test('diffConfigs() says that a password differs, and never what it is', () => {
  const changes = diffConfigs(
    config(gate),
    config({ ...gate, source: 'rtsp://admin:other@camera/1' }),
  )
  const shown = 'rtsp://admin:…@camera/1'
  assert.deepEqual(changes, [
    { path: '/streams/gate/source', before: shown, after: shown, secret: true },
  ])
})

test('hideSecret() hides passwords before the host and in the query, and twice is once', () => {
  const cases: [string, string][] = [
    ['rtsp://admin:secret@camera/1', 'rtsp://admin:…@camera/1'],
    ['rtsp://admin:se@cr:et@camera/1', 'rtsp://admin:…@camera/1'],
    [
      'http://camera/jpg?user=a&password=secret&size=2',
      'http://camera/jpg?user=a&password=…&size=2',
    ],
    ['http://camera/jpg?pwd=secret', 'http://camera/jpg?pwd=…'],
    ['rtsp://camera/1', 'rtsp://camera/1'],
    ['v4l2:/dev/video0?size=1280x720', 'v4l2:/dev/video0?size=1280x720'],
    ['clips/a@b:c.mp4', 'clips/a@b:c.mp4'],
  ]
  for (const [source, shown] of cases) {
    assert.equal(hideSecret(source), shown)
    assert.equal(hideSecret(shown), shown)
    assert.equal(isSecretHidden(shown), source !== shown, shown)
  }
  assert.doesNotMatch(JSON.stringify(hideSecrets(config(gate))), /secret/)
  assert.equal(isSecretHidden('A camera called … something'), false)
})
