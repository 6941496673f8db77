/** Models whose tensors lie beside them: read, written, larger than memory, and never from anywhere else. */
import assert from 'node:assert/strict'
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { needs } from '../../../test/require.ts'
import { openSession } from '../runtime/session.ts'
import { model, node, value } from './build.ts'
import { loadExternalData, locateExternalData } from './external-data.ts'
import { readModelFile, writeModelFile } from './model-file.ts'
import { OnnxError, readModel } from './read.ts'
import { type ModelProto, StringStringEntryProtoSchema } from './schema.ts'
import { floatsOf, tensor } from './tensor.ts'
import { writeModel } from './write.ts'

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-model-file-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}
const ramp = (length: number) => Float32Array.from({ length }, (_, at) => at / 7)

/** y = x · a + b, then a Constant's values added. */
function whole(): ModelProto {
  const constant = tensor('c', [512], ramp(512))
  return model({
    name: 'whole',
    inputs: [value('x', 'float32', [1, 64])],
    outputs: [value('y', 'float32', [1, 512])],
    initializers: [
      tensor('a', [64, 512], ramp(64 * 512)),
      tensor('b', [512], ramp(512)),
      tensor('s', [1], ramp(1)),
    ],
    nodes: [
      node('MatMul', ['x', 'a'], ['p']),
      node('Add', ['p', 'b'], ['q']),
      node('Constant', [], ['k'], { value: { tensor: constant } }),
      node('Add', ['q', 'k'], ['r']),
      node('Add', ['r', 's'], ['y']),
    ],
  })
}
const x = { type: 'float32', dims: [1, 64], data: ramp(64) } as const
async function run(what: Uint8Array | string) {
  await using session = await openSession(what)
  return (await session.run({ x })).y
}

test('a model written with its tensors beside it is the same model, for us and for the runtime', async (t) => {
  const folder = await folderFor(t)
  const path = join(folder, 'big.onnx')
  const { modelBytes, dataBytes } = await writeModelFile(whole(), path, { beside: 'always' })
  assert.deepEqual((await readdir(folder)).toSorted(), ['big.onnx', 'big.onnx.data'])
  assert.ok(modelBytes < 1500, `${modelBytes}`)
  const read = await readModelFile(path)
  const places = await locateExternalData(read, folder)
  assert.deepEqual(
    places.map(({ tensor, offsetBytes }) => [tensor.name, offsetBytes]),
    [
      ['a', 0],
      ['b', 2 * 65536],
      ['c', 3 * 65536],
    ],
  )
  assert.equal((await stat(`${path}.data`)).size, dataBytes)
  assert.deepEqual(
    Buffer.from(writeModel(await loadExternalData(read, folder))),
    Buffer.from(writeModel(whole())),
  )
  assert.deepEqual(await run(path), await run(writeModel(whole())))
})

test('a model is written from one folder to another, apart or as one file', async (t) => {
  const from = await folderFor(t)
  const to = await folderFor(t)
  await writeModelFile(whole(), join(from, 'm.onnx'), { beside: 'always' })
  const read = await readModelFile(join(from, 'm.onnx'))
  await writeModelFile(read, join(to, 'apart.onnx'), { from, beside: 'always' })
  await writeModelFile(read, join(to, 'one.onnx'), { from })
  assert.deepEqual((await readdir(to)).toSorted(), ['apart.onnx', 'apart.onnx.data', 'one.onnx'])
  assert.deepEqual(await readFile(join(to, 'one.onnx')), Buffer.from(writeModel(whole())))
  assert.deepEqual(
    await readFile(join(to, 'apart.onnx.data')),
    await readFile(join(from, 'm.onnx.data')),
  )
  await assert.rejects(writeModelFile(read, join(to, 'lost.onnx')), /their folder was not given/)
})

