import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsIn, settingsText } from './settings-text.ts'

test('lines are settings, keys with dots stand in each other', () => {
  const text = 'epochs=5\r\n# slower\noptimizer.learningRate = 0.01\noptimizer.name=sgd\n\n'
  assert.deepEqual(settingsIn(text), {
    settings: { epochs: 5, optimizer: { learningRate: 0.01, name: 'sgd' } },
  })
  assert.deepEqual(settingsIn(''), { settings: {} })
  assert.deepEqual(settingsIn('trainable=blocks:3\nsteps=null'), {
    settings: { trainable: 'blocks:3', steps: null },
  })
})

test('what is no setting is said, and nothing can reach out of the recipe', () => {
  assert.ok('problem' in settingsIn('epochs'))
  assert.ok('problem' in settingsIn('=5'))
  assert.ok('problem' in settingsIn('__proto__.polluted=1'))
  assert.equal(({} as { polluted?: unknown }).polluted, undefined)
})

test('settings of one depth are written as they are read', () => {
  const settings = { flip: 0.5, scale: [0.7, 1.3], order: 'bgr' }
  assert.equal(settingsText(settings), 'flip=0.5\nscale=[0.7,1.3]\norder=bgr')
  assert.deepEqual(settingsIn(settingsText(settings)), { settings })
})
