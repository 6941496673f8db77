/** Explanations of a net whose reasons are known: it looks for something bright, or for something striped. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { model, node, value } from '../onnx/build.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { writeModel } from '../onnx/write.ts'
import { openSession, type Value } from '../runtime/session.ts'
import { type HeatMap, openExplainer } from './explain.ts'
import { heatColour, heatPicture } from './heat-picture.ts'

const side = 16

/**
 * Two detectors of 3×3: mean brightness above a half, and how a column differs from its neighbours. Each is pooled into a
 * logit of its own.
 */
function twoReasons(ending: 'logits' | 'softmax' = 'logits'): ModelProto {
  const bright = new Array<number>(9).fill(1 / 9)
  const striped = [-1, 2, -1, -1, 2, -1, -1, 2, -1].map((one) => one / 9)
  const named = ending === 'softmax' ? 'logits' : 'y'
  return model({
    name: 'two reasons',
    inputs: [value('x', 'float32', ['n', 1, side, side])],
    outputs: [value('y', 'float32', ['n', 2])],
    initializers: [
      tensor('w', [2, 1, 3, 3], Float32Array.from([...bright, ...striped])),
      tensor('b', [2], Float32Array.of(-0.5, -0.3)),
      tensor('fc', [2, 2], Float32Array.of(30, -5, -5, 60)),
    ],
    nodes: [
      node('Conv', ['x', 'w', 'b'], ['maps'], { pads: { ints: [1, 1, 1, 1] } }),
      node('Relu', ['maps'], ['found']),
      node('GlobalAveragePool', ['found'], ['pooled']),
      node('Flatten', ['pooled'], ['flat']),
      node('Gemm', ['flat', 'fc'], [named], { transB: { int: 1 } }),
      ...(ending === 'softmax' ? [node('Softmax', ['logits'], ['y'], { axis: { int: 1 } })] : []),
    ],
  })
}

/** Black, with a bright square of 4×4 at one place, and stripes at another. */
function scene(
  square: readonly [x: number, y: number],
  stripes?: readonly [x: number, y: number],
): Value {
  const data = new Float32Array(side * side)
  for (let y = 0; y < 4; y++) {
    for (let x = 0; x < 4; x++) {
      data[(square[1] + y) * side + square[0] + x] = 1
      if (stripes && x % 3 === 1) data[(stripes[1] + y) * side + stripes[0] + x] = 1
    }
  }
  return { type: 'float32', dims: [1, 1, side, side], data }
}

/** Middle of a map, weighted by its strength. */
function middle({ width, values }: HeatMap): readonly [x: number, y: number] {
  let [sum, sx, sy] = [0, 0, 0]
  for (const [at, strength] of values.entries()) {
    sum += strength
    sx += strength * (at % width)
    sy += strength * Math.floor(at / width)
  }
  return [sx / sum, sy / sum]
}

const near = (actual: readonly [number, number], x: number, y: number, most = 1) =>
  assert(Math.hypot(actual[0] - x, actual[1] - y) <= most, `${actual} is not near ${x}, ${y}`)

test('both maps move with the object', async () => {
  await using explainer = await openExplainer(twoReasons())
  assert.equal(explainer.layer, 'found')
  for (const [x, y] of [
    [1, 1],
    [11, 2],
    [6, 6],
    [2, 11],
    [11, 11],
  ] as const) {
    const { label, gradCam, saliency } = await explainer.explain(scene([x, y]))
    assert.equal(label, 0)
    near(middle(gradCam), x + 1.5, y + 1.5)
    near(middle(saliency), x + 1.5, y + 1.5)
    assert.equal(Math.max(...gradCam.values), 1)
    // Nothing far from it.
    const far = gradCam.values[((y + 8) % side) * side + ((x + 8) % side)]
    assert.equal(far, 0)
  }
})

test('asked for another label, the map shows what speaks for that one', async () => {
  await using explainer = await openExplainer(twoReasons())
  const seen = scene([1, 1], [10, 10])
  near(middle((await explainer.explain(seen, 0)).gradCam), 2.5, 2.5)
  const stripes = await explainer.explain(seen, 1)
  const [x, y] = middle(stripes.gradCam)
  assert(x > 8 && y > 8, `${x}, ${y}`)
})

test('behind a softmax the logits are explained, which a sure answer does not flatten', async () => {
  await using plain = await openExplainer(twoReasons())
  await using soft = await openExplainer(twoReasons('softmax'))
  const seen = scene([5, 9])
  assert.deepEqual(await soft.explain(seen), await plain.explain(seen))
})

test('saliency is what a small change of each pixel does to the logit', async () => {
  const net = twoReasons()
  await using explainer = await openExplainer(net)
  await using session = await openSession(writeModel(net))
  const seen = scene([5, 5])
  const { saliency } = await explainer.explain(seen, 0)
  const logit = async (data: Float32Array) =>
    Number((await session.run({ x: { ...seen, data } })).y!.data[0])
  const slopes = new Float32Array(side * side)
  for (let at = 0; at < slopes.length; at++) {
    const up = Float32Array.from(seen.data as Float32Array)
    const down = Float32Array.from(seen.data as Float32Array)
    up[at]! += 1e-3
    down[at]! -= 1e-3
    slopes[at] = Math.abs((await logit(up)) - (await logit(down))) / 2e-3
  }
  const most = Math.max(...slopes)
  for (const [at, slope] of slopes.entries()) {
    assert(Math.abs(slope / most - saliency.values[at]!) < 0.01, `${at}: ${slope / most}`)
  }
})

test('what is no classifier, no layer and no label is refused', async () => {
  await assert.rejects(
    openExplainer(twoReasons(), { layer: 'foun' }),
    /no map over places; did you mean "found"\?/,
  )
  await assert.rejects(openExplainer(twoReasons(), { layer: 'flat' }), /no map over places/)
  await using explainer = await openExplainer(twoReasons())
  await assert.rejects(explainer.explain(scene([1, 1]), 2), /label 2: the model has 2/)
  const dense = model({
    name: 'dense',
    inputs: [value('x', 'float32', ['n', 4])],
    outputs: [value('y', 'float32', ['n', 2])],
    initializers: [tensor('w', [4, 2], new Float32Array(8))],
    nodes: [node('MatMul', ['x', 'w'], ['y'])],
  })
  await assert.rejects(openExplainer(dense), /none of its values is a map/)
})

test('heat lies over the picture at its place, and brightness alone tells how strong', async () => {
  const values = new Float32Array(16)
  values[0] = 1
  const grey = { width: 40, height: 20, channels: 1, data: new Uint8Array(800).fill(90) } as const
  const png = await heatPicture({ width: 4, height: 4, values }, grey)
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true })
  assert.deepEqual([info.width, info.height, info.channels], [40, 20, 3])
  assert(data[0]! > 200)
  assert.deepEqual([...data.subarray(-3)], [90, 90, 90])
  // Of a letterbox only the middle shows the picture: the strong corner lies above it.
  const shown = { left: 0, top: 0.5, width: 1, height: 0.5 }
  const cut = await heatPicture({ width: 4, height: 4, values }, grey, { shown })
  const rest = await sharp(cut).raw().toBuffer()
  assert.deepEqual([...rest.subarray(0, 3)], [90, 90, 90])
  let before = -1
  for (let strength = 0; strength <= 1; strength += 0.05) {
    const [r, g, b] = heatColour(strength)
    const luma = 0.299 * r + 0.587 * g + 0.114 * b
    assert(luma > before, `${strength}`)
    before = luma
  }
})
