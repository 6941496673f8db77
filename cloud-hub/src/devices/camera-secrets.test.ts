import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hideSecrets, type StreamConfig } from '@edgeloop/protocol'
import { keepSecrets } from './camera-secrets.ts'

const gate: StreamConfig = { streamId: 'gate', source: 'rtsp://admin:one@camera/1' }
const yard: StreamConfig = { streamId: 'yard', source: 'rtsp://admin:two@camera/2' }
const stored = { streams: [gate, yard] }

test('keepSecrets() gives back what was hidden, also for a stream that was renamed or moved', () => {
  assert.deepEqual(keepSecrets(hideSecrets(stored), stored), stored)
  const shown = hideSecrets(stored)
  const renamed = { streams: shown.streams.map((s) => ({ ...s, streamId: `${s.streamId}-2` })) }
  assert.deepEqual(
    keepSecrets(renamed, stored).streams.map(({ source }) => source),
    [gate.source, yard.source],
  )
})

test('keepSecrets() refuses a hidden password that nothing fits, and one that several fit', () => {
  const elsewhere = { streams: [{ ...gate, source: 'rtsp://admin:…@elsewhere/1' }] }
  assert.throws(() => keepSecrets(elsewhere, stored), {
    code: 'badRequest',
    message:
      'Cannot take the source of stream "gate": its password is masked, and none that is stored fits. Write the password',
  })
  assert.throws(() => keepSecrets(hideSecrets(stored), undefined), /none that is stored fits/)
  const twins = { streams: [gate, { ...yard, source: 'rtsp://admin:three@camera/1' }] }
  const third = { streams: [{ streamId: 'third', source: 'rtsp://admin:…@camera/1' }] }
  assert.throws(() => keepSecrets(third, twins), /several passwords of this device fit/)
})
