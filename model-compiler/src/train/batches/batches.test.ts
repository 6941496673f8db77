/** Batches: the same for the same step whoever makes them, with what people said moved along with the pixels. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import sharp from 'sharp'
import { type Annotation, openDataset } from '../../datasets/index.ts'
import { type Augmentation, augmentationOf } from './augmentation.ts'
import { type Batch, type BatchesOptions, openBatches } from './batches.ts'
import type { CanvasSpec } from './canvas.ts'
import { previewAugmentation } from './preview.ts'
import { type Painted, rawSet } from './raw-set.ts'

const canvas: CanvasSpec = {
  width: 24,
  height: 16,
  channels: 3,
  fit: 'stretch',
  order: 'rgb',
  mean: [0],
  std: [1],
  pad: 0,
}

/** A red rectangle on blue, with its box and its outline. */
function redOnBlue(
  width: number,
  height: number,
  box: readonly [number, number, number, number],
): Painted {
  const data = new Uint8Array(width * height * 3)
  const [x, y, w, h] = box
  for (let at = 0; at < width * height; at++) {
    const [column, row] = [at % width, Math.floor(at / width)]
    const inside = column >= x && column < x + w && row >= y && row < y + h
    data.set(inside ? [200, 0, 0] : [0, 0, 200], at * 3)
  }
  const share: Annotation = {
    kind: 'box',
    label: 'thing',
    box: [x / width, y / height, w / width, h / height],
  }
  const outline: Annotation = {
    kind: 'polygon',
    label: 'thing',
    points: [
      [x, y],
      [x + w, y],
      [x + w, y + h],
      [x, y + h],
    ].map(([a, b]) => [a! / width, b! / height] as const),
  }
  return { data, annotations: [share, outline] }
}

const painted = (count: number) =>
  rawSet(
    { width: 40, height: 30, channels: 3 },
    Array.from({ length: count }, (_, at) =>
      redOnBlue(40, 30, [at % 20, at % 13, 8 + (at % 11), 6 + (at % 7)]),
    ),
    ['thing', 'background'],
  )
const all = ({ samples }: ReturnType<typeof painted>) => samples.map(({ digest }) => digest)

/** Everything a batch says, apart from how long it took. */
const saidBy = ({ images, masks, annotations, mixed, samples, count }: Batch) =>
  JSON.stringify({
    annotations,
    mixed,
    count,
    names: samples.map(({ name }) => name),
    images: Buffer.from(images.slice().buffer).toString('base64'),
    masks: masks && Buffer.from(masks).toString('base64'),
  })

const everything = augmentationOf({
  flip: 0.5,
  flipVertical: 0.2,
  crop: 0.3,
  scale: [0.6, 1.4],
  aspect: 0.2,
  shift: 0.1,
  mosaic: 0.3,
  mixup: 0.3,
  brightness: 0.2,
  contrast: 0.2,
  saturation: 0.2,
  hue: 0.1,
  blur: 0.3,
  noise: 0.3,
  jpeg: 0.3,
  cutout: 0.3,
})

test('the batch of a step is the same in any order, with any number of threads', async () => {
  const dataset = painted(10)
  const options: BatchesOptions = {
    dataset,
    digests: all(dataset),
    batch: 4,
    canvas,
    augment: everything,
    seed: 7,
    maskLabels: ['background', 'thing'],
  }
  await using one = openBatches({ ...options, workers: 1 })
  await using two = openBatches({ ...options, workers: 2, cacheBytesMax: 0 })
  const steps = [0, 1, 2, 3, 9, 2]
  const said: string[] = []
  for (const step of steps) said.push(saidBy(await one.batch(step)))
  assert.equal(said[5], said[2])
  assert.equal(new Set(said).size, 5)
  for (const [at, step] of [...steps.entries()].toReversed()) {
    assert.equal(saidBy(await two.batch(step)), said[at], `step ${step}`)
  }
  await using other = openBatches({ ...options, seed: 8, workers: 1 })
  assert.notEqual(saidBy(await other.batch(0)), said[0])
})

