import assert from 'node:assert/strict'
import { test } from 'node:test'
import { labelKeyOf, labelKeyTable, type Pressed, stepAt } from './label-keys.ts'

const plain: Pressed = {
  key: '',
  code: '',
  shiftKey: false,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  altGraph: false,
  repeat: false,
}

/** A press of a key of the table on a US keyboard. */
function pressOf(given: string): Pressed {
  const parts = given === '+' ? ['+'] : given.split('+')
  const name = parts.at(-1) ?? ''
  const shiftKey = parts.includes('Shift') || '+<>?'.includes(name)
  const codes: Record<string, string> = { '=': 'Equal', '+': 'Equal', '-': 'Minus' }
  const code = /^\d$/.test(name)
    ? `Digit${name}`
    : /^[A-Z]$/.test(name)
      ? `Key${name}`
      : (codes[name] ?? name)
  const key = name === 'Space' ? ' ' : /^[A-Z]$/.test(name) && !shiftKey ? name.toLowerCase() : name
  return { ...plain, key, code, shiftKey, ctrlKey: parts.includes('Ctrl') }
}

test('every key of the table means what its row says, and no key is in two rows', () => {
  const seen = new Set<string>()
  for (const { act, keys } of labelKeyTable) {
    for (const key of keys) {
      assert.deepEqual(labelKeyOf(pressOf(key)), { act, key }, key)
      assert.ok(!seen.has(key), key)
      seen.add(key)
    }
  }
})

test('on a Mac, Command stands for Ctrl', () => {
  const press = { ...plain, key: 'z', code: 'KeyZ', metaKey: true }
  assert.equal(labelKeyOf(press)?.act, 'undo')
  assert.equal(labelKeyOf({ ...press, key: 'Z', shiftKey: true })?.act, 'redo')
  assert.equal(
    labelKeyOf({ ...press, key: 's', code: 'KeyS' }),
    undefined,
    'saving a page is left alone',
  )
})

test('digits are digits on AZERTY, its signs are signs, and letters follow the layout', () => {
  for (const [n, key] of ['&', 'é', '"', "'", '(', '-', 'è', '_', 'ç', 'à'].entries()) {
    const digit = String((n + 1) % 10)
    const code = `Digit${digit}`
    assert.deepEqual(labelKeyOf({ ...plain, key, code }), { act: 'setClass', key: digit }, key)
    const typed = { ...plain, key: digit, code, shiftKey: true }
    assert.deepEqual(labelKeyOf(typed), { act: 'setClass', key: digit }, `Shift ${key}`)
  }
  const bracket = { ...plain, key: '[', code: 'Digit5' }
  assert.equal(labelKeyOf({ ...bracket, altGraph: true })?.act, 'lower', 'Linux')
  assert.equal(labelKeyOf({ ...bracket, altKey: true, ctrlKey: true })?.act, 'lower', 'Windows')
  assert.equal(labelKeyOf({ ...bracket, altKey: true, shiftKey: true })?.act, 'lower', 'Mac')
  assert.equal(labelKeyOf({ ...plain, key: '/', code: 'Period', shiftKey: true })?.act, 'findClass')
  assert.equal(labelKeyOf({ ...plain, key: 'z', code: 'KeyW' })?.act, 'zoomToBox')
  assert.equal(labelKeyOf({ ...plain, key: '4', code: 'Numpad4' })?.act, 'setClass')
})

test('what decides over a frame does not repeat while its key is held', () => {
  for (const key of ['Space', 'X', 'B', 'N', 'S', 'T', 'R']) {
    assert.equal(labelKeyOf({ ...pressOf(key), repeat: true }), undefined, key)
  }
  assert.equal(labelKeyOf({ ...pressOf('F'), repeat: true })?.act, 'next')
})

test('a held arrow speeds up', () => {
  assert.deepEqual([0, 7, 8, 20].map(stepAt), [1, 1, 4, 12])
})
