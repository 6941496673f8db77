import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LogEntry, lineSplitter, parseLogLine } from './ffmpeg-log.ts'

const lines: [line: string, entry: LogEntry | undefined][] = [
  [
    '[showinfo@decoded @ 0x558b] config in time_base: 1/90000, frame_rate: 30/1',
    { kind: 'time base', tickSeconds: 1 / 90_000 },
  ],
  [
    '[showinfo@decoded @ 0x558b] n:   6 pts:  18000 pts_time:0.2     pos:     7858 fmt:yuv420p sar:0/1 s:320x240 i:P iskey:0 type:P ',
    { kind: 'decoded', ticks: 18_000, width: 320, height: 240, format: 'yuv420p', isKey: false },
  ],
  [
    '[showinfo@decoded @ 0x558b] n:   0 pts:NOPTS pts_time:NOPTS pos:     48 fmt:yuv420p cl:left sar:1/1 s:64x48 i:P iskey:1 type:I ',
    { kind: 'decoded', ticks: undefined, width: 64, height: 48, format: 'yuv420p', isKey: true },
  ],
  [
    '[showinfo@picked @ 0x558b] n:   1 pts:  18000 pts_time:0.2     pos:     7858 fmt:yuv420p sar:0/1 s:320x240 i:P iskey:0 type:P ',
    { kind: 'picked' },
  ],
  ['[showinfo@picked @ 0x558b] config in time_base: 1/90000, frame_rate: 30/1', undefined],
  ['[showinfo@decoded @ 0x558b] User Data=7832363420', undefined],
  [
    '[h264 @ 0x5f] concealing 12 DC, 12 AC, 12 MV errors in P frame',
    {
      kind: 'damage',
      text: 'concealing 12 DC, 12 AC, 12 MV errors in P frame',
    },
  ],
  ['[rtsp @ 0x5f] RTP: missed 3 packets', { kind: 'damage', text: 'RTP: missed 3 packets' }],
  [
    'rtsp://cam/1: Connection refused',
    { kind: 'complaint', text: 'rtsp://cam/1: Connection refused' },
  ],
  ['  Stream #0:0: Video: h264 (Main), yuv420p, 640x352', undefined],
]
for (const [line, entry] of lines) {
  test(`parseLogLine() reads ${line.slice(0, 70).trim()}`, () => {
    assert.deepEqual(parseLogLine(line), entry)
  })
}

test('lineSplitter() joins what was cut and keeps only the beginning of an endless line', () => {
  const seen: string[] = []
  const take = lineSplitter((line) => seen.push(line))
  for (const text of ['on', 'e\ntwo\n', '\nth', 'ree', '\n']) take(text)
  assert.deepEqual(seen, ['one', 'two', '', 'three'])
  for (let n = 0; n < 1000; n++) take('x'.repeat(1000))
  take('\nafter\n')
  assert.equal(seen.at(-1), 'after')
  assert.ok(seen.at(-2)!.length <= 2 * 4096)
})