test('an epoch draws every sample once; listed order evaluates each once and says how many count', async () => {
  const dataset = painted(10)
  const options = { dataset, digests: all(dataset), batch: 4, canvas, seed: 1 }
  await using shuffled = openBatches(options)
  assert.deepEqual([shuffled.stepsPerEpoch, shuffled.samples, shuffled.workers], [3, 10, 0])
  const names: string[] = []
  for (let step = 0; step < 5; step++) {
    names.push(...(await shuffled.batch(step)).samples.map(({ name }) => name))
  }
  const wanted = dataset.samples.map(({ name }) => name)
  for (const epoch of [names.slice(0, 10), names.slice(10)]) {
    assert.deepEqual(epoch.toSorted(), wanted.toSorted())
    assert.notDeepEqual(epoch, wanted)
  }
  await using listed = openBatches({ ...options, order: 'listed' })
  const listedNames: string[] = []
  for (let step = 0; step < listed.stepsPerEpoch; step++) {
    const { samples, count } = await listed.batch(step)
    listedNames.push(...samples.slice(0, count).map(({ name }) => name))
  }
  assert.deepEqual(listedNames, wanted)
})

/** Mean of a channel within a rectangle of shares of the canvas, a pixel away from its edges; NaN where that is nothing. */
function meanWithin(
  planes: Float32Array,
  channel: number,
  [x, y, width, height]: readonly number[],
): number {
  const [left, top] = [Math.ceil(x! * canvas.width + 1), Math.ceil(y! * canvas.height + 1)]
  const [right, bottom] = [
    Math.floor((x! + width!) * canvas.width - 1),
    Math.floor((y! + height!) * canvas.height - 1),
  ]
  let [sum, count] = [0, 0]
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++, count++) {
      sum += planes[(channel * canvas.height + row) * canvas.width + column]!
    }
  }
  return sum / count
}

test('boxes, outlines and masks lie on the red rectangle wherever it is moved', async () => {
  const geometry = fc.record({
    flip: fc.constantFrom(0, 0.5, 1),
    flipVertical: fc.constantFrom(0, 0.5, 1),
    crop: fc.double({ min: 0, max: 0.5, noNaN: true }),
    scale: fc.tuple(
      fc.double({ min: 0.5, max: 1, noNaN: true }),
      fc.double({ min: 1, max: 1.8, noNaN: true }),
    ),
    aspect: fc.double({ min: 0, max: 0.5, noNaN: true }),
    shift: fc.double({ min: 0, max: 0.3, noNaN: true }),
    mosaic: fc.constantFrom(0, 0.5),
  })
  const dataset = painted(12)
  let [looked, inMasks] = [0, 0]
  await fc.assert(
    fc.asyncProperty(
      geometry,
      fc.constantFrom('stretch', 'letterbox-topleft', 'letterbox-center'),
      fc.integer({ min: 0 }),
      async (augment, fit, seed) => {
        await using batches = openBatches({
          dataset,
          digests: all(dataset),
          batch: 6,
          canvas: { ...canvas, fit },
          seed,
          workers: 'none',
          augment: augmentationOf(augment as Partial<Augmentation>),
          maskLabels: ['background', 'thing'],
        })
        const { images, masks, annotations } = await batches.batch(0)
        const pixels = canvas.width * canvas.height
        for (const [place, those] of annotations.entries()) {
          const planes = images.subarray(place * 3 * pixels, (place + 1) * 3 * pixels)
          for (const annotation of those) {
            if (annotation.kind !== 'box') continue
            const [x, y, width, height] = annotation.box
            assert(x >= 0 && y >= 0 && x + width <= 1 + 1e-9 && y + height <= 1 + 1e-9)
            const red = meanWithin(planes, 0, annotation.box)
            if (Number.isNaN(red)) continue
            looked++
            assert(red > 195, `red is ${red} in ${annotation.box}`)
          }
          // Red pixels far from an edge are of the class, blue ones background.
          for (let at = 0; at < pixels; at++) {
            const [red, blue] = [planes[at]!, planes[2 * pixels + at]!]
            const index = masks![place * pixels + at]
            if (red > 199.5) {
              // A sliver of a rectangle that is nearly gone is no longer told.
              if (index === 1) inMasks++
            } else if (blue > 199.5) assert.equal(index, 0)
            else if (red === 0 && blue === 0) assert.equal(index, 255)
          }
        }
      },
    ),
    { numRuns: 60 },
  )
  assert(looked > 100 && inMasks > 1000, `${looked} boxes, ${inMasks} pixels`)
})

