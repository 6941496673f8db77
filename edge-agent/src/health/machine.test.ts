import assert from 'node:assert/strict'
import { test } from 'node:test'
import { targetsOf } from './machine.ts'

const cpuInfo = (flags: string) =>
  `processor\t: 0\nmodel name\t: a CPU\nflags\t\t: fpu sse2 avx2 ${flags}\nbugs\t\t: avx512_vnni_bug\n\n`.repeat(
    2,
  )

test('targetsOf() tells boxes with VNNI from those without, the most particular kind first', () => {
  const withVnni = ['linux-x64-vnni', 'linux-x64']
  assert.deepEqual(targetsOf('linux', 'x64', cpuInfo('avx512_vnni')), withVnni)
  assert.deepEqual(targetsOf('linux', 'x64', cpuInfo('avx_vnni')), withVnni)
  assert.deepEqual(targetsOf('linux', 'x64', cpuInfo('avx512f')), ['linux-x64'])
  assert.deepEqual(targetsOf('linux', 'x64', ''), ['linux-x64'])
  assert.deepEqual(targetsOf('linux', 'arm64', 'Features\t: fp asimd'), ['linux-arm64'])
  assert.deepEqual(targetsOf('linux', 'arm', ''), [])
  assert.deepEqual(targetsOf('darwin', 'arm64', ''), [])
})
