/** The inference worker with models that run elsewhere: what is lost with a server, and what is not. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import { startOipServer } from '../../../test/oip/oip-server.ts'
import { demoModel } from '../demo/demo-model.ts'
import { ModelError } from '../runtimes/runtime.ts'
import { type Inference, type Lane, openInference } from './inference.ts'

const options = { scoreMin: 0.3, nmsIou: 0.6, maxDetections: 10 }

function inferenceFor(t: TestContext): Inference {
  const inference = openInference((error) => assert.fail(error))
  t.after(() => inference[Symbol.asyncDispose]())
  return inference
}

/** Looks at a gray frame. */
async function look(lane: Lane) {
  lane.canvas.fill(128)
  return await lane.detect(lane.inputFor(640, 360))
}

test('a lane works through a server, fails with it, and the next one works when it is back', async (t) => {
  const server = await startOipServer()
  t.after(() => server[Symbol.asyncDispose]())
  const bytes = await readFile(demoModel.file)
  await server.put('conveyor', bytes)
  const inference = inferenceFor(t)
  const source = { ...demoModel, runtime: `oip:${server.url}` }
  const lane = await inference.openLane(source, options)
  assert.equal(lane.model.runtime, `oip:${server.url}`)
  assert.ok(Array.isArray((await look(lane))?.detections))
  await server[Symbol.asyncDispose]()
  await assert.rejects(look(lane), ModelError)
  lane[Symbol.dispose]()
  await assert.rejects(inference.openLane(source, options), /takes no connections/)
  const again = await startOipServer({ port: server.port })
  t.after(() => again[Symbol.asyncDispose]())
  await again.put('conveyor', bytes)
  using next = await inference.openLane(source, options)
  assert.ok(await look(next))
})

test('a model whose measured runtime has gone runs on its fallback', async (t) => {
  const inference = inferenceFor(t)
  const gone = { ...demoModel, runtime: process.platform === 'darwin' ? 'ort:dml' : 'ort:coreml' }
  await assert.rejects(inference.describe(gone), ModelError)
  using lane = await inference.openLane({ ...gone, fallback: 'ort:cpu' }, options)
  assert.equal(lane.model.runtime, 'ort:cpu')
  assert.ok(await look(lane))
})

const gray = {
  frame: {
    type: 'uint8',
    shape: [1, 184, 320, 3],
    data: new Uint8Array(184 * 320 * 3).fill(128),
  },
} as const

test('a stream goes before the requests that wait, and they are not forgotten', async (t) => {
  const inference = inferenceFor(t)
  using lane = await inference.openLane(demoModel, options)
  await look(lane)
  const order: string[] = []
  const requests = Array.from({ length: 8 }, async (_, i) => {
    await inference.infer(demoModel, gray)
    order.push(`request ${i + 1}`)
  })
  const seen = look(lane).then(() => order.push('stream'))
  await Promise.all([...requests, seen])
  assert.ok(order.indexOf('stream') <= 1, order.join(', '))

  // A stream that always has a canvas leaves every second turn to a request.
  let busy = true
  const streaming = (async () => {
    while (busy) await look(lane)
  })()
  for (let i = 0; i < 5; i++) {
    const outputs = await inference.infer(demoModel, gray)
    assert.ok(outputs.detections)
  }
  busy = false
  await streaming
})

test('infer() opens a model that no stream uses, and says what is wrong with tensors', async (t) => {
  const inference = inferenceFor(t)
  const [first, second] = await Promise.all([
    inference.infer(demoModel, gray),
    inference.infer(demoModel, gray),
  ])
  assert.deepEqual(first, second)
  await assert.rejects(inference.infer(demoModel, {}), {
    name: 'ModelError',
    message: 'Cannot run the model: there is no tensor for input "frame"',
  })
  const { signature } = await inference.describe(demoModel)
  assert.deepEqual(signature.inputs, [{ name: 'frame', type: 'uint8', shape: [1, 184, 320, 3] }])
})

test('a server that hangs holds up its own streams alone', async (t) => {
  const server = await startOipServer()
  t.after(() => server[Symbol.asyncDispose]())
  await server.put('conveyor', await readFile(demoModel.file))
  const inference = inferenceFor(t)
  const there = { ...demoModel, name: 'there', runtime: `oip:${server.url}` }
  using far = await inference.openLane(there, options)
  using near = await inference.openLane(demoModel, options)
  const until = Promise.withResolvers<void>()
  server.misbehave = () => until.promise
  let answered = false
  const hanging = look(far).then((detected) => {
    answered = true
    return detected
  })
  for (let i = 0; i < 5; i++) assert.ok(await look(near))
  assert.ok(await inference.infer(demoModel, gray))
  assert.equal(answered, false)
  until.resolve()
  assert.ok(await hanging)
})
