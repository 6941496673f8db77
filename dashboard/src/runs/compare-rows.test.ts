import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RunDetail } from '@edgeloop/protocol'
import { compareRuns } from './compare-rows.ts'
import { sampleRun } from './run.test-rows.ts'

const detail = (seed: number, recipe: RunDetail['recipe'], accuracy?: number): RunDetail => ({
  run: { ...sampleRun, seed },
  recipe,
  compile: false,
  before: null,
  log: [],
  files: [],
  checkpoint: null,
  evaluations:
    accuracy === undefined
      ? []
      : [
          {
            step: 1,
            at: sampleRun.createdAt,
            best: false,
            on: 'test' as const,
            figures: { accuracy },
          },
        ],
})

test('runs are compared by what differs, with the first as the base', () => {
  const groups = compareRuns([
    detail(1, { batch: 32, optimizer: { name: 'sgd' } }, 0.9),
    detail(2, { batch: 32, optimizer: { name: 'adamw' } }, 0.95),
    detail(2, {}),
  ])
  const rows = groups.flatMap((group) => group.rows)
  const row = (name: string) => rows.find((one) => one.name === name)
  assert.deepEqual(row('optimizer.name')?.values, ['"sgd"', '"adamw"', '–'])
  assert.equal(row('seed')?.differs, true)
  assert.equal(row('dataset')?.differs, false)
  assert.deepEqual(row('test: accuracy')?.values, ['0.9', '0.95', '–'])
  assert.deepEqual(row('test: accuracy')?.deltas, ['', '+0.05', ''])
})

test('runs that are the same differ in nothing', () => {
  const same = detail(1, { batch: 8, augment: [1, 2] }, 0.5)
  assert.ok(compareRuns([same, same]).every(({ rows }) => rows.every(({ differs }) => !differs)))
})
