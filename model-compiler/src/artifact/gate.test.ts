import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { artifactBytesMax } from '@edgeloop/protocol'
import { readNodeSuite } from '../../../test/compiler/node-suite.ts'
import { material, needs } from '../../../test/require.ts'
import { ArtifactError } from './artifact-error.ts'
import { checkModelFile, gateLimits } from './gate.ts'
import { gateOperators } from './gate-operators.ts'

const demo = fileURLToPath(new URL('../../../edge-agent/demo', import.meta.url))

test('a small model passes, and says what it asks of a runtime', () => {
  assert.deepEqual(checkModelFile(modelOf()), { opset: 17, nodes: 1, tensors: 1 })
})

test('the models of the demo pass', async () => {
  for (const file of ['conveyor-float.onnx', 'conveyor.onnx']) {
    assert.equal(checkModelFile(await readFile(join(demo, file))).opset, 17)
  }
})

test('real models pass', needs('material'), async () => {
  const files = (await readdir(`${material}/models`)).filter((file) => file.endsWith('.onnx'))
  assert.equal(files.length, 9)
  for (const file of files) {
    const { nodes } = checkModelFile(await readFile(`${material}/models/${file}`))
    assert.ok(nodes >= 10, `${file}: ${nodes} nodes`)
  }
})

test('of ONNX’s own suite everything passes but for its operators', needs('material'), async () => {
  let taken = 0
  for (const { name, model, runtime } of await readNodeSuite()) {
    if (runtime !== 'pass') continue
    try {
      checkModelFile(model)
      taken++
    } catch (error) {
      // Those of the suite that name other domains alone are operators of ai.onnx.ml.
      assert.match(
        (error as Error).message,
        /the operator "\w+" of ai\.onnx is not taken|which version of ai\.onnx/,
        name,
      )
    }
  }
  assert.equal(taken, 1107)
})

// S12: data in other files, wherever a tensor can stand.
const outside = tensorOf({ external: true })
const elsewhere = tensorOf({ location: 1 })
const sparse = message([1, tensorOf()], [2, tensorOf()], [3, 4])
for (const [where, bytes, why] of [
  ['an initializer', modelOf({ initializers: [outside] }), /external data/],
  ['an initializer by its location alone', modelOf({ initializers: [elsewhere] }), /external data/],
  ['a sparse initializer', modelOf({ graph: [[15, sparse]] }), /sparse tensors/],
  [
    'a constant',
    modelOf({ nodes: [nodeOf('Constant', [attribute('value', [5, outside])])] }),
    /external data/,
  ],
  [
    'one of several tensors of an attribute',
    modelOf({ nodes: [nodeOf('Constant', [attribute('value', [10, tensorOf()], [10, outside])])] }),
    /external data/,
  ],
  [
    'a sparse constant',
    modelOf({ nodes: [nodeOf('Constant', [attribute('sparse_value', [22, sparse])])] }),
    /sparse tensors/,
  ],
  [
    'sparse constants',
    modelOf({ nodes: [nodeOf('Constant', [attribute('v', [23, sparse])])] }),
    /sparse tensors/,
  ],
  [
    'a branch',
    modelOf({
      nodes: [nodeOf('If', [attribute('then_branch', [6, graphOf({ initializers: [outside] })])])],
    }),
    /a graph of node 0 \(If\).*external data/,
  ],
  [
    'a function',
    modelOf({ model: [[25, message([1, text('f')], [7, nodeOf('Relu')])]] }),
    /functions/,
  ],
  [
    'training information',
    modelOf({ model: [[20, message([1, graphOf({ initializers: [outside] })])]] }),
    /training/,
  ],
] as const) {
  test(`data in other files is refused in ${where}`, () => refuses(bytes, why))
}

