/** A server that lies, hangs, dies or talks nonsense costs an error that says so, and no more. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import * as onnx from '@edgeloop/model-compiler'
import { testRuntime } from '../../../test/contracts/runtime.ts'
import { modelBytes, plusOne, put } from '../../../test/detection/tiny-models.ts'
import { type Answer, type OipServer, startOipServer } from '../../../test/oip/oip-server.ts'
import { oipRuntime } from './oip.ts'
import type { OipLimits } from './oip-session.ts'
import type { Runtime, RuntimeSession } from './runtime.ts'

let contractServer: OipServer
before(async () => {
  contractServer = await startOipServer()
})
after(() => contractServer[Symbol.asyncDispose]())

testRuntime(
  'oipRuntime',
  lazy(() => oipRuntime(`oip:${contractServer.url}`)),
)

/** The address is known when the server has started. */
function lazy(make: () => Runtime): Runtime {
  return {
    get name() {
      return make().name
    },
    open: (file, options) => make().open(file, options),
  }
}

const one = { x: { type: 'float32', shape: [1, 2], data: Float32Array.of(1, 2) } } as const
const two = Float32Array.of(2, 3)

type Opened = { server: OipServer; session: RuntimeSession; file: string }

/** A session of x + 1 on a server of its own. */
async function open(t: TestContext, limits: Partial<OipLimits> = {}): Promise<Opened> {
  const server = await startOipServer()
  t.after(() => server[Symbol.asyncDispose]())
  const file = await put(await folderFor(t), 'plus.onnx', plusOne([1, 2]))
  await server.put('plus', plusOne([1, 2]))
  const session = await oipRuntime(`oip:${server.url}`, { limits }).open(file, { threads: 1 })
  t.after(() => session[Symbol.asyncDispose]())
  return { server, session, file }
}

type Heads = {
  name: string
  datatype: string
  shape: number[]
  parameters?: object
  data?: unknown
}

/** The one output of an answer, to be changed. */
const output = ({ json }: Answer): Heads => (json.outputs as Heads[])[0]!

/** Lies about an inference, and what is said about them. */
const lies: Readonly<Record<string, readonly [RegExp, (answer: Answer) => void]>> = {
  'another shape than promised': [
    /has "y" float32 \[2, 1\], promised was float32 \[1, 2\]$/,
    (answer) => {
      output(answer).shape = [2, 1]
    },
  ],
  'another type than promised': [
    /has "y" int32 \[1, 2\], promised was float32 \[1, 2\]$/,
    (answer) => {
      output(answer).datatype = 'INT32'
    },
  ],
  'a type that nobody knows': [
    /type "COMPLEX", which is not one of FP32, UINT8/,
    (answer) => {
      output(answer).datatype = 'COMPLEX'
    },
  ],
  'fewer bytes than its shape needs': [
    /has 4 bytes for "y" FP32 \[1, 2\], expected 8$/,
    (answer) => {
      output(answer).parameters = { binary_data_size: 4 }
      answer.tensors = [new Uint8Array(4)]
    },
  ],
  'fewer bytes than it says': [
    /ends 4 bytes before the end of "y"$/,
    (answer) => {
      answer.tensors = [new Uint8Array(4)]
    },
  ],
  'bytes that nobody asked for': [
    /has 3 bytes behind its last tensor$/,
    (answer) => {
      answer.tensors.push(new Uint8Array(3))
    },
  ],
  'a shape whose product is beyond numbers': [
    /has 8 bytes for "y" FP32 \[\d+, \d+, \d+\], expected \d/,
    (answer) => {
      output(answer).shape = [9007199254740991, 9007199254740991, 9007199254740991]
    },
  ],
  'a negative shape': [
    /is none: \/outputs\/0\/shape\/0 must be >= 0$/,
    (answer) => {
      output(answer).shape = [-1, 2]
    },
  ],
  'no output': [
    /lacks "y"$/,
    (answer) => {
      answer.json.outputs = []
      answer.tensors = []
    },
  ],
  'an output twice': [
    /has "y" twice$/,
    (answer) => {
      answer.json.outputs = [output(answer), output(answer)]
    },
  ],
  'an output more': [
    /has "z", which was not promised$/,
    (answer) => {
      const { name, ...rest } = output(answer)
      answer.json.outputs = [
        { name, ...rest },
        { name: 'z', ...rest },
      ]
      answer.tensors.push(answer.tensors[0]!)
    },
  ],
  'data nowhere': [
    /has data of "y" nowhere$/,
    (answer) => {
      delete output(answer).parameters
      answer.tensors = []
    },
  ],
  'words among its numbers': [
    /has "NaN" among the numbers of "y"$/,
    (answer) => {
      delete output(answer).parameters
      output(answer).data = [1, 'NaN']
      answer.tensors = []
    },
  ],
  'another object': [
    /is none: \/ must have required properties outputs$/,
    (answer) => {
      answer.json = { detections: [] }
      answer.tensors = []
    },
  ],
  'a length of JSON beyond its end': [
    /says that "9999" of its \d+ bytes are JSON$/,
    (answer) => {
      answer.headers['inference-header-content-length'] = '9999'
    },
  ],
  'a length of JSON that is no number': [
    /says that "1e1" of its \d+ bytes are JSON$/,
    (answer) => {
      answer.headers['inference-header-content-length'] = '1e1'
    },
  ],
  'tensors where JSON should be': [
    /is not JSON$/,
    (answer) => {
      answer.headers['inference-header-content-length'] = '0'
    },
  ],
  'more bytes than its outputs can have': [
    /announced 3\d{6} bytes, allowed 1048584$/,
    (answer) => {
      answer.tensors.push(new Uint8Array(3_000_000))
    },
  ],
  'an error of its own': [
    /answered HTTP 500: CUDA out of memory$/,
    (answer) => {
      Object.assign(answer, { status: 500, json: { error: 'CUDA out of memory' }, tensors: [] })
    },
  ],
  'a way to another address': [
    /points elsewhere \(HTTP 307\); give that address$/,
    (answer) => {
      Object.assign(answer, { status: 307, headers: { location: 'http://127.0.0.1:1/' } })
    },
  ],
}

