/** A box renews its certificate with a real hub, and power may fail at every step. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type HubProcess, startHub } from '../../../test/faults/hub-process.ts'
import { openSession } from '../link/session.ts'
import { enrol } from './enrol.ts'
import { type Identity, readIdentity } from './identity.ts'
import { type IdentityDisk, localDisk } from './identity-disk.ts'
import { IdentityKeeper } from './identity-keeper.ts'
import { renew } from './renewal.ts'
import { endOf, hasEnded, isDue } from './validity.ts'

const { signal } = new AbortController()
const dayMs = 86_400_000

async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'renewal-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function enrolled(t: TestContext, hub: HubProcess, deviceId: string): Promise<string> {
  const { token, caFingerprint, deviceUrl } = await hub.createToken(deviceId)
  const folder = join(await tempFolder(t), 'agent')
  await enrol({ deviceUrl, token, caFingerprint, folder, signal })
  return folder
}

/** Connects as the agent does. */
async function isLetIn(identity: Identity): Promise<boolean> {
  const lastWill = {
    state: 'offline' as const,
    at: new Date().toISOString(),
    bootId: '0'.repeat(36),
  }
  try {
    using _session = await openSession({ identity, lastWill, onMessage: () => {}, signal })
    return true
  } catch {
    return false
  }
}

/** What an agent does at a start: shows what it has, in turn, until the hub lets it in. */
async function comesBack(folder: string): Promise<Identity> {
  const keeper = await IdentityKeeper.open(folder, await readIdentity(folder))
  for (let attempt = 0; attempt < 3; attempt++) {
    const identity = keeper.attempt()
    if (await isLetIn(identity)) {
      await keeper.letIn(identity)
      return keeper.current
    }
    await keeper.failed(identity, true)
  }
  throw new Error('The box cannot connect any more')
}

test('a renewed certificate is for a new key; the old one is valid until the new one is used', async (t) => {
  await using hub = await startHub({ dataDir: join(await tempFolder(t), 'hub') })
  const folder = await enrolled(t, hub, 'box')
  const before = await readIdentity(folder)
  const keeper = await IdentityKeeper.open(folder, before)
  await renew(keeper, signal)
  const after = keeper.attempt()
  assert.notEqual(after.key, before.key)
  const [old, next] = [
    new X509Certificate(before.certificate),
    new X509Certificate(after.certificate),
  ]
  assert.notEqual(next.serialNumber, old.serialNumber)
  assert.equal(next.subjectAltName, old.subjectAltName)

  assert.ok(await isLetIn(before), 'the new one has not been used yet')
  await hub.kill()
  await hub.start()
  assert.ok(await isLetIn(before), 'nor has it after a restart of the hub')
  assert.ok(await isLetIn(after))
  assert.equal(await isLetIn(before), false, 'the new one has been used')
  await hub.kill()
  await hub.start()
  assert.equal(await isLetIn(before), false)
  assert.ok(await isLetIn(after))

  await keeper.letIn(after)
  assert.deepEqual(await readIdentity(folder), after)
  assert.deepEqual(await readdir(folder), ['identity', 'update'], 'nothing else is left')
})

test('wherever power fails during a renewal, the box can still connect', async (t) => {
  await using hub = await startHub({ dataDir: join(await tempFolder(t), 'hub') })
  // A renewal that nothing ends: which steps there are, and which of them can be half done.
  const steps: boolean[] = []
  const counted = diskThat(async (halfDone) => void steps.push(halfDone !== undefined))
  await renewWith(await enrolled(t, hub, 'whole'), counted)
  assert.ok(steps.length > 12, `${steps.length} steps`)

  // Each step is once not begun and, where it can be, once half done.
  let crashes = 0
  for (const [index, hasHalf] of steps.entries()) {
    const step = index + 1
    for (const half of hasHalf ? [false, true] : [false]) {
      const folder = await enrolled(t, hub, `box-${step}-${half ? 'half' : 'none'}`)
      const before = await readIdentity(folder)
      let at = 0
      const failing = diskThat(async (halfDone) => {
        if (++at !== step) return
        if (half) await halfDone?.()
        throw new Error('power cut')
      })
      await renewWith(folder, failing).catch((error: Error) => {
        assert.equal(error.message, 'power cut')
      })
      crashes++
      const identity = await comesBack(folder)
      assert.ok(await isLetIn(identity), `step ${step}`)
      assert.equal(identity.deviceId, before.deviceId)
      // And again after one more start: whatever it ended up with is on the disk.
      assert.deepEqual(await comesBack(folder), await readIdentity(folder), `step ${step}`)
      assert.deepEqual(
        (await readdir(folder)).filter((name) => name === 'identity.old'),
        [],
      )
    }
  }
  t.diagnostic(`${crashes} crash points`)
})

