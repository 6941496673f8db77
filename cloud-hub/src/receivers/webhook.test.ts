/** Webhooks against real servers that behave well, hang, lie and redirect. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { StoredEvent, WebhookReceiver } from '@edgeloop/protocol'
import { openAuthority } from '../identity/authority.ts'
import type { Message } from './message.ts'
import { makeSecret } from './signature.ts'
import { checkWebhook, sendWebhook } from './webhook.ts'

const at = '2026-11-20T10:00:00.000Z'
const event: StoredEvent = {
  eventId: 7,
  deviceId: 'gate',
  bootId: '0f6b2b9c-6a3a-4a51-9d1c-0c2f1b6f5a11',
  sequence: 3,
  kind: 'zone',
  at,
  receivedAt: at,
  historical: false,
  streamId: 'door',
  label: 'person',
  score: 0.9,
  snapshot: null,
  data: { zone: 'dock', act: 'entered' },
  marks: [],
}
const message: Message = {
  messageId: 'a-1',
  rule: 'dock',
  group: 'gate',
  firedAt: Date.parse(at),
  silenced: 2,
  events: [{ site: 'mill', event }],
  eventCount: 1,
  trial: false,
}

type Got = { path: string; headers: IncomingMessage['headers']; body: string }

/** A server of plain HTTP on this machine; `answer` replies to each request. */
async function serve(t: TestContext, answer: (reply: ServerResponse, got: Got) => void) {
  const got: Got[] = []
  const server = createServer(async (request, reply) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const one = { path: request.url ?? '', headers: request.headers, body }
    got.push(one)
    answer(reply, one)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, got }
}

const local = (port: number, given: Partial<WebhookReceiver> = {}): WebhookReceiver => ({
  kind: 'webhook',
  url: `http://127.0.0.1:${port}/hook?x=1`,
  plainHttp: true,
  allow: ['127.0.0.1'],
  ...given,
})

const send = (
  receiver: WebhookReceiver,
  secrets: string[] = [makeSecret()],
  more: Partial<Parameters<typeof sendWebhook>[2]> = {},
) =>
  sendWebhook(
    message,
    { receiver, secrets },
    {
      clock: Date.now,
      signal: AbortSignal.timeout(60_000),
      ...more,
    },
  )

test('a webhook gets a CloudEvent that it can verify with either secret', async (t) => {
  const { port, got } = await serve(t, (reply) => reply.writeHead(204).end())
  const secrets = [makeSecret(), makeSecret()]
  assert.equal(await send(local(port), secrets), '204')
  const { path, headers, body } = got[0] as Got
  assert.equal(path, '/hook?x=1')
  assert.equal(headers['content-type'], 'application/cloudevents+json; charset=utf-8')
  assert.equal(headers['webhook-id'], 'a-1')
  const timestamp = String(headers['webhook-timestamp'])
  assert.ok(Math.abs(Number(timestamp) - Date.now() / 1000) < 60)
  // As a receiver does it, from the words of the spec.
  const expected = secrets.map((secret) => {
    const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
    assert.equal(key.length, 32)
    return `v1,${createHmac('sha256', key).update(`a-1.${timestamp}.${body}`).digest('base64')}`
  })
  assert.equal(headers['webhook-signature'], expected.join(' '))
  const { data, ...attributes } = JSON.parse(body)
  assert.deepEqual(attributes, {
    specversion: '1.0',
    datacontenttype: 'application/json',
    id: 'a-1',
    source: '/rules/dock',
    type: 'io.edgeloop.rule.fired',
    subject: 'gate',
    time: at,
  })
  const { marks: _, ...told } = event
  assert.deepEqual(data, {
    rule: 'dock',
    group: 'gate',
    eventCount: 1,
    silenced: 2,
    events: [{ site: 'mill', ...told }],
  })
})

test('a batch has one CloudEvent for each event', async (t) => {
  const { port, got } = await serve(t, (reply) => reply.end('ok'))
  assert.equal(await send(local(port, { batch: true })), '200')
  assert.equal(got[0]?.headers['content-type'], 'application/cloudevents-batch+json; charset=utf-8')
  const [one, ...rest] = JSON.parse(got[0]?.body ?? '')
  assert.equal(rest.length, 0)
  assert.deepEqual(
    [one.id, one.type, one.source, one.subject, one.data.data.zone],
    ['a-1:7', 'io.edgeloop.event.zone', '/sites/mill/devices/gate/streams/door', 'person', 'dock'],
  )
})

test('nothing reaches an address that is not public and not listed', async (t) => {
  const { port, got } = await serve(t, (reply) => reply.end())
  for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '2130706433', '0x7f.1']) {
    const receiver = local(port, { url: `http://${host}:${port}/`, allow: [] })
    await assert.rejects(
      send(receiver),
      { name: 'Undelivered', final: true, message: /not public/ },
      host,
    )
  }
  assert.equal(got.length, 0)
})

test('a name that means another address a moment later is connected to where it was checked', async (t) => {
  const { port, got } = await serve(t, (reply) => reply.end())
  let asked = 0
  const resolve = async () => {
    asked++
    // What is public the first time is this machine the second: the trick that the guard is against.
    return [{ address: asked === 1 ? '192.0.2.1' : '127.0.0.1', family: 4 as const }]
  }
  const receiver = local(port, { url: `http://trick.example:${port}/`, allow: ['192.0.2.1'] })
  await assert.rejects(send(receiver, undefined, { resolve, deadlineMs: 300 }), { final: false })
  assert.equal(asked, 1, 'one look, whose answer is what is connected to')
  assert.equal(got.length, 0)
})