test('run() refuses every lie of a server by its name, and works again when it stops lying', async (t) => {
  const { server, session } = await open(t)
  for (const [what, [said, lie]] of Object.entries(lies)) {
    server.misbehave = (path, answer) => {
      if (path.endsWith('/infer')) lie(answer)
    }
    await assert.rejects(session.run(one), { name: 'ModelError', message: said }, what)
    server.misbehave = undefined
    assert.deepEqual((await session.run(one)).y?.data, two, `after ${what}`)
  }
})

test('run() reads outputs that come as JSON, where a server knows no binary ones', async (t) => {
  const { server, session } = await open(t)
  server.misbehave = (_path, answer) => {
    if (answer.tensors.length === 0) return
    delete output(answer).parameters
    output(answer).data = [2, 3]
    answer.tensors = []
  }
  assert.deepEqual((await session.run(one)).y?.data, two)
})

test('run() gives up on a server that hangs, before its answer and within it', async (t) => {
  const { server, session } = await open(t, { inferTimeoutMs: 300 })
  const hanging = { name: 'ModelError', message: /gave no whole answer within 300 ms$/ }
  server.misbehave = () => new Promise(() => {})
  await assert.rejects(session.run(one), hanging)
  server.misbehave = (path, _answer, response) => {
    if (!path.endsWith('/infer')) return
    response.writeHead(200, { 'content-length': '50' }).write('{"outputs"')
    return new Promise(() => {})
  }
  await assert.rejects(session.run(one), hanging)
  server.misbehave = undefined
  assert.deepEqual((await session.run(one)).y?.data, two)
})

test('a server that is slow in everything costs a bounded time altogether', async (t) => {
  const { server, session, file } = await open(t, { inferTimeoutMs: 1_000, totalTimeoutMs: 1_200 })
  server.misbehave = (_path, _answer, response) => void response.destroy()
  await assert.rejects(session.run(one))
  // The promise is asked for anew, each step slowly, each within its own limit.
  server.misbehave = async () => await new Promise((resolve) => setTimeout(resolve, 700))
  const beganMs = performance.now()
  await assert.rejects(session.run(one), { message: /gave no whole answer within \d+ ms$/ })
  const limits = { totalTimeoutMs: 1_200 }
  await assert.rejects(oipRuntime(`oip:${server.url}`, { limits }).open(file, { threads: 1 }), {
    message: /gave no whole answer within \d+ ms$/,
  })
  const tookMs = performance.now() - beganMs
  assert(tookMs < 5_000, `${tookMs} ms`)
})