test('a picture that nothing is done to is what libvips makes of it, as in the agent', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-batches-'))
  t.after(() => rm(folder, { recursive: true }))
  const noise = Uint8Array.from({ length: 61 * 47 * 3 }, (_, at) => (at * 7919) % 251)
  const jpeg = await sharp(noise, { raw: { width: 61, height: 47, channels: 3 } })
    .jpeg()
    .toBuffer()
  await writeFile(join(folder, 'a.jpg'), jpeg)
  await writeFile(join(folder, 'a.xml'), '<annotation></annotation>')
  const dataset = await openDataset(folder, { labels: ['thing'] })
  const spec: CanvasSpec = {
    ...canvas,
    width: 32,
    height: 32,
    fit: 'letterbox-center',
    order: 'bgr',
    pad: 114,
    mean: [10, 20, 30],
    std: [2, 4, 8],
  }
  await using batches = openBatches({
    dataset,
    digests: all(dataset),
    batch: 1,
    canvas: spec,
    seed: 1,
    order: 'listed',
  })
  const { images } = await batches.batch(0)
  const scaled = await sharp(jpeg)
    .resize(32, 25, { fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false })
    .raw()
    .toBuffer()
  for (let row = 0; row < 32; row++) {
    for (let column = 0; column < 32; column++) {
      for (const channel of [0, 1, 2]) {
        const inside = row >= 3 && row < 28
        const byte = inside ? scaled[((row - 3) * 32 + column) * 3 + 2 - channel]! : 114
        const expected = (byte - spec.mean[channel]!) / spec.std[channel]!
        assert.equal(images[(channel * 32 + row) * 32 + column], Math.fround(expected))
      }
    }
  }
})

test('padding stays as it is on a box, whatever becomes of the light', async () => {
  const dataset = rawSet({ width: 40, height: 10, channels: 3 }, [
    redOnBlue(40, 10, [0, 0, 20, 10]),
  ])
  await using batches = openBatches({
    dataset,
    digests: all(dataset),
    batch: 1,
    seed: 1,
    workers: 'none',
    canvas: { ...canvas, fit: 'letterbox-topleft', pad: 114 },
    augment: augmentationOf({ brightness: 1, noise: 1, noiseSigma: 60, blur: 1, jpeg: 1 }),
  })
  const { images } = await batches.batch(0)
  for (let at = 0; at < images.length; at++) {
    const row = Math.floor(at / canvas.width) % canvas.height
    if (row >= 6) assert.equal(images[at], 114)
  }
  assert.notEqual(images[0], 200)
})

test('of two pictures laid over each other both are told', async () => {
  const size = { width: 24, height: 16, channels: 3 } as const
  const plain = (byte: number, label: string): Painted => ({
    data: new Uint8Array(24 * 16 * 3).fill(byte),
    annotations: [{ kind: 'class', label }],
  })
  const dataset = rawSet(size, [plain(0, 'dark'), plain(200, 'light')], ['dark', 'light'])
  await using batches = openBatches({
    dataset,
    digests: all(dataset),
    batch: 8,
    canvas,
    seed: 3,
    mixingEndsAt: 1,
    augment: augmentationOf({ mixup: 1, mixupAlpha: 1 }),
  })
  const { images, annotations, mixed } = await batches.batch(0)
  const byteOf = (those: readonly Annotation[]) =>
    those[0]?.kind === 'class' && those[0].label === 'light' ? 200 : 0
  for (let place = 0; place < 8; place++) {
    const { share, annotations: second } = mixed[place]!
    assert(share > 0 && share <= 0.5)
    const expected = byteOf(annotations[place]!) * (1 - share) + byteOf(second) * share
    assert(Math.abs(images[place * 24 * 16 * 3]! - expected) <= 0.5)
  }
  assert.deepEqual((await batches.batch(1)).mixed, Array(8).fill(undefined))
})