// S13: what may be computed, and how deep.
test('operators and domains that are not known are refused, whatever the file imports', () => {
  refuses(modelOf({ nodes: [nodeOf('Evil')] }), /node 0 \(Evil\): the operator "Evil" of ai\.onnx/)
  for (const domain of [
    'ai.onnx.ml',
    'ai.onnx.training',
    'com.example',
    'com.microsoft.nchwc',
    'ai.onnx ',
  ]) {
    refuses(modelOf({ nodes: [nodeOf('Relu', [], { domain })] }), /the domain "/)
  }
  refuses(
    modelOf({ nodes: [nodeOf('Attention', [], { domain: 'com.microsoft' })] }),
    /"Attention" of com\.microsoft/,
  )
  refuses(modelOf({ nodes: [nodeOf('__proto__')] }), /is not taken/)
  refuses(modelOf({ nodes: [nodeOf('')] }), /the operator "" of ai\.onnx/)
  checkModelFile(modelOf({ nodes: [nodeOf('QuickGelu', [], { domain: 'com.microsoft' })] }))
  checkModelFile(modelOf({ nodes: [nodeOf('Relu', [], { domain: 'ai.onnx' })] }))
})

test('graphs are nested twice and no deeper, and only where operators hold them', () => {
  const nested = (depth: number): Uint8Array =>
    depth === 0
      ? graphOf()
      : graphOf({ nodes: [nodeOf('If', [attribute('then_branch', [6, nested(depth - 1)])])] })
  for (const depth of [0, 1, 2]) checkModelFile(modelOf({}, nested(depth)))
  refuses(modelOf({}, nested(3)), /nested more than 2 deep/)
  refuses(modelOf({}, nested(60)), /nested more than 2 deep/)
  const held = attribute('body', [6, graphOf()])
  refuses(modelOf({ nodes: [nodeOf('Relu', [held])] }), /node 0 \(Relu\): it holds a graph/)
  refuses(modelOf({ nodes: [nodeOf('If', [attribute('x', [11, graphOf()])])] }), /several graphs/)
})

test('a tensor whose values are in two places, or not as many as its shape says, is refused', () => {
  const raw = new Uint8Array(16)
  const floats = Buffer.from(new Float32Array(4).buffer)
  const tensor = (...fields: Field[]) =>
    modelOf({ initializers: [message([1, 4], [2, 1], ...fields)] })
  checkModelFile(tensor([9, raw]))
  checkModelFile(tensor([4, floats]))
  refuses(tensor([9, raw], [4, floats]), /more than one field/)
  refuses(tensor([4, floats], [7, Buffer.from([1])]), /more than one field/)
  refuses(tensor([9, raw], [9, raw]), /there twice/)
  refuses(tensor([9, raw.subarray(1)]), /it has 15 bytes/)
  refuses(tensor([4, floats.subarray(4)]), /it has 3 values/)
  refuses(tensor([5, Buffer.from([1, 1, 1, 1])]), /do not stand in field 5/)
  refuses(tensor(), /it has 0 bytes/)
  refuses(tensor([3, message([1, 0], [2, 4])], [9, raw]), /segments/)
})

test('shapes that overflow, are below zero or have too many dimensions are refused', () => {
  const shaped = (...dims: (number | bigint)[]) =>
    modelOf({ initializers: [message(...dims.map((size): Field => [1, size]), [2, 1])] })
  refuses(shaped(2 ** 32, 2 ** 32), /larger than any model/)
  refuses(shaped(2 ** 53 - 1, 2 ** 53 - 1, 2 ** 53 - 1), /larger than any model/)
  // As 64 bits it is 0 in C++.
  refuses(shaped(2 ** 32, 2 ** 32, 4), /larger than any model/)
  refuses(shaped(-1n), /below zero/)
  refuses(shaped(...Array.from({ length: 17 }, () => 1)), /more than 16 dimensions/)
  // Nothing of it, whatever the others say.
  checkModelFile(shaped(0, 2 ** 40))
})

test('types of elements: text and what is no type are refused, codes below a byte are counted', () => {
  const typed = (type: number, dims: number, bytes: number) =>
    modelOf({ initializers: [message([1, dims], [2, type], [9, new Uint8Array(bytes)])] })
  refuses(typed(8, 1, 1), /the type 8/)
  refuses(typed(99, 1, 1), /the type 99/)
  refuses(typed(0, 1, 1), /the type 0/)
  checkModelFile(typed(22, 5, 3))
  refuses(typed(22, 5, 5), /it has 5 bytes/)
  refuses(modelOf({ initializers: [message([2, 8], [6, text('x')])] }), /text/)
})

test('what a parser would merge or skip is refused', () => {
  const twice: Field[] = [
    [7, graphOf()],
    [7, graphOf()],
  ]
  refuses(message([1, 8], ...twice, opset(17)), /field 7 of the model is there twice/)
  refuses(modelOf({ model: [[99, text('x')]] }), /field 99 of the model is not known/)
  refuses(modelOf({ nodes: [message([4, text('Relu')], [4, text('Evil')])] }), /there twice/)
  refuses(modelOf({ nodes: [message([4, 7])] }), /field 4 of the node has the wire type 0/)
  refuses(modelOf({ nodes: [message([4, text('Relu')], [8, text('x')])] }), /overloads/)
  refuses(
    modelOf({ nodes: [nodeOf('Relu', [message([1, text('x')], [21, text('y')])])] }),
    /references/,
  )
})

test('a file that the runtime would take for its own format is refused', () => {
  // A producer's name with these letters at byte 4, in front of a model that is whole.
  const polyglot = Buffer.concat([message([2, text('xxORTM')]), modelOf()])
  assert.equal(polyglot.toString('latin1', 4, 8), 'ORTM')
  refuses(polyglot, /ORT file/)
})

test('names, nodes, attributes and ports are bounded', () => {
  refuses(
    modelOf({ nodes: [nodeOf('Relu', [], { name: 'n'.repeat(1025) })] }),
    /a name has 1025 bytes/,
  )
  const attributes = Array.from({ length: gateLimits.attributes + 1 }, () => attribute('a', [3, 1]))
  refuses(modelOf({ nodes: [nodeOf('Relu', attributes)] }), /201 attributes/)
  const inputs = Array.from({ length: gateLimits.ports + 1 }, (): Field => [1, text('i')])
  refuses(modelOf({ nodes: [message([4, text('Concat')], ...inputs)] }), /10001 inputs/)
  const node = nodeOf('Relu')
  refuses(
    modelOf({ nodes: Array.from({ length: gateLimits.nodes + 1 }, () => node) }),
    /100000 nodes/,
  )
  const tensor = tensorOf()
  refuses(
    modelOf({ initializers: Array.from({ length: gateLimits.tensors + 1 }, () => tensor) }),
    /100000 tensors/,
  )
})

test('what is no model is told from what is none that is taken', () => {
  const damaged = (bytes: Uint8Array) =>
    assert.throws(() => checkModelFile(bytes), { code: 'damaged' })
  damaged(new Uint8Array())
  damaged(modelOf().subarray(0, -1))
  damaged(Buffer.from([0x3a, 0xff, 0xff, 0xff, 0xff, 0x7f]))
  damaged(Buffer.alloc(64, 0xff))
  // A group, which nobody writes any more.
  damaged(Buffer.from([0x0b, 0x0c]))
  refuses(message([7, graphOf()]), /which version of ai\.onnx/)
  refuses(message([7, graphOf()], opset(0)), /asks for version 0/)
  const large = { length: artifactBytesMax + 1 } as Uint8Array
  assert.throws(() => checkModelFile(large), { code: 'too-large' })
})

test('mutated models never hang the gate, nor end it otherwise than it says', async () => {
  const seed = Number(process.env.EDGELOOP_SEED ?? 20261121)
  console.log(`seed ${seed}`)
  const models = [modelOf(), await readFile(join(demo, 'conveyor.onnx'))]
  const random = randomFrom(seed)
  let passed = 0
  let refused = 0
  for (let round = 0; round < 4000; round++) {
    const bytes = Uint8Array.from(models[round % 2]!)
    const changes = 1 + (random() % 8)
    for (let change = 0; change < changes; change++) {
      // Where the structure is more than where the weights are.
      const span = random() % 3 === 0 ? bytes.length : Math.min(bytes.length, 4000)
      bytes[random() % span] = random() % 256
    }
    const cut = random() % 4 === 0 ? random() % bytes.length : bytes.length
    try {
      checkModelFile(bytes.subarray(0, cut))
      passed++
    } catch (error) {
      assert.ok(error instanceof ArtifactError, `round ${round}: ${error}`)
      refused++
    }
  }
  assert.ok(passed > 100 && refused > 1000, `${passed} passed, ${refused} were refused`)
})

test('the list of operators covers what the gate is asked', () => {
  for (const [domain, names] of gateOperators) {
    for (const name of names) checkModelFile(modelOf({ nodes: [nodeOf(name, [], { domain })] }))
  }
})

// Below: a writer of protobuf, so that files can be made that no library writes.

type Field = readonly [number: number, value: number | bigint | Uint8Array]

function message(...fields: readonly Field[]): Uint8Array {
  return Buffer.concat(
    fields.flatMap(([number, value]) =>
      typeof value === 'object'
        ? [varint(number * 8 + 2), varint(value.length), value]
        : [varint(number * 8), varint(value)],
    ),
  )
}

function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = []
  let left = BigInt.asUintN(64, BigInt(value))
  do {
    const low = Number(left & 0x7fn)
    left >>= 7n
    bytes.push(left > 0n ? low | 0x80 : low)
  } while (left > 0n)
  return Uint8Array.from(bytes)
}

