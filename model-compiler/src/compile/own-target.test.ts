/** The machine, as it describes itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ownTarget, targetOf } from './own-target.ts'

test('a processor with VNNI, one without, and what is no x86', () => {
  const cpu = (flags: string) =>
    `processor\t: 0\nmodel name\t: X\nflags\t\t: fpu ${flags} rep_good\n`
  assert.equal(targetOf('x64', cpu('avx2 avx512_vnni')), 'linux-x64-vnni')
  assert.equal(targetOf('x64', cpu('avx2 avx_vnni')), 'linux-x64-vnni')
  assert.equal(targetOf('x64', cpu('avx2 my_avx_vnni_not')), 'linux-x64')
  assert.equal(targetOf('x64', ''), 'linux-x64')
  assert.equal(targetOf('arm64', ''), 'linux-arm64')
  assert.match(ownTarget(), /^linux-/)
})
