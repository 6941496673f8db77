/** Detectors are trained from the command line: one of our own from nothing, and exported ones for other things. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { writeModel } from '@edgeloop/model-compiler'
import { material, needs } from '../require.ts'
import { drawnLabels, writeDrawnSet } from '../training/drawn-set.ts'
import { tinyYolox } from '../training/tiny-detectors.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
const folder = await mkdtemp(join(tmpdir(), 'edgeloop-train-detector-'))
after(() => rm(folder, { recursive: true }))

/** Runs the command line; gives the JSON lines of standard output. */
async function edgeloop(...args: string[]) {
  const command = [`${repository}edgeloop`, ...args]
  const { stdout } = await promisify(execFile)(process.execPath, command, {
    timeout: 1_200_000,
    maxBuffer: 64 * 1024 * 1024,
  })
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

const words = async (run: string) =>
  (await readFile(join(run, 'curves.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

test('a detector learns from nothing, and detect runs it without being told anything', async () => {
  const data = join(folder, 'few')
  await writeDrawnSet(data, {
    pictures: 16,
    width: 64,
    height: 64,
    least: 1,
    most: 3,
    sizes: [16, 28],
    seed: 3,
  })
  const out = join(folder, 'few-out')
  const lines = await edgeloop(
    ...['train', '--dataset-dir', data, '--format', 'coco', '--out', out, '--json'],
    ...['--model', 'new:relu-detector?size=64&width=0.5', '--set', 'steps=40', '--seed', '1'],
    ...['--set', 'workers=1'],
  )
  const result = lines.at(-1)
  assert.ok('testAp50' in result && 'testAp' in result && result.seconds > 0)
  const losses = (await words(out)).flatMap(({ kind, loss }) => (kind === 'step' ? loss : []))
  const mean = (some: number[]) => some.reduce((sum, one) => sum + one, 0) / some.length
  assert.ok(mean(losses.slice(-5)) < 0.6 * mean(losses.slice(0, 3)), `${losses}`)
  const found = await edgeloop(
    ...['detect', '--model', result.model, '--images', join(data, 'images'), '--json'],
    ...['--score-min', '0.02'],
  )
  assert.equal(found.length, 16)
  for (const { detections } of found) {
    for (const { label } of detections) assert.ok(drawnLabels.includes(label))
  }
})

test('a detector of other things gets the labels of the data, and tells what it was worth before', async () => {
  const data = join(folder, 'other')
  await writeDrawnSet(data, {
    pictures: 10,
    width: 64,
    height: 64,
    least: 1,
    most: 3,
    sizes: [16, 28],
    seed: 6,
  })
  const file = join(folder, 'other.onnx')
  await writeFile(file, writeModel(tinyYolox({ classes: 5 })))
  const description = { labels: ['a', 'b', 'Disc', 'd', 'e'], strides: [8, 16] }
  await writeFile(join(folder, 'other.model.json'), JSON.stringify(description))
  const lines = await edgeloop(
    ...['train', '--dataset-dir', data, '--model', file, '--layout', 'yolox', '--json'],
    ...['--out', join(folder, 'other-out'), '--set', 'steps=2', '--set', 'workers=1'],
  )
  const result = lines.at(-1)
  assert.ok('testAp50' in result && 'testAp50Before' in result, JSON.stringify(result))
  const { labels, strides } = JSON.parse(
    await readFile(join(folder, 'other-out', 'model.model.json'), 'utf8'),
  )
  assert.deepEqual([labels, strides], [[...drawnLabels], [8, 16]])
})

test('what cannot be trained to find boxes is refused before anything is', async () => {
  const data = join(folder, 'refused')
  await writeDrawnSet(data, {
    pictures: 10,
    width: 64,
    height: 64,
    least: 1,
    most: 2,
    sizes: [16, 28],
    seed: 4,
  })
  const train = (...args: string[]) =>
    edgeloop(...['train', '--dataset-dir', data, '--out', join(folder, 'no'), ...args]).then(
      () => assert.fail('it was trained'),
      ({ stderr }: { stderr: string }) => stderr,
    )
  assert.match(
    await train('--model', 'new:mnist-cnn'),
    /new:mnist-cnn for detection: it is made for something else/,
  )
})

test('yolox_nano learns what a raccoon is in 40 steps', needs('material', 'time'), async (t) => {
  const out = join(folder, 'raccoon')
  const lines = await edgeloop(
    ...['train', '--dataset-dir', join(material, 'datasets', 'raccoon'), '--format', 'voc'],
    ...['--model', join(material, 'models', 'yolox_nano_416.onnx'), '--layout', 'yolox'],
    ...['--set', 'steps=40', '--out', out, '--json'],
  )
  const result = lines.at(-1)
  t.diagnostic(JSON.stringify(result))
  // The whole run, and several classes in crowds, are `npm run bench -- learning`.
  assert.ok(result.testAp50 >= 0.85 && result.testAp > result.testApBefore)
  const found = await edgeloop(
    ...['detect', '--model', join(out, 'model.onnx'), '--json', '--images'],
    join(material, 'datasets', 'raccoon', 'images'),
  )
  const labels = found.flatMap(({ detections }) =>
    detections.map((one: { label: string }) => one.label),
  )
  assert.ok(labels.length > 50 && labels.every((label: string) => label === 'raccoon'))
})

test(
  'a detector that was exported for one picture is trained for int8, and by its former self',
  needs('material', 'time'),
  async () => {
    for (const part of ['quantize=true', 'distill=0.5']) {
      const lines = await edgeloop(
        ...['train', '--dataset-dir', join(material, 'datasets', 'raccoon'), '--format', 'voc'],
        ...['--model', join(material, 'models', 'yolox_nano_416.onnx'), '--layout', 'yolox'],
        ...['--set', 'steps=4', '--set', 'batch=2', '--set', `compress.${part}`],
        ...['--out', join(folder, part), '--json'],
      )
      const { testAp50, testAp50Before } = lines.at(-1)
      assert.ok(testAp50Before > 0.7 && testAp50 > 0.5, `${part}: ${testAp50}`)
    }
  },
)