test('redirects are not followed', async (t) => {
  const { port, got } = await serve(t, (reply) =>
    reply.writeHead(302, { location: 'http://169.254.169.254/latest' }).end(),
  )
  await assert.rejects(send(local(port)), { final: false, message: /302, a redirect/ })
  assert.equal(got.length, 1)
})

test('what a receiver answers is noted, and how long it wants to be left alone', async (t) => {
  const answers: ((reply: ServerResponse) => void)[] = [
    (reply) => reply.writeHead(500).end('out of\n\u001b[31mpaper'),
    (reply) => reply.writeHead(503, { 'retry-after': '120' }).end(),
    (reply) => reply.writeHead(429, { 'retry-after': '99999999' }).end(),
    (reply) => reply.writeHead(410).end('moved out'),
  ]
  const { port } = await serve(t, (reply) => answers.shift()?.(reply))
  await assert.rejects(send(local(port)), {
    message: 'Answered 500: out of [31mpaper',
    final: false,
  })
  await assert.rejects(send(local(port)), { retryAfterMs: 120_000 })
  await assert.rejects(send(local(port)), { retryAfterMs: 6 * 3_600_000 })
  await assert.rejects(send(local(port)), { message: /410, gone: moved out/, final: true })
})

/** A server that says what `talk` says, byte for byte. */
async function serveBytes(t: TestContext, talk: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', () => talk(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

test('a server that hangs, drips, never ends or lies costs no more than the deadline', async (t) => {
  const quick = { deadlineMs: 400 }
  const hangs = await serveBytes(t, () => {})
  await assert.rejects(send(local(hangs), undefined, quick), { message: 'No answer within 0.4 s' })
  const drips = await serveBytes(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nx-slow: ')
    const drip = setInterval(() => socket.write('a'), 20)
    socket.once('close', () => clearInterval(drip))
  })
  await assert.rejects(send(local(drips), undefined, quick), { message: 'No answer within 0.4 s' })
  // The status is the answer: what would come after it is not waited for.
  const endless = await serveBytes(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
    const more = setInterval(() => socket.write(`1000\r\n${'x'.repeat(4096)}\r\n`), 1)
    socket.once('close', () => clearInterval(more))
  })
  assert.equal(await send(local(endless)), '200')
  const lies = await serveBytes(t, (socket) =>
    socket.write('HTTP/1.1 500 Oh\r\ncontent-length: 99999999999\r\n\r\nlittle'),
  )
  await assert.rejects(send(local(lies)), { message: 'Answered 500: little' })
  const endlessFailure = await serveBytes(t, (socket) => {
    socket.write('HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n')
    const more = setInterval(() => socket.write(`1000\r\n${'x'.repeat(4096)}\r\n`), 1)
    socket.once('close', () => clearInterval(more))
  })
  await assert.rejects(send(local(endlessFailure)), { message: `Answered 500: ${'x'.repeat(300)}` })
  const heads = await serveBytes(t, (socket) =>
    socket.write(`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(40_000)}\r\n\r\n`),
  )
  await assert.rejects(send(local(heads)), { message: /Cannot reach/ })
  const nonsense = await serveBytes(t, (socket) => socket.write('SSH-2.0-x\r\n'))
  await assert.rejects(send(local(nonsense)), { message: /Cannot reach/ })
  const cuts = await serveBytes(t, (socket) => socket.destroy())
  await assert.rejects(send(local(cuts)), { message: /Cannot reach/ })
})

test('a name that is never resolved ends with the deadline', async () => {
  const receiver = local(1, { url: 'http://slow.example/' })
  const resolve = () => new Promise<never>(() => {})
  await assert.rejects(send(receiver, undefined, { resolve, deadlineMs: 100 }), {
    message: 'No answer within 0.1 s',
  })
})

test('over TLS the certificate has to be that of the name, though the address is connected to', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-hook-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const authority = await openAuthority({
    folder,
    publicHost: 'hooks.example',
    deviceCertificateMs: 1000,
    clock: Date.now,
  })
  const server = createTlsServer(authority.server, (_request, reply) => reply.end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const resolve = async () => [{ address: '127.0.0.1', family: 4 as const }]
  const receiver = (host: string, ca?: string): WebhookReceiver => ({
    kind: 'webhook',
    url: `https://${host}:${port}/`,
    allow: ['127.0.0.1'],
    ...(ca === undefined ? {} : { ca }),
  })
  const { certificate } = authority
  assert.equal(await send(receiver('hooks.example', certificate), undefined, { resolve }), '200')
  await assert.rejects(send(receiver('other.example', certificate), undefined, { resolve }), {
    message: /altnames/,
  })
  await assert.rejects(send(receiver('hooks.example'), undefined, { resolve }), {
    message: /Cannot reach .*certificate/,
  })
})

test('what is no address of a webhook is said so', () => {
  const url =
    (text: string, plainHttp = false) =>
    () =>
      checkWebhook({ kind: 'webhook', url: text, plainHttp })
  assert.throws(url('hooks.example'), /no URL/)
  assert.throws(url('http://hooks.example/'), /over https/)
  assert.throws(url('file:///etc/passwd', true), /over https/)
  assert.throws(
    url('https://user:secret@hooks.example/'),
    (error: Error) => !/secret/.test(error.message),
  )
  url('https://hooks.example/x')()
  url('http://hooks.example/x', true)()
})
