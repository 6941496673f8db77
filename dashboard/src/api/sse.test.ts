import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sseParser } from './sse.ts'

test('sseParser() gives whole events with id, name and joined data', () => {
  const parse = sseParser()
  assert.deepEqual(parse('id: e-1\nevent: patch\ndata: {"a":\ndata: 1}\n\n'), [
    { id: 'e-1', name: 'patch', data: '{"a":\n1}' },
  ])
})

test('sseParser() does not care where the stream is cut', () => {
  const text = ': heartbeat\r\n\r\nid: e-7\r\ndata: one\r\n\r\ndata:two\n\nevent: reset\ndata\n\n'
  const whole = sseParser()(text)
  for (let size = 1; size < 9; size++) {
    const parse = sseParser()
    const parts = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
    assert.deepEqual(
      parts.flatMap((part) => parse(part)),
      whole,
      `cut every ${size} characters`,
    )
  }
  assert.deepEqual(
    whole.map(({ id, name, data }) => [id, name, data]),
    [
      ['e-7', 'message', 'one'],
      ['e-7', 'message', 'two'],
      ['e-7', 'reset', ''],
    ],
  )
})

test('sseParser() gives nothing for comments and refuses a line that never ends', () => {
  const parse = sseParser()
  assert.deepEqual(parse(':\n\n: ping\n\n'), [])
  assert.throws(() => parse('x'.repeat(4 * 1024 * 1024 + 1)), /Cannot read the change stream/)
})
