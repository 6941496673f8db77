import assert from 'node:assert/strict'
import { test } from 'node:test'
import { takeToken, tokenIn } from './session.ts'

test('takeToken() removes the token from the address and keeps the rest', () => {
  const replaced: unknown[] = []
  const history = { replaceState: (...args: unknown[]) => void replaced.push(args[2]) }
  const taken = (href: string) => takeToken({ href }, history)
  assert.equal(taken('http://localhost:1/events?kind=left#token=abc'), 'abc')
  assert.equal(taken('http://localhost:1/events?kind=left&token=abc'), 'abc')
  assert.equal(taken('http://localhost:1/events'), undefined)
  assert.equal(taken('http://localhost:1/events#x'), undefined)
  assert.deepEqual(replaced, ['/events?kind=left', '/events?kind=left'])
})

test('tokenIn() reads a whole link or the bare token', () => {
  assert.equal(tokenIn(' http://localhost:4180/#token=abc '), 'abc')
  assert.equal(tokenIn('abc'), 'abc')
  assert.equal(tokenIn('http://localhost:4180/'), undefined)
  assert.equal(tokenIn('two words'), undefined)
  assert.equal(tokenIn(''), undefined)
})
