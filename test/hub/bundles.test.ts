/** A bundle goes from one hub to another of the same root, and nothing else does. */
import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { BundleTaken, Problem, Published } from '@edgeloop/protocol'
import { json, publishModel } from '../attacks/published-model.ts'
import { needs } from '../require.ts'
import { assertAudited } from './audited.ts'
import { runCommand } from './command.ts'
import { uploadTo } from './demo-model.ts'
import { openTestHub, type TestHub } from './fixture.ts'

const long = { timeout: 240_000, ...needs('time') }

test('what one hub has published another of the same root publishes', long, async (t) => {
  const hub = await openTestHub(t)
  const published = await publishModel(t, hub)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bundles-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [file, root] = [join(folder, 'parts.bundle'), join(folder, 'root.json')]
  const exported = await runCommand(hub, 'bundle', 'export', 'parts/1', '-o', file, '--json')
  assert.equal(exported.code, 0, exported.stderr)
  await writeFile(root, await (await hub.api('GET', '/api/trust/1.root.json')).text())
  const checked = await runCommand(hub, 'bundle', 'check', file, '--root', root)
  assert.equal(checked.code, 0, checked.stderr)
  assert.match(checked.stdout, /^parts\/1 .*linux-x64/m)
  const bundle = await readFile(file)

  // A hub on the other side of an air gap, with the same keys.
  const dataDir = join(folder, 'hub')
  await cp(join(hub.dataDir, 'keys', 'trust'), join(dataDir, 'keys', 'trust'), { recursive: true })
  const other = await openTestHub(t, { dataDir })
  const take = async (to: TestHub, bytes: Uint8Array) =>
    await to.api('POST', '/api/bundle/import', { uploadId: await uploadTo(to, bytes) })
  const refusedBy = async (to: TestHub, bytes: Uint8Array, reason: RegExp) => {
    const reply = await take(to, bytes)
    const { detail } = (await reply.json()) as Problem
    assert.equal(reply.status, 400, detail)
    assert.match(detail, reason)
  }
  // Damaged bytes of a manifest, of an encoding, of a signature; and a file that is none.
  const at = (text: string, from = 0) => bundle.indexOf(text, from)
  const flipped = (place: number) => {
    const bad = Buffer.from(bundle)
    bad[place]! ^= 1
    return bad
  }
  const inManifest = at('"edgeloop-manifest/1"') + 3
  await refusedBy(other, flipped(inManifest), /is not what was signed/)
  const encoding = published.encodings[0]!.digest
  const inEncoding = await take(other, flipped(at(`artifacts/${encoding}`) + 512 + 100))
  assert.equal(inEncoding.status, 422)
  await refusedBy(other, flipped(at('"sig": "', at('trust/timestamp.json')) + 9), /signatures of/)
  await refusedBy(other, bundle.subarray(0, 3000), /ends/)
  await refusedBy(other, Buffer.from('PK\x03\x04 a zip'), /ends without an end/)
  assert.deepEqual(await json(other, 'GET', '/api/models'), [], 'nothing of it was kept')

  const taken = (await (await take(other, bundle)).json()) as BundleTaken
  const { path } = published.manifest
  assert.deepEqual(taken.taken, [{ path, name: 'parts', version: 1, isNew: true }])
  const [there] = await json<Published[]>(other, 'GET', '/api/models/parts/1/published')
  assert.equal(there?.signed, true)
  assert.deepEqual(there?.manifest, published.manifest)
  assert.deepEqual(there?.file, published.file)
  const again = (await (await take(other, bundle)).json()) as BundleTaken
  assert.equal(again.taken[0]?.isNew, false)
  await assertAudited(hub, 'bundleMake')
  await assertAudited(other, 'bundleTake')

  // A hub of another root believes nothing of it; nor does one whose clock says that it is too late.
  const stranger = await openTestHub(t)
  await refusedBy(stranger, bundle, /signatures of|without a gap/)
  const lateDir = join(folder, 'late')
  await cp(join(hub.dataDir, 'keys', 'trust'), join(lateDir, 'keys', 'trust'), { recursive: true })
  const late = await openTestHub(t, { dataDir: lateDir }, () => Date.now() + 31 * 86_400_000)
  await refusedBy(late, bundle, /expired/)
  // What is not published is not in a bundle.
  const missing = await hub.api('POST', '/api/bundle', {
    versions: [{ name: 'parts', version: 2 }],
  })
  assert.equal(missing.status, 404)
})
