/** An external trainer that does as it is told, and many that do not. Each is a real process. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Job } from 'kubernetes-models/batch/v1/Job'
import { parse } from 'yaml'
import { needs } from '../../../../test/require.ts'
import type { Split } from '../../datasets/dataset.ts'
import { openDataset } from '../../datasets/open-dataset.ts'
import { model, node, value } from '../../onnx/build.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { tensor } from '../../onnx/tensor.ts'
import { writeModel } from '../../onnx/write.ts'
import type { CanvasSpec } from '../batches/canvas.ts'
import type { TrainProgress } from '../run/progress.ts'
import { recipeDefault } from '../run/recipe.ts'
import { externalLimitsDefault } from './contract.ts'
import { jobWishOf, orderJob } from './order-a-job.ts'
import type { OrderParts } from './prepare-order.ts'
import { trainExternally } from './train-externally.ts'

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-external-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

/** Brightness of 4×4 pixels as two logits; `change` makes it another model. */
function net(
  change: { factor?: number; labels?: number; input?: string; logarithm?: boolean } = {},
): ModelProto {
  const { factor = 1, labels = 2, input = 'x', logarithm = false } = change
  return model({
    name: 'net',
    inputs: [value(input, 'float32', ['n', 1, 4, 4])],
    outputs: [value('y', 'float32', ['n', labels])],
    initializers: [
      tensor('w', [1, labels], new Float32Array(labels).fill(factor)),
      tensor('shape', [2], BigInt64Array.of(-1n, 1n)),
    ],
    nodes: [
      node('GlobalAveragePool', [input], ['mean']),
      node('Reshape', ['mean', 'shape'], ['flat']),
      node('MatMul', ['flat', 'w'], [logarithm ? 'product' : 'y']),
      ...(logarithm ? [node('Log', ['product'], ['y'])] : []),
    ],
  })
}

/** Six grey pictures as idx: four to learn from, one to choose by, one for the test. */
async function partsFor(t: TestContext): Promise<OrderParts> {
  const folder = await folderFor(t)
  const head = (...sizes: number[]) => {
    const bytes = Buffer.alloc(4 + 4 * sizes.length)
    bytes.set([0, 0, 8, sizes.length])
    for (const [at, size] of sizes.entries()) bytes.writeUInt32BE(size, 4 + 4 * at)
    return bytes
  }
  const pixels = Buffer.from(Array.from({ length: 96 }, (_, at) => Math.floor(at / 16) * 40))
  await writeFile(join(folder, 'train-images-idx3-ubyte'), Buffer.concat([head(6, 4, 4), pixels]))
  const labels = Buffer.from([0, 0, 0, 1, 1, 1])
  await writeFile(join(folder, 'train-labels-idx1-ubyte'), Buffer.concat([head(6), labels]))
  const dataset = await openDataset(folder)
  const names = ['train', 'train', 'train', 'train', 'validation', 'test'] as const
  const split: Split = new Map(dataset.samples.map(({ digest }, at) => [digest, names[at]!]))
  const canvas: CanvasSpec = {
    width: 4,
    height: 4,
    channels: 1,
    fit: 'stretch',
    order: 'rgb',
    mean: [0],
    std: [255],
    pad: 0,
  }
  return {
    task: { name: 'classification', model: net(), labels: dataset.labels, canvas },
    dataset,
    split,
    recipe: recipeDefault,
    seed: 4,
  }
}

const result = { contract: 1, trainer: 'test 1', steps: 3, seconds: 0.1 }

/** What every trainer of these tests begins with: `order`, `out(name, bytes)`, and a model that fits. */
const preamble = `
import { readFileSync, writeFileSync, mkdirSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
const folder = dirname(process.argv[2])
const order = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const out = (name, bytes) => writeFileSync(join(folder, order.output, name), bytes)
const start = readFileSync(join(folder, order.start))
const result = ${JSON.stringify(result)}
`

