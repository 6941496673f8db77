/** `./edgeloop detect` on every runtime there is: what they find is the same, and how fast they are is shown. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Detection } from '@edgeloop/protocol'
import sharp from 'sharp'
import { demoModel } from '../../edge-agent/src/demo/demo-model.ts'
import {
  createScene,
  sceneHeight as height,
  sceneWidth as width,
} from '../../edge-agent/src/demo/scene.ts'
import { startOipServer } from '../oip/oip-server.ts'
import { material, needs } from '../require.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
/** Of shares of the image, and of scores. */
const tolerance = 1e-3

type Answer = { readonly source: string; readonly detections: readonly Detection[] }

async function detect(...args: string[]): Promise<Answer[]> {
  const command = [`${repository}edgeloop`, 'detect', '--json', ...args]
  const { stdout } = await promisify(execFile)(process.execPath, command, { timeout: 120_000 })
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

/** Runs both ways and compares; gives the number of boxes. */
async function compare(t: TestContext, model: string, ...args: string[]): Promise<number> {
  const server = await startOipServer()
  t.after(() => server[Symbol.asyncDispose]())
  await server.put('served', await readFile(model))
  const common = ['--model', model, ...args]
  const here = await detect(...common, '--runtime', 'ort:cpu')
  const there = await detect(...common, '--runtime', `oip:${server.url}/served`)
  assert(server.requests.filter((request) => request.endsWith('/infer')).length > here.length)
  assert.deepEqual(
    there.map(({ source, detections }) => [source, detections.map(({ label }) => label)]),
    here.map(({ source, detections }) => [source, detections.map(({ label }) => label)]),
  )
  const numbers = (answers: Answer[]) =>
    answers.flatMap(({ detections }) => detections.flatMap(({ score, box }) => [score, ...box]))
  const [near, far] = [numbers(here), numbers(there)]
  const worst = Math.max(...near.map((number, i) => Math.abs(number - (far[i] ?? Number.NaN))))
  t.diagnostic(`${near.length / 5} boxes, largest difference ${worst}`)
  assert(worst <= tolerance, `differs by ${worst}`)
  return near.length / 5
}

test('detect with --runtime oip:URL gives the boxes of ort:cpu on the demo scene', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-detect-oip-'))
  t.after(() => rm(folder, { recursive: true }))
  const scene = createScene({ seed: 5, seconds: 48 })
  const rgb = Buffer.alloc(width * height * 3)
  for (const frame of [40, 200, 390]) {
    scene.render(frame, rgb)
    await sharp(rgb, { raw: { width, height, channels: 3 } }).toFile(join(folder, `${frame}.png`))
  }
  assert((await compare(t, demoModel.file, '--images', folder)) >= 5)
})

test(
  'detect with --runtime oip:URL gives the boxes of ort:cpu on photographs',
  needs('material'),
  async (t) => {
    const model = `${material}/models/yolox_nano_416.onnx`
    const args = ['--layout', 'yolox', '--labels', 'coco', '--images', `${material}/images`]
    assert((await compare(t, model, ...args)) >= 20)
  },
)

test('detect --runtimes measures what this box has, and auto finds it', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'edgeloop-detect-runtimes-'))
  t.after(() => rm(data, { recursive: true }))
  const command = [`${repository}edgeloop`, 'detect', '--model', demoModel.file, '--data', data]
  const run = async (...args: string[]) =>
    await promisify(execFile)(process.execPath, [...command, ...args], { timeout: 120_000 })
  const { stdout } = await run('--runtimes', '--json')
  const rows = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const cpu = rows.find(({ runtime }) => runtime === 'ort:cpu')
  assert(cpu.medianMs > 0)
  assert.equal(rows.filter(({ chosen }) => chosen).length, 1)
  for (const { medianMs, reason } of rows) assert(medianMs !== undefined || reason.length > 0)
  const table = await run('--runtimes')
  assert.match(table.stdout, /^RUNTIME +MEDIAN +PLACED/)
  assert.match(table.stdout, /ort:cpu +\d+\.\d ms/)
  await assert.rejects(run('--runtimes', '--runtime', 'ort:cpu'), { code: 2 })
})
