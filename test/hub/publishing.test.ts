/**
 * What happens at publishing beside the bytes: a folder that the compiler wrote, versions that share their scales and one that does
 * not, and a targets key that is kept elsewhere, without which nothing reaches a box.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Graph, readModel, tensor, valuesOf, writeModel } from '@edgeloop/model-compiler'
import type {
  EnrolmentToken,
  Job,
  ModelVersion,
  Problem,
  Published,
  RolloutPreview,
} from '@edgeloop/protocol'
import { overlooking } from '../../edge-agent/demo/bad-models.ts'
import { demoFloatModel } from '../../edge-agent/demo/float-model.ts'
import { demoModel as ownModel } from '../../edge-agent/src/demo/demo-model.ts'
import { enrol } from '../../edge-agent/src/identity/enrol.ts'
import { openBoxTrust, openHubTrust } from '../../edge-agent/src/update/box-trust.ts'
import { localUpdateDisk } from '../../edge-agent/src/update/update-disk.ts'
import { json } from '../attacks/published-model.ts'
import { writeConveyorPictures } from '../detection/conveyor-pictures.ts'
import { needs } from '../require.ts'
import { runCommand } from './command.ts'
import { demoModel, uploadTo } from './demo-model.ts'
import { openTestHub, type TestHub } from './fixture.ts'
import { SimulatedBox } from './simulated-box.ts'

const long = { timeout: 400_000, ...needs('time') }
const edgeloop = fileURLToPath(new URL('../../edgeloop', import.meta.url))

async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-publishing-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Publishes a file as the next version of `parts`. */
async function publish(t: TestContext, hub: TestHub, bytes: Uint8Array): Promise<Published> {
  const body = { name: 'parts', uploadId: await uploadTo(hub, bytes), ...demoModel }
  const { version } = await json<ModelVersion>(hub, 'POST', '/api/models', body)
  const path = `/api/models/parts/${version}`
  const { jobId } = await json<Job>(hub, 'POST', `${path}/publish`, {})
  await t.waitFor(
    async () => {
      const job = await json<Job>(hub, 'GET', `/api/jobs/${jobId}`)
      assert.ok(job.endedAt && job.error === '', `${job.state} ${job.error}`)
    },
    { interval: 100, timeout: 240_000 },
  )
  const [published] = await json<Published[]>(hub, 'GET', `${path}/published`)
  return published ?? assert.fail('nothing is published')
}

/** The same net, every scale of its weights a little larger, as if they had been calibrated anew. */
function otherScales(bytes: Uint8Array): Uint8Array {
  const graph = new Graph(readModel(bytes))
  for (const [name, initializer] of graph.initializers) {
    const values = valuesOf(initializer)
    if (!name.endsWith('_scale') || !(values instanceof Float32Array)) continue
    const larger = values.map((scale) => scale * 1.001)
    graph.setInitializer(tensor(name, initializer.dims.map(Number), larger))
  }
  return writeModel(graph.toModel())
}

test(
  'a folder that `model compile` wrote is published for the kind of box it was compiled for',
  long,
  async (t) => {
    const folder = await tempFolder(t)
    const [images, out] = [join(folder, 'images'), join(folder, 'parts')]
    await mkdir(images)
    await writeConveyorPictures(images, 16, 25)
    await promisify(execFile)(process.execPath, [
      ...[edgeloop, 'model', 'compile', demoFloatModel.file, '--calibrate', images, '--out', out],
      ...['--precision', 'int8-weights', '--target', 'linux-x64', '--measure-seconds', '0.05'],
      ...['--max-drop', '1', '--progress', 'none', '--json'],
    ])
    const stated = JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8'))
    const hub = await openTestHub(t)
    const told = await runCommand(hub, 'model', 'publish', out, '--name', 'parts', '--json')
    assert.equal(told.code, 0, told.stderr)
    const published = JSON.parse(told.stdout) as Published
    assert.deepEqual(
      [published.name, published.version, published.target, published.signed],
      ['parts', 1, 'linux-x64', true],
    )
    assert.equal(published.file.digest, stated.model.digest)
    const { model } = await json<{ model: ModelVersion }>(hub, 'GET', '/api/models/parts/1')
    assert.deepEqual([model.labels, model.layout], [stated.description.labels, 'yolox'])
    // What is no such folder says so.
    const none = await runCommand(hub, 'model', 'publish', images, '--name', 'parts')
    assert.equal(none.code, 1)
    assert.match(none.stderr, /it has no manifest.json that could be read\nhint: give a folder/)
  },
)

