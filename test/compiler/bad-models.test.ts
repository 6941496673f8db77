/** What people hand to the compiler by mistake: each is refused with a sentence that says what it is. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import {
  type ModelParts,
  model,
  node,
  readModel,
  tensor,
  value,
  writeModel,
} from '@edgeloop/model-compiler'
import sharp from 'sharp'
import type { CompileOrder } from '../../cli/src/model/compile-order.ts'
import { compile } from '../../cli/src/model/compile-work.ts'
import { put } from '../detection/tiny-models.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edgeloop-bad-'))
  await mkdir(join(folder, 'images'))
  await mkdir(join(folder, 'out'))
  for (let i = 0; i < 16; i++) {
    const background = { r: i * 15, g: 255 - i * 9, b: (i * 77) % 255 }
    const picture = sharp({ create: { width: 16, height: 16, channels: 3, background } })
    await put(join(folder, 'images'), `${i}.png`, await picture.png().toBuffer())
  }
})
after(() => rm(folder, { recursive: true }))

const parts: Omit<ModelParts, 'name'> = {
  nodes: [node('GlobalAveragePool', ['images'], ['output'])],
  inputs: [value('images', 'float32', [1, 3, 16, 16])],
  outputs: [value('output', 'float32', [1, 3, 1, 1])],
}
const good = writeModel(model({ name: 'good', ...parts }))
const weights = (values: Float32Array) =>
  writeModel(
    model({
      name: 'weights',
      ...parts,
      nodes: [
        node('Conv', ['images', 'w'], ['conv']),
        node('GlobalAveragePool', ['conv'], ['output']),
      ],
      initializers: [tensor('w', [3, 3, 1, 1], values)],
    }),
  )

async function compiled(bytes: Uint8Array | string, given: Partial<CompileOrder> = {}) {
  const file = await put(folder, 'model.onnx', bytes)
  const labels = await put(folder, 'labels.txt', 'red\ngreen\nblue')
  return await compile(
    {
      kind: 'compile',
      file,
      layout: 'classifier',
      labels,
      calibrate: join(folder, 'images'),
      target: 'linux-x64',
      precision: 'fp32',
      maxDrop: 0.01,
      keep: [],
      seed: 1,
      measureSeconds: 0.05,
      folder: join(folder, 'out'),
      ...given,
    },
    () => {},
  )
}

const cases: Readonly<Record<string, [bytes: () => Uint8Array | string, message: RegExp]>> = {
  'a web page': [() => '<!DOCTYPE html><html>404</html>', /it is a web page; download the file/],
  'no model at all': [() => 'hello, this is no model', /as an ONNX model: /],
  'an empty file': [() => '', /the file is empty/],
  'a truncated model': [() => good.subarray(0, good.length - 20), /truncated/],
  'an operator that nobody knows': [
    () =>
      writeModel(
        model({ name: 'm', ...parts, nodes: [node('Frobnicate', ['images'], ['output'])] }),
      ),
    /Frobnicate/,
  ],
  'an operator set from the future': [
    () => writeModel(model({ name: 'm', ...parts, opset: 99 })),
    /operator set is 99, and 7 to 21 are read/,
  ],
  'weights in another file': [
    () => {
      const proto = readModel(weights(new Float32Array(9)))
      const outside = proto.graph!.initializer[0]!
      outside.rawData = new Uint8Array()
      outside.externalData = [
        { $typeName: 'onnx.StringStringEntryProto', key: 'location', value: '../../etc/passwd' },
      ]
      return writeModel(proto)
    },
    /"w".*"\.\.\/\.\.\/etc\/passwd"/,
  ],
  'weights that are no numbers': [
    () => weights(new Float32Array(9).fill(Number.NaN)),
    /"w".*NaN|NaN.*"w"/,
  ],
  'dimensions beyond every machine': [
    () =>
      writeModel(
        model({
          name: 'm',
          ...parts,
          inputs: [value('images', 'float32', [1, 3, 2 ** 30, 2 ** 30])],
        }),
      ),
    /1073741824/,
  ],
  'dimensions that contradict each other': [
    () =>
      writeModel(
        model({
          name: 'm',
          ...parts,
          nodes: [
            node('Add', ['images', 'w'], ['sum']),
            node('GlobalAveragePool', ['sum'], ['output']),
          ],
          initializers: [tensor('w', [5], new Float32Array(5))],
        }),
      ),
    /16.*5|5.*16/,
  ],
}

for (const [name, [bytes, message]] of Object.entries(cases)) {
  test(`${name} is refused`, async () => {
    await assert.rejects(compiled(bytes()), (error: Error) => {
      assert.match(error.message, message)
      assert.match(error.message, /^Cannot (use|read|compile|load|find) /)
      return true
    })
  })
}

test('labels that are not as many as the outputs tell apart are refused', async () => {
  const labels = await put(folder, 'two.txt', 'red\ngreen')
  await assert.rejects(compiled(good, { labels }), /model has 3 classes, labels file ".*" has 2/)
})

test('too few images, none, and images that are none are refused', async () => {
  const few = join(folder, 'few')
  await mkdir(few)
  await assert.rejects(compiled(good, { calibrate: few }), /no file in it ends in/)
  await put(few, 'a.png', await readFile(join(folder, 'images/0.png')))
  await assert.rejects(compiled(good, { calibrate: few }), /Cannot split 1 images/)
  await assert.rejects(
    compiled(good, { calibrate: few, evaluate: join(folder, 'images') }),
    /Cannot calibrate with 1 image: at least 8 are needed/,
  )
  const broken = join(folder, 'broken')
  await mkdir(broken)
  for (let i = 0; i < 16; i++) await put(broken, `${i}.png`, `no picture ${i}`)
  await assert.rejects(compiled(good, { calibrate: broken }), /Cannot read image ".*\.png"/)
  const small = join(folder, 'small')
  await mkdir(small)
  for (let i = 0; i < 16; i++) {
    const dot = sharp({
      create: { width: 2, height: 2, channels: 3, background: { r: i, g: 0, b: 0 } },
    })
    await put(small, `${i}.png`, await dot.png().toBuffer())
  }
  await assert.rejects(compiled(good, { calibrate: small }), /it is 2×2 pixels, at least 8×8/)
})

test('a target that is none is refused, the nearest named', async () => {
  await assert.rejects(
    compiled(good, { target: 'linux-x64-vni' }),
    /did you mean "linux-x64-vnni"\?/,
  )
})
