/** A box and a real hub: trust over the wire, and what a hub or somebody in its place could do to it. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { TrustError } from '@edgeloop/model-compiler/artifact'
import type { EnrolmentToken, TrustShown } from '@edgeloop/protocol'
import { openTestHub, type TestHub } from '../../../test/hub/fixture.ts'
import { enrol } from '../identity/enrol.ts'
import { keepEnrolledRoot, openBoxTrust, openHubTrust, trustFilesOn } from './box-trust.ts'
import { localUpdateDisk } from './update-disk.ts'

const { signal } = new AbortController()

async function enrolBox(t: TestContext, hub: TestHub, deviceId = 'gate') {
  const folder = await mkdtemp(join(tmpdir(), 'box-trust-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const made = await hub.api('POST', '/api/enrolment-tokens', { deviceId })
  const { token, caFingerprint, deviceUrl } = (await made.json()) as EnrolmentToken
  const identity = await enrol({ deviceUrl, token, caFingerprint, folder, signal })
  return { folder, identity, disk: localUpdateDisk(join(folder, 'update')) }
}

test('a box keeps the root of its enrolment, and learns what is signed from its hub', async (t) => {
  const hub = await openTestHub(t)
  const { folder, identity, disk } = await enrolBox(t, hub)
  assert.deepEqual(await readdir(join(folder, 'update', 'trust')), ['root.json'])
  await using source = openHubTrust(identity)
  const trust = openBoxTrust({ disk, source, now: Date.now })
  const targets = await trust.refresh(signal)
  const shown = (await (await hub.api('GET', '/api/trust')).json()) as TrustShown
  assert.equal(targets.fleet, shown.fleet)
  // Whoever asks at the same time, or right after, does not ask the hub again.
  const both = await Promise.all([trust.refresh(signal), trust.refresh(signal)])
  assert.ok(both.every((one) => one === targets))
  await hub.close()
  const later = openBoxTrust({ disk, source, now: Date.now })
  await assert.rejects(later.refresh(signal), (error: unknown) => {
    assert.ok(error instanceof TrustError && error.code === 'trust', String(error))
    return true
  })
})

test('a box from before roots came with enrolment takes the first one from its hub, and no other', async (t) => {
  const [hub, other] = [await openTestHub(t), await openTestHub(t)]
  const { identity, disk } = await enrolBox(t, hub)
  await keepEnrolledRoot(disk, undefined)
  assert.equal(await trustFilesOn(disk).read('root.json'), undefined)
  await using source = openHubTrust(identity)
  const { fleet } = await openBoxTrust({ disk, source, now: Date.now }).refresh(signal)
  // The same box at another hub, as if somebody had put it in the place of the first.
  const there = await enrolBox(t, other)
  await using wrong = openHubTrust(there.identity)
  await assert.rejects(
    openBoxTrust({ disk, source: wrong, now: Date.now }).refresh(signal),
    (error: unknown) => error instanceof TrustError && error.code === 'integrity',
  )
  // Enrolled there, it is a box of that fleet.
  const root = await there.disk.read('trust/root.json')
  await keepEnrolledRoot(disk, Buffer.from(root!).toString())
  const now = await openBoxTrust({ disk, source: wrong, now: Date.now }).refresh(signal)
  assert.notEqual(now.fleet, fleet)
})

test('a certificate that no longer counts gets nothing', async (t) => {
  const hub = await openTestHub(t)
  const { identity, disk } = await enrolBox(t, hub)
  await hub.api('POST', '/api/devices/gate/retire')
  await using source = openHubTrust(identity)
  await assert.rejects(openBoxTrust({ disk, source, now: Date.now }).refresh(signal), /HTTP 403/)
})