test('run() stops an answer that has no end', async (t) => {
  const { server, session } = await open(t)
  server.misbehave = (path, _answer, response) => {
    if (!path.endsWith('/infer')) return
    response.writeHead(200)
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536, ' ')));
      if (!response.destroyed) response.once('drain', more)
    }
    more()
    return new Promise(() => {})
  }
  await assert.rejects(session.run(one), { message: /sent more than 1048584 bytes$/ })
})

test('run() says that a server broke off, and that it has gone, and works when it is back', async (t) => {
  const { server, session } = await open(t)
  server.misbehave = (_path, _answer, response) => void response.destroy()
  await assert.rejects(session.run(one), {
    name: 'ModelError',
    message: /closed the connection before its answer was whole$/,
  })
  await server[Symbol.asyncDispose]()
  await assert.rejects(session.run(one), { message: /takes no connections \(ECONNREFUSED\)/ })
  const again = await startOipServer({ port: server.port })
  t.after(() => again[Symbol.asyncDispose]())
  // It came back without models: the file is sent there.
  assert.deepEqual((await session.run(one)).y?.data, two)
})

test('run() refuses a model that has become another one', async (t) => {
  const { server, session } = await open(t)
  server.misbehave = (_path, _answer, response) => void response.destroy()
  await assert.rejects(session.run(one))
  server.misbehave = undefined
  await server.put('plus', plusOne([1, 3]))
  await assert.rejects(session.run(one), {
    name: 'ModelError',
    message:
      /has become another one: "x" float32 \[1, 3\] → "y" float32 \[1, 3\], before "x" float32 \[1, 2\] → "y" float32 \[1, 2\]$/,
  })
})

test('a session keeps one connection for all its runs', async (t) => {
  const { server, session } = await open(t)
  for (let round = 0; round < 20; round++) await session.run(one)
  assert.equal(server.connections, 1)
})

test('an abort ends a run at once, and what it throws is its reason', async (t) => {
  const server = await startOipServer()
  t.after(() => server[Symbol.asyncDispose]())
  const file = await put(await folderFor(t), 'plus.onnx', plusOne([1, 2]))
  const abort = new AbortController()
  const options = { threads: 1, signal: abort.signal }
  await using session = await oipRuntime(`oip:${server.url}`).open(file, options)
  server.misbehave = () => new Promise(() => {})
  const running = session.run(one)
  setTimeout(() => abort.abort(new Error('enough')), 50)
  await assert.rejects(running, { message: 'enough' })
})

test('open() sends a file only to a server that has no such model and takes some', async (t) => {
  const { server } = await open(t)
  assert(!server.requests.some((request) => request.endsWith('/load')))
  const closed = await startOipServer({ repository: false })
  t.after(() => closed[Symbol.asyncDispose]())
  const file = await put(await folderFor(t), 'plus.onnx', plusOne([1, 2]))
  await assert.rejects(oipRuntime(`oip:${closed.url}`).open(file, { threads: 1 }), {
    name: 'ModelError',
    message: `Cannot load model "${file}": OIP server "${closed.url}" has no model "plus" and takes none; put it there, or name the one to use: oip:${closed.url}/MODEL`,
  })
  await assert.rejects(oipRuntime(`oip:${closed.url}/other`).open(file, { threads: 1 }), {
    message: /model "other" is not ready there: .*unknown model: 'other'/,
  })
  await closed.put('other', plusOne([1, 2]))
  await using session = await oipRuntime(`oip:${closed.url}/other`).open(file, { threads: 1 })
  assert.equal(session.runtime, `oip:${closed.url}/other`)
  assert.deepEqual((await session.run(one)).y?.data, two)
})

test('open() refuses a model with tensors of strings', async (t) => {
  const server = await startOipServer()
  t.after(() => server[Symbol.asyncDispose]())
  server.misbehave = (path, answer) => {
    if (path.endsWith('/plus')) (answer.json.inputs as Heads[])[0]!.datatype = 'BYTES'
  }
  await server.put('plus', plusOne([1, 2]))
  const file = await put(await folderFor(t), 'plus.onnx', plusOne([1, 2]))
  await assert.rejects(oipRuntime(`oip:${server.url}`).open(file, { threads: 1 }), {
    message: `Cannot load model "${file}": its "x" is of type "BYTES", which is not one of FP32, UINT8, INT8, INT32, INT64, FP16, BOOL`,
  })
})

