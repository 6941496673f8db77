/** The committed detector: really detects on scenes it never saw, and is the graph that the fit computed. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { readModel, writeModel } from '@edgeloop/model-compiler'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { needs } from '../../test/require.ts'
import { demoModel } from '../src/demo/demo-model.ts'
import { demoLabels } from '../src/demo/parts.ts'
import { seededRandom } from '../src/demo/random.ts'
import { openModel } from '../src/models/open-model.ts'
import { ortRuntime } from '../src/runtimes/ort.ts'
import { detectorGraph } from './detector-graph.ts'
import { fixedFilters } from './filters.ts'
import { type Detector, headOutputs, runDetector } from './fit.ts'
import type { Convolution, Maps } from './maps.ts'
import { measureModel } from './measure-model.ts'
import { canvasHeight, canvasWidth, trainingFrames } from './training-frames.ts'

const sizeBytesMax = 300_000
const ap50Min = 0.6

test('demoModel is small, reads as ONNX byte for byte and says its labels and layout', async () => {
  assert.ok((await stat(demoModel.file)).size <= sizeBytesMax)
  const bytes = await readFile(demoModel.file)
  assert.equal(Buffer.compare(writeModel(readModel(bytes)), bytes), 0)
  await using model = await openModel(demoModel, ortRuntime)
  assert.equal(model.layout, 'yolox')
  assert.deepEqual(model.labels, demoLabels)
})

test('demoModel finds the parts of unseen scenes in H.264', needs('ffmpeg'), async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-demo-model-'))
  t.after(() => rm(folder, { recursive: true }))
  const seeds = [1, 2]
  const measured = await measureModel({
    seeds,
    seconds: 12,
    framesPerSecond: 2.5,
    folder,
    signal: t.signal,
  })
  t.diagnostic(`seeds ${seeds}: ${JSON.stringify(measured)}`)
  assert.ok(measured.frames >= 58 && measured.truths >= 300)
  assert.ok(measured.ap50 >= ap50Min, `AP50 is ${measured.ap50}`)
})

test('detectorGraph() computes what the fit computed', async () => {
  const random = seededRandom(7)
  const detector = anyDetector(random)
  const calibration = { presence: { slope: 3, shift: -1 }, label: { slope: 2, shift: -0.5 } }
  const [frame] = trainingFrames(99, 1)
  assert.ok(frame)
  const head = runDetector(detector, frame.canvas)
  const session = await InferenceSession.create(
    writeModel(detectorGraph(detector, calibration, {})),
    { intraOpNumThreads: 1 },
  )
  const { canvas } = frame
  const outputs = await session.run({
    frame: new Tensor('uint8', interleaved(canvas), [1, canvasHeight, canvasWidth, 3]),
  })
  await session.release()
  const rows = outputs.detections!
  const cells = head.width * head.height
  assert.deepEqual(rows.dims, [1, cells, headOutputs])
  const data = rows.data as Float32Array
  let peaks = 0
  for (let cell = 0; cell < cells; cell++) {
    for (let channel = 0; channel < headOutputs; channel++) {
      const value = head.data[channel * cells + cell]!
      const real = data[cell * headOutputs + channel]!
      if (channel < 4) assert.ok(Math.abs(real - value) < 1e-3, `box ${cell}: ${real}, ${value}`)
      else if (channel > 4) assert.ok(Math.abs(real - sigmoid(2 * value - 0.5)) < 1e-3)
      else if (isPeak(head, cell)) {
        assert.ok(Math.abs(real - sigmoid(3 * value - 1)) < 1e-3)
        peaks++
      } else assert.equal(real, 0)
    }
  }
  assert.ok(peaks > 0)
})

const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value))

/** True where no cell around it has more presence. */
function isPeak({ width, height, data }: Maps, cell: number): boolean {
  const first = 4 * width * height
  const [x, y] = [cell % width, Math.floor(cell / width)]
  for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
    for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
      if (data[first + row * width + column]! > data[first + cell]!) return false
    }
  }
  return true
}

/** The real first layer and any numbers after it. */
function anyDetector(random: () => number): Detector {
  const filters = fixedFilters()
  const any = (outputs: number, inputs: number, kernel: number, dilation: number): Convolution => {
    const size = inputs * kernel * kernel
    const number = () => ((random() - 0.5) * 6) / Math.sqrt(size)
    return {
      outputs,
      inputs,
      kernel,
      stride: 1,
      dilation,
      weights: Float32Array.from({ length: outputs * size }, number),
      biases: Float32Array.from({ length: outputs }, number),
    }
  }
  const pieces = any(12, filters.outputs, 5, 1)
  return {
    filters,
    pieces,
    close: any(headOutputs, pieces.outputs + filters.outputs, 3, 1),
    wide: { ...any(headOutputs, pieces.outputs, 3, 2), biases: new Float32Array(headOutputs) },
  }
}

function interleaved({ channels, height, width, data }: Maps): Uint8Array {
  const bytes = new Uint8Array(channels * height * width)
  for (let at = 0; at < height * width; at++) {
    for (let c = 0; c < channels; c++) bytes[at * channels + c] = data[c * height * width + at]!
  }
  return bytes
}
