import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { cpuBetween, measureProcesses } from './processes.ts'

const linux = existsSync('/proc/self/smaps_rollup') ? {} : { skip: 'no /proc' }

test('measureProcesses() counts descendants and their CPU time', linux, async (t) => {
  const work =
    'const end = Date.now() + 300; while (Date.now() < end); console.log(1); setInterval(() => {}, 1000)'
  const child = spawn(process.execPath, ['-e', work], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const alone = await measureProcesses([child.pid!])
  const before = await measureProcesses([process.pid])
  await once(child.stdout, 'data')
  const after = await measureProcesses([process.pid])
  assert.ok(after.cpuMs.has(child.pid!), 'the child was found')
  assert.ok(cpuBetween(before, after) >= 100, `only ${cpuBetween(before, after)} ms of CPU`)
  assert.ok(after.memoryBytes > alone.memoryBytes)
  assert.ok(after.memoryBytes > 20e6 && after.memoryBytes < 1e9, `${after.memoryBytes} bytes`)
})

test('measureProcesses() of what has gone still knows this process', async () => {
  const { memoryBytes, cpuMs } = await measureProcesses([2 ** 22 + 1])
  assert.ok(memoryBytes > 1e6)
  assert.deepEqual([...cpuMs.keys()], [process.pid])
})
