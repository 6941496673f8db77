/** A model whose weights lie beside it is compiled like any other, and what is made on the way is taken away. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openModelSource } from '../../cli/src/model/model-source.ts'
import { model, node, value } from '../../model-compiler/src/onnx/build.ts'
import { writeModelFile } from '../../model-compiler/src/onnx/model-file.ts'
import { readModel } from '../../model-compiler/src/onnx/read.ts'
import { tensor, valuesOf } from '../../model-compiler/src/onnx/tensor.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edgeloop-source-'))
})
after(() => rm(folder, { recursive: true }))

const weights = Float32Array.from({ length: 16 * 3 * 9 }, (_, at) => at / 100)

async function writeBeside(name: string): Promise<string> {
  const made = model({
    name,
    inputs: [value('x', 'float32', [1, 3, 8, 8])],
    outputs: [value('y', 'float32', [1, 16, 6, 6])],
    initializers: [tensor('w', [16, 3, 3, 3], weights)],
    nodes: [node('Conv', ['x', 'w'], ['y'])],
  })
  const file = join(folder, name)
  const { dataBytes } = await writeModelFile(made, file, { beside: 'always' })
  assert.ok(dataBytes >= weights.byteLength)
  return file
}

test('weights in a file beside the model are brought in, with its description, and the work is taken away', async () => {
  const file = await writeBeside('beside.onnx')
  await writeFile(join(folder, 'beside.model.yaml'), 'layout: embedding\n')
  const work = join(folder, 'work')
  await mkdir(work)
  {
    await using source = await openModelSource(file, work)
    const [inside] = readModel(source.bytes).graph!.initializer
    assert.deepEqual([...(valuesOf(inside!) as Float32Array)], [...weights])
    assert.deepEqual(await readFile(source.file), Buffer.from(source.bytes))
    assert.deepEqual(JSON.parse(await readFile(source.description!, 'utf8')), {
      layout: 'embedding',
    })
  }
  assert.deepEqual(await readdir(work), [])
})

test('weights that are missing, cut short or behind a link are refused, and nothing is left', async () => {
  const work = join(folder, 'nothing')
  await mkdir(work)
  const refused = async (name: string, spoil: (data: string) => Promise<void>, why: RegExp) => {
    const file = await writeBeside(name)
    await spoil(`${file}.data`)
    await assert.rejects(openModelSource(file, work), why)
    assert.deepEqual(await readdir(work), [])
  }
  await refused('missing.onnx', (data) => rm(data), /"w".*missing\.onnx\.data/)
  await refused('short.onnx', (data) => writeFile(data, new Uint8Array(10)), /"w"/)
  await refused(
    'link.onnx',
    async (data) => {
      await rm(data)
      await symlink('/etc/hostname', data)
    },
    /"w".*link\.onnx\.data/,
  )
})
