import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { LogAnswer, logAnswerBytesMax } from '@edgeloop/protocol'
import { parse } from '@edgeloop/protocol/check'
import { pino } from 'pino'
import { LogRing } from './log-ring.ts'

const bootId = randomUUID()
const texts = (ring: LogRing, linesMax = 1000) =>
  ring.read({ linesMax }, bootId).lines.map(({ text }) => text)

test('a line has its level, its text and its facts, and its number', () => {
  const ring = new LogRing()
  const log = pino({ name: 'agent', level: 'debug' }, ring)
  log.info({ hub: 'mqtts://hub', version: 3 }, 'Connected to the hub')
  log.error('gone')
  const { lines, omitted } = parse(LogAnswer, ring.read({ linesMax: 10 }, bootId), 'answer')
  assert.deepEqual(
    lines.map(({ sequence, level, text, facts }) => [sequence, level, text, facts]),
    [
      [1, 'info', 'Connected to the hub', 'hub=mqtts://hub version=3'],
      [2, 'error', 'gone', ''],
    ],
  )
  assert.equal(omitted, 0)
})

test('only the newest lines are kept, and what is missing is counted', () => {
  const ring = new LogRing()
  for (let i = 1; i <= 2500; i++) ring.write(JSON.stringify({ level: 30, msg: `line ${i}` }))
  const { lines, omitted } = ring.read({ linesMax: 1000 }, bootId)
  assert.equal(lines.length, 1000)
  assert.equal(lines.at(-1)?.text, 'line 2500')
  assert.equal(omitted, 1500)
  const next = ring.read({ linesMax: 1000, after: { bootId, sequence: 2498 } }, bootId)
  assert.deepEqual(
    next.lines.map(({ sequence }) => sequence),
    [2499, 2500],
  )
  assert.equal(next.omitted, 0)
  const none = ring.read({ linesMax: 1000, after: { bootId, sequence: 2500 } }, bootId)
  assert.deepEqual([none.lines.length, none.omitted], [0, 0])
})

test('a place in the log of another start means nothing', () => {
  const ring = new LogRing()
  ring.write('{"level":30,"msg":"first"}')
  const after = { bootId: randomUUID(), sequence: 40 }
  assert.equal(ring.read({ linesMax: 10, after }, bootId).lines.length, 1)
})

test('an answer fits into what the hub takes, however long the lines are', () => {
  const ring = new LogRing()
  for (let i = 0; i < 2000; i++)
    ring.write(JSON.stringify({ level: 30, msg: '\u0001"'.repeat(900), more: '"'.repeat(900) }))
  const answer = ring.read({ linesMax: 1000 }, bootId)
  assert.ok(answer.lines.length > 10)
  assert.ok(Buffer.byteLength(JSON.stringify(answer)) <= logAnswerBytesMax)
})

test('no password of a camera is in it, wherever it stands', () => {
  const ring = new LogRing()
  const log = pino({}, ring)
  const password = 'S3cret p@ss'
  const source = `rtsp://viewer:${encodeURIComponent(password)}@10.0.0.8/stream1`
  log.warn({ source }, `Cannot open ${source}: refused`)
  log.warn(`ffmpeg said: wrong key "${password}"`)
  log.warn('GET /snapshot?user=a&password=plain7 refused')
  log.warn(`rtsp://viewer:other@pass@10.0.0.9/ Authorization: Basic ${btoa(`v:${password}`)}`)
  ring.hide({ config: { streams: [{ source }] } })
  log.error({ why: { text: `${encodeURIComponent(password)} again, or ${password}` } }, password)
  const all = JSON.stringify(ring.read({ linesMax: 1000 }, bootId))
  for (const secret of [
    password,
    encodeURIComponent(password),
    'plain7',
    'other@pass',
    btoa(`v:${password}`),
  ]) {
    assert.ok(!all.includes(secret), `${secret} in ${all}`)
  }
  assert.ok(texts(ring)[0]?.includes('rtsp://viewer:…@10.0.0.8/stream1'), texts(ring)[0])
})

test('what is no line of pino is kept as it is', () => {
  const ring = new LogRing()
  ring.write('not JSON\n')
  assert.deepEqual(texts(ring), ['not JSON'])
})