async function trainBy(
  t: TestContext,
  body: string,
  more: Partial<Parameters<typeof trainExternally>[0]> & { folder?: string } = {},
) {
  const folder = more.folder ?? (await folderFor(t))
  const script = join(await folderFor(t), 'trainer.mjs')
  await writeFile(script, `${preamble}${body}`)
  const words: TrainProgress[] = []
  const parts = await partsFor(t)
  const promise = trainExternally({
    ...parts,
    command: [process.execPath, script],
    folder,
    lookEveryMs: 30,
    progress: (word) => words.push(word),
    ...more,
  })
  return { folder, words, promise }
}

test('an order goes out without the samples of the test, and a model that fits comes back', async (t) => {
  const changed = Buffer.from(writeModel(net({ factor: 2 }))).toString('base64')
  const { folder, words, promise } = await trainBy(
    t,
    `
    const lines = readFileSync(join(folder, order.dataset, 'samples.jsonl'), 'utf8').trim().split('\\n')
    const split = JSON.parse(readFileSync(join(folder, order.split), 'utf8'))
    if (lines.length !== 6) throw new Error('it has ' + lines.length + ' lines')
    if (Object.values(split).sort().join() !== 'train,train,train,train,validation') throw new Error('split')
    for (const line of lines.slice(1)) {
      const { digest } = JSON.parse(line)
      readFileSync(join(folder, order.dataset, 'blobs', digest.slice(0, 2), digest))
    }
    if (process.env.EDGELOOP_TOKEN !== undefined) throw new Error('a secret')
    console.log('learning')
    out('metrics.jsonl', '{"step":1,"steps":3,"loss":0.5}\\nnonsense\\n{"step":3,"steps":3,"loss":0.2,"figures":{"accuracy":0.75}}\\n')
    out('model.onnx', Buffer.from('${changed}', 'base64'))
    out('result.json', JSON.stringify(result))
    `,
  )
  process.env.EDGELOOP_TOKEN = 'secret'
  t.after(() => delete process.env.EDGELOOP_TOKEN)
  const accepted = await promise
  assert(accepted !== 'paused')
  assert.deepEqual(accepted.result, result)
  assert.deepEqual([...accepted.bytes], [...writeModel(net({ factor: 2 }))])
  const kinds = words.map((word) => word.kind)
  assert.deepEqual(kinds, ['started', 'step', 'step', 'evaluation', 'warning'])
  const evaluation = words.find((word) => word.kind === 'evaluation')
  assert.deepEqual(evaluation?.figures, { accuracy: 0.75 })
  assert.match(await readFile(join(folder, 'log.txt'), 'utf8'), /learning/)
  const order = JSON.parse(await readFile(join(folder, 'order.json'), 'utf8'))
  assert.deepEqual(order.inputs, [{ name: 'x', shape: [null, 1, 4, 4] }])
  assert.deepEqual(order.outputs, [{ name: 'y', shape: [null, 2] }])
})

const asModel = (bytes: Uint8Array) =>
  `out('model.onnx', Buffer.from('${Buffer.from(bytes).toString('base64')}', 'base64'))`
