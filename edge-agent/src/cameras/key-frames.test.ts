import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyFrameSelection } from './key-frames.ts'

/** How much later than its time a packet comes. */
const delayMs = 50

/** What is done with packets of 100 ms, a key frame (K) or another one (p) each. */
function treat(selection: KeyFrameSelection, packets: string, fromMs = 0): string[] {
  return [...packets].map((kind, n) => {
    const stampMs = fromMs + n * 100
    return selection.take(kind === 'K', stampMs, stampMs + delayMs)
  })
}

/** A selection that has seen key frames every 300 ms; the next packet is a key frame at 900 ms. */
function settled(): KeyFrameSelection {
  const selection = new KeyFrameSelection()
  treat(selection, 'KppKppKpp')
  return selection
}

test('KeyFrameSelection decodes everything until it is told otherwise', () => {
  assert.deepEqual(treat(new KeyFrameSelection(), 'KppKp'), Array(5).fill('decode'))
})

test('KeyFrameSelection believes a rhythm after two intervals, and says the longest', () => {
  const selection = new KeyFrameSelection()
  treat(selection, 'KppK')
  assert.equal(selection.intervalMs, undefined)
  treat(selection, 'pppppK', 400)
  assert.equal(selection.intervalMs, 600)
  treat(selection, 'KKKK', 1000)
  assert.equal(selection.intervalMs, 100, 'long ago is forgotten')
})

test('KeyFrameSelection passes over what is between key frames', () => {
  const selection = settled()
  selection.only = true
  assert.deepEqual(treat(selection, 'KppK', 900), ['alone', 'pass', 'pass', 'alone'])
  assert.equal(selection.passed, 2)
})

test('KeyFrameSelection goes on from the key frame on which something moved', () => {
  const selection = settled()
  selection.only = true
  treat(selection, 'KppK', 900)
  selection.only = false
  assert.deepEqual(treat(selection, 'ppK', 1300), ['decode after last key', 'decode', 'decode'])
})

test('KeyFrameSelection goes on with the next key frame where frames were passed over', () => {
  const selection = settled()
  selection.only = true
  treat(selection, 'Kp', 900)
  selection.only = false
  assert.deepEqual(treat(selection, 'pKp', 1100), ['pass', 'decode anew', 'decode'])
})

test('KeyFrameSelection goes on as if nothing had been when nothing was passed over', () => {
  const selection = settled()
  selection.only = true
  selection.only = false
  assert.deepEqual(treat(selection, 'Kp', 900), ['decode', 'decode'])
  selection.only = true
  treat(selection, 'K', 1200)
  selection.only = false
  assert.deepEqual(treat(selection, 'Kp', 1300), ['decode anew', 'decode'])
})

test('KeyFrameSelection decodes everything when key frames no longer come', () => {
  const selection = settled()
  selection.only = true
  const treated = treat(selection, `K${'p'.repeat(12)}`, 900)
  assert.equal(treated.indexOf('decode anew'), 10, 'after three intervals')
  assert.deepEqual(treated.slice(11), ['decode', 'decode'])
  assert.equal(selection.only, false)
  assert.equal(selection.intervalMs, undefined, 'its rhythm must be learned again')
})

test('KeyFrameSelection starts over with a clip and keeps its rhythm', () => {
  const selection = settled()
  selection.only = true
  treat(selection, 'Kp', 900)
  selection.startOver()
  assert.equal(selection.intervalMs, 300)
  assert.deepEqual(treat(selection, 'Kpp'), ['alone', 'pass', 'pass'])
})

test('KeyFrameSelection says until when nothing is needed, and counts what was left unread', () => {
  const selection = new KeyFrameSelection()
  treat(selection, 'KpppppppppKpppppppppKpppppppppKpppppppppK')
  assert.equal(selection.quietUntilMs, undefined, 'everything is needed')
  selection.only = true
  treat(selection, 'ppppppppp', 4100)
  assert.equal(selection.quietUntilMs, undefined, 'the last key frame may still be gone on from')
  treat(selection, 'K', 5000)
  const quietUntil = selection.quietUntilMs!
  assert.ok(quietUntil > 5500 && quietUntil <= 6000, `${quietUntil}`)
  selection.leaveUnread()
  assert.deepEqual(treat(selection, 'ppK', 5800), ['pass', 'pass', 'alone'])
  assert.equal(selection.passed, 9 + 9)
  selection.leaveUnread()
  selection.only = false
  assert.deepEqual(
    treat(selection, 'pK', 6900),
    ['pass', 'decode anew'],
    'there is nothing to go on from',
  )
})
