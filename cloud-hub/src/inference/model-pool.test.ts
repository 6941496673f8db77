import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ModelVersion } from '@edgeloop/protocol'
import { OipRefusal } from '@edgeloop/protocol/oip'
import { type InferenceEngine, ModelFault } from './engine.ts'
import { modelKey, openModelPool, type PoolLimits } from './model-pool.ts'

const version = (name: string, digest = name): ModelVersion => ({
  name,
  version: 1,
  layout: 'yolox',
  labels: ['a'],
  description: '',
  note: '',
  digest,
  sizeBytes: 1,
  champion: true,
  standing: '',
  lineage: null,
  by: 'ada',
  createdAt: '',
  inspection: {
    inputs: [],
    outputs: [],
    opset: 17,
    parameters: 0,
    macs: null,
    operators: {},
    warnings: [],
  },
})
const options = { scoreMin: 0.1, nmsIou: 0.6, maxDetections: 100 }

/** A pool over models that answer when they may, in this process. */
async function openPool(t: TestContext, limits: Partial<PoolLimits> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-pool-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const open = new Set<string>()
  const said: string[] = []
  let gate = Promise.resolve()
  let fault: ModelFault | undefined
  const deaths = new Map<string, () => void>()
  const engine: InferenceEngine = {
    open: async ({ name }) => {
      said.push(`open ${name}`)
      if (fault) throw fault
      open.add(name)
      const ended = Promise.withResolvers<void>()
      const end = (): void => {
        open.delete(name)
        ended.resolve()
      }
      deaths.set(name, end)
      const act = async (what: string) => {
        said.push(`${what} ${name}`)
        await gate
        said.push(`done ${name}`)
      }
      return {
        signature: { inputs: [], outputs: [] },
        infer: async () => {
          await act('infer')
          return {}
        },
        look: async () => {
          await act('look')
          return { width: 1, height: 1 }
        },
        ended: ended.promise,
        [Symbol.asyncDispose]: async () => end(),
      }
    },
  }
  let now = 0
  const pool = openModelPool({
    engine,
    folder,
    limits,
    clock: () => now,
    models: { file: async () => new Uint8Array(1) },
  })
  t.after(() => pool[Symbol.asyncDispose]())
  return {
    pool,
    open,
    said,
    folder,
    die: (name: string) => deaths.get(`${name}/1`)?.(),
    refuse: (reason: string | undefined) => {
      fault = reason === undefined ? undefined : new ModelFault(reason, true)
    },
    pass: (ms: number) => {
      now += ms
    },
    hold: () => {
      const held = Promise.withResolvers<void>()
      gate = held.promise
      return held.resolve
    },
  }
}

const refusal = (status: number, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof OipRefusal)
  assert.equal(error.statusCode, status)
  assert.match(error.message, text)
  return true
}

test('modelKey() tells what says something else apart, and nothing else', () => {
  const [one] = [version('a')]
  assert.equal(modelKey(one), modelKey({ ...one, note: 'again', version: 7 }))
  for (const other of [
    { digest: 'b' },
    { labels: ['b'] },
    { layout: 'nanodet' },
    { description: 'x' },
  ]) {
    assert.notEqual(modelKey(one), modelKey({ ...one, ...other }))
  }
})

test('the model that was not used for longest gives way; files are there only while one is opened', async (t) => {
  const { pool, open, said, folder, pass } = await openPool(t, { modelsMax: 2 })
  for (const name of ['a', 'b', 'a', 'c']) {
    pass(1)
    await pool.infer(version(name), {})
  }
  assert.deepEqual([...open].sort(), ['a/1', 'c/1'])
  assert.deepEqual(
    said.filter((word) => word.startsWith('open')),
    ['open a/1', 'open b/1', 'open c/1'],
  )
  assert.deepEqual(await readdir(folder), [])
})

test('requests of one model come one after the other, and only so many wait', async (t) => {
  const { pool, said, hold } = await openPool(t, { waitingMax: 2, modelsMax: 1 })
  await pool.signatureOf(version('a'))
  const release = hold()
  const both = [pool.infer(version('a'), {}), pool.infer(version('a'), {})]
  await assert.rejects(pool.infer(version('a'), {}), (error) => {
    assert.equal((error as OipRefusal).retryAfterS, 1)
    return refusal(503, /2 wait already/)(error)
  })
  release()
  await Promise.all(both)
  assert.deepEqual(said, ['open a/1', 'infer a/1', 'done a/1', 'infer a/1', 'done a/1'])
})

test('while all models that may be open are at work a request is refused, and a batch waits', async (t) => {
  const { pool, hold, said } = await openPool(t, { modelsMax: 1 })
  await pool.signatureOf(version('a'))
  const release = hold()
  const busy = pool.infer(version('a'), {})
  await assert.rejects(pool.infer(version('b'), {}), refusal(503, /1 other models are at work/))
  const gone = new AbortController()
  const look = (signal: AbortSignal) => pool.look(version('b'), new Uint8Array(1), options, signal)
  const left = look(gone.signal)
  const waits = look(new AbortController().signal)
  gone.abort(new Error('cancelled'))
  await assert.rejects(left, /cancelled/)
  assert.equal(said.includes('open b/1'), false)
  release()
  await busy
  assert.deepEqual(await waits, { width: 1, height: 1 })
})

test('an answer that does not come in time is 504, and whoever gave up is passed over', async (t) => {
  const { pool, hold, said } = await openPool(t, { inferTimeoutMs: 30 })
  await pool.signatureOf(version('a'))
  const release = hold()
  const first = pool.infer(version('a'), {})
  const second = pool.infer(version('a'), {})
  await sleep(60)
  release()
  await first
  await assert.rejects(second, refusal(504, /within 30 ms/))
  assert.equal(said.filter((word) => word === 'infer a/1').length, 1)
})

test('a model that cannot be opened is not tried again at once; one that died is', async (t) => {
  const { pool, refuse, pass, said, die, open } = await openPool(t, { faultKeptMs: 1000 })
  refuse('its process ended with SIGSEGV')
  await assert.rejects(pool.infer(version('a'), {}), refusal(503, /SIGSEGV/))
  await assert.rejects(pool.infer(version('a'), {}), /SIGSEGV/)
  assert.equal(said.length, 1)
  refuse(undefined)
  pass(1001)
  await pool.infer(version('a'), {})
  die('a')
  await sleep(1)
  assert.equal(pool.open, 0)
  await pool.infer(version('a'), {})
  assert.deepEqual([...open], ['a/1'])
})

test('a pool that is closed ends every model, and opens none', async (t) => {
  const { pool, open } = await openPool(t)
  await pool.infer(version('a'), {})
  await pool[Symbol.asyncDispose]()
  assert.equal(open.size, 0)
  await assert.rejects(pool.infer(version('a'), {}), refusal(500, /closes/))
})
