/** The list of revoked certificates, read back by OpenSSL's rules as well as by ours. */
import assert from 'node:assert/strict'
import { webcrypto, X509Certificate } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { type Authority, openAuthority } from './authority.ts'
import { openRevocations, type Revocations } from './revocations.ts'

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
    folder,
    copyTo: join(folder, 'no/such/folder/devices.crl'),
    clock: Date.now,
    authority,
  })
  await assert.rejects(failing.settle(['aa02']))
  assert.equal(await readFile(join(folder, 'valid-serials'), 'utf8'), before)
  assert.equal(await open().settle(['aa02']), true)
  assert.deepEqual(await listed(), ['aa01'])
})

test('replicas that write to one broker keep what the others have revoked', async (t) => {
  const { authority, folder } = await openRoom(t)
  const copyTo = join(folder, 'broker.crl')
  const [one, two] = ['one', 'two'].map((name) => {
    mkdirSync(join(folder, name))
    return openRevocations({ folder: join(folder, name), copyTo, authority, clock: Date.now })
  }) as [Revocations, Revocations]
  for (const replica of [one, two]) await replica.settle(['aa01', 'aa02', 'aa03'])
  await one.settle(['aa02', 'aa03'])
  await two.settle(['aa01', 'aa03'])
  const list = new x509.X509Crl(await readFile(copyTo, 'utf8'))
  assert.deepEqual(list.entries.map(({ serialNumber }) => serialNumber).sort(), ['aa01', 'aa02'])
})

test('an authority from before there were lists gets a certificate that may sign them, with its key', async (t) => {
  const { folder, authority } = await openRoom(t)
  const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
  const pem = x509.PemConverter.decodeFirst(await readFile(join(folder, 'ca.key'), 'utf8'))
  const privateKey = await webcrypto.subtle.importKey('pkcs8', pem, p256, true, ['sign'])
  const now = new x509.X509Certificate(authority.certificate)
  const publicKey = await now.publicKey.export(p256, ['verify'])
  const old = await x509.X509CertificateGenerator.createSelfSigned({
    name: now.subject,
    notBefore: now.notBefore,
    notAfter: now.notAfter,
    signingAlgorithm: p256,
    keys: { privateKey, publicKey },
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  })
  await writeFile(join(folder, 'ca.crt'), old.toString('pem'))
  const reopened = await openAuthority({
    folder,
    publicHost: 'localhost',
    deviceCertificateMs: day,
    clock: Date.now,
  })
  assert.equal(reopened.fingerprint, authority.fingerprint, 'what devices pin is the same')
  const renewed = new X509Certificate(reopened.certificate)
  assert.notEqual(renewed.serialNumber, new X509Certificate(old.toString('pem')).serialNumber)
  const server = new X509Certificate(reopened.server.cert)
  for (const trusted of [old.toString('pem'), reopened.certificate]) {
    assert.ok(server.checkIssued(new X509Certificate(trusted)), 'devices hold the old one')
    assert.ok(server.verify(new X509Certificate(trusted).publicKey))
  }
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
    folder,
    publicHost: 'localhost',
    deviceCertificateMs: day,
    clock,
  })
  return {
    folder,
    authority,
    open: () => openRevocations({ folder, copyTo: '', authority, clock }),
    listed: async () => {
      const list = new x509.X509Crl(await readFile(join(folder, 'devices.crl'), 'utf8'))
      return list.entries.map(({ serialNumber }) => serialNumber).sort()
    },
  }
}
