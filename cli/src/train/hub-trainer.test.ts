/** What a hub's trainer refuses before a run is queued. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Failure } from '../failure.ts'
import { openHubTrainer } from './hub-trainer.ts'

const said = (ask: () => void): string => {
  try {
    ask()
  } catch (error) {
    const { message, hint } = error as Failure
    return `${message}; ${hint ?? ''}`
  }
  return ''
}

test('a teacher wants a share of the loss, and an external trainer has to be there and does not compress', () => {
  const alone = openHubTrainer()
  const beside = openHubTrainer({ external: { kind: 'command', command: ['train'] } })
  assert.deepEqual([alone.external, beside.external], ['', 'command'])
  const asked = { parent: 'new:lenet', recipe: {} }
  assert.equal(
    said(() => alone.check(asked)),
    '',
  )
  assert.match(
    said(() => alone.check({ ...asked, teacher: true })),
    /compress\.distill is 0; .*compress\.distill=0\.5/,
  )
  const distilled = { ...asked, recipe: { compress: { distill: 0.5 } } }
  assert.equal(
    said(() => alone.check({ ...distilled, teacher: true })),
    '',
  )
  assert.match(
    said(() => alone.check({ ...asked, external: true })),
    /this hub was started without one; .*--external-trainer/,
  )
  assert.equal(
    said(() => beside.check({ ...asked, external: true })),
    '',
  )
  assert.match(
    said(() => beside.check({ ...distilled, external: true })),
    /Cannot compress with/,
  )
  assert.match(
    said(() => beside.check({ ...asked, external: true, replay: true })),
    /Cannot replay/,
  )
})
