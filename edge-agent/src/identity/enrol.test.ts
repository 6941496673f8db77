import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createServer } from 'node:tls'
import 'reflect-metadata'
import type { EnrolmentToken } from '@edgeloop/protocol'
import * as x509 from '@peculiar/x509'
import { startHub } from '../../../test/faults/hub-process.ts'
import { openTestHub } from '../../../test/hub/fixture.ts'
import { enrol } from './enrol.ts'
import { isEnrolled, readIdentity } from './identity.ts'
import { hasEnded } from './validity.ts'

const { signal } = new AbortController()

async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'enrol-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('enrol() buys a certificate from a real hub, once', async (t) => {
  await using hub = await startHub({ dataDir: join(await tempFolder(t), 'hub') })
  const { token, caFingerprint, deviceUrl } = await hub.createToken('box-1')
  const folder = join(await tempFolder(t), 'agent')
  assert.equal(await isEnrolled(folder), false)

  const wrongPin = enrol({ deviceUrl, token, caFingerprint: 'AAAA', folder, signal })
  await assert.rejects(wrongPin, /its authority has the fingerprint ".+", expected "AAAA"/)
  const wrongToken = enrol({ deviceUrl, token: 'nonsense', caFingerprint, folder, signal })
  await assert.rejects(wrongToken, /Cannot enrol at .*it is not one of this hub/)
  assert.equal(await isEnrolled(folder), false, 'a refusal leaves nothing')

  const identity = await enrol({ deviceUrl, token, caFingerprint, folder, signal })
  assert.equal(identity.deviceId, 'box-1')
  assert.deepEqual(await readIdentity(folder), identity)
  const key = await stat(join(folder, 'identity', 'device.key'))
  assert.equal(key.mode & 0o777, 0o600)
  assert.deepEqual(await readdir(folder), ['identity', 'update'])

  const again = enrol({ deviceUrl, token, caFingerprint, folder, signal })
  await assert.rejects(again, /is device "box-1" of site ".+" already/)
  const other = join(await tempFolder(t), 'agent')
  const used = enrol({ deviceUrl, token, caFingerprint, folder: other, signal })
  await assert.rejects(used, /it was used before/)
})

test('enrol() says what is wrong with an address, and with a hub that is not there', async (t) => {
  const folder = await tempFolder(t)
  const rest = { token: 't', caFingerprint: 'f', folder, signal }
  await assert.rejects(enrol({ deviceUrl: 'hub:4181', ...rest }), /expected an address such as/)
  await assert.rejects(enrol({ deviceUrl: 'https://127.0.0.1:1', ...rest }), /Cannot reach the hub/)
})

test('enrol() does not spend a token where it cannot keep what it buys', async (t) => {
  await using hub = await startHub({ dataDir: join(await tempFolder(t), 'hub') })
  const { token, caFingerprint, deviceUrl } = await hub.createToken('box-1')
  const file = join(await tempFolder(t), 'file')
  await writeFile(file, '')
  await assert.rejects(enrol({ deviceUrl, token, caFingerprint, folder: file, signal }))
  const folder = await tempFolder(t)
  assert.equal((await enrol({ deviceUrl, token, caFingerprint, folder, signal })).deviceId, 'box-1')
})

test('enrol() does not give the token to whoever merely shows the right authority', async (t) => {
  await using hub = await startHub({ dataDir: join(await tempFolder(t), 'hub') })
  const { token, caFingerprint, deviceUrl } = await hub.createToken('box-1')
  const folder = await tempFolder(t)
  const { ca } = await enrol({ deviceUrl, token, caFingerprint, folder, signal })

  // A certificate that names the authority as its issuer but was not signed by it.
  const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify'])
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber: '01',
    subject: 'CN=localhost',
    issuer: new x509.X509Certificate(ca).subject,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: p256,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }])],
  })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  const key = x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')
  let received = ''
  const server = createServer({ key, cert: `${leaf.toString('pem')}\n${ca}` }, (socket) => {
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      received += String(bytes)
    })
  }).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const other = await tempFolder(t)
  const rogue = enrol({
    deviceUrl: `https://localhost:${port}`,
    token: 'secret',
    caFingerprint,
    folder: other,
    signal,
  })
  await assert.rejects(rogue, /Cannot (enrol at|trust)/)
  assert.doesNotMatch(received, /secret/)
  assert.equal(await isEnrolled(other), false)
})

test('enrol() again replaces an identity when it is asked to: a retired box is back', async (t) => {
  await using hub = await startHub({ dataDir: join(await tempFolder(t), 'hub') })
  const folder = join(await tempFolder(t), 'agent')
  const enrolWith = async (again: boolean) => {
    const { token, caFingerprint, deviceUrl } = await hub.createToken('box-1')
    return await enrol({ deviceUrl, token, caFingerprint, folder, again, signal })
  }
  const first = await enrolWith(false)
  await hub.api('POST', '/api/devices/box-1/retire')
  await assert.rejects(enrolWith(false), /is device "box-1" .* already; add --enrol-again/)
  assert.deepEqual(await readIdentity(folder), first)
  const second = await enrolWith(true)
  assert.notEqual(second.key, first.key)
  assert.deepEqual(await readIdentity(folder), second)
  assert.deepEqual(await readdir(folder), ['identity', 'update'])
  // A token that is refused costs nothing: the identity is what it was.
  const { caFingerprint, deviceUrl } = await hub.createToken('box-1')
  const bad = { deviceUrl, token: 'nonsense', caFingerprint, folder, again: true, signal }
  await assert.rejects(enrol(bad), /not one of this hub/)
  assert.deepEqual(await readIdentity(folder), second)
  assert.deepEqual(await readdir(folder), ['identity', 'update'])
})

test('enrol() replaces an identity whose certificate has ended without being asked', async (t) => {
  // A hub whose clock stands in the past: what it signs has ended for everybody else.
  const past = Date.now() - 100 * 86_400_000
  let now = past
  const hub = await openTestHub(t, {}, () => now)
  const folder = join(await tempFolder(t), 'agent')
  const enrolNow = async () => {
    const made = await hub.api('POST', '/api/enrolment-tokens', { deviceId: 'box-1' })
    const { token, caFingerprint, deviceUrl } = (await made.json()) as EnrolmentToken
    return await enrol({ deviceUrl, token, caFingerprint, folder, signal })
  }
  const first = await enrolNow()
  assert.ok(hasEnded(first.certificate, Date.now()))
  now = Date.now()
  const second = await enrolNow()
  assert.equal(hasEnded(second.certificate, Date.now()), false)
  assert.deepEqual(await readIdentity(folder), second)
  await assert.rejects(enrolNow(), /already/, 'the new one holds')
})
