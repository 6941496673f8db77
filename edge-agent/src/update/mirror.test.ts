/** One box gives another what it has fetched, over real TLS; and nobody else gets anything. */
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { randomBytes, webcrypto } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { chunkBytes, type Encoding } from '@edgeloop/protocol'
import * as x509 from '@peculiar/x509'
import { Agent, request } from 'undici'
import type { Identity } from '../identity/identity.ts'
import { type ArtifactSource, download, type Progress, type SourceAnswer } from './download.ts'
import { openHubArtifacts, openMirrorArtifacts } from './hub-artifacts.ts'
import { openMirror } from './mirror.ts'
import { digestOf } from './model-record.ts'
import { localUpdateDisk } from './update-disk.ts'

x509.cryptoProvider.set(webcrypto as never)
const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const dayMs = 86_400_000

/** Signs certificates as the hub does for its devices: for signing in, with no host in them. */
async function authority() {
  const keys = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify'])
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=authority',
    notAfter: new Date(Date.now() + 9 * dayMs),
    signingAlgorithm: p256,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  })
  return async (deviceId: string, notAfter = Date.now() + dayMs): Promise<Identity> => {
    const own = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify'])
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: '02',
      subject: [{ CN: [deviceId] }],
      issuer: root.subject,
      notBefore: new Date(Date.now() - 2 * dayMs),
      notAfter: new Date(notAfter),
      signingAlgorithm: p256,
      signingKey: keys.privateKey,
      publicKey: own.publicKey,
      extensions: [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])],
    })
    const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', own.privateKey)
    return {
      site: 'here',
      deviceId,
      mqttUrl: 'mqtts://127.0.0.1',
      deviceUrl: 'https://127.0.0.1',
      key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'),
      certificate: certificate.toString('pem'),
      ca: root.toString('pem'),
    }
  }
}

const file = randomBytes(3 * chunkBytes + 99)
const digest = digestOf(file)
const encoding: Encoding = {
  codec: 'zstd',
  digest,
  lengthBytes: file.length,
  chunks: [0, 1, 2, 3].map((i) => digestOf(file.subarray(i * chunkBytes, (i + 1) * chunkBytes))),
}

