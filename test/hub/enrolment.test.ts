/** How boxes get in, and how nobody else does. */
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { connect } from 'node:tls'
import type { DeviceDetail, Enrolment, EnrolmentToken, Problem } from '@edgeloop/protocol'
import { makeRequest, openTestHub, send, type TestHub } from './fixture.ts'

const minuteMs = 60_000

test('a token buys one certificate, for the device it was made for', async (t) => {
  const hub = await openTestHub(t)
  const offer = await offerFor(hub, { deviceId: 'gate', name: 'Gate 7', site: 'north' })
  const { csr } = await makeRequest()
  const reply = await enrol(hub, { token: offer.token, csr })
  assert.equal(reply.status, 201)
  const enrolment = JSON.parse(reply.text) as Enrolment
  const certificate = new X509Certificate(enrolment.certificate)
  assert.equal(certificate.subject, 'CN=gate', 'not what the request claimed')
  assert.equal(certificate.subjectAltName, 'URI:urn:edgeloop:device:north:gate')
  const ca = new X509Certificate(enrolment.ca)
  assert.ok(certificate.verify(ca.publicKey))
  const spki = ca.publicKey.export({ type: 'spki', format: 'der' })
  assert.equal(offer.caFingerprint, createHash('sha256').update(spki).digest('base64'))
  assert.equal(offer.caFingerprint, hub.hub.caFingerprint)

  const shown = (await (await hub.api('GET', '/api/devices/gate')).json()) as DeviceDetail
  assert.equal(shown.device.name, 'Gate 7')
  assert.equal(shown.device.connectivity, 'never')
  assert.equal(shown.certificate.serial, certificate.serialNumber.toLowerCase())

  const again = await enrol(hub, { token: offer.token, csr })
  assert.equal((JSON.parse(again.text) as Problem).code, 'enrolmentRefused')
  assert.match(again.text, /used before/)
})

test('of many who come with the same token at once, one gets a certificate', async (t) => {
  const hub = await openTestHub(t)
  const { token } = await offerFor(hub, { deviceId: 'gate' })
  const { csr } = await makeRequest()
  const replies = await Promise.all(Array.from({ length: 6 }, () => enrol(hub, { token, csr })))
  assert.deepEqual(replies.map(({ status }) => status).sort(), [201, 401, 401, 401, 401, 401])
})

test('wrong and expired tokens are refused', async (t) => {
  let now = Date.now()
  const hub = await openTestHub(t, {}, () => now)
  const { csr } = await makeRequest()
  assert.match((await enrol(hub, { token: 'a guess', csr })).text, /not one of this hub/)
  const { token } = await offerFor(hub, { deviceId: 'gate', validMinutes: 5 })
  now += 5 * minuteMs
  assert.match((await enrol(hub, { token, csr })).text, /too old/)
})

test('a request that cannot be read does not spend the token', async (t) => {
  const hub = await openTestHub(t)
  const { token } = await offerFor(hub, { deviceId: 'gate' })
  const { csr } = await makeRequest()
  const { csr: p384 } = await makeRequest({ name: 'ECDSA', namedCurve: 'P-384' })
  const broken = withOtherSignature(csr)
  for (const bad of ['', 'no PEM', broken, p384]) {
    const reply = await enrol(hub, { token, csr: bad })
    assert.equal((JSON.parse(reply.text) as Problem).code, 'badRequest', reply.text)
  }
  assert.equal((await enrol(hub, { token, csr })).status, 201)
})

test('enrolling again replaces the certificate: the old one opens nothing', async (t) => {
  const hub = await openTestHub(t)
  const first = await hub.enrol('gate')
  const client = await first.connect()
  const cut = new Promise<void>((resolve) => client.once('close', () => resolve()))
  const second = await hub.enrol('gate')
  await cut
  await assert.rejects(first.connect(), /Not authorized/)
  assert.equal((await first.put(blobPath('x'), 'image/jpeg', Buffer.from('x'))).status, 403)
  await second.connect()
})

test('a certificate of another authority, and none at all, end at the handshake', async (t) => {
  const hub = await openTestHub(t)
  const other = await openTestHub(t)
  const stranger = await other.enrol('gate')
  const { port } = new URL(hub.hub.urls.mqtt)
  const attempt = (tls: { key?: string; cert?: string }) =>
    new Promise<string>((resolve) => {
      const socket = connect({ ...tls, port: Number(port), rejectUnauthorized: false })
      // TLS 1.3: the server refuses after the client's side of the handshake is done.
      socket.on('error', (error) => resolve(error.message))
      socket.on('close', () => resolve('closed'))
      socket.on('data', () => resolve('answered'))
      socket.write(Buffer.from([0x10, 0]))
    })
  assert.match(await attempt({}), /closed|alert|ECONNRESET/)
  const { key, enrolment } = stranger
  assert.match(await attempt({ key, cert: enrolment.certificate }), /closed|alert|ECONNRESET/)
  const put = await send(
    hub.hub.urls.device + blobPath('x'),
    'PUT',
    { key, cert: enrolment.certificate, headers: { 'content-type': 'image/jpeg' } },
    Buffer.from('x'),
  )
  assert.equal(put.status, 401)
})

test('snapshots are stored under their digest, if they are what they say', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const jpeg = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.alloc(5000, 7)])
  const put = (bytes: Buffer, type = 'image/jpeg', digest = digestOf(bytes)) =>
    device.put(`/blobs/${digest}`, type, bytes)
  assert.equal((await put(jpeg)).status, 204)
  const shown = await hub.api('GET', `/api/blobs/${digestOf(jpeg)}`)
  assert.deepEqual(Buffer.from(await shown.arrayBuffer()), jpeg)
  assert.equal(shown.headers.get('content-type'), 'image/jpeg')
  assert.match(shown.headers.get('cache-control') ?? '', /immutable/)

  const large = Buffer.concat([jpeg, Buffer.alloc(5 * 1024 * 1024)])
  const refused: [Promise<{ status: number; text: string }>, string][] = [
    [put(jpeg, 'image/jpeg', digestOf('other')), 'digestDiffers'],
    [put(Buffer.from('<html>')), 'wrongMediaType'],
    [put(Buffer.from('ab')), 'wrongMediaType'],
    [put(jpeg, 'text/html'), 'wrongMediaType'],
    [put(jpeg, 'image/jpeg', '../../hub.db'), 'notFound'],
    [put(large), 'tooLarge'],
  ]
  for (const [asked, code] of refused) {
    const { text } = await asked
    assert.equal((JSON.parse(text) as Problem).code, code, text)
  }
  const gone = await hub.api('GET', `/api/blobs/${digestOf('other')}`)
  assert.equal(gone.status, 404)
})

async function offerFor(hub: TestHub, request: object): Promise<EnrolmentToken> {
  const reply = await hub.api('POST', '/api/enrolment-tokens', request)
  assert.equal(reply.status, 201)
  return (await reply.json()) as EnrolmentToken
}

const enrol = (hub: TestHub, body: { token: string; csr: string }) =>
  send(`${hub.hub.urls.device}/enrol`, 'POST', {}, body)

const digestOf = (bytes: Uint8Array | string): string =>
  createHash('sha256').update(bytes).digest('hex')
const blobPath = (text: string): string => `/blobs/${digestOf(text)}`

/** The request with the last byte of its signature changed. */
function withOtherSignature(csr: string): string {
  const der = Buffer.from(csr.replaceAll(/-----.*-----/g, ''), 'base64')
  der[der.length - 1]! ^= 1
  return csr.replace(/(?<=-----\n)[^-]+/, () => `${der.toString('base64')}\n`)
}
