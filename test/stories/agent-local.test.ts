/**
 * What a real agent offers beside the box: its models to an inference client, its pictures, its
 * figures; and what it refuses.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { pino } from 'pino'
import sharp from 'sharp'
import { type LinkDeps, superviseAgent } from '../../edge-agent/src/agent.ts'
import { readAgentConfig } from '../../edge-agent/src/configuration.ts'
import { demoModel } from '../../edge-agent/src/demo/demo-model.ts'
import {
  createScene,
  sceneHeight as height,
  sceneWidth as width,
} from '../../edge-agent/src/demo/scene.ts'
import { oipRuntime } from '../../edge-agent/src/runtimes/oip.ts'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
const soon = { timeout: 60_000, interval: 100 }

/** An agent without a hub, with the demo's model and a camera of three images, on a free port. */
async function startAgent(t: TestContext, local: object) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-local-'))
  const images = await mkdtemp(join(tmpdir(), 'edgeloop-local-images-'))
  const scene = createScene({ seed: 5, seconds: 48 })
  const rgb = Buffer.alloc(width * height * 3)
  for (const frame of [40, 200, 390]) {
    scene.render(frame, rgb)
    await sharp(rgb, { raw: { width, height, channels: 3 } }).toFile(join(images, `${frame}.png`))
  }
  const lines: { msg?: string; url?: string; certificateFile?: string }[] = []
  const log = pino(
    { level: 'info' },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  )
  const abort = new AbortController()
  const linked = Promise.withResolvers<LinkDeps>()
  const running = superviseAgent({
    config: await readAgentConfig(folder, { models: [demoModel], local }),
    deviceId: 'box',
    connect: async (deps) => {
      linked.resolve(deps)
      return {
        report: () => {},
        offerSnapshot: () => {},
        showLive: () => {},
        wishSamples: () => {},
        [Symbol.asyncDispose]: async () => {},
      }
    },
    log,
    signal: abort.signal,
  })
  t.after(async () => {
    abort.abort()
    await running
    await rm(folder, { recursive: true, force: true })
    await rm(images, { recursive: true, force: true })
  })
  const { onDesired } = await linked.promise
  const at = new Date().toISOString()
  onDesired({ version: 1, at, config: { streams: [{ streamId: 'belt', source: images }] } })
  const opened = () => lines.find(({ msg }) => msg === 'Local surface is open')
  await t.waitFor(() => assert.ok(opened()), soon)
  const token = (await readFile(join(folder, 'local', 'token'), 'utf8')).trim()
  return { url: opened()?.url ?? '', token, images, certificateFile: opened()?.certificateFile }
}

test('a real agent serves its model, pictures, health and metrics to whoever has its token', async (t) => {
  const { url, token, images } = await startAgent(t, { port: 0 })
  const headers = { authorization: `Bearer ${token}` }
  const get = (path: string) => fetch(`${url}${path}`, { headers })
  await t.waitFor(async () => {
    assert.equal((await get('/v2/models/conveyor/ready')).status, 200)
  }, soon)

  await t.test('our own client runs the model there, and gets what it gets here', async () => {
    const there = oipRuntime(`oip:${url}`, { token })
    await using far = await there.open(demoModel.file, { threads: 1 })
    await using near = await ortRuntime.open(demoModel.file, { threads: 1 })
    const [input] = near.inputs
    assert(input)
    const shape = input.shape.map(Number)
    for (let round = 0; round < 5; round++) {
      const count = shape.reduce((a, b) => a * b, 1)
      const data = Uint8Array.from({ length: count }, (_, i) => (i * (round + 7)) & 255)
      const frame = { type: 'uint8', shape, data } as const
      assert.deepEqual(await far.run({ frame }), await near.run({ frame }))
    }
  })

  await t.test('detect --runtime finds the same there as here', async () => {
    const detect = async (runtime: string) => {
      const args = ['--json', '--model', demoModel.file, '--images', images, '--runtime', runtime]
      const command = [`${repository}edgeloop`, 'detect', ...args]
      const env = { ...process.env, EDGELOOP_OIP_TOKEN: token }
      return (await promisify(execFile)(process.execPath, command, { env })).stdout
    }
    const here = await detect('ort:cpu')
    assert.match(here, /"label"/)
    assert.equal(await detect(`oip:${url}/conveyor`), here)
  })

  await t.test('a snapshot is a JPEG of the stream', async () => {
    await t.waitFor(async () => {
      const answer = await get('/streams/belt/snapshot.jpg?width=320')
      assert.equal(answer.status, 200)
      assert.equal(answer.headers.get('content-type'), 'image/jpeg')
      const { width, format } = await sharp(await answer.arrayBuffer()).metadata()
      assert.equal(format, 'jpeg')
      assert.ok(width <= 320)
    }, soon)
  })

  await t.test('a live picture is one JPEG after the other', async () => {
    const abort = new AbortController()
    const answer = await fetch(`${url}/streams/belt/live.mjpeg?fps=10`, {
      headers,
      signal: abort.signal,
    })
    assert.match(answer.headers.get('content-type') ?? '', /^multipart\/x-mixed-replace; boundary=/)
    let text = ''
    for await (const part of answer.body ?? []) {
      text += Buffer.from(part).toString('latin1')
      if (text.split('--edgeloop-frame').length > 3) break
    }
    assert.match(
      text,
      /^--edgeloop-frame\r\ncontent-type: image\/jpeg\r\ncontent-length: \d+\r\n\r\n\u00ff\u00d8/,
    )
  })

  await t.test('health and metrics know the stream', async () => {
    const health = (await (await get('/health')).json()) as { streams: { streamId: string }[] }
    assert.deepEqual(
      health.streams.map(({ streamId }) => streamId),
      ['belt'],
    )
    const metrics = await (await get('/metrics')).text()
    assert.match(metrics, /^edgeloop_stream_live\{stream="belt"\} [01]$/m)
    assert.match(metrics, /^edgeloop_oip_inferences_total\{status="200"\} [1-9]/m)
    assert.match(metrics, /^edgeloop_outbox_events \d+$/m)
  })
})

test('beyond the machine itself an agent speaks TLS only, with a certificate of its own', async (t) => {
  const { url, token, certificateFile } = await startAgent(t, { port: 0, host: '0.0.0.0' })
  assert.match(url, /^https:/)
  const { port } = new URL(url)
  assert.ok(certificateFile)
  const program = `fetch('https://127.0.0.1:${port}/health', { headers: { authorization: 'Bearer ${token}' } }).then((a) => console.log(a.status), (e) => console.log(e.cause.code))`
  const ask = async (env: object) =>
    (
      await promisify(execFile)(process.execPath, ['-e', program], {
        env: { ...process.env, ...env },
      })
    ).stdout.trim()
  assert.equal(await ask({ NODE_EXTRA_CA_CERTS: certificateFile }), '200')
  assert.equal(await ask({}), 'DEPTH_ZERO_SELF_SIGNED_CERT')
  await assert.rejects(fetch(`http://127.0.0.1:${port}/health`))
})