test('a model of more than 2 GB goes through in pieces', needs('time'), async (t) => {
  const folder = await folderFor(t)
  const rows = 300_000
  const width = 1024
  const big = model({
    name: 'big',
    inputs: [value('i', 'int64', [1])],
    outputs: [value('y', 'float32', [1, width])],
    initializers: [],
    nodes: [
      node('Gather', ['table', 'i'], ['p']),
      node('Gather', ['other', 'i'], ['q']),
      node('Add', ['p', 'q'], ['y']),
    ],
  })
  const bytes = rows * width * 4
  for (const [at, name] of ['table', 'other'].entries()) {
    big.graph!.initializer.push(
      outside(name, [rows, width], { location: 'sparse.bin', offset: String(at * bytes) }),
    )
  }
  const source = join(folder, 'sparse.bin')
  await using file = await open(source, 'w')
  await file.truncate(2 * bytes)
  // One value near the end of each, the rest of the file is holes.
  for (const at of [1, 2])
    await file.write(new Uint8Array(new Float32Array([at]).buffer), 0, 4, at * bytes - 4)
  assert.ok(2 * bytes > 2 ** 31)
  const before = process.memoryUsage().rss
  const path = join(folder, 'out.onnx')
  const { modelBytes, dataBytes } = await writeModelFile(big, path, { from: folder })
  const grown = process.memoryUsage().rss - before
  assert.ok(dataBytes >= 2 * bytes && modelBytes < 1000)
  assert.ok(grown < 300e6, `memory has grown by ${grown} bytes`)
  const places = await locateExternalData(await readModelFile(path), folder)
  await using written = await open(`${path}.data`)
  for (const [at, { offsetBytes, sizeBytes }] of places.entries()) {
    const last = new Uint8Array(4)
    await written.read(last, 0, 4, offsetBytes + sizeBytes - 4)
    assert.equal(new Float32Array(last.buffer)[0], at + 1)
    assert.equal(offsetBytes % 65536, 0)
  }
  await assert.rejects(
    loadExternalData(await readModelFile(path), folder),
    /at most \d+ are loaded/,
  )
  await assert.rejects(writeModelFile(big, path, { from: folder, beside: 'never' }), /go into one/)
})

/** A float32 tensor that says it lies elsewhere. */
function outside(name: string, dims: readonly number[], entries: Readonly<Record<string, string>>) {
  const made = tensor(name, [0], new Float32Array(0))
  made.dims = dims.map(BigInt)
  made.dataLocation = 1
  made.externalData = Object.entries(entries).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value }),
  )
  return made
}
function pointing(...places: Readonly<Record<string, string>>[]): ModelProto {
  const made = whole()
  made.graph!.initializer = places.map((entries, at) => outside(`t${at}`, [64], entries))
  return readModel(writeModel(made))
}

