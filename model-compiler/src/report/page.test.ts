/** The report as a file: whole by itself, and nothing in it that a model's names could do harm with. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exampleReport } from './example.ts'
import { reportPage } from './page.ts'
import { ticks } from './svg.ts'

test('the page asks for nothing from elsewhere, runs nothing, and escapes every name', () => {
  const page = reportPage(exampleReport)
  assert.doesNotMatch(page, /<script|https?:|url\(|@import|<link|<iframe|javascript:/)
  assert.doesNotMatch(page, /<img|<b>nothing|<y>|<long_|<one>/)
  assert.doesNotMatch(page, /NaN|Infinity|undefined|null/)
  assert.equal(page.match(/<svg /g)?.length, 5)
  for (const { name } of exampleReport.candidates) assert(page.includes(name), name)
  assert(page.includes('fold-batch-norm 36'))
  assert(page.includes('Conv_1'))
})

test('what was not found out is left out, not drawn empty', () => {
  const [original] = exampleReport.candidates
  const bare = reportPage({
    ...exampleReport,
    chosen: 'original',
    candidates: [original!],
    tensors: [],
    unfused: [],
    passes: [],
    kept: [],
    operators: { before: [], after: [] },
  })
  assert.equal(bare.match(/<svg /g)?.length, 3)
  assert.doesNotMatch(bare, /NaN|Infinity|undefined|Stayed float|Error per tensor/)
})

test('ticks() are round, within the ends, and few', () => {
  assert.deepEqual(ticks(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1])
  assert.deepEqual(ticks(0.93, 1.72), [1, 1.2, 1.4, 1.6])
  assert.deepEqual(ticks(-3, 61), [0, 20, 40, 60])
  assert.deepEqual(ticks(5, 5), [5])
})
