import assert from 'node:assert/strict'
import { test } from 'node:test'
import { row } from './fleet-view.test-rows.ts'
import {
  arrange,
  columnsOf,
  countByHealth,
  countBySite,
  countMoved,
  readFleetView,
  withColumns,
} from './fleet-view.ts'

const rows = [
  row('c', { name: 'Line 4', cpuShare: 0.9 }),
  row('a', { name: 'Gate', health: 'offline', site: 'north', reason: 'Last seen an hour ago' }),
  row('b', { name: 'Dock', health: 'degraded', cpuShare: 0.2 }),
]

test('arrange() puts what needs somebody first and sorts by any column', () => {
  assert.deepEqual(arrange(rows, {}), ['a', 'b', 'c'])
  assert.deepEqual(arrange(rows, { sort: 'cpu', down: true }), ['c', 'a', 'b'])
  assert.deepEqual(arrange(rows, { sort: 'name' }), ['b', 'a', 'c'])
})

test('arrange() filters by health, site and every word of the search', () => {
  assert.deepEqual(arrange(rows, { health: 'degraded' }), ['b'])
  assert.deepEqual(arrange(rows, { site: 'north' }), ['a'])
  assert.deepEqual(arrange(rows, { q: 'HOUR gate' }), ['a'])
  assert.deepEqual(arrange(rows, { q: 'hour dock' }), [])
})

test('arrange() leaves out what has a word with a minus, and takes a lone minus as a word', () => {
  assert.deepEqual(arrange(rows, { q: '-dock' }), ['a', 'c'])
  assert.deepEqual(arrange(rows, { q: 'plant-1 -line' }), ['b'])
  assert.deepEqual(arrange(rows, { q: '-' }), ['b', 'c'])
})

test('columnsOf() and withColumns() agree, keep the usual order and drop what is unknown', () => {
  assert.deepEqual(columnsOf({ cols: 'cpu,site,colour' }), ['site', 'cpu'])
  assert.deepEqual(withColumns(['cpu', 'site']), { cols: 'site,cpu' })
  assert.deepEqual(withColumns(columnsOf({})), {})
  assert.deepEqual(readFleetView({ cols: 'nothing' }), { cols: '' })
  assert.deepEqual(columnsOf({ cols: '' }), [])
})

test('countBySite() counts every site, in order', () => {
  assert.deepEqual(countBySite(rows), [
    ['north', 1],
    ['plant-1', 2],
  ])
})

test('countByHealth() counts under the other filters', () => {
  assert.deepEqual(countByHealth(rows, { health: 'ok', site: 'plant-1' }), {
    ok: 1,
    degraded: 1,
    offline: 0,
    never: 0,
    retired: 0,
  })
})

test('countMoved() counts rows that came, went or moved', () => {
  assert.equal(countMoved(['a', 'b', 'c'], ['a', 'b', 'c']), 0)
  assert.equal(countMoved(['a', 'b'], ['b', 'a']), 2)
  assert.equal(countMoved(['a', 'b'], ['a']), 1)
  assert.equal(countMoved(['a'], ['a', 'z']), 1)
})

test('readFleetView() keeps what fits and drops the rest and the defaults', () => {
  assert.deepEqual(readFleetView({ q: 42, health: 'ok', sort: 'cpu', down: true }), {
    q: '42',
    health: 'ok',
    sort: 'cpu',
    down: true,
  })
  assert.deepEqual(
    readFleetView({ q: '', health: 'great', sort: 'health', down: 'yes', site: 7 }),
    {},
  )
})