/** A box that has the file, and gives it to others. */
async function mirrorOf(t: TestContext, identity: Identity, bytesPerSecondMax = 1e9) {
  const folder = await mkdtemp(join(tmpdir(), 'mirror-'))
  const disk = localUpdateDisk(folder)
  await disk.makeFolder('has')
  await disk.write('has/file', file)
  const mirror = await openMirror({
    config: { port: 0, host: '127.0.0.1', bytesPerSecondMax },
    identity: () => identity,
    file: (asked) => (asked === digest ? 'has/file' : undefined),
    disk,
  })
  t.after(async () => {
    await mirror[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })
  return { mirror, disk }
}

async function read(answer: SourceAnswer): Promise<Buffer> {
  assert.equal(answer.kind, 'bytes')
  const parts: Uint8Array[] = []
  if (answer.kind === 'bytes') for await (const part of answer.bytes) parts.push(part)
  return Buffer.concat(parts)
}

const { signal } = new AbortController()

test('a box fetches from another box of its hub, whole and from a place on', async (t) => {
  const sign = await authority()
  const { mirror, disk } = await mirrorOf(t, await sign('giver'))
  await using artifacts = openMirrorArtifacts(await sign('taker'))
  const source = artifacts.source(mirror.url)
  assert.deepEqual(await read(await source.open(digest, 0, signal)), file)
  assert.deepEqual(await read(await source.open(digest, 70_000, signal)), file.subarray(70_000))
  assert.deepEqual(await source.open('0'.repeat(64), 0, signal), {
    kind: 'absent',
    why: 'HTTP 404',
  })
  await assert.rejects(source.open(digest, file.length, signal), /HTTP 416/)

  let progress: Progress | undefined
  const hub: ArtifactSource = { name: 'hub', open: () => assert.fail('the hub is not needed') }
  await disk.makeFolder('in')
  await download({
    encoding,
    disk,
    path: 'in/file',
    hub,
    mirrors: [source],
    bytesPerSecondMax: undefined,
    told: (newest) => {
      progress = newest
    },
    onBadMirror: (_, why) => assert.fail(why),
    sleep: async (ms) => void (await sleep(ms)),
    monotonicMs: () => performance.now(),
    random: Math.random,
    signal,
  })
  assert.deepEqual(progress, { done: file.length, fromHub: 0, fromMirrors: file.length })
})

test('a mirror gives nothing to strangers, and a box takes nothing from one', async (t) => {
  const [ours, theirs] = [await authority(), await authority()]
  const { mirror } = await mirrorOf(t, await ours('giver'))
  // Another hub's box, which trusts ours: refused by the mirror.
  const stranger = { ...(await theirs('taker')), ca: (await ours('x')).ca }
  await using strange = openMirrorArtifacts(stranger)
  await assert.rejects(strange.source(mirror.url).open(digest, 0, signal))
  // Our box at another hub's mirror, and at one whose certificate has ended.
  const own = await ours('taker')
  await using artifacts = openMirrorArtifacts(own)
  const mixed = { ...(await theirs('giver')), ca: own.ca }
  const foreign = await mirrorOf(t, mixed)
  await assert.rejects(artifacts.source(foreign.mirror.url).open(digest, 0, signal), /another hub/)
  const ended = await mirrorOf(t, await ours('giver', Date.now() - dayMs))
  await assert.rejects(artifacts.source(ended.mirror.url).open(digest, 0, signal), /not valid now/)
  // No certificate at all.
  const bare = new Agent({ connect: { ca: own.ca, rejectUnauthorized: false } })
  t.after(() => bare.destroy())
  await assert.rejects(request(`${mirror.url}/artifacts/${digest}`, { dispatcher: bare }))
})

test('a mirror refuses other paths and verbs, says when to come again, and keeps its rate', async (t) => {
  const sign = await authority()
  const { key, certificate: cert } = await sign('taker')
  const dispatcher = new Agent({ connect: { key, cert, rejectUnauthorized: false } })
  t.after(() => dispatcher.destroy())
  const { mirror } = await mirrorOf(t, await sign('giver'), 64 * 1024)
  const ask = (path: string, method = 'GET') =>
    request(`${mirror.url}${path}`, { dispatcher, method: method as 'GET' })
  const statusOf = async (path: string, method?: string) => {
    const { statusCode, body } = await ask(path, method)
    await body.dump()
    return statusCode
  }
  assert.equal(await statusOf('/artifacts/../../identity/device.key'), 404)
  assert.equal(await statusOf('/'), 404)
  assert.equal(await statusOf(`/artifacts/${digest}`, 'POST'), 405)
  assert.equal(await statusOf(`/artifacts/${digest}`, 'HEAD'), 200)
  // Four that take their time; the fifth is told to come again.
  const slow = await Promise.all([1, 2, 3, 4].map(() => ask(`/artifacts/${digest}`)))
  const fifth = await ask(`/artifacts/${digest}`)
  assert.deepEqual([fifth.statusCode, fifth.headers['retry-after']], [503, '20'])
  await using artifacts = openMirrorArtifacts(await sign('other'))
  assert.deepEqual(await artifacts.source(mirror.url).open(digest, 0, signal), {
    kind: 'busy',
    afterMs: 20_000,
  })
  for (const { body } of [...slow, fifth]) body.on('error', () => {}).destroy()
})

test('what the hub answers becomes bytes, a wait or an error', async (t) => {
  let status = 200
  const server = createServer((asked, response) => {
    const range = asked.headers.range
    response.writeHead(status, {
      'retry-after': '7',
      ...(status === 206 && { 'content-range': `bytes ${range === 'bytes=5-' ? 5 : 0}-9/10` }),
    })
    response.end('abcde')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const sign = await authority()
  const deviceUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  await using hub = openHubArtifacts({ ...(await sign('box')), deviceUrl })
  assert.equal((await read(await hub.open(digest, 0, signal))).toString(), 'abcde')
  // The whole file again, where the rest was asked for, is not the rest.
  await assert.rejects(hub.open(digest, 5, signal), /HTTP 200/)
  status = 206
  assert.equal((await read(await hub.open(digest, 5, signal))).toString(), 'abcde')
  await assert.rejects(hub.open(digest, 6, signal), /HTTP 206/)
  for (status of [429, 503]) {
    assert.deepEqual(await hub.open(digest, 0, signal), { kind: 'busy', afterMs: 7000 })
  }
  status = 404
  assert.equal((await hub.open(digest, 0, signal)).kind, 'absent')
  status = 500
  await assert.rejects(hub.open(digest, 0, signal), /HTTP 500/)
})
