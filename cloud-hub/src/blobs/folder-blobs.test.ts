import assert from 'node:assert/strict'
import { mkdtemp, open, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { testBlobs } from '../../../test/contracts/blobs.ts'
import { openFolderBlobs } from './folder-blobs.ts'

testBlobs('folder blobs', async (t) => {
  const folder = await temporaryFolder(t)
  return {
    blobs: await openFolderBlobs(folder),
    damage: async (digest) => {
      await using handle = await open(join(folder, digest.slice(0, 2), digest), 'r+')
      await handle.write(Buffer.from([0xff]), 0, 1, 0)
    },
  }
})

test('openFolderBlobs() removes what an earlier start had not finished', async (t) => {
  const folder = await temporaryFolder(t)
  const blobs = await openFolderBlobs(folder)
  async function* endless() {
    yield Buffer.from('the first half')
    await new Promise(() => {})
  }
  void blobs.put('0'.repeat(64), endless(), { bytesMax: 100 })
  await t.waitFor(async () => assert.equal((await readdir(join(folder, 'incoming'))).length, 1))
  await openFolderBlobs(folder)
  assert.deepEqual(await readdir(join(folder, 'incoming')), [])
})

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-blobs-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}
