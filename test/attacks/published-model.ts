/** A model that is published by a real hub, and how others come at its bytes. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import type { TestContext } from 'node:test'
import type { Job, Published } from '@edgeloop/protocol'
import { demoModel, demoModelFile, uploadTo } from '../hub/demo-model.ts'
import type { TestHub } from '../hub/fixture.ts'

export async function json<T>(
  hub: TestHub,
  method: string,
  path: string,
  body?: unknown,
): Promise<T> {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return JSON.parse(text) as T
}

/** Adds the demo's detector as `parts` and publishes it. */
export async function publishModel(t: TestContext, hub: TestHub): Promise<Published> {
  const uploadId = await uploadTo(hub, await readFile(demoModelFile))
  await json(hub, 'POST', '/api/models', { name: 'parts', uploadId, ...demoModel })
  const { jobId } = await json<Job>(hub, 'POST', '/api/models/parts/1/publish', {})
  await t.waitFor(
    async () => {
      const job = await json<Job>(hub, 'GET', `/api/jobs/${jobId}`)
      assert.ok(job.endedAt, `${job.state} ${job.step}`)
      assert.equal(job.error, '')
    },
    { interval: 100, timeout: 120_000 },
  )
  const [published] = await json<Published[]>(hub, 'GET', '/api/models/parts/1/published')
  return published ?? assert.fail('nothing is published')
}
