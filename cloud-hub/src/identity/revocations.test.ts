/** The list of revoked certificates, read back by OpenSSL's rules as well as by ours. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { type Authority, openAuthority } from './authority.ts'
import { openRevocations } from './revocations.ts'

const day = 86_400_000

test('settle() lists what was valid and no longer is, once, also after a restart', async (t) => {
  const { open, listed } = await openRoom(t)
  const first = open()
  assert.equal(await first.settle(['aa01', 'aa02']), false)
  assert.deepEqual(await listed(), [])
  assert.equal(await first.settle(['aa02', 'aa03']), true)
  assert.deepEqual(await listed(), ['aa01'])
  assert.equal(await first.settle(['aa02', 'aa03']), false)
  const second = open()
  assert.equal(await second.settle(['aa03']), true)
  assert.deepEqual(await listed(), ['aa01', 'aa02'])
})

test('settle() called twice at once loses nothing', async (t) => {
  const { open, listed } = await openRoom(t)
  const revocations = open()
  await revocations.settle(['aa01', 'aa02', 'aa03'])
  await Promise.all([revocations.settle(['aa02', 'aa03']), revocations.settle(['aa03'])])
  assert.deepEqual(await listed(), ['aa01', 'aa02'])
})

test('a crash between the list and the record of what is valid is made good by the next start', async (t) => {
  const { open, listed, folder, authority } = await openRoom(t)
  await open().settle(['aa01', 'aa02'])
  const before = await readFile(join(folder, 'valid-serials'), 'utf8')
  const failing = openRevocations({
    ...{ folder, copyTo: join(folder, 'no/such/folder/devices.crl'), clock: Date.now, authority },
  })
  await assert.rejects(failing.settle(['aa02']))
  assert.equal(await readFile(join(folder, 'valid-serials'), 'utf8'), before)
  assert.equal(await open().settle(['aa02']), true)
  assert.deepEqual(await listed(), ['aa01'])
})

test('an entry goes when its certificate has long ended', async (t) => {
  let now = Date.now()
  const { open, listed } = await openRoom(t, () => now)
  const revocations = open()
  await revocations.settle(['aa01', 'aa02'])
  await revocations.settle(['aa02'])
  now += 1200 * day
  await revocations.settle([])
  assert.deepEqual(await listed(), ['aa02'])
})

test('the list is signed by the authority and does not end before it', async (t) => {
  const { open, authority, folder } = await openRoom(t)
  await open().publish()
  const list = new x509.X509Crl(await readFile(join(folder, 'devices.crl'), 'utf8'))
  const certificate = new x509.X509Certificate(authority.certificate)
  assert.ok(await list.verify({ publicKey: certificate }))
  assert.deepEqual(list.nextUpdate, certificate.notAfter)
  const usages = certificate.getExtension(x509.KeyUsagesExtension)?.usages ?? 0
  assert.ok(usages & x509.KeyUsageFlags.cRLSign)
})

async function openRoom(t: TestContext, clock = Date.now) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-revocations-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const authority: Authority = await openAuthority({
    ...{ folder, publicHost: 'localhost', deviceCertificateMs: day, clock },
  })
  return {
    ...{ folder, authority },
    open: () => openRevocations({ folder, copyTo: '', authority, clock }),
    listed: async () => {
      const list = new x509.X509Crl(await readFile(join(folder, 'devices.crl'), 'utf8'))
      return list.entries.map(({ serialNumber }) => serialNumber).sort()
    },
  }
}