function text(value: string): Uint8Array {
  return Buffer.from(value, 'latin1')
}

function opset(version: number): Field {
  return [8, message([1, text('')], [2, version])]
}

function tensorOf(given: { external?: boolean; location?: number } = {}): Uint8Array {
  const { external, location } = given
  return message(
    [1, 4],
    [2, 1],
    [8, text('w')],
    ...(external || location !== undefined ? [] : [[9, new Uint8Array(16)] as const]),
    ...(external
      ? [[13, message([1, text('location')], [2, text('../../etc/passwd')])] as const]
      : []),
    ...(location === undefined ? [] : [[14, location] as const]),
  )
}

function attribute(name: string, ...values: Field[]): Uint8Array {
  return message([1, text(name)], ...values)
}

function nodeOf(
  operator: string,
  attributes: readonly Uint8Array[] = [],
  { domain = '', name = '' } = {},
): Uint8Array {
  return message(
    [1, text('x')],
    [2, text('y')],
    ...(name === '' ? [] : [[3, text(name)] as const]),
    [4, text(operator)],
    ...attributes.map((one): Field => [5, one]),
    [7, text(domain)],
  )
}

type Parts = {
  readonly nodes?: readonly Uint8Array[]
  readonly initializers?: readonly Uint8Array[]
  readonly graph?: readonly Field[]
  readonly model?: readonly Field[]
}

function graphOf({
  nodes = [nodeOf('Relu')],
  initializers = [tensorOf()],
  graph = [],
}: Parts = {}): Uint8Array {
  return message(
    ...nodes.map((one): Field => [1, one]),
    [2, text('g')],
    ...initializers.map((one): Field => [5, one]),
    [11, message([1, text('x')])],
    [12, message([1, text('y')])],
    ...graph,
  )
}

function modelOf(parts: Parts = {}, graph = graphOf(parts)): Uint8Array {
  return message([1, 8], [7, graph], opset(17), ...(parts.model ?? []))
}

function refuses(bytes: Uint8Array, why: RegExp): void {
  assert.throws(() => checkModelFile(bytes), { code: 'model-refused', message: why })
}

function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 8
  }
}