const good = `out('model.onnx', start); out('result.json', JSON.stringify(result))`
const hostile: Readonly<Record<string, readonly [body: string, refusal: RegExp]>> = {
  'nothing at all': ['', /result\.json" is not there/],
  'no model': [`out('result.json', JSON.stringify(result))`, /model\.onnx" is not there/],
  'a result that is no JSON': [`out('result.json', '{')`, /result\.json is no JSON/],
  'a result of another form': [
    `out('result.json', JSON.stringify({ ...result, steps: 'many' }))`,
    /result\.json: .*steps/,
  ],
  'a huge result': [
    `out('result.json', Buffer.alloc(2 * 1024 * 1024, 32))`,
    /at most 1048576 are taken/,
  ],
  'a huge model': [`${good}; out('model.onnx', Buffer.alloc(70000))`, /70000 bytes, at most 65536/],
  'no ONNX': [
    `${good}; out('model.onnx', Buffer.from('not a model'))`,
    /Cannot take what the trainer left/,
  ],
  'a link to a file of ours': [
    `out('result.json', JSON.stringify(result)); symlinkSync('/etc/passwd', join(folder, order.output, 'model.onnx'))`,
    /no plain file/,
  ],
  'a folder': [
    `out('result.json', JSON.stringify(result)); mkdirSync(join(folder, order.output, 'model.onnx'))`,
    /no plain file/,
  ],
  'another number of labels': [
    `${good}; ${asModel(writeModel(net({ labels: 3 })))}`,
    /outputs are "y" \[\?, 3\], ordered were "y" \[\?, 2\]/,
  ],
  'another input': [
    `${good}; ${asModel(writeModel(net({ input: 'images' })))}`,
    /inputs are "images"/,
  ],
  'a model that gives no numbers': [
    `${good}; ${asModel(writeModel(net({ factor: -1, logarithm: true })))}`,
    /no number when it is run/,
  ],
}

for (const [what, [body, refusal]] of Object.entries(hostile)) {
  test(`a trainer that leaves ${what} is refused`, async (t) => {
    const { promise } = await trainBy(t, body, { limits: { modelBytes: 65_536 } })
    await assert.rejects(promise, refusal)
  })
}

test('a trainer that fails, refuses or is not there is said to, in its own last words', async (t) => {
  const failing = await trainBy(
    t,
    `console.error('first'); console.error('no such GPU'); process.exit(1)`,
  )
  await assert.rejects(failing.promise, /ended with exit code 1 \("no such GPU"\)/)
  const refusing = await trainBy(t, `console.error('detectors are not mine'); process.exit(2)`)
  await assert.rejects(refusing.promise, /refuses the order \("detectors are not mine"\)/)
  const missing = await trainBy(t, '', { command: ['/no/such/program'] })
  await assert.rejects(missing.promise, /Cannot start the trainer "\/no\/such\/program"/)
})

test('a trainer is ended when it takes too long, too much memory or too much disk', async (t) => {
  const forever = `setInterval(() => {}, 1000);`
  const slow = await trainBy(t, forever, { limits: { seconds: 0.5 } })
  await assert.rejects(slow.promise, /longer than 0\.5 s/)
  const large = await trainBy(
    t,
    `${forever} globalThis.kept = Buffer.alloc(300 * 1024 * 1024, 1)`,
    {
      limits: { memoryBytes: 200 * 1024 * 1024 },
    },
  )
  await assert.rejects(large.promise, /more than 200 MiB of memory/)
  const wide = await trainBy(t, `${forever} out('junk', Buffer.alloc(3 * 1024 * 1024, 1))`, {
    limits: { outputBytes: 1024 * 1024 },
  })
  await assert.rejects(wide.promise, /more than 1 MiB into output/)
})

test('what a trainer has started ends with it', async (t) => {
  const { folder, promise } = await trainBy(
    t,
    `
    const { spawn } = await import('node:child_process')
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
    out('pid', String(child.pid))
    console.error('done for'); process.exit(1)
    `,
  )
  await assert.rejects(promise, /done for/)
  const pid = Number(await readFile(join(folder, 'output', 'pid'), 'utf8'))
  // It may take a moment until the system has taken it away.
  for (let look = 0; look < 100; look++) {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
    if (stat === '' || / Z /.test(stat)) return
    await new Promise((done) => setTimeout(done, 50))
  }
  assert.fail(`process ${pid} is still there`)
})

test(
  'a trainer that is told to pause keeps its state, and goes on in the same folder',
  needs('time'),
  async (t) => {
    const folder = await folderFor(t)
    const body = `
    const { existsSync } = await import('node:fs')
    if (existsSync(join(folder, order.output, 'state'))) {
      ${good}
    } else {
      process.on('SIGTERM', () => { out('state', 'half way'); process.exit(75) })
      out('metrics.jsonl', '{"step":7,"loss":1}\\n')
      setInterval(() => {}, 1000)
    }`
    const pause = new AbortController()
    const first = await trainBy(t, body, {
      folder,
      pause: pause.signal,
      progress: (word) => word.kind === 'step' && pause.abort(),
    })
    assert.equal(await first.promise, 'paused')
    const second = await trainBy(t, body, { folder })
    const accepted = await second.promise
    assert(accepted !== 'paused' && accepted.result.steps === 3)
  },
)

test('who stops the run ends the trainer at once', async (t) => {
  const stop = new AbortController()
  const { promise } = await trainBy(
    t,
    `out('metrics.jsonl', '{"step":1,"loss":1}\\n'); setInterval(() => {}, 1000)`,
    {
      signal: stop.signal,
      progress: (word) => word.kind === 'step' && stop.abort(new Error('enough')),
    },
  )
  await assert.rejects(promise, /enough/)
})

test('metrics that are endless lines or nonsense are borne', needs('time'), async (t) => {
  const { words, promise } = await trainBy(
    t,
    `out('metrics.jsonl', 'x'.repeat(200000) + '\\n{"step":2,"loss":1}\\n{"step":1e99,"loss":1}\\n'); ${good}`,
  )
  await promise
  assert.deepEqual(
    words.filter(({ kind }) => kind === 'step').map((word) => word.kind === 'step' && word.step),
    [2],
  )
  assert(words.some((word) => word.kind === 'warning' && /2 lines/.test(word.text)))
})

test(
  'a folder that is used again has nothing of the earlier order but its output',
  needs('time'),
  async (t) => {
    const folder = await folderFor(t)
    await mkdir(join(folder, 'dataset', 'blobs'), { recursive: true })
    await writeFile(join(folder, 'dataset', 'blobs', 'old'), 'x')
    const { promise } = await trainBy(t, good, { folder })
    await promise
    assert(!(await readdir(join(folder, 'dataset', 'blobs'))).includes('old'))
    assert(externalLimitsDefault.seconds > 0)
  },
)

test('a Job is ordered, and what it has left is taken by the same words', async (t) => {
  const folder = join(await folderFor(t), 'Gate 7', 'external')
  const wish = jobWishOf(
    'registry/trainer:1?claim=training&path=runs/7&gpus=1&memoryGiB=16&hours=2',
  )
  const parts = await partsFor(t)
  assert.equal(await orderJob(parts, wish, folder), 'ordered')
  const manifest = parse(await readFile(join(folder, 'job.yaml'), 'utf8'))
  new Job(manifest).validate()
  assert.equal(manifest.metadata.name, 'edgeloop-gate-7')
  assert.equal(manifest.spec.activeDeadlineSeconds, 7200)
  const [trainer] = manifest.spec.template.spec.containers
  assert.deepEqual(trainer.resources.limits, {
    cpu: '4',
    memory: String(16 * 1024 ** 3),
    'nvidia.com/gpu': '1',
  })
  await writeFile(join(folder, 'output', 'model.onnx'), writeModel(net({ factor: 2 })))
  await writeFile(join(folder, 'output', 'result.json'), JSON.stringify(result))
  const accepted = await orderJob(parts, wish, folder)
  assert(accepted !== 'ordered' && accepted.result.trainer === 'test 1')
  await writeFile(join(folder, 'output', 'model.onnx'), writeModel(net({ labels: 3 })))
  await assert.rejects(orderJob(parts, wish, folder), /ordered were "y"/)
})

test('what is no Job is refused with the setting', () => {
  assert.throws(() => jobWishOf('image'), /the claim is missing/)
  assert.throws(() => jobWishOf('?claim=a'), /the image is missing/)
  assert.throws(() => jobWishOf('image?claim=a&gpu=1'), /no setting "gpu"/)
  assert.throws(() => jobWishOf('image?claim=a&gpus=many'), /gpus=many/)
})
