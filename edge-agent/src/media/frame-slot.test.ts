import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { SlotReader, SlotWriter, slotMemory } from './frame-slot.ts'

const canvasBytes = 24 * 24 * 3
const view = {
  width: 24,
  height: 24,
  channels: 'bgr',
  content: { left: 1, top: 2, width: 20, height: 12 },
  pad: 114,
} as const

test('SlotReader.take() gives the newest frame once, with where it landed', () => {
  const memory = slotMemory(canvasBytes)
  const writer = new SlotWriter(memory, canvasBytes)
  const reader = new SlotReader(memory, canvasBytes)
  assert.equal(reader.take(), undefined)
  writer.canvas.fill(7)
  assert.equal(writer.publish(1, view), false)
  writer.canvas.fill(8)
  assert.equal(writer.publish(2, view), true, 'frame 1 was dropped')
  const taken = reader.take()
  assert.deepEqual([taken?.sequence, taken?.canvas[0], taken?.view], [2, 8, view])
  assert.equal(reader.take(), undefined)
  writer.canvas.fill(9)
  writer.publish(3, view)
  writer.canvas.fill(10)
  writer.publish(4, view)
  assert.equal(taken?.canvas[0], 8, 'what is being read is never written')
  assert.equal(reader.take()?.canvas[0], 10)
})

test('a slot between two threads never tears a frame, nor goes back in time', async () => {
  const memory = slotMemory(canvasBytes)
  const writer = new SlotWriter(memory, canvasBytes)
  const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    import { SlotReader } from ${JSON.stringify(new URL('./frame-slot.ts', import.meta.url).href)}
    const reader = new SlotReader(workerData.memory, ${canvasBytes})
    let last = 0, taken = 0, torn = 0, backwards = 0
    parentPort.postMessage('ready')
    while (last < workerData.last) {
      const frame = reader.take()
      if (!frame) continue
      taken++
      if (frame.sequence <= last) backwards++
      last = frame.sequence
      if (!frame.canvas.every((byte) => byte === frame.sequence % 251)) torn++
    }
    parentPort.postMessage({ taken, torn, backwards })`
  const last = 20_000
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: { memory, last },
  })
  await once(worker, 'message')
  const answer = once(worker, 'message')
  let dropped = 0
  for (let sequence = 1; sequence <= last; sequence++) {
    writer.canvas.fill(sequence % 251)
    if (writer.publish(sequence, view)) dropped++
  }
  const [{ taken, torn, backwards }] = await answer
  await worker.terminate()
  assert.deepEqual({ torn, backwards }, { torn: 0, backwards: 0 })
  assert.equal(taken + dropped, last, 'what was not taken was counted as dropped')
})
