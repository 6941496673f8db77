/** In networks of the plain kind nothing stays float: every convolution is computed with codes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calibrate } from '../../model-compiler/src/calibrate/calibrate.ts'
import { samplesFrom } from '../../model-compiler/src/calibrate/samples.ts'
import { checkFusion } from '../../model-compiler/src/fusion/check-fusion.ts'
import { quantize } from '../../model-compiler/src/quantize/quantize.ts'
import { medianSqnrDb } from '../../model-compiler/src/quantize/sqnr.ts'
import { targets } from '../../model-compiler/src/targets/index.ts'
import { mobileNetV2Shaped, noise, resNet50Shaped } from './shaped-models.ts'

const size = 64
const samples = samplesFrom([noise(size, 1), noise(size, 2)])
const small = { size, width: 0.25 }

for (const { float, products } of [
  { float: resNet50Shaped(small), products: 54 },
  { float: mobileNetV2Shaped(small), products: 53 },
]) {
  test(`${float.graph!.name}: all ${products} products are computed with codes`, async () => {
    const ranges = await calibrate(float, samples, { method: 'minmax' })
    const target = targets['linux-x64-vnni']
    const made = quantize(float, ranges, { target })
    const { fused, unfused } = await checkFusion(made, target)
    assert.deepEqual(unfused, [])
    assert.equal(fused, products)
    const ratio = await medianSqnrDb(float, made, samples)
    assert.ok(ratio > 15, `${ratio} dB`)
  })
}
