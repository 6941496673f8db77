/**
 * What somebody could do to models on their way, against a real hub and the code that boxes run: between hub and box, in
 * the place of the hub, with some of its keys, or with what it signed before. Numbers are those of notes that the house
 * keeps of attacks (S1–S22); the same against metadata alone is in model-compiler/src/artifact/trust/.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  ArtifactError,
  decode,
  digestOf,
  fleetField,
  makeSnapshot,
  makeTargets,
  makeTimestamp,
  nextRoot,
  ownField,
  readDocument,
  readKey,
  readManifest,
  rolesOf,
  type SigningKey,
  signDocument,
  TrustError,
  type TrustSource,
} from '@edgeloop/model-compiler/artifact'
import type { EnrolmentToken, Manifest, Problem, TrustKey, TrustShown } from '@edgeloop/protocol'
import { openAuthority } from '../../cloud-hub/src/identity/authority.ts'
import { enrol } from '../../edge-agent/src/identity/enrol.ts'
import { manifestRefusal } from '../../edge-agent/src/update/acceptance.ts'
import { type HubTrust, openBoxTrust, openHubTrust } from '../../edge-agent/src/update/box-trust.ts'
import { download, TransferError } from '../../edge-agent/src/update/download.ts'
import { localUpdateDisk } from '../../edge-agent/src/update/update-disk.ts'
import { openTestHub, send, type TestHub } from '../hub/fixture.ts'
import { needs } from '../require.ts'
import { json, publishModel } from './published-model.ts'

const { signal } = new AbortController()
const hourMs = 3_600_000
const wide = { timeout: 240_000 }

/** A box of a hub, and what stands between the two. */
async function openBox(t: TestContext, hub: TestHub, now: () => number = Date.now) {
  const folder = await mkdtemp(join(tmpdir(), 'attacks-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const made = await hub.api('POST', '/api/enrolment-tokens', { deviceId: 'gate' })
  const { token, caFingerprint, deviceUrl } = (await made.json()) as EnrolmentToken
  const identity = await enrol({ deviceUrl, token, caFingerprint, folder, signal })
  const disk = localUpdateDisk(join(folder, 'update'))
  const real = openHubTrust(identity)
  t.after(() => real[Symbol.asyncDispose]())
  return {
    identity,
    disk,
    real,
    /** Asks what is signed, through a source that may lie. */
    refresh: (source: TrustSource = real) => openBoxTrust({ disk, source, now }).refresh(signal),
  }
}

const refused = (code: string, reason: RegExp) => (error: unknown) => {
  assert.ok(error instanceof TrustError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, reason)
  return true
}

/** Everything that a hub gives out now, as somebody on the line would keep it. */
async function record(real: HubTrust): Promise<TrustSource> {
  const kept = new Map<string, Uint8Array>()
  const keep = async (file: string) => {
    const bytes = await real.fetch(file, 8_000_000, signal)
    if (bytes) kept.set(file, bytes)
    return bytes!
  }
  const timestamp = readDocument('timestamp', await keep('timestamp.json'))
  const { version } = timestamp.signed.snapshotMeta
  const snapshot = readDocument('snapshot', await keep(`${version}.snapshot.json`))
  await keep(`${snapshot.signed.meta['targets.json']!.version}.targets.json`)
  return { fetch: async (file) => kept.get(file) }
}

test('models that are tampered with, meant for others, or offered unsigned run nowhere', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t)
  const published = await publishModel(t, hub)
  const box = await openBox(t, hub)
  const trusted = await box.refresh()
  const target = trusted.find(published.manifest.path) ?? assert.fail('it is not signed')
  assert.equal(target.digest, published.manifest.digest)
  const tls = { key: box.identity.key, cert: box.identity.certificate, ca: box.identity.ca }
  const reply = await send(
    `${hub.hub.urls.device}/artifacts/${target.digest}`,
    'GET',
    tls,
    new Uint8Array(),
  )
  const bytes = Buffer.from(reply.text)
  assert.equal(digestOf(bytes), target.digest)
  const manifest = readManifest(bytes)

  // S7: signed, and not for this box.
  const here = { targets: ['linux-x64', 'any'], agentVersion: '9.0.0' }
  const offer = { name: 'parts', version: 1 }
  const judge = (change: Partial<Manifest>, box = here, fleet = trusted.fleet) =>
    manifestRefusal({ ...manifest, ...change }, offer, box, fleet, Date.now())?.code
  assert.equal(judge({}), undefined)
  assert.equal(judge({}, here, 'fleet-of-others'), 'wrong-target')
  assert.equal(judge({ targets: ['linux-arm64'] }), 'wrong-target')
  assert.equal(
    judge({ targets: ['linux-x64'] }, { ...here, targets: ['openvino'] }),
    'wrong-target',
  )
  assert.equal(judge({ agentMin: '10.0.0' }), 'agent-too-old')
  assert.equal(judge({ expiresAt: '2020-01-01T00:00:00.000Z' }), 'trust')
  assert.equal(judge({ version: 2 }), 'integrity')
  assert.equal(judge({ name: 'other' }), 'integrity')
  // An offer that names what nobody has signed.
  assert.equal(trusted.find('manifests/parts/2/any.json'), undefined)

  // S1, S2, S6: bytes of the right length that are others; bytes of another artifact under this digest.
  const [encoding] = manifest.encodings
  assert.ok(encoding)
  const whole = await send(
    `${hub.hub.urls.device}/artifacts/${encoding.digest}`,
    'HEAD',
    tls,
    new Uint8Array(),
  )
  assert.equal(whole.status, 200)
  const beside = await hub.inStore(async ({ reader }) => {
    return await reader.selectFrom('published_file').select(['digest', 'kind']).execute()
  })
  assert.ok(beside.some(({ digest }) => digest === encoding.digest))
  const stored = await readFile(await blobFile(hub, encoding.digest))
  const attempts: [string, Uint8Array][] = [
    ['one bit', flipped(stored, stored.length >> 1)],
    ['the first byte', flipped(stored, 0)],
    ['the last byte', flipped(stored, stored.length - 1)],
    ['zeros of the right length', new Uint8Array(stored.length)],
    ['another file', Buffer.concat([bytes, stored]).subarray(0, stored.length)],
  ]
  await box.disk.makeFolder('incoming')
  for (const [at, [what, bad]] of attempts.entries()) {
    const transfer = download({
      encoding,
      disk: box.disk,
      // Each in a place of its own: pieces that were good are not asked for again.
      path: `incoming/${at}`,
      hub: liar(bad),
      mirrors: [],
      bytesPerSecondMax: undefined,
      told: () => {},
      onBadMirror: () => {},
      sleep: async () => {},
      monotonicMs: () => performance.now(),
      random: () => 0.5,
      signal,
    })
    await assert.rejects(transfer, (error: unknown) => {
      assert.ok(error instanceof TransferError && error.code === 'integrity', what)
      return true
    })
    // Behind the chunks there is the whole: even those who skip them get no wrong byte.
    assert.throws(() => decode(encoding, bad, undefined, manifest.file), ArtifactError, what)
  }

  // S17: what buys a certificate buys nothing else.
  const made = await json<EnrolmentToken>(hub, 'POST', '/api/enrolment-tokens', {
    deviceId: 'two',
  })
  for (const path of ['/trust/timestamp.json', `/artifacts/${encoding.digest}`]) {
    const headers = { authorization: `Bearer ${made.token}` }
    const bearer = { ca: box.identity.ca, headers }
    const answer = await send(hub.hub.urls.device + path, 'GET', bearer, new Uint8Array())
    assert.equal(answer.status, 401, path)
  }
})

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const bad = Uint8Array.from(bytes)
  bad[at]! ^= 4
  return bad
}

