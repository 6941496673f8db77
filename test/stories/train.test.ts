/** `./edgeloop train` from the outside: a folder of labelled pictures in, a model that others can run out. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { digestOf } from '@edgeloop/model-compiler/train'
import { seededRandom } from '../../model-compiler/src/builders/random.ts'
import { material, needs } from '../require.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
const side = 20
let folder = ''
let shapes = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edgeloop-train-'))
  shapes = join(folder, 'shapes')
  await writeShapes(shapes, 260)
})
after(() => rm(folder, { recursive: true }))

/** Bars that lie, bars that stand and rings, somewhere in the noise, as MNIST's files are written. */
async function writeShapes(place: string, count: number): Promise<void> {
  const random = seededRandom(11)
  const pixels = new Uint8Array(count * side * side)
  const labels = Uint8Array.from({ length: count }, (_, at) => at % 3)
  for (let at = 0; at < count; at += 1) {
    const [x, y] = [6 + random() * 8, 6 + random() * 8]
    for (let pixel = 0; pixel < side * side; pixel += 1) {
      const [dx, dy] = [(pixel % side) - x, Math.floor(pixel / side) - y]
      const isLying = Math.abs(dy) < 1.5 && Math.abs(dx) < 6
      const isStanding = Math.abs(dx) < 1.5 && Math.abs(dy) < 6
      const isRing = Math.abs(Math.hypot(dx, dy) - 4.5) < 1.2
      const isShape = [isLying, isStanding, isRing][labels[at]!]
      pixels[at * side * side + pixel] = Math.floor(random() * 60) + (isShape ? 150 : 0)
    }
  }
  const head = (...numbers: number[]) => {
    const bytes = Buffer.alloc(numbers.length * 4)
    for (const [at, one] of numbers.entries()) bytes.writeUInt32BE(one, at * 4)
    return bytes
  }
  await mkdir(place)
  const images = Buffer.concat([head(0x803, count, side, side), pixels])
  await writeFile(join(place, 'train-images-idx3-ubyte'), images)
  await writeFile(
    join(place, 'train-labels-idx1-ubyte'),
    Buffer.concat([head(0x801, count), labels]),
  )
}

/** Runs the command line; gives the last line of standard output as JSON. */
async function edgeloop(...args: string[]): Promise<Record<string, unknown>> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [`${repository}edgeloop`, ...args],
    { timeout: 600_000, maxBuffer: 16 * 1024 * 1024 },
  )
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Record<string, unknown>
}

/** What a command that fails says on standard error, with its exit code. */
async function failing(...args: string[]): Promise<string> {
  const error = await edgeloop(...args).then(
    () => assert.fail('it did not fail'),
    (failure: { code?: number; stderr?: string }) => failure,
  )
  return `${error.code} ${error.stderr}`
}

const shapesRun = (out: string): string[] => [
  ...['train', '--dataset-dir', shapes, '--format', 'idx', '--holdout', 'last:60'],
  ...['--model', 'new:lenet', '--epochs', '10', '--set', 'batch=20', '--set', 'threads=1'],
  ...['--validation', '0.1', '--out', join(folder, out), '--json'],
]

test('train ends with one line, and the model is as good as the line says', async () => {
  const said = await edgeloop(...shapesRun('shapes-run'))
  const model = join(folder, 'shapes-run/model.onnx')
  assert.equal(said.model, model)
  assert.ok(Number(said.testAccuracy) >= 0.9, JSON.stringify(said))
  assert.ok(Number(said.imagesPerSecond) > 0)
  assert.equal(said.digest, digestOf(await readFile(model)))
})

test('train says what is wrong with what it was given', async () => {
  const wrong = (...more: string[]) => failing(...shapesRun('wrong'), ...more)
  assert.match(
    await wrong('--set', 'optimizer.learningrate=1'),
    /^1 .*no key "learningrate"[\s\S]*did you mean "learningRate"/,
  )
  assert.match(
    await failing('train', '--out', join(folder, 'wrong')),
    /^2 .*--dataset-dir is missing/,
  )
})

test(
  'Ctrl-C pauses a run, --resume goes on, and nothing tells the result apart',
  needs('time'),
  async () => {
    const whole = await edgeloop(...shapesRun('whole'))
    const child = spawn(process.execPath, [`${repository}edgeloop`, ...shapesRun('broken')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (/validation/.test(text)) child.kill('SIGINT')
    })
    const [code] = (await once(child, 'close')) as [number]
    assert.equal(code, 0)
    const paused = JSON.parse(said) as { paused: boolean; step: number; steps: number }
    assert.ok(paused.paused && paused.step < paused.steps, said)
    const resumed = await edgeloop('train', '--resume', '--out', join(folder, 'broken'), '--json')
    assert.equal(resumed.digest, whole.digest)
  },
)

// Five epochs are `npm run bench -- learning`.
test('MNIST is read at 95 % after a third of an epoch', needs('material', 'time'), async () => {
  const said = await edgeloop(
    ...['train', '--dataset-dir', join(material, 'datasets/mnist'), '--format', 'idx'],
    ...['--holdout', 'last:10000', '--model', 'new:mnist-cnn', '--epochs', '0.33'],
    ...['--out', join(folder, 'mnist'), '--json'],
  )
  assert.ok(Number(said.testAccuracy) >= 0.95, JSON.stringify(said))
})