test('a share of each batch is of the older data', async () => {
  const dataset = painted(10)
  const older = rawSet({ width: 40, height: 30, channels: 3 }, [redOnBlue(40, 30, [0, 0, 40, 30])])
  await using batches = openBatches({
    dataset,
    digests: all(dataset),
    batch: 4,
    canvas,
    seed: 3,
    replay: { dataset: older, digests: all(older), share: 0.25 },
  })
  assert.equal(batches.stepsPerEpoch, 4)
  const { images, samples } = await batches.batch(2)
  assert.deepEqual(
    samples.map(({ digest }) => digest === older.samples[0]!.digest),
    [false, false, false, true],
  )
  assert.equal(images[3 * 24 * 16 * 3], 200)
})

test('a preview shows the first batch of a run', async () => {
  const dataset = painted(10)
  const options = { canvas, augment: everything, seed: 5 }
  const pictures = await previewAugmentation(dataset, { ...options, count: 4 })
  await using batches = openBatches({ ...options, dataset, digests: all(dataset), batch: 4 })
  const { annotations, samples } = await batches.batch(0)
  assert.deepEqual(
    pictures.map((picture) => picture.annotations),
    annotations,
  )
  assert.deepEqual(
    pictures.map(({ sample }) => sample),
    samples,
  )
  for (const { jpeg } of pictures) {
    const { width, height, format } = await sharp(jpeg).metadata()
    assert.deepEqual([width, height, format], [24, 16, 'jpeg'])
  }
  for (const count of [0, 65, 1.5]) {
    await assert.rejects(previewAugmentation(dataset, { ...options, count }), /from 1 to 64/)
  }
})

test('a picture that broke is named; an aborted or closed source says so', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-batches-'))
  t.after(() => rm(folder, { recursive: true }))
  const png = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#123' } })
    .png()
    .toBuffer()
  await writeFile(join(folder, 'a.png'), png)
  await writeFile(join(folder, 'a.xml'), '<annotation></annotation>')
  const dataset = await openDataset(folder, { labels: ['thing'] })
  await writeFile(join(folder, 'a.png'), png.subarray(0, png.length - 30))
  const stop = new AbortController()
  const batches = openBatches({
    dataset,
    digests: all(dataset),
    batch: 1,
    canvas,
    seed: 1,
    workers: 1,
    signal: stop.signal,
  })
  await assert.rejects(batches.batch(0), /Cannot read image ".*a\.png"/)
  stop.abort()
  await assert.rejects(batches.batch(1), { name: 'AbortError' })
  await batches[Symbol.asyncDispose]()
  await batches[Symbol.asyncDispose]()
  const nothing = { dataset, digests: [], batch: 1, canvas, seed: 1 }
  assert.throws(() => openBatches(nothing), /no sample was given/)
  assert.throws(() => openBatches({ ...nothing, digests: ['x'] }), /it has no sample x/)
})

test('augmentationOf() names what it does not know, and what does not fit', () => {
  assert.equal(augmentationOf({ flip: 0.5 }).flip, 0.5)
  assert.throws(() => augmentationOf({ flipp: 1 }), {
    message: /no augment\.flipp/,
    hint: /augment\.flip\?/,
  })
  assert.throws(() => augmentationOf({ flip: 2 }), /augment\.flip must be <= 1, it is 2/)
  assert.throws(() => augmentationOf({ scale: [2, 1] }), /goes from 2 down to 1/)
  assert.throws(() => augmentationOf([]), /is no set of keys/)
})