test('open() says that a server wants a token, and sends the one it is given', async (t) => {
  const server = await startOipServer({ token: 'secret' })
  t.after(() => server[Symbol.asyncDispose]())
  await server.put('plus', plusOne([1, 2]))
  const file = await put(await folderFor(t), 'plus.onnx', plusOne([1, 2]))
  await assert.rejects(oipRuntime(`oip:${server.url}`).open(file, { threads: 1 }), {
    message: /wants a token \(HTTP 401\); put it into EDGELOOP_OIP_TOKEN: no token$/,
  })
  await using session = await oipRuntime(`oip:${server.url}`, { token: 'secret' }).open(file, {
    threads: 1,
  })
  assert.deepEqual((await session.run(one)).y?.data, two)
})

test('open() says that what answers there is no such server', async (t) => {
  const file = await put(await folderFor(t), 'plus.onnx', plusOne([1, 2]))
  const noHttp = createServer((socket) => socket.on('error', () => {}).end('SSH-2.0-dropbear\r\n'))
  await new Promise<void>((resolve) => noHttp.listen(0, '127.0.0.1', resolve))
  t.after(() => noHttp.close())
  const { port } = noHttp.address() as { port: number }
  await assert.rejects(
    oipRuntime(`oip:http://127.0.0.1:${port}`).open(file, { threads: 1 }),
    /ModelError: Cannot load model .*: OIP server "http:\/\/127\.0\.0\.1:\d+" does not speak HTTP/,
  )
  const server = await startOipServer()
  t.after(() => server[Symbol.asyncDispose]())
  server.misbehave = (_path, answer) => {
    answer.json = { welcome: 'to nginx' }
  }
  await assert.rejects(
    oipRuntime(`oip:${server.url}/plus`).open(file, { threads: 1 }),
    /ModelError: Cannot load model/,
  )
})

test('run() carries every type there and back', async (t) => {
  const server = await startOipServer()
  t.after(() => server[Symbol.asyncDispose]())
  const folder = await folderFor(t)
  const tensors = {
    int8: Int8Array.of(-128, 127),
    int32: Int32Array.of(-5, 2 ** 31 - 1),
    int64: BigInt64Array.of(-5n, 2n ** 62n),
    bool: Uint8Array.of(0, 1),
    uint8: Uint8Array.of(0, 255),
  } as const
  for (const [type, data] of Object.entries(tensors)) {
    const named = type as keyof typeof tensors
    const bytes = modelBytes({
      nodes: [onnx.node('Identity', ['x'], ['y'])],
      inputs: [onnx.value('x', named, [2])],
      outputs: [onnx.value('y', named, [2])],
    })
    const file = await put(folder, `${type}.onnx`, bytes)
    await using session = await oipRuntime(`oip:${server.url}`).open(file, { threads: 1 })
    const { y } = await session.run({ x: { type: named, shape: [2], data } })
    assert.deepEqual(y, { type: named, shape: [2], data })
  }
})

const misfits = {
  'oip:': 'it has no web address',
  'oip:127.0.0.1:8000': 'it has no web address',
  'oip:ftp://127.0.0.1': 'it has no web address',
  'oip:http://127.0.0.1:8000/v2': 'leave /v2 out',
  'oip:http://127.0.0.1:8000/a/b': '"/a/b" is no name of a model',
  'oip:http://127.0.0.1:8000/a?b': 'it has "?b"',
  'oip:http://me:secret@127.0.0.1:8000': 'secrets do not belong into an address',
} as const

test('oipRuntime() refuses what is no address, and repeats no password', () => {
  for (const [wish, why] of Object.entries(misfits)) {
    assert.throws(
      () => oipRuntime(wish),
      (error: Error) => {
        assert.equal(error.name, 'ModelError')
        assert(error.message.includes(why), error.message)
        assert(!error.message.includes('secret@'), error.message)
        return true
      },
    )
  }
})

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-oip-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}
