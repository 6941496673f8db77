/** Drift from the box's pictures to the hub's word, in a few scenarios and hours; `npm run bench -- drift` runs all of them over days. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runScenario } from './drift-run.ts'
import { scenarios } from './scenarios.ts'

const seed = 41
/** Two hours from which is learnt, and one that is watched, by the middle of the day. */
const quiet = 100
const learnsFrom = 60

for (const name of [
  'lamp fails',
  'moved by 3 %',
  'far out of focus',
  'half is covered',
  'scores fall',
]) {
  test(`found within five minutes, and for what it is: ${name} (seed ${seed})`, () => {
    const scenario = scenarios.find((each) => each.name.startsWith(name))
    assert.ok(scenario?.drift)
    const run = runScenario({ ...scenario, hour: 12 }, seed, learnsFrom, quiet)
    assert.deepEqual(run.falseAlarms, [])
    assert.equal(run.said, scenario.drift.kind, run.why)
  })
}

for (const name of ['nothing but clouds', 'nothing but exposure that hunts']) {
  test(`nothing is said: ${name} (seed ${seed})`, () => {
    const scenario = scenarios.find((each) => each.name === name)
    assert.ok(scenario)
    const run = runScenario({ ...scenario, hour: 12 }, seed, learnsFrom, quiet + 60)
    assert.deepEqual(run.falseAlarms, [])
  })
}
