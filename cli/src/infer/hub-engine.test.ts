/** The process that holds a model of a hub open: what it answers, and what ends it. */
import assert from 'node:assert/strict'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ModelFault } from '@edgeloop/cloud-hub'
import { openHubEngine } from './hub-engine.ts'

const wide = { timeout: 240_000 }
const patientMs = 200_000
const demo = new URL('../../../edge-agent/demo/', import.meta.url)

async function demoModel(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-engine-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'parts-1.onnx')
  await copyFile(new URL('conveyor-float.onnx', demo), file)
  const description = await readFile(new URL('conveyor.model.yaml', demo), 'utf8')
  return { file, name: 'parts/1', layout: 'yolox', labels: [], description }
}

test(
  'a model that is held open answers, refuses what does not fit, and dies alone',
  wide,
  async (t) => {
    const model = await demoModel(t)
    await using process = await openHubEngine().open(model, patientMs)
    const [input] = process.signature.inputs
    assert.ok(input)
    const picture = Buffer.from('no picture')
    const options = { scoreMin: 0.1, nmsIou: 0.6, maxDetections: 100 }
    const faultOf = async (awaited: Promise<unknown>) => {
      const fault = await awaited.then(
        () => undefined,
        (error) => error,
      )
      assert.ok(fault instanceof ModelFault)
      return `${fault.gone ? 'gone' : 'there'}: ${fault.message}`
    }
    assert.match(
      await faultOf(process.look(picture, options, patientMs)),
      /^there: .*Cannot read image/,
    )
    assert.match(await faultOf(process.infer({}, patientMs)), /^there: .*input/)
    // Its thread is blocked for longer than it may be silent.
    const shape = input.shape.map(Number)
    const data = new Uint8Array(shape.reduce((product, size) => product * size, 1))
    assert.equal(input.type, 'uint8')
    const late = process.infer({ [input.name]: { type: 'uint8', shape, data } }, 0)
    assert.match(await faultOf(late), /^gone: .*did not answer in time/)
    await process.ended
    assert.match(await faultOf(process.infer({}, patientMs)), /^gone: /)
  },
)

test(
  'what is no model, and what takes more memory than it may, is refused by its name',
  wide,
  async (t) => {
    const model = await demoModel(t)
    await assert.rejects(
      openHubEngine({ memoryBytesMax: 30 * 1024 ** 2 }).open(model, patientMs),
      /parts\/1.*more than 30 MiB of memory/,
    )
    await writeFile(model.file, 'no model')
    await assert.rejects(openHubEngine().open(model, patientMs), (error: Error) => {
      assert.match(error.message, /parts\/1/)
      assert.doesNotMatch(error.message, /edgeloop-engine-/)
      return true
    })
  },
)
