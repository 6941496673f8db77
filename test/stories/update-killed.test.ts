/**
 * A real agent takes up a model from a real hub on a real disk, and is killed in the middle: with a part of the bytes on
 * the disk, and while the new model is watched. Each time it goes on by itself.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Job, RolloutBoxPage, RolloutDetail, Upload } from '@edgeloop/protocol'
import { enrol } from '../../edge-agent/src/identity/enrol.ts'
import type { AgentOrder } from '../faults/agent-program.ts'
import { startHub } from '../faults/hub-process.ts'
import { demoModel, demoModelFile } from '../hub/demo-model.ts'
import { needs } from '../require.ts'

test('an agent that is killed while it downloads, and again in probation, ends with the new model', {
  ...needs('time'),
  timeout: 300_000,
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-update-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  await using hub = await startHub({
    dataDir: join(folder, 'hub'),
    training: true,
    // 140 kB in pieces of 16 KiB: some seconds.
    config: { downloads: { deviceBytesPerSecond: 20_000 } },
  })

  const bytes = await readFile(demoModelFile)
  const { uploadId } = await hub.api<Upload>('POST', '/api/uploads', { sizeBytes: bytes.length })
  const sent = await fetch(`${hub.urls.browser}/api/uploads/${uploadId}/0`, {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${(await readFile(hub.urls.localTokenFile, 'utf8')).trim()}`,
      'content-type': 'application/octet-stream',
    },
    body: bytes,
  })
  assert.ok(sent.ok)
  await hub.api('POST', '/api/models', { name: 'parts', uploadId, ...demoModel })
  const { jobId } = await hub.api<Job>('POST', '/api/models/parts/1/publish', {})
  const soon = { interval: 100, timeout: 120_000 }
  await t.waitFor(async () => {
    const job = await hub.api<Job>('GET', `/api/jobs/${jobId}`)
    assert.ok(job.endedAt && job.error === '', `${job.state} ${job.error}`)
  }, soon)

  const dataDir = join(folder, 'agent')
  const { token, caFingerprint, deviceUrl } = await hub.createToken('box')
  const { signal } = new AbortController()
  await enrol({ deviceUrl, token, caFingerprint, folder: dataDir, signal })
  const order: AgentOrder = { dataDir, mqttUrl: hub.urls.mqtt, file: {}, ownMedia: true }
  let agent: ChildProcess | undefined
  const start = () => {
    agent = fork(new URL('../faults/agent-program.ts', import.meta.url), [JSON.stringify(order)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
  }
  const end = async (how: NodeJS.Signals) => {
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return
    const gone = once(agent, 'exit')
    agent.kill(how)
    await gone
  }
  t.after(() => end('SIGKILL'))
  start()

  const { rollout } = await hub.api<RolloutDetail>('POST', '/api/rollouts', {
    name: 'parts',
    version: 1,
    select: { all: true },
    join: true,
    jitterMs: 0,
    stages: [{ share: 1, soakMs: 0 }],
    care: { shadowMs: 0, shadowFramesMin: 0, probationMs: 6000 },
  })
  const boxIs = async (is: (box: RolloutBoxPage['boxes'][number]) => boolean) => {
    await t.waitFor(async () => {
      const path = `/api/rollouts/${rollout.rolloutId}/boxes`
      const [box] = (await hub.api<RolloutBoxPage>('GET', path)).boxes
      assert.ok(box && is(box), JSON.stringify(box))
    }, soon)
  }
  await boxIs(({ state, bytes }) => state === 'downloading' && bytes.done > 0)
  await end('SIGKILL')
  start()
  await boxIs(({ state }) => state === 'probation')
  await end('SIGKILL')
  start()
  await boxIs(({ state }) => state === 'committed')
  const { rollout: after } = await hub.api<RolloutDetail>(
    'GET',
    `/api/rollouts/${rollout.rolloutId}`,
  )
  // The piece that was coming when it was killed came twice.
  assert.ok(after.bytes.fromHub < after.bytes.whole + 2 * 65_536, JSON.stringify(after.bytes))
  await end('SIGTERM')
})