/** Renews and is let in, as the agent does; the world ends where `disk` says. */
async function renewWith(folder: string, disk: IdentityDisk): Promise<void> {
  const keeper = await IdentityKeeper.open(folder, await readIdentity(folder), disk)
  await renew(keeper, signal)
  const identity = keeper.attempt()
  assert.ok(await isLetIn(identity))
  await keeper.letIn(identity)
}

/** A disk that asks before each step; `halfDone` does a part of it, as a power cut may, where it has parts. */
function diskThat(before: (halfDone?: () => Promise<void>) => Promise<void>): IdentityDisk {
  let dead = false
  const step = async (halfDone: (() => Promise<void>) | undefined, whole: () => Promise<void>) => {
    // After the cut nothing happens any more.
    if (dead) throw new Error('power cut')
    try {
      await before(halfDone)
    } catch (error) {
      dead = true
      throw error
    }
    await whole()
  }
  return {
    makeFolder: (path) =>
      step(
        () => localDisk.makeFolder(path),
        () => localDisk.makeFolder(path),
      ),
    writeFile: (path, text, mode) =>
      step(
        () => localDisk.writeFile(path, text.slice(0, text.length / 2), mode),
        () => localDisk.writeFile(path, text, mode),
      ),
    // A rename is whole or not at all, but it may be done when power fails.
    rename: (from, to) =>
      step(
        () => localDisk.rename(from, to),
        () => localDisk.rename(from, to),
      ),
    // Files of a folder go one by one.
    remove: (path) =>
      step(
        async () => {
          const [first] = await readdir(path).catch(() => [])
          if (first !== undefined) await localDisk.remove(join(path, first))
        },
        () => localDisk.remove(path),
      ),
    syncFolder: (path) => step(undefined, () => localDisk.syncFolder(path)),
  }
}

test('a reply of the hub that is lost, and one that comes too late, lock nobody out', async (t) => {
  await using hub = await startHub({ dataDir: join(await tempFolder(t), 'hub') })
  const folder = await enrolled(t, hub, 'box')
  const keeper = await IdentityKeeper.open(folder, await readIdentity(folder))
  await renew(keeper, signal)
  const overtaken = keeper.attempt()
  // A second renewal of the same box, whose reply is lost: the hub now waits for another certificate.
  const lost = join(await tempFolder(t), 'lost')
  await renew(await IdentityKeeper.open(lost, await readIdentity(folder)), signal)
  assert.equal(await isLetIn(overtaken), false)
  const identity = await comesBack(folder)
  assert.notEqual(identity.certificate, overtaken.certificate)
  assert.deepEqual(
    await readdir(folder),
    ['identity', 'update'],
    'the one that was refused is gone',
  )
})

test('a stranger, and a box that was enrolled elsewhere, renew nothing', async (t) => {
  const folder = await tempFolder(t)
  await using hub = await startHub({ dataDir: join(folder, 'hub') })
  const box = await readIdentity(await enrolled(t, hub, 'box'))
  const again = await readIdentity(await enrolled(t, hub, 'box'))
  const attempt = async (identity: Identity) =>
    renew(await IdentityKeeper.open(join(folder, 'x'), identity), signal)
  await assert.rejects(attempt(box), /Cannot renew the certificate at .*this one was replaced/)
  await assert.rejects(
    attempt({ ...box, key: '', certificate: '' }),
    /device certificate of this hub/,
  )
  await using foreign = await startHub({ dataDir: join(folder, 'foreign') })
  const stranger = await readIdentity(await enrolled(t, foreign, 'box'))
  const { deviceUrl, ca } = again
  await assert.rejects(
    attempt({ ...stranger, deviceUrl, ca }),
    /needs a device certificate of this hub/,
  )
  assert.ok(await isLetIn(again))
})

test('isDue(): from two thirds of the life to its end', async (t) => {
  await using hub = await startHub({ dataDir: join(await tempFolder(t), 'hub') })
  const { certificate } = await readIdentity(await enrolled(t, hub, 'box'))
  const end = endOf(certificate) ?? 0
  const days = (end - Date.now()) / dayMs
  assert.ok(days > 89.9 && days <= 90, `${days} days`)
  // 91 days from the backdated beginning: a third is 30 days and 8 hours.
  const due = end - (91 * dayMs) / 3
  assert.equal(isDue(certificate, due - 1000), false)
  assert.equal(isDue(certificate, due + 1000), true)
  assert.equal(isDue(certificate, end - 1), true)
  assert.equal(isDue(certificate, end), false, 'it has ended: the hub would refuse it')
  assert.equal(hasEnded(certificate, end), true)
  assert.equal(isDue('', due), false)
})