async function blobFile(hub: TestHub, digest: string): Promise<string> {
  const folder = join(hub.dataDir, 'models')
  const names = await readdir(folder, { recursive: true })
  return join(folder, names.find((name) => name.endsWith(digest)) ?? assert.fail(digest))
}

/** A hub that gives these bytes under every digest. */
const liar = (bytes: Uint8Array) => ({
  name: 'hub',
  open: async (_digest: string, from: number) => ({
    kind: 'bytes' as const,
    bytes: (async function* () {
      yield bytes.subarray(from)
    })(),
  }),
})

test(
  'what was signed before, or is signed with some of the keys, holds no box back',
  wide,
  async (t) => {
    // Certificates are looked at by the clock of this machine: the story begins so long ago that it ends before now.
    let now = Date.now() - 300 * hourMs
    let logged = ''
    const logTo = {
      write: (line: string) => {
        logged += line
      },
    }
    const hub = await openTestHub(t, {}, () => now, { logTo })
    const box = await openBox(t, hub, () => now)
    await box.refresh()
    const old = await record(box.real)
    const path = 'manifests/thing/1/any.json'

    // S3: a replay after the box has seen something newer; the hub renews by itself when it starts.
    now += 5 * hourMs
    await hub.close()
    await hub.reopen()
    await box.refresh()
    await assert.rejects(box.refresh(old), refused('integrity', /was trusted before/))

    // S4: frozen. A day later the same is stale, also where the clock of the box is set back by whoever freezes it.
    const frozen = await record(box.real)
    now += 25 * hourMs
    await assert.rejects(box.refresh(frozen), refused('trust', /timestamp: it expired/))

    // S6: the newest timestamp with the snapshot of another day, byte for byte as it was signed then.
    now += 250 * hourMs
    await hub.close()
    await hub.reopen()
    const before = readDocument('timestamp', (await frozen.fetch('timestamp.json', 1e6, signal))!)
    const snapshotThen = `${before.signed.snapshotMeta.version}.snapshot.json`
    const mixed: TrustSource = {
      fetch: async (file, most) =>
        file.endsWith('.snapshot.json')
          ? await frozen.fetch(snapshotThen, most, signal)
          : await box.real.fetch(file, most, signal),
    }
    await assert.rejects(
      box.refresh(mixed),
      refused('integrity', /snapshot.json": .* (?:is|are) signed/),
    )
    await box.refresh()

    // S5: a thief has all keys that are at the hub, and drives every version up.
    const folder = join(hub.dataDir, 'keys', 'trust')
    const online = await readKeys(folder)
    const secrets = await Promise.all(
      (await readdir(folder))
        .filter((name) => name.endsWith('.key'))
        .map((name) => readFile(join(folder, name), 'utf8')),
    )
    const root = readDocument('root', (await box.real.fetch('1.root.json', 100_000, signal))!)
    const signers = (role: 'targets' | 'snapshot' | 'timestamp') =>
      rolesOf(root)[role].keys.map((known) => keyOf(online, known.keyval.public))
    const version = Number.MAX_SAFE_INTEGER
    const life = { version, expiresAt: now + 20 * hourMs }
    const entry = { lengthBytes: 2, digest: digestOf(Buffer.from('{}')) }
    const targets = signDocument(
      makeTargets({ ...life, targets: { [path]: entry } }),
      signers('targets'),
    )
    const snapshot = signDocument(
      makeSnapshot({ ...life, targets: { version, bytes: targets } }),
      signers('snapshot'),
    )
    const timestamp = signDocument(
      makeTimestamp({ ...life, signedAt: now, snapshot: { version, bytes: snapshot } }),
      signers('timestamp'),
    )
    const thief: TrustSource = {
      fetch: async (file, most) => {
        if (file === 'timestamp.json') return timestamp
        if (file === `${version}.snapshot.json`) return snapshot
        if (file === `${version}.targets.json`) return targets
        return await box.real.fetch(file, most, signal)
      },
    }
    assert.deepEqual((await box.refresh(thief)).paths(), [path], 'with all keys he can sign')
    await assert.rejects(box.refresh(), refused('integrity', /was trusted before/))
    // The owner of the root takes the keys from him, and the box is free again.
    const rootKeys = await readKeys(join(hub.dataDir, 'root-keys'))
    for (const role of ['timestamp', 'snapshot', 'targets'] as const) {
      const { publicKey } = await json<TrustKey>(hub, 'POST', '/api/trust/keys', { role })
      const { roles } = await json<TrustShown>(hub, 'GET', '/api/trust')
      const newest = roles.find((one) => one.role === 'root')?.version
      const before = await (await hub.api('GET', `/api/trust/${newest}.root.json`)).text()
      const keys = { keys: [publicKey], threshold: 1 }
      const next = nextRoot(
        readDocument('root', Buffer.from(before)),
        { role, keys },
        now + 900 * hourMs,
      )
      const post = async (bytes: Uint8Array) =>
        await hub.api('POST', '/api/trust/root', { document: Buffer.from(bytes).toString() })
      // S8: one key of the root, and the same once more under another id.
      const once = signDocument(next, rootKeys.slice(0, 1))
      const doubled = Buffer.from(once)
        .toString()
        .replace(/"keyid": "[0-9a-f]{8}/, '"keyid": "00000000')
      const twice = signDocument(Buffer.from(doubled), rootKeys.slice(0, 1))
      for (const bytes of [once, twice]) {
        const answer = await post(bytes)
        assert.equal(answer.status, 400)
        assert.match(((await answer.json()) as Problem).detail, /2 different keys, and 1 of them/)
      }
      assert.equal((await post(signDocument(next, rootKeys))).status, 204)
    }
    // S9: whoever hides the roots between cannot lead the box past them.
    const skipping: TrustSource = {
      fetch: async (file, most) =>
        await box.real.fetch(file === '2.root.json' ? '3.root.json' : file, most, signal),
    }
    await assert.rejects(box.refresh(skipping), refused('integrity', /without a gap/))
    const free = await box.refresh()
    assert.deepEqual([free.rootVersion, free.paths()], [4, []])
    await assert.rejects(box.refresh(thief), TrustError, 'what he signed is worth nothing now')

    // S18: no key is in the log, in the audit log or in any answer.
    const said = [logged, await (await hub.api('GET', '/api/audit')).text()].join('\n')
    for (const secret of secrets) {
      const line = secret.split('\n')[1] ?? assert.fail('no key')
      assert.ok(!said.includes(line) && !said.includes(Buffer.from(line, 'base64').toString('hex')))
    }
    assert.equal(ownField(root, fleetField), free.fleet)
  },
)

async function readKeys(folder: string): Promise<SigningKey[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.key'))
  return await Promise.all(
    names.map(async (name) => readKey(await readFile(join(folder, name), 'utf8'), name)),
  )
}

const keyOf = (keys: readonly SigningKey[], publicHex: string): SigningKey =>
  keys.find(({ publicKey }) => publicKey.keyval.public === publicHex) ?? assert.fail(publicHex)

test(
  'S10: in the place of the hub, endless and slow answers end in time and within bounds',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const box = await openBox(t, hub)
    await box.refresh()
    // With the authority of the hub in hand a thief can be the hub on the line.
    const authority = await openAuthority({
      folder: join(hub.dataDir, 'keys'),
      publicHost: 'localhost',
      deviceCertificateMs: hourMs,
      clock: Date.now,
    })
    let sent = 0
    const server = createServer(authority.server, async (request, response) => {
      if (request.url?.includes('root')) return void response.writeHead(404).end()
      response.writeHead(200, { 'content-type': 'application/json' })
      const piece = request.url?.includes('slow') ? ' ' : ' '.repeat(16 * 1024)
      response.on('error', () => {})
      while (!response.destroyed) {
        sent += piece.length
        if (!response.write(piece))
          await Promise.race([once(response, 'drain'), once(response, 'close')]).catch(() => {})
      }
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    t.after(() => server.closeAllConnections())
    const deviceUrl = `https://localhost:${(server.address() as AddressInfo).port}`
    await using flood = openHubTrust({ ...box.identity, deviceUrl })
    await assert.rejects(box.refresh(flood), refused('integrity', /longer than 16384 bytes/))
    assert.ok(sent < 8 * 1024 * 1024, `${sent} bytes were sent`)

    // One byte now and then, for ever: the refresh ends, whatever the source does.
    const drip = createServer(authority.server, (request, response) => {
      if (request.url?.includes('root')) return void response.writeHead(404).end()
      response.writeHead(200).write('{')
      const timer = setInterval(() => response.write(' '), 20)
      response.on('close', () => clearInterval(timer))
    })
    drip.listen(0, '127.0.0.1')
    await once(drip, 'listening')
    t.after(() => drip.close())
    t.after(() => drip.closeAllConnections())
    const slowUrl = `https://localhost:${(drip.address() as AddressInfo).port}`
    await using slow = openHubTrust({ ...box.identity, deviceUrl: slowUrl })
    const trust = openBoxTrust({ disk: box.disk, source: slow, now: Date.now, timeoutMs: 300 })
    await assert.rejects(trust.refresh(signal), refused('trust', /longer than 300 ms/))
    assert.equal((await box.refresh()).paths().length, 0, 'and the hub itself is trusted as before')
  },
)

test(
  'S20, S21: signed documents are taken as JSON under their own path, and in no other way',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const token = (await readFile(hub.hub.localTokenFile, 'utf8')).trim()
    const post = async (path: string, type: string) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': type }
      const body = JSON.stringify({ document: 7, more: true })
      const reply = await fetch(hub.hub.urls.browser + path, { method: 'POST', headers, body })
      return reply.status
    }
    for (const path of [
      '/api/trust/root',
      '/api/trust/targets',
      '/api/trust/keys',
      '/api/bundle',
    ]) {
      assert.equal(await post(path, 'application/json'), 400, path)
      // Types that other hubs took for JSON and did not check.
      for (const type of [
        'application/json\ta',
        'application/ json',
        'text/plain',
        'application/xml',
      ]) {
        assert.ok([400, 415].includes(await post(path, type)), `${path} as ${JSON.stringify(type)}`)
      }
    }
    for (const path of [
      '/api%2ftrust',
      '/api/trust%2froot',
      '/api/trust/%2e%2e%2fmodels',
      '//api/trust',
    ]) {
      const reply = await fetch(hub.hub.urls.browser + path)
      assert.ok(
        ![200, 204].includes(reply.status) || reply.headers.get('content-type')?.includes('html'),
        path,
      )
    }
  },
)
