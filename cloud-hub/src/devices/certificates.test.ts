/** The certificate desk over a real store, fleet and authority; the clock is the test's. */
import assert from 'node:assert/strict'
import { webcrypto, X509Certificate } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { openAuthority } from '../identity/authority.ts'
import { openSqliteStore } from '../store/sqlite-store.ts'
import { openCertificateDesk } from './certificates.ts'
import { earlierKeysMax, earlierKeysOf, keepEarlierKey } from './earlier-keys.ts'
import { openFleet } from './fleet.ts'

const dayMs = 86_400_000

async function makeCsr(): Promise<string> {
  const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify'])
  const options = { name: 'CN=box', keys, signingAlgorithm: p256 }
  return (await x509.Pkcs10CertificateRequestGenerator.create(options)).toString('pem')
}

test('connections are cut when the certificate ends, and when its successor is used', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'certificates-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  let now = 1_000 * dayMs
  const clock = () => now
  await using store = await openSqliteStore({ file: join(folder, 'hub.db') })
  const cells = { device_id: 'gate', site: 'main', name: 'Gate', enrolled_at: now }
  const certificate = { certificate_serial: '01', certificate_not_after: now + dayMs }
  await store.writer
    .insertInto('device')
    .values({ ...cells, ...certificate })
    .execute()
  const authority = await openAuthority({
    folder: join(folder, 'keys'),
    publicHost: 'localhost',
    clock,
    deviceCertificateMs: 3 * dayMs,
  })
  const failed = (error: unknown) => assert.fail(String(error))
  await using fleet = await openFleet({ store, clock, tell: () => {}, failed })
  const cuts: (string | undefined)[] = []
  const cut = (_device: unknown, except?: string) => void cuts.push(except)
  const desk = openCertificateDesk({ store, fleet, authority, clock, cut, failed })
  const gate = fleet.get('gate')
  const admits = (serial: string) =>
    !('refusal' in desk.admit({ site: 'main', deviceId: 'gate', serial }))

  assert.ok(admits('01'))
  const first = await authority.signDevice(await makeCsr(), gate)
  await desk.renew(gate, await makeCsr(), new X509Certificate(first.certificate))
  const serial = gate.renewed?.serial ?? ''
  now += 2 * dayMs
  desk.expire()
  assert.equal(gate.expired, false, 'its successor is still good')
  assert.equal(admits('01'), false)
  assert.deepEqual(cuts, [])
  assert.ok(admits(serial))
  assert.deepEqual(cuts, [serial], 'all but those of the new one')
  await desk.settled()
  const row = await store.reader.selectFrom('device').selectAll().executeTakeFirstOrThrow()
  assert.deepEqual([row.certificate_serial, row.next_serial], [serial, null])

  now += dayMs
  desk.expire()
  assert.equal(gate.expired, true)
  assert.deepEqual(cuts, [serial, undefined], 'all of them, once')
  desk.expire()
  assert.equal(cuts.length, 2)
  assert.equal(admits(serial), false)
})

test('of the keys that a device had the newest are kept, each once', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'certificates-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  let now = 1_000 * dayMs
  await using store = await openSqliteStore({ file: join(folder, 'hub.db') })
  const authority = await openAuthority({
    folder: join(folder, 'keys'),
    publicHost: 'localhost',
    clock: () => now,
    deviceCertificateMs: 3 * dayMs,
  })
  const gate = { deviceKey: 7 }
  const ends: number[] = []
  for (let n = 0; n < earlierKeysMax + 3; n++, now += dayMs) {
    const { certificate, notAfter } = await authority.signDevice(await makeCsr(), {
      site: 'main',
      deviceId: 'gate',
    })
    ends.push(notAfter)
    const shown = new X509Certificate(certificate)
    for (const device of [gate, gate]) await keepEarlierKey(store.writer, device, shown)
  }
  const kept = await earlierKeysOf(store.reader, gate)
  assert.deepEqual(
    kept.map(({ notAfter }) => notAfter),
    ends.toReversed().slice(0, earlierKeysMax),
  )
  assert.ok(kept.every(({ notBefore, notAfter }) => notBefore < notAfter - 2 * dayMs))
  assert.deepEqual(await earlierKeysOf(store.reader, { deviceKey: 8 }), [])
})