const refused: Record<string, [ModelProto, RegExp]> = {
  'a way up': [pointing({ location: '../secret' }), /"..\/secret" leads out of the model's folder/],
  'a way up and back': [
    pointing({ location: 'inner/../w.bin' }),
    /leads out of the model's folder/,
  ],
  'an absolute path': [
    pointing({ location: '/etc/passwd' }),
    /"\/etc\/passwd" is not in the model's folder/,
  ],
  'a path of Windows': [pointing({ location: 'C:secret' }), /is not in the model's folder/],
  backslashes: [pointing({ location: '..\\secret' }), /is no file name/],
  'a name with a zero byte': [pointing({ location: 'w.bin\0' }), /is no file name/],
  'no name': [pointing({ offset: '0' }), /no file is named/],
  'a link': [pointing({ location: 'link.bin' }), /"link.bin" is a link/],
  'a linked folder': [pointing({ location: 'linked/secret' }), /"linked\/secret" is a link/],
  'a folder': [pointing({ location: 'inner' }), /"inner" is no file/],
  'a file as a folder': [pointing({ location: 'w.bin/x' }), /"w.bin\/x" is no file/],
  'the folder itself': [pointing({ location: '.' }), /"." is no file/],
  'a missing file': [
    pointing({ location: 'gone.bin' }),
    /tensor "t0": there is no file "gone.bin"/,
  ],
  'a file that is too short': [
    pointing({ location: 'w.bin', offset: '400' }),
    /"w.bin" has 512 bytes, 656 are needed; it may be truncated/,
  ],
  'a length that does not fit': [
    pointing({ location: 'w.bin', length: '99' }),
    /99 bytes are said, its dimensions hold 256/,
  ],
  'a negative offset': [pointing({ location: 'w.bin', offset: '-8' }), /its offset is "-8"/],
  'an offset that is no number': [
    pointing({ location: 'w.bin', offset: '1e2' }),
    /its offset is "1e2"/,
  ],
  'an offset beyond every file': [
    pointing({ location: 'w.bin', offset: '9999999999999999' }),
    /its offset is "9999999999999999"/,
  ],
  'tensors that overlap': [
    pointing({ location: 'w.bin' }, { location: 'w.bin', offset: '255' }),
    /"t1": its bytes are those of tensor "t0", too/,
  ],
}
for (const [what, [made, expected]] of Object.entries(refused)) {
  test(`data elsewhere are refused: ${what}`, async (t) => {
    const outer = await folderFor(t)
    const folder = join(outer, 'model')
    await mkdir(join(folder, 'inner'), { recursive: true })
    await mkdir(join(outer, 'other'))
    await writeFile(join(outer, 'secret'), new Uint8Array(1024))
    await writeFile(join(outer, 'other/secret'), new Uint8Array(1024))
    await writeFile(join(folder, 'w.bin'), new Uint8Array(512))
    await symlink(join(outer, 'secret'), join(folder, 'link.bin'))
    await symlink(join(outer, 'other'), join(folder, 'linked'))
    const path = join(folder, 'm.onnx')
    await writeFile(path, writeModel(made))
    const fits = (error: unknown) => error instanceof OnnxError && expected.test(error.message)
    await assert.rejects(readModelFile(path), fits)
    await assert.rejects(loadExternalData(made, folder), fits)
    await assert.rejects(writeModelFile(made, join(outer, 'out.onnx'), { from: folder }), fits)
    assert.deepEqual(
      (await readdir(outer)).toSorted(),
      ['model', 'other', 'secret'],
      'nothing is left',
    )
  })
}

test('data in a folder within, in two parts of one file, are read', async (t) => {
  const folder = await folderFor(t)
  await mkdir(join(folder, 'inner'))
  await writeFile(join(folder, 'inner/w.bin'), new Uint8Array(ramp(128).buffer))
  const made = pointing(
    { location: './inner/w.bin', offset: '256' },
    { location: 'inner/w.bin', length: '256' },
  )
  const [first, second] = (await loadExternalData(made, folder)).graph!.initializer
  assert.deepEqual(floatsOf(second!), ramp(64))
  assert.deepEqual(floatsOf(first!), ramp(128).slice(64))
})

test('writing that is stopped leaves what was there before', async (t) => {
  const folder = await folderFor(t)
  const path = join(folder, 'm.onnx')
  await writeModelFile(whole(), path, { beside: 'always' })
  const before = await Promise.all([readFile(path), readFile(`${path}.data`)])
  const signal = AbortSignal.abort(new Error('stopped'))
  await assert.rejects(writeModelFile(whole(), path, { beside: 'always', signal }), /stopped/)
  assert.deepEqual((await readdir(folder)).toSorted(), [basename(path), `${basename(path)}.data`])
  assert.deepEqual(await Promise.all([readFile(path), readFile(`${path}.data`)]), before)
})

test('readModelFile() says what it cannot read', async (t) => {
  const folder = await folderFor(t)
  await assert.rejects(
    readModelFile(join(folder, 'none.onnx')),
    /none.onnx": there is no such file/,
  )
  await assert.rejects(readModelFile(folder), /it is no file/)
  await writeModelFile(whole(), join(folder, 'm.onnx'))
  await assert.rejects(
    readModelFile(join(folder, 'm.onnx'), { sizeBytesMax: 99 }),
    /at most 99 are read/,
  )
})
