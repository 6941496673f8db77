/** A child that crashes, hangs, eats memory or is stopped: we live, and say what happened. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type ChildError, type ChildLimits, runInChild } from './child.ts'

const answering = fileURLToPath(new URL('child.ts', import.meta.url))

/** A program whose work is the given body; `order` and `tell` are in scope. */
async function program(t: TestContext, body: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-child-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'program.mjs')
  await writeFile(
    file,
    `import { answerOrder } from ${JSON.stringify(answering)}\nanswerOrder(async (order, tell) => { ${body} })\n`,
  )
  return file
}

async function run(
  t: TestContext,
  body: string,
  limits: ChildLimits = {},
  signal?: AbortSignal,
): Promise<unknown> {
  return await runInChild({
    program: await program(t, body),
    order: { word: 'hello' },
    what: 'compile "m.onnx"',
    doing: (last?: string) => (last === undefined ? 'starting' : `at ${last}`),
    limits,
    ...(signal && { signal }),
  })
}

test('a child gives its result, and tells how far it is', async (t) => {
  const heard: string[] = []
  const result = await runInChild({
    program: await program(t, `tell('one'); tell('two'); return order.word + '!'`),
    order: { word: 'hello' },
    what: 'greet',
    doing: () => '',
    onProgress: (word: string) => heard.push(word),
  })
  assert.equal(result, 'hello!')
  assert.deepEqual(heard, ['one', 'two'])
})

test('what the work throws is what we throw, with its way out', async (t) => {
  const body = `throw Object.assign(new Error('no such model'), { hint: 'give another' })`
  await assert.rejects(run(t, body), (error: ChildError) => {
    assert.equal(error.message, 'no such model')
    assert.equal(error.hint, 'give another')
    return true
  })
})

test('a crash in native code is told with what it was at', async (t) => {
  const crash = `tell('int8'); await new Promise((go) => setTimeout(go, 50)); process.kill(process.pid, 'SIGSEGV'); await new Promise(() => {})`
  await assert.rejects(run(t, crash), {
    name: 'ChildError',
    message: 'Cannot compile "m.onnx": its process ended with SIGSEGV while at int8',
  })
  await assert.rejects(run(t, `console.error('out of cheese'); process.exit(3)`), {
    message:
      'Cannot compile "m.onnx": its process ended with exit code 3 while starting ("out of cheese")',
  })
})

test('a child that blocks its thread for ever is killed, and the limit named', async (t) => {
  const hang = `tell('fp32'); while (true) {}`
  await assert.rejects(run(t, hang, { silenceMs: 1500 }), {
    message: /nothing happened for 1.5 s while at fp32$/,
  })
  const busy = `while (true) { tell('fp32'); await new Promise((go) => setTimeout(go, 20)) }`
  await assert.rejects(run(t, busy, { timeoutMs: 2000 }), /it took longer than 2 s while at fp32$/)
})

test('a child that takes too much memory is killed, and the limit named', {
  skip: process.platform !== 'linux' && 'memory is watched on Linux only',
}, async (t) => {
  const eat = `globalThis.kept = []; while (true) { kept.push(Buffer.alloc(8e6, 1)); await new Promise((go) => setTimeout(go, 5)) }`
  await assert.rejects(run(t, eat, { memoryBytesMax: 300 * 1024 ** 2 }), {
    message: /it took more than 300 MiB of memory while starting$/,
    hint: 'allow more with --memory-limit',
  })
})

test('an abort ends the child at once, also one that blocks', async (t) => {
  const stop = new AbortController()
  const running = run(t, `while (true) {}`, {}, stop.signal)
  setTimeout(() => stop.abort(new Error('Ctrl-C')), 300)
  await assert.rejects(running, /Ctrl-C/)
  await assert.rejects(run(t, '', {}, AbortSignal.abort(new Error('before'))), /before/)
})

test('a child is asked to come to an end, and says how far it came', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-child-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'program.mjs')
  await writeFile(
    file,
    `import { answerOrder, pauseSignal } from ${JSON.stringify(answering)}
const pause = pauseSignal()
answerOrder(async (order, tell) => {
  tell('working')
  // Something must be open for as long as it waits.
  const open = setInterval(() => {}, 1000)
  await new Promise((resolve) => pause.addEventListener('abort', resolve, { once: true }))
  clearInterval(open)
  return 'came to an end'
})
`,
  )
  const pause = new AbortController()
  const result = await runInChild({
    program: file,
    order: {},
    what: 'wait',
    doing: () => 'waiting',
    pause: pause.signal,
    limits: { timeoutMs: Number.POSITIVE_INFINITY },
    onProgress: () => pause.abort(),
  })
  assert.equal(result, 'came to an end')
})
