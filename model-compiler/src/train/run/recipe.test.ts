import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partOfSetting, recipeDefault, recipeOf } from './recipe.ts'

test('recipeOf() lays parts over the defaults, the later over the earlier', () => {
  const recipe = recipeOf(
    recipeDefault,
    { batch: 8, optimizer: { name: 'sgd', learningRate: 0.1 } },
    { optimizer: { learningRate: 0.2 } },
  )
  assert.equal(recipe.batch, 8)
  assert.equal(recipe.optimizer.name, 'sgd')
  assert.equal(recipe.optimizer.learningRate, 0.2)
  assert.equal(recipe.optimizer.beta2, 0.999)
  assert.equal(recipeDefault.batch, 64)
})

test('recipeOf() names the nearest key of an unknown one, at any depth', () => {
  const refusal = (part: unknown): { message: string; hint?: string } => {
    try {
      recipeOf(recipeDefault, part)
    } catch (error) {
      return error as Error & { hint?: string }
    }
    throw new Error('it was taken')
  }
  assert.match(refusal({ batches: 4 }).message, /no key "batches"/)
  assert.equal(refusal({ batches: 4 }).hint, 'did you mean "batch"?')
  assert.equal(refusal({ optimizer: { learningrate: 1 } }).hint, 'did you mean "learningRate"?')
  assert.match(refusal({ optimizer: { learningrate: 1 } }).message, /"optimizer" has no key/)
  assert.match(refusal({ batch: 0 }).message, /batch must be >= 1, it is 0/)
  assert.match(refusal({ batch: 1.5 }).message, /batch must be integer/)
  assert.match(refusal({ optimizer: 3 }).message, /optimizer is 3, not an object/)
  assert.match(refusal([]).message, /not an object/)
  assert.equal(refusal({ optimizer: { name: 'adamm' } }).hint, 'it is one of sgd, adam, adamw')
  assert.match(refusal({ trainable: 'blocks:0' }).message, /trainable/)
})

test('partOfSetting() reads KEY=VALUE, values as JSON where they are it', () => {
  assert.deepEqual(partOfSetting('optimizer.learningRate=0.01'), {
    optimizer: { learningRate: 0.01 },
  })
  assert.deepEqual(partOfSetting('trainable=blocks:3'), { trainable: 'blocks:3' })
  assert.deepEqual(partOfSetting('steps=null'), { steps: null })
  assert.throws(() => partOfSetting('batch'), /no KEY=VALUE/)
  assert.throws(() => recipeOf(recipeDefault, partOfSetting('__proto__.x=1')), /no key "__proto__"/)
})
