/** How long a certificate opens the hub: until it ends, is replaced, or its device is retired. */
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import type { DeviceDetail, Problem, Renewal } from '@edgeloop/protocol'
import { makeRequest, openTestHub, send, type TestDevice, type TestHub } from './fixture.ts'

const dayMs = 86_400_000

test('certificates hold for the configured days', async (t) => {
  const hub = await openTestHub(t, { certificateDays: 7 })
  const { enrolment } = await hub.enrol('gate')
  const { validToDate } = new X509Certificate(enrolment.certificate)
  const days = (validToDate.getTime() - Date.now()) / dayMs
  assert.ok(days > 6.9 && days <= 7, `${days} days`)
})

test('a certificate that has ended is refused by TLS, and Fleet says to enrol again', async (t) => {
  // The hub's clock stands in the past: what it signs has ended for everybody else.
  let now = Date.now() - 100 * dayMs
  const hub = await openTestHub(t, {}, () => now)
  const gate = await hub.enrol('gate')
  await assert.rejects(gate.connect(), /expired|closed|ECONNRESET/)
  // Over HTTPS a stranger may come, to enrol; the certificate counts for nothing.
  assert.equal(await picture(gate), 401)
  now = Date.now()
  await hub.reopen()
  const { device } = await show(hub)
  assert.match(device.reason, /certificate ended on \d{4}-\d\d-\d\d .*enrol the device again/)
  await (await hub.enrol('gate')).connect()
  assert.equal((await show(hub)).device.reason.includes('ended'), false)
})

test('a certificate that has ended by the clock of the hub opens nothing', async (t) => {
  let now = Date.now()
  const hub = await openTestHub(t, { certificateDays: 1 }, () => now)
  const gate = await hub.enrol('gate')
  assert.equal(await picture(gate), 204)
  now += 2 * dayMs
  await assert.rejects(gate.connect(), /Not authorized/)
  assert.equal(await picture(gate), 403)
})

test('a renewed certificate replaces the one in use at its first use, over either listener', async (t) => {
  const hub = await openTestHub(t)
  for (const first of ['mqtt', 'https'] as const) {
    const device = await hub.enrol(`gate-${first}`)
    const client = await device.connect()
    const renewed = await renew(hub, device)
    assert.ok(client.connected, 'asking cuts nothing')
    const cut = new Promise<void>((resolve) => client.once('close', () => resolve()))
    if (first === 'mqtt') await renewed.connect()
    else assert.equal(await picture(renewed), 204)
    await cut
    await assert.rejects(device.connect(), /Not authorized/)
    assert.equal(await picture(device), 403)
    assert.equal(await picture(renewed), 204)
  }
})

test('renewing is refused without a certificate, for a bad request, and too often', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const url = `${hub.hub.urls.device}/renew`
  const { csr } = await makeRequest()
  const codeOf = async (options: object, body: object) =>
    (JSON.parse((await send(url, 'POST', options, body)).text) as Problem).code
  assert.equal(await codeOf({}, { csr }), 'notSignedIn')
  assert.equal(await codeOf(tlsOf(device), { csr: 'no PEM' }), 'badRequest')
  assert.equal(await codeOf(tlsOf(device), { csr, deviceId: 'yard' }), 'badRequest')
  const { csr: p384 } = await makeRequest({ name: 'ECDSA', namedCurve: 'P-384' })
  assert.equal(await codeOf(tlsOf(device), { csr: p384 }), 'badRequest')
  const many = await Promise.all(Array.from({ length: 12 }, () => codeOf(tlsOf(device), { csr })))
  assert.ok(many.includes('tooManyRequests'), `${many}`)
  const stranger = await (await openTestHub(t)).enrol('gate')
  assert.equal(await codeOf(tlsOf(stranger), { csr }), 'notSignedIn')
})

const tlsOf = ({ key, enrolment }: TestDevice) => ({ key, cert: enrolment.certificate })

/** Sends a picture and gives the status of the answer. */
async function picture(device: TestDevice): Promise<number> {
  const jpeg = Buffer.from([0xff, 0xd8, 0xff, 0xe0])
  const digest = createHash('sha256').update(jpeg).digest('hex')
  return (await device.put(`/blobs/${digest}`, 'image/jpeg', jpeg)).status
}

async function show(hub: TestHub): Promise<DeviceDetail> {
  return (await (await hub.api('GET', '/api/devices/gate')).json()) as DeviceDetail
}

/** The device as it is with its next certificate. */
async function renew(hub: TestHub, device: TestDevice): Promise<TestDevice> {
  const { key, csr } = await makeRequest()
  const reply = await send(`${hub.hub.urls.device}/renew`, 'POST', tlsOf(device), { csr })
  assert.equal(reply.status, 201, reply.text)
  const { certificate } = JSON.parse(reply.text) as Renewal
  return hub.device({ ...device.enrolment, certificate }, key)
}
