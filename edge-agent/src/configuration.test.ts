import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readAgentConfig } from './configuration.ts'

async function folderWith(t: TestContext, yaml?: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-config-'))
  t.after(() => rm(folder, { recursive: true }))
  if (yaml !== undefined) await writeFile(join(folder, 'agent.yaml'), yaml)
  return folder
}

test('readAgentConfig() without a file gives the defaults', async (t) => {
  const folder = await folderWith(t)
  const { processesMax, ...config } = await readAgentConfig(folder)
  assert.ok(processesMax >= 1)
  assert.deepEqual(config, {
    dataDir: folder,
    models: [],
    outboxBytesMax: 67_108_864,
    snapshotsBytesMax: 268_435_456,
    clipsBytesMax: 2_147_483_648,
    clipsKeptDays: 7,
    samples: { bytesMax: 256 * 1024 * 1024, framesPerDay: 2_000, bytesPerDay: 400_000_000 },
    linkBytesPerSecondMax: 0,
    streamsPerProcess: 8,
    heartbeatTimeoutMs: 5000,
    healthIntervalMs: 10_000,
    updates: { enabled: true },
  })
})

test('readAgentConfig() finds files from where agent.yaml is, and puts the command line first', async (t) => {
  const folder = await folderWith(
    t,
    `models:
  - { name: street, file: models/street.onnx, layout: yolox, labels: coco }
  - { name: door, file: /models/door.onnx, labels: door.txt }
outbox: { bytesMax: 10000000 }
health: { intervalMs: 2000 }`,
  )
  const { models, outboxBytesMax, healthIntervalMs } = await readAgentConfig(folder, {
    models: [{ name: 'door', file: '/new/door.onnx' }],
    health: { intervalMs: 3000 },
  })
  assert.deepEqual(models, [
    {
      name: 'street',
      file: join(folder, 'models/street.onnx'),
      layout: 'yolox',
      labels: 'coco',
    },
    { name: 'door', file: '/new/door.onnx' },
  ])
  assert.deepEqual([outboxBytesMax, healthIntervalMs], [10_000_000, 3000])
})

test('readAgentConfig() refuses what it does not understand, and says where', async (t) => {
  const cases: [yaml: string, message: RegExp][] = [
    [
      'medai: {}',
      /^Cannot use ".*agent\.yaml": \/ has the unknown key "medai"; did you mean "media"\?$/,
    ],
    [
      'media: { proccessesMax: 2 }',
      /\/media has the unknown key "proccessesMax"; did you mean "processesMax"\?$/,
    ],
    ['outbox: { bytesMax: 5 }', /\/outbox\/bytesMax must be >= 2097152$/],
    ['models: [', /^Cannot read ".*agent\.yaml": it is no YAML \(/],
    ['models: [{ name: a, file: a }, { name: a, file: b }]', /two models are called "a"$/],
    ['models: [{ name: a }]', /\/models\/0 must have required properties file$/],
  ]
  for (const [yaml, message] of cases) {
    await assert.rejects(readAgentConfig(await folderWith(t, yaml)), { message }, yaml)
  }
})

test('the local surface is off, on the machine itself, or where it is told to be', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-configuration-'))
  t.after(() => rm(folder, { recursive: true }))
  assert.equal((await readAgentConfig(folder)).local, undefined)
  const local = async (given: object) => (await readAgentConfig(folder, { local: given })).local
  assert.deepEqual(await local({ port: 8000 }), { host: '127.0.0.1', port: 8000 })
  const tls = { tlsCert: 'c.pem', tlsKey: 'k.pem' }
  assert.deepEqual(await local({ port: 8000, host: '::', ...tls }), {
    host: '::',
    port: 8000,
    tlsCert: join(folder, 'c.pem'),
    tlsKey: join(folder, 'k.pem'),
  })
  await assert.rejects(local({ port: 8000, tlsCert: 'c.pem' }), /has tlsCert and no tlsKey/)
  await assert.rejects(local({ prot: 8000 }), /did you mean "port"/)
  await assert.rejects(local({ port: 70_000 }), /\/local\/port must be <= 65535/)
})

test('boxes fetch from one another only where it is switched on', async (t) => {
  const folder = await folderWith(t, 'updates: { mirror: { port: 7443 } }')
  const { updates } = await readAgentConfig(folder)
  assert.deepEqual(updates, {
    enabled: true,
    mirror: { port: 7443, bytesPerSecondMax: 8_388_608 },
  })
  const off = await readAgentConfig(await folderWith(t, 'updates: { enabled: false }'))
  assert.deepEqual(off.updates, { enabled: false })
  const wrong = await folderWith(t, 'updates: { mirrors: { port: 7443 } }')
  await assert.rejects(readAgentConfig(wrong), /unknown key "mirrors"; did you mean "mirror"/)
})
