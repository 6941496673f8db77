/** verify() has no quarrel with models that are good: the real ones, and what ONNX's own suite holds. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { findFaults, opsetMax, opsetMin } from '../../model-compiler/src/graph/verify.ts'
import { readModel } from '../../model-compiler/src/onnx/read.ts'
import { material, needs } from '../require.ts'
import { readNodeSuite } from './node-suite.ts'

test('no real model has a fault', needs('material'), () => {
  const files = globSync('*.onnx', { cwd: `${material}/models` })
  assert.ok(files.length >= 9)
  for (const file of files) {
    const { faults } = findFaults(readModel(readFileSync(`${material}/models/${file}`)))
    assert.deepEqual(faults, [], file)
  }
})

test('no case of the node suite has a fault but its operator set', needs('material'), async () => {
  let old = 0
  for (const { name, model } of await readNodeSuite()) {
    const read = readModel(model, { name })
    assert.deepEqual(findFaults(read, { opsets: [1, 30] }).faults, [], name)
    const version = Number(
      read.opsetImport.find(({ domain }) => domain === '')?.version ?? opsetMin,
    )
    const outside = version < opsetMin || version > opsetMax
    old += Number(outside)
    const { faults } = findFaults(read)
    assert.equal(faults.length, Number(outside), name)
  }
  assert.ok(old > 100, `${old} cases are of an operator set outside`)
})
