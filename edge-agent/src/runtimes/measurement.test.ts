/** Measuring on this box for real; what hangs, crashes or computes something else is left out. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { node, tensor, value } from '@edgeloop/model-compiler'
import { modelBytes, plusOne, put } from '../../../test/detection/tiny-models.ts'
import { startOipServer } from '../../../test/oip/oip-server.ts'
import { settleRuntime, settleRuntimes } from '../models/settle-runtimes.ts'
import { type MeasureNews, measureRuntimes } from './measure.ts'
import { fastestOf, type MeasurementOptions, measurementOf } from './measurement.ts'
import { oipRuntime } from './oip.ts'
import { ortRuntime } from './ort.ts'

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-measure-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Options of a measurement in a folder of its own. */
async function optionsFor(t: TestContext, more: Partial<MeasurementOptions> = {}) {
  const folder = await folderFor(t)
  return {
    file: await put(folder, 'm.onnx', plusOne([1, 3, 'height', 'width'])),
    cacheFolder: join(folder, 'cache'),
    limits: { budgetMs: 50 },
    now: Date.now,
    signal: t.signal,
    ...more,
  }
}

test('measureRuntimes() measures all in turn, and refuses what computes something else', async (t) => {
  const folder = await folderFor(t)
  const file = await put(folder, 'm.onnx', plusOne([1, 4]))
  await using server = await startOipServer()
  await server.put('same', plusOne([1, 4]))
  const two = tensor('two', [1], Float32Array.of(64))
  const other = modelBytes({
    nodes: [node('Add', ['x', 'two'], ['y'])],
    inputs: [value('x', 'float32', [1, 4])],
    outputs: [value('y', 'float32', [1, 4])],
    initializers: [two],
  })
  await server.put('other', other)
  const news: MeasureNews[] = []
  await measureRuntimes({
    file,
    runtimes: [
      ortRuntime,
      oipRuntime(`oip:${server.url}/same`),
      oipRuntime(`oip:${server.url}/other`),
    ],
    sides: {},
    budgetMs: 100,
    tell: (told) => news.push(told),
    monotonicMs: () => performance.now(),
  })
  const measured = news.filter(({ kind }) => kind === 'measured')
  assert.deepEqual(
    measured.map((told) => Reflect.get(told, 'runtime')),
    ['ort:cpu', `oip:${server.url}/same`],
  )
  for (const told of measured) assert(Reflect.get(told, 'medianMs') > 0)
  const refused = news.find((told) => told.kind === 'refused')
  assert.equal(refused?.runtime, `oip:${server.url}/other`)
  assert.match(refused?.reason ?? '', /^It computes something else: "y" differs by 63\.0 of \d+/)
  const running = news
    .filter(({ kind }) => kind === 'running')
    .map((told) => Reflect.get(told, 'runtime'))
  assert.deepEqual(running.slice(0, 4), [...running.slice(0, 2), ...running.slice(0, 2)])
  assert.equal(news.at(-1)?.kind, 'done')
})

test('measurementOf() measures this box once, and again when the model is another one', async (t) => {
  const options = await optionsFor(t)
  assert.equal(await measurementOf({ ...options, mode: 'known' }), undefined)
  const first = await measurementOf(options)
  const cpu = first?.runtimes.find(({ runtime }) => runtime === 'ort:cpu')
  assert(cpu?.medianMs !== undefined && cpu.medianMs >= 0 && cpu.reason === undefined)
  for (const { medianMs, reason } of first?.runtimes ?? []) {
    assert(medianMs !== undefined || reason !== undefined)
  }
  assert.deepEqual(await measurementOf(options), first)
  assert.deepEqual(await measurementOf({ ...options, mode: 'known' }), first)
  await put(join(options.file, '..'), 'm.onnx', plusOne([1, 2]))
  const second = await measurementOf(options)
  assert.notEqual(second?.key, first?.key)
  assert.equal((await readdir(join(options.cacheFolder, 'runtimes'))).length, 2)
})

test('measurementOf() measures anew over a file that is damaged', async (t) => {
  const options = await optionsFor(t)
  await measurementOf(options)
  const folder = join(options.cacheFolder, 'runtimes')
  const [name = ''] = await readdir(folder)
  for (const text of ['{"key"', '{}', '']) {
    await writeFile(join(folder, name), text)
    assert((await measurementOf(options))?.runtimes.some(({ medianMs }) => medianMs !== undefined))
  }
})

/** A measuring process with a driver that does as it is told. */
const unruly = `
  const send = (m) => process.send(m)
  process.once('message', ({ without }) => {
    const has = (name) => !without.includes(name)
    send({ kind: 'opening', runtime: 'ort:cpu' })
    if (has('ort:webgpu')) {
      send({ kind: 'opening', runtime: 'ort:webgpu' })
      if (process.env.EDGELOOP_TEST_DRIVER !== 'hangs') return setTimeout(() => process.kill(process.pid, 'SIGSEGV'), 20)
      for (;;);
    }
    if (has('ort:cuda')) {
      send({ kind: 'opening', runtime: 'ort:cuda' })
      return setTimeout(() => process.exit(3), 20)
    }
    send({ kind: 'measured', runtime: 'ort:cpu', medianMs: 5 })
    send({ kind: 'done' })
    process.disconnect()
  })`

