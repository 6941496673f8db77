import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Change } from '@edgeloop/protocol'
import {
  type ChangeSink,
  changeKeptMs,
  changesMax,
  changesPerSecondMax,
  openChanges,
  unsentBytesMax,
} from './changes.ts'

test('subscribe() replays what came after an id, and then what comes', () => {
  const { changes } = open()
  for (let i = 1; i <= 5; i++) changes.publish(counts(i))
  const sink = recorder()
  changes.subscribe('e-3', sink)
  changes.publish(counts(6))
  assert.deepEqual(sink.ids, ['e-4', 'e-5', 'e-6'])
  assert.deepEqual(sink.names, ['change', 'change', 'change'])
})

test('subscribe() with no id begins with what comes; with a foreign one it resets', () => {
  const { changes } = open()
  changes.publish(counts(1))
  for (const [id, names] of [
    [undefined, []],
    ['', []],
    ['other-1', ['reset']],
    ['e-2', ['reset']],
    ['e-', ['reset']],
    ['e-0', ['change']],
    ['e-x', ['reset']],
    ['e--1', ['reset']],
  ] as const) {
    const sink = recorder()
    changes.subscribe(id, sink)
    assert.deepEqual(sink.names, names, String(id))
  }
})

test('subscribe() resets whoever has missed more than the ring holds, or for too long', () => {
  const { changes, pass } = open()
  for (let i = 0; i <= changesMax; i++) {
    changes.publish(counts(i))
    if (i % changesPerSecondMax === changesPerSecondMax - 1) pass(1000)
  }
  const late = recorder()
  changes.subscribe('e-1', late)
  assert.deepEqual(late.names, ['reset'])
  const intime = recorder()
  changes.subscribe('e-2', intime)
  assert.equal(intime.ids.length, changesMax - 1)
  assert.equal(intime.ids[0], 'e-3')
  pass(changeKeptMs + 1)
  const old = recorder()
  changes.subscribe(`e-${changesMax}`, old)
  assert.deepEqual(old.names, ['reset'])
})

test('publish() tells a burst as one reset instead of each change', () => {
  const { changes, pass } = open()
  const sink = recorder()
  changes.subscribe(undefined, sink)
  for (let i = 0; i < changesPerSecondMax * 3; i++) changes.publish(counts(i))
  assert.equal(sink.names.length, changesPerSecondMax + 1)
  assert.equal(sink.names.at(-1), 'reset')
  pass(1000)
  changes.publish(counts(1))
  assert.equal(sink.names.at(-1), 'change')
})

test('a client that does not read is dropped at a bound, the others go on', () => {
  const { changes } = open()
  const slow = recorder()
  const quick = recorder()
  changes.subscribe(undefined, slow)
  changes.subscribe(undefined, quick)
  slow.unsent = unsentBytesMax + 1
  changes.publish(counts(1))
  changes.beat()
  assert.ok(slow.dropped)
  assert.deepEqual(slow.ids, [])
  assert.deepEqual(quick.ids, ['e-1'])
  assert.equal(changes.subscribers, 1)
})

test('wanted is true while somebody listens, and as long as they may come back', () => {
  const { changes, pass } = open()
  assert.equal(changes.wanted, false)
  const stop = changes.subscribe(undefined, recorder())
  pass(changeKeptMs * 2)
  assert.equal(changes.wanted, true)
  stop()
  pass(changeKeptMs - 1)
  assert.equal(changes.wanted, true)
  pass(1)
  assert.equal(changes.wanted, false)
})

function open() {
  let now = 1_000_000
  const changes = openChanges({ epoch: 'e', clock: () => now })
  return {
    changes,
    pass: (ms: number) => {
      now += ms
    },
  }
}

const counts = (eventsStored: number): Change => ({
  kind: 'counts',
  devicesOnline: 0,
  eventsStored,
})

function recorder() {
  const ids: string[] = []
  const names: string[] = []
  const sink: ChangeSink & { ids: string[]; names: string[]; unsent: number; dropped: boolean } = {
    ids,
    names,
    unsent: 0,
    dropped: false,
    write: (text) => {
      if (text.startsWith(':')) return
      ids.push(/^id: (.*)$/m.exec(text)?.[1] ?? '')
      names.push(/^event: (.*)$/m.exec(text)?.[1] ?? '')
    },
    unsentBytes: () => sink.unsent,
    drop: () => {
      sink.dropped = true
    },
  }
  return sink
}
