import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reportDetection } from '@edgeloop/model-compiler'
import { Refusal } from '@edgeloop/protocol'
import { storeKinds } from '../../../test/stores.ts'
import { openTestWorth } from './test-worth.ts'

const trained = 'a'.repeat(64)
const compiled = 'b'.repeat(64)
const brought = 'c'.repeat(64)
const run = '7c4f6d53-7a35-4b1f-8a0c-111111111111'

for (const kind of storeKinds) {
  test(
    `${kind.name}: what a file's scores were worth is found by the run of its version, also of what was compiled from it`,
    kind.needs,
    async (t) => {
      const store = await kind.open(t)
      const row = {
        name: 'parts',
        layout: 'yolox',
        labels: '[]',
        description: '',
        note: '',
        size_bytes: 1,
        inspection: '{}',
        author: '',
        created_at: 0,
        champion: 0,
        standing: '',
      }
      const lineage = JSON.stringify({ runId: run })
      await store.writer
        .insertInto('model_version')
        .values([
          { ...row, version: 1, digest: brought, lineage: null },
          { ...row, version: 2, digest: trained, lineage },
        ])
        .execute()
      await store.writer
        .insertInto('artifact')
        .values({
          artifact_id: 'x',
          name: 'parts',
          version: 2,
          target: 'linux-x64',
          chosen: 'int8',
          digest: compiled,
          size_bytes: 1,
          manifest_digest: '',
          report_digest: '',
          candidates: '[]',
          job_id: '',
          created_at: 0,
        })
        .execute()
      let asked = 0
      let file: Uint8Array | undefined
      const testWorth = openTestWorth({
        store,
        runFile: async (runId, what) => {
          asked++
          assert.deepEqual([runId, what], [run, 'data'])
          if (file) return file
          throw new Refusal('notFound', 'Cannot find the data of the run')
        },
      })
      for (const digest of [trained, brought, 'd'.repeat(64)]) {
        assert.equal(await testWorth(digest), null)
      }
      const box = [0.1, 0.1, 0.2, 0.2] as const
      const images = Array.from({ length: 60 }, (_, i) => ({ digest: String(i), name: String(i) }))
      const report = reportDetection(
        {
          labels: ['cup'],
          samples: images,
          found: images.map(({ name }) => ({ image: name, label: 'cup', score: 0.83, box })),
          truths: images.slice(15).map(({ name }) => ({ image: name, label: 'cup', box })),
        },
        { rounds: 0 },
      )
      file = new TextEncoder().encode(JSON.stringify({ schemaVersion: 1, test: report }))
      for (const digest of [trained, compiled]) {
        const fitted = await testWorth(digest)
        assert.equal(fitted?.from, '60 detections in the 60 test samples of parts/2')
        const { weight, right } = fitted.bins[8] ?? {}
        assert.deepEqual([weight, right], [60, 45])
      }
      const before = asked
      await testWorth(trained)
      assert.equal(asked, before, 'a report is read once')
    },
  )
}
