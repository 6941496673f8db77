/** The trust repository of a real hub, as a box, a person and a stranger meet it. */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  keepRoot,
  nextRoot,
  readDocument,
  readKey,
  refreshTrust,
  rolesOf,
  signDocument,
  takeFirstRoot,
} from '@edgeloop/model-compiler/artifact'
import type { Problem, TrustDocument, TrustKey, TrustShown } from '@edgeloop/protocol'
import { assertAudited } from './audited.ts'
import { openTestHub, send, type TestDevice, type TestHub } from './fixture.ts'

/** What a box does, over its own certificate. */
function sourceOf(hub: TestHub, { enrolment, key }: TestDevice) {
  const tls = { key, cert: enrolment.certificate, ca: enrolment.ca }
  return {
    fetch: async (file: string) => {
      const reply = await send(`${hub.hub.urls.device}/trust/${file}`, 'GET', tls, new Uint8Array())
      if (reply.status === 404) return undefined
      if (reply.status !== 200) throw new Error(`${reply.status}: ${reply.text}`)
      return Buffer.from(reply.text)
    },
  }
}

function emptyFiles() {
  const kept = new Map<string, Uint8Array>()
  return {
    read: async (name: string) => kept.get(name),
    write: async (name: string, bytes: Uint8Array) => void kept.set(name, bytes),
  }
}

test('a box gets its root with enrolment, and everything else over its certificate', async (t) => {
  const hub = await openTestHub(t)
  const gate = await hub.enrol('gate')
  const source = sourceOf(hub, gate)
  const files = emptyFiles()
  const root = gate.enrolment.trustRoot ?? assert.fail('no root')
  await keepRoot(files, Buffer.from(root))
  const { signal } = new AbortController()
  const trusted = await refreshTrust({ files, source, now: Date.now(), signal })
  const shown = (await (await hub.api('GET', '/api/trust')).json()) as TrustShown
  assert.equal(trusted.fleet, shown.fleet)
  assert.equal(shown.roles.find(({ role }) => role === 'targets')?.version, trusted.version)
  assert.deepEqual(shown.problems, [])
  // A box from before roots came with enrolment.
  const old = emptyFiles()
  await takeFirstRoot({ files: old, source, signal })
  assert.deepEqual(await old.read('root.json'), await files.read('root.json'))
  // People get the same bytes.
  const beside = await hub.api('GET', '/api/trust/1.root.json')
  assert.equal(beside.headers.get('content-type'), 'application/json')
  assert.equal(await beside.text(), root)
  // The next start finds what was there.
  await hub.close()
  await hub.reopen()
  const again = await refreshTrust({ files, source, now: Date.now(), signal })
  assert.deepEqual([again.fleet, again.version], [trusted.fleet, trusted.version])
})

test('names that are none are refused, on both listeners', async (t) => {
  const hub = await openTestHub(t)
  const gate = await hub.enrol('gate')
  const tls = { key: gate.key, cert: gate.enrolment.certificate, ca: gate.enrolment.ca }
  const names = ['..%2fkeys', '%2e%2e%2froot.json', '0.root.json', 'root.json.key', '1e3.root.json']
  for (const name of [...names, `${'9'.repeat(30)}.root.json`, 'other.json']) {
    const reply = await hub.api('GET', `/api/trust/${name}`)
    assert.equal(reply.status, 400, name)
    const device = await send(`${hub.hub.urls.device}/trust/${name}`, 'GET', tls, new Uint8Array())
    assert.equal(device.status, 400, name)
  }
  assert.equal((await hub.api('GET', '/api/trust/77.root.json')).status, 404)
})

test('a key is rotated by the root, whose keys the hub gives nobody', async (t) => {
  const hub = await openTestHub(t)
  const post = async (path: string, body: object) => {
    const reply = await hub.api('POST', path, body)
    return { status: reply.status, text: await reply.text() }
  }
  const files = await readdir(join(hub.dataDir, 'root-keys'))
  assert.equal(files.length, 3)
  const rootKeys = await Promise.all(
    files.map(async (file) =>
      readKey(await readFile(join(hub.dataDir, 'root-keys', file), 'utf8'), file),
    ),
  )
  const made = await post('/api/trust/keys', { role: 'timestamp' })
  assert.equal(made.status, 201)
  assert.doesNotMatch(made.text, /PRIVATE|"d"/)
  const { publicKey, keyId } = JSON.parse(made.text) as TrustKey
  const root = await (await hub.api('GET', '/api/trust/1.root.json')).text()
  const before = readDocument('root', Buffer.from(root))
  const keys = { keys: [publicKey], threshold: 1 }
  const unsigned = nextRoot(before, { role: 'timestamp', keys }, Date.now() + 86_400_000)
  const document = (bytes: Uint8Array): TrustDocument => ({
    document: Buffer.from(bytes).toString(),
  })
  const refusals: [object, RegExp][] = [
    [document(unsigned), /0 of them/],
    [document(signDocument(unsigned, rootKeys.slice(0, 1))), /1 of them/],
    [document(Buffer.from('{"signed":1}')), /no signed part/],
    [{ document: root }, /without a gap/],
    [{}, /document/],
  ]
  for (const [body, reason] of refusals) {
    const { status, text } = await post('/api/trust/root', body)
    assert.equal(status, 400)
    assert.match((JSON.parse(text) as Problem).detail, reason)
  }
  const taken = await post('/api/trust/root', document(signDocument(unsigned, rootKeys)))
  assert.equal(taken.status, 204, taken.text)
  const shown = (await (await hub.api('GET', '/api/trust')).json()) as TrustShown
  const timestamp = shown.roles.find(({ role }) => role === 'timestamp')
  assert.deepEqual(timestamp?.keys, [{ keyId, online: true }])
  assert.equal(rolesOf(before).timestamp.threshold, 1)
  const targets = await post('/api/trust/targets', document(unsigned))
  assert.equal(targets.status, 400)
  assert.equal((await hub.api('GET', '/api/trust/staged')).status, 404)
  const audit = await (await hub.api('GET', '/api/audit')).text()
  await assertAudited(hub, 'trustKeyMake', 'trustRoot')
  assert.match(audit, new RegExp(keyId))
})
