import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verify } from '../graph/verify.ts'
import { writeModel } from '../onnx/write.ts'
import { openSession } from '../runtime/session.ts'
import { recognizeHead } from '../train/detectors/head.ts'
import { type BuildSettings, builders, buildNet, wantedNet } from './index.ts'

const settings = (part: Partial<BuildSettings> = {}): BuildSettings => ({
  classes: 7,
  channels: 3,
  height: 32,
  width: 32,
  scale: 0.25,
  seed: 3,
  ...part,
})

test('every net runs with any batch, and its output neither vanishes nor explodes', async () => {
  for (const [name, { size, task }] of Object.entries(builders)) {
    if (task === 'detection') continue
    for (const side of new Set([size, 32])) {
      const model = buildNet(name, settings({ height: side, width: side }))
      verify(model)
      await using session = await openSession(writeModel(model))
      for (const batch of [1, 3]) {
        const data = Float32Array.from({ length: batch * 3 * side * side }, (_, i) => (i % 17) / 16)
        const input = { type: 'float32', dims: [batch, 3, side, side], data } as const
        const { output } = await session.run({ input })
        assert.deepEqual(output!.dims, [batch, 7, ...(task === 'segmentation' ? [side, side] : [])])
        const largest = (output!.data as Float32Array).reduce(
          (most, one) => Math.max(most, Math.abs(one)),
          0,
        )
        assert.ok(largest > 1e-4 && largest < 1e3, `${name} at ${side}: ${largest}`)
      }
    }
  }
})

test('the seed decides the weights', () => {
  const bytes = (seed: number) => writeModel(buildNet('lenet', settings({ seed })))
  assert.deepEqual(bytes(1), bytes(1))
  assert.notDeepEqual(bytes(1), bytes(2))
})

test('nets have the sizes that they are known by', () => {
  const parameters = (name: string, part: Partial<BuildSettings>): number =>
    buildNet(name, settings({ classes: 1000, scale: 1, height: 224, width: 224, ...part }))
      .graph!.initializer.filter(({ name }) => !/running_(mean|var)$|^(zero|six)$/.test(name))
      .reduce((sum, { dims }) => sum + dims.reduce((product, dim) => product * Number(dim), 1), 0)
  // As the papers' authors and torchvision count them.
  assert.equal(parameters('resnet-18', {}), 11_689_512)
  assert.equal(parameters('mobilenet-v2', {}), 3_504_872)
  assert.equal(parameters('mobilenet-v3-small', {}), 2_542_856)
})

test('wantedNet() reads a name with settings and refuses unknown ones', () => {
  assert.equal(wantedNet('models/new.onnx'), undefined)
  assert.deepEqual(wantedNet('new:mobilenet-v2?width=0.5&size=64'), {
    name: 'mobilenet-v2',
    scale: 0.5,
    channels: undefined,
    size: { width: 64, height: 64 },
  })
  const wide = wantedNet('new:relu-detector?size=256x144')?.size
  assert.deepEqual(wide, { width: 256, height: 144 })
  const hint = (text: string): string | undefined => {
    try {
      wantedNet(text)
    } catch (error) {
      return (error as { hint?: string }).hint ?? (error as Error).message
    }
    throw new Error('it was taken')
  }
  assert.equal(hint('new:mnist_cnn'), 'did you mean "mnist-cnn"?')
  assert.equal(hint('new:lenet?widht=1'), 'did you mean "width"?')
  assert.match(hint('new:lenet?width=x') ?? '', /width is "x", not a number/)
  for (const size of ['7', '96x', 'x96', '96x4', '2049', '96x96x96', '1e2', '']) {
    assert.match(hint(`new:lenet?size=${size}`) ?? '', /size=256x144/, size)
  }
})

test('buildNet() refuses pictures that are too small for the net', () => {
  assert.throws(() => buildNet('lenet', settings({ height: 8, width: 8 })), /8×8: nothing is left/)
  assert.throws(() => buildNet('unet', settings({ height: 28, width: 24 })), /multiples of 8/)
})

test('the detector runs with any batch, has a head that is recognized, and is as unsure as it should be', async () => {
  const model = buildNet('relu-detector', settings({ height: 64, width: 96 }))
  verify(model)
  const head = recognizeHead(model)
  assert.deepEqual([head.kind, head.classes, head.levels.length], ['sized', 7, 1])
  assert.equal(head.levels[0]?.stride, 8)
  await using session = await openSession(writeModel(model))
  for (const batch of [1, 2]) {
    const data = Float32Array.from({ length: batch * 3 * 64 * 96 }, (_, i) => (i % 17) / 16)
    const input = { type: 'float32', dims: [batch, 3, 64, 96], data } as const
    const { detections } = await session.run({ input })
    assert.deepEqual(detections!.dims, [batch, 8 * 12, 12])
    const objectness = (detections!.data as Float32Array).filter((_, at) => at % 12 === 4)
    assert.ok(Math.max(...objectness) < 0.2 && Math.min(...objectness) > 0.0005)
  }
  assert.throws(() => buildNet('relu-detector', settings({ height: 60 })), /multiples of 8/)
})
