import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Receiver, ReceiverRow } from '@edgeloop/protocol'
import {
  draftOfReceiver,
  isPlainHttp,
  isWhole,
  losesPassword,
  newReceiver,
  receiverRequestOf,
} from './receiver-draft.ts'

const rowOf = (receiver: Receiver): ReceiverRow => ({
  name: 'guard',
  receiver,
  hasPassword: receiver.kind !== 'webhook',
  by: 'ada',
  createdAt: '2026-11-22T00:00:00.000Z',
  changedAt: '2026-11-22T00:00:00.000Z',
  earlierSecretUntil: null,
  failures: 0,
  pausedUntil: null,
  lastOkAt: null,
  lastError: '',
  waiting: 0,
  dead: 0,
})

const receivers: readonly Receiver[] = [
  { kind: 'webhook', url: 'https://hooks.example.com/a', batch: true, allow: ['10.0.0.0/8'] },
  { kind: 'webhook', url: 'http://10.0.0.4/', plainHttp: true, allow: ['10.0.0.4'], ca: 'PEM' },
  { kind: 'mqtt', url: 'mqtts://broker:8883', topic: 'alerts/{device}', retain: true },
  {
    kind: 'mail',
    to: ['a@example.com', 'b@example.com'],
    from: 'hub@example.com',
    host: 'smtp.example.com',
    port: 587,
    security: 'starttls',
    username: 'hub',
  },
]

test('a receiver that is edited and left as it is stays the same', () => {
  for (const receiver of receivers) {
    const draft = draftOfReceiver(rowOf(receiver))
    assert.deepEqual(receiverRequestOf(draft), { receiver })
    assert.ok(isWhole(draft))
  }
})

test('what a kind needs has to be there', () => {
  assert.ok(!isWhole(newReceiver))
  assert.ok(isWhole({ ...newReceiver, name: 'a', url: 'https://example.com' }))
  assert.ok(!isWhole({ ...newReceiver, name: 'a', kind: 'mqtt', url: 'mqtts://example.com' }))
  const mail = { ...newReceiver, kind: 'mail', name: 'a', to: 'a@b', from: 'c@d' } as const
  assert.ok(!isWhole(mail))
  assert.ok(isWhole({ ...mail, host: 'smtp.example.com' }))
  assert.ok(!isWhole({ ...mail, host: 'smtp.example.com', port: '' }))
})

test('http: is sent in the clear, and only webhooks are', () => {
  assert.ok(isPlainHttp({ kind: 'webhook', url: ' HTTP://example.com' }))
  assert.ok(!isPlainHttp({ kind: 'webhook', url: 'https://example.com' }))
  assert.ok(!isPlainHttp({ kind: 'mqtt', url: 'http://example.com' }))
})

test('a password goes with its place, unless another is given', () => {
  const row = rowOf({ kind: 'mqtt', url: 'mqtts://broker:8883', topic: 'a' })
  const draft = draftOfReceiver(row)
  assert.ok(!losesPassword(draft, row))
  assert.ok(losesPassword({ ...draft, url: 'mqtts://other:8883' }, row))
  assert.ok(!losesPassword({ ...draft, url: 'mqtts://other:8883', password: 'new' }, row))
  assert.ok(!losesPassword({ ...draft, url: 'x' }, undefined))
  assert.equal(receiverRequestOf({ ...draft, password: 'new' }).password, 'new')
})