test('measurementOf() says who crashed, and measures the others', async (t) => {
  const options = await optionsFor(t)
  const module = join(options.file, '..', 'unruly.mjs')
  await writeFile(module, unruly)
  const measurement = await measurementOf({ ...options, module })
  assert.deepEqual(measurement?.runtimes, [
    { runtime: 'ort:cpu', medianMs: 5 },
    { runtime: 'ort:webgpu', reason: 'it ended its process with SIGSEGV' },
    { runtime: 'ort:cuda', reason: 'it ended its process with exit code 3' },
  ])
})

test('measurementOf() ends a driver that hangs', async (t) => {
  process.env.EDGELOOP_TEST_DRIVER = 'hangs'
  t.after(() => delete process.env.EDGELOOP_TEST_DRIVER)
  const options = await optionsFor(t, { limits: { silenceMs: 1_500 } })
  const module = join(options.file, '..', 'unruly.mjs')
  await writeFile(module, unruly)
  const measurement = await measurementOf({ ...options, module })
  assert.deepEqual(measurement?.runtimes[1], {
    runtime: 'ort:webgpu',
    reason: 'it hung for 1500 ms',
  })
})

test('measurementOf() gives up on a process that ends without a word', async (t) => {
  const options = await optionsFor(t)
  const module = join(options.file, '..', 'mute.mjs')
  await writeFile(module, 'process.exit(1)')
  assert.deepEqual((await measurementOf({ ...options, module }))?.runtimes, [
    { runtime: 'ort:cpu', reason: 'the measuring process ended early' },
  ])
})

test('measurementOf() stops when it is told to, and leaves nothing', async (t) => {
  const abort = new AbortController()
  const options = await optionsFor(t, { signal: abort.signal })
  const module = join(options.file, '..', 'still.mjs')
  await writeFile(module, 'process.on("message", () => {}); setInterval(() => {}, 1000)')
  const measuring = measurementOf({ ...options, module })
  setTimeout(() => abort.abort(new Error('enough')), 200)
  await assert.rejects(measuring, { message: 'enough' })
  await assert.rejects(readdir(join(options.cacheFolder, 'runtimes')), { code: 'ENOENT' })
})

test('fastestOf() leaves the CPU only for what is clearly faster and does compute', () => {
  const cpu = { runtime: 'ort:cpu', medianMs: 10 }
  const pick = (...others: { runtime: string; medianMs?: number; reason?: string }[]) =>
    fastestOf([...others, cpu])
  assert.equal(pick(), 'ort:cpu')
  assert.equal(pick({ runtime: 'ort:webgpu', medianMs: 9.5 }), 'ort:cpu')
  assert.equal(pick({ runtime: 'ort:webgpu', medianMs: 5 }), 'ort:webgpu')
  assert.equal(
    pick({ runtime: 'ort:webgpu', medianMs: 5 }, { runtime: 'ort:cuda', medianMs: 2 }),
    'ort:cuda',
  )
  assert.equal(pick({ runtime: 'ort:cuda', medianMs: 2, reason: 'crashed' }), 'ort:cpu')
  assert.equal(fastestOf([]), 'ort:cpu')
  assert.equal(fastestOf([{ runtime: 'ort:cpu', reason: 'no model' }]), 'ort:cpu')
})

test('settleRuntime() turns auto into what was measured, and leaves a stated wish alone', async (t) => {
  const { file, cacheFolder, signal } = await optionsFor(t)
  const module = join(file, '..', 'fast.mjs')
  await writeFile(
    module,
    `process.once('message', () => {
      process.send({ kind: 'measured', runtime: 'ort:cpu', medianMs: 9 })
      process.send({ kind: 'measured', runtime: 'ort:cuda', medianMs: 1, placedShare: 0.75 })
      process.send({ kind: 'done' })
      process.disconnect()
    })`,
  )
  const warnings: string[] = []
  const log = { info: () => {}, warn: (text: string) => void warnings.push(text) }
  const options = { cacheFolder, module, signal, now: () => 0, log }
  const source = { name: 'm', file }
  assert.deepEqual(await settleRuntime(source, options), {
    source: { ...source, runtime: 'ort:cuda', fallback: 'ort:cpu' },
    measured: {
      at: '1970-01-01T00:00:00.000Z',
      runtimes: [
        { runtime: 'ort:cpu', medianMs: 9 },
        { runtime: 'ort:cuda', medianMs: 1, placedShare: 0.75 },
      ],
    },
  })
  const stated = { ...source, runtime: 'ort:webgpu' }
  assert.deepEqual(await settleRuntime(stated, options), { source: stated })
  const gone = { name: 'm', file: `${file}.gone` }
  assert.deepEqual(await settleRuntime(gone, options), { source: { ...gone, runtime: 'ort:cpu' } })
  assert.match(warnings.join(), /^Cannot measure runtimes of model "m": .* there is no such file$/)
})

test('settleRuntimes() does not hold up the start for ever: the rest is measured next time', async (t) => {
  const { file, cacheFolder, signal } = await optionsFor(t)
  const log = { info: () => {}, warn: (text: string) => assert.fail(text) }
  const options = { cacheFolder, signal, now: Date.now, log }
  const sources = [{ name: 'm', file }]
  assert.deepEqual(await settleRuntimes(sources, options, 0), [
    { source: { name: 'm', file, runtime: 'ort:cpu' } },
  ])
  const [measured] = await settleRuntimes(sources, options)
  assert.ok(measured?.measured)
  assert.deepEqual(await settleRuntimes(sources, options, 0), [measured])
})
