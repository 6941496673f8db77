import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'

test('endWithParent() ends a process whose main thread hangs when its parent was killed', async (t) => {
  const door = JSON.stringify(new URL('./end-group.ts', import.meta.url).href)
  const worker = `import(${door}).then(({ endWithParent }) => { endWithParent(); setInterval(() => {}, 1000) })`
  const hanging = `
    new (require('node:worker_threads').Worker)(${JSON.stringify(worker)}, { eval: true })
    setTimeout(() => { console.log(process.pid); while (true); }, 300)`
  // The parent gives its standard output on: it stays open as long as the hanging process lives.
  const parent = spawn(
    process.execPath,
    [
      '-e',
      `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(hanging)}],
        { detached: true, stdio: ['ignore', 'inherit', 'ignore'] })`,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  const closed = once(parent.stdout, 'close')
  const [pid] = await once(parent.stdout, 'data')
  t.after(() => {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // It has ended, as it should.
    }
  })
  parent.stdout.resume()
  const killedMs = performance.now()
  parent.kill('SIGKILL')
  await closed
  assert.ok(performance.now() - killedMs < 9000)
})
