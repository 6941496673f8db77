import assert from 'node:assert/strict'
import { test } from 'node:test'
import { writeConfig } from './config-text.ts'

const config = {
  streams: [
    {
      streamId: 'belt',
      source: 'demo:1',
      labels: ['gear', 'nut'],
      zones: [
        {
          name: 'a [ 1 ] , b',
          polygon: [
            [0.1, 0.2],
            [0.5, 0.2],
            [0.5, 0.9],
          ] as [number, number][],
        },
      ],
    },
  ],
}

test('writeConfig() keeps points and words in one line each', () => {
  const text = writeConfig(config)
  assert.match(text, /"labels": \["gear", "nut"\]/)
  assert.match(text, /^ +\[0\.1, 0\.2\],$/m)
  assert.match(text, /"a \[ 1 \] , b"/)
})

test('writeConfig() says the same as JSON, whatever the names are', () => {
  const parts = ['a', '[', ']', ',', '\n', ' ', '"', '{', '}', '\\', '\u2028', '1']
  for (const first of parts) {
    for (const second of parts) {
      const labels = [first + second, `${second},\n  ${first}`, '[\n  1\n]']
      const streams = [{ streamId: 'a', source: 'demo:1', labels, name: second + first }]
      assert.deepEqual(JSON.parse(writeConfig({ streams })), { streams })
    }
  }
})