test(
  'the scale epoch stays while versions share their scales, and grows with others',
  long,
  async (t) => {
    const hub = await openTestHub(t)
    const first = await readFile(ownModel.file)
    const files: Uint8Array[] = [
      first,
      // Another bias and the same scales; then scales of its own.
      writeModel(overlooking(readModel(first))),
      otherScales(first),
    ]
    const epochs: number[] = []
    for (const bytes of files) epochs.push((await publish(t, hub, bytes)).scaleEpoch)
    assert.deepEqual(epochs, [0, 0, 1])
    // Within an epoch a version is a few bytes, over its end it is not.
    const rows = await json<Published[]>(hub, 'GET', '/api/models/parts/published')
    const smallest = (version: number) =>
      rows.find((row) => row.version === version)?.encodings[0]?.lengthBytes ?? assert.fail()
    assert.ok(smallest(2) < smallest(3), `${smallest(2)} and ${smallest(3)} bytes`)
  },
)

test(
  'with the targets key elsewhere a version waits for it, and no box is offered it before',
  long,
  async (t) => {
    const folder = await tempFolder(t)
    const hub = await openTestHub(t, { site: 'mill' })
    const key = join(folder, 'targets.key')
    const root = [1, 2].map((n) => join(hub.dataDir, 'root-keys', `root-${n}.key`))
    const keys = async (...words: string[]) => {
      const { code, stdout, stderr } = await runCommand(hub, 'keys', ...words)
      assert.equal(code, 0, stderr)
      return stdout.trim()
    }
    await keys('rotate', 'targets', '--new', key, '--key', root[0]!, '--key', root[1]!)
    const bytes = await readFile(ownModel.file)
    const published = await publish(t, hub, bytes)
    assert.equal(published.signed, false)

    // A box: what is not signed is not there for it, and nobody can begin a rollout of it.
    const made = await json<EnrolmentToken>(hub, 'POST', '/api/enrolment-tokens', {
      deviceId: 'box',
    })
    const { token, caFingerprint, deviceUrl } = made
    const { signal } = new AbortController()
    const box = join(folder, 'box')
    const identity = await enrol({ deviceUrl, token, caFingerprint, folder: box, signal })
    await using source = openHubTrust(identity)
    const disk = localUpdateDisk(join(box, 'update'))
    const trusted = () => openBoxTrust({ disk, source, now: Date.now }).refresh(signal)
    const { path, digest } = published.manifest
    assert.equal((await trusted()).find(path), undefined)
    const asked = { name: 'parts', version: 1, select: { all: true } }
    await new SimulatedBox(await hub.enrol('gate'), 'parts').connect()
    const refused = await hub.api('POST', '/api/rollouts', asked)
    assert.ok(!refused.ok)
    const { detail } = (await refused.json()) as Problem
    assert.match(detail, /Cannot roll out version 1 of parts/)
    const bundle = await hub.api('POST', '/api/bundle', {
      versions: [{ name: 'parts', version: 1 }],
    })
    assert.match(((await bundle.json()) as Problem).detail, /waits for the targets key/)

    // What waits is carried to where the key is, signed by a program that knows no hub, and carried back.
    const draft = join(folder, 'targets.json')
    await keys('staged', '-o', draft)
    const offline = await promisify(execFile)(
      ...([process.execPath, [edgeloop, 'keys', 'sign', draft, '--key', key]] as const),
      { cwd: folder, env: { PATH: process.env.PATH } },
    )
    assert.match(offline.stdout, /signature/)
    await keys('send', draft)
    assert.equal((await trusted()).find(path)?.digest, digest)
    const [now] = await json<Published[]>(hub, 'GET', '/api/models/parts/1/published')
    assert.equal(now?.signed, true)
    await t.waitFor(
      async () => {
        const { devices } = await json<RolloutPreview>(hub, 'POST', '/api/rollout-previews', asked)
        assert.equal(devices, 1)
      },
      { interval: 100, timeout: 60_000 },
    )
  },
)
