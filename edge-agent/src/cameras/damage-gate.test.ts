import assert from 'node:assert/strict'
import { test } from 'node:test'
import { damageGate, type PictureState, skipMaxMs } from './damage-gate.ts'

const shown = (states: PictureState[], stepMs = 40): string => {
  const isShown = damageGate()
  return states.map((state, n) => (isShown(state, n * stepMs) ? 'x' : '-')).join('')
}

test('damageGate() shows whole pictures', () => {
  assert.equal(shown(['whole', 'whole key', 'whole']), 'xxx')
})

test('damageGate() hides a damaged picture and all up to the next whole key frame', () => {
  assert.equal(shown(['whole key', 'damaged', 'whole', 'damaged', 'whole key', 'whole']), 'x---xx')
})

test('damageGate() shows damaged pictures where no whole key frame comes for long', () => {
  const states: PictureState[] = ['damaged', 'whole', 'whole', 'damaged', 'damaged', 'whole key']
  assert.equal(shown(states, skipMaxMs / 2 + 1), '--xxxx')
})
