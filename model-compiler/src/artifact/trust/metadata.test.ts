/** Real TUF metadata of others, and what the library alone would let pass. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { test } from 'node:test'
import { canonicalize } from '@tufjs/canonical-json'
import { Key, Metadata, MetadataKind } from '@tufjs/models'
import { material, needs } from '../../../../test/require.ts'
import { refreshTrust } from './client.ts'
import { makeKey, type SigningKey } from './keys.ts'
import {
  checkSignatures,
  type Delegation,
  delegationOf,
  type RoleName,
  readDocument,
  roleNames,
} from './metadata.ts'
import { makeTargets, signDocument } from './repository.ts'
import { TrustError } from './trust.ts'

const suite = join(material, 'suites/tuf-repository_data')

/** Who must sign a file of the suite: the root, or targets that delegate to it. */
function delegationFor(file: string): { role: RoleName; by: Delegation } {
  const name = basename(file)
    .replace(/^\d+\./, '')
    .replace(/\.json$/, '')
  const folder = dirname(file)
  // One of the delegated files lies above its folder.
  const beside = existsSync(join(folder, '1.root.json')) ? folder : join(folder, 'metadata')
  const root = readDocument('root', readFileSync(join(beside, '1.root.json')))
  if (roleNames.includes(name as RoleName)) {
    return { role: name as RoleName, by: delegationOf(root, name as RoleName) }
  }
  const parents = globSync(join(beside, '*.json')).filter((one) => /targets|role1/.test(one))
  for (const parent of parents) {
    const { delegations } = readDocument('targets', readFileSync(parent)).signed
    const role = Object.values(delegations?.roles ?? {}).find((one) =>
      [name, `../${name}`].includes(one.name),
    )
    if (!delegations || !role) continue
    const by = { keys: delegations.keys, keyIds: role.keyIDs, threshold: role.threshold }
    return { role: 'targets', by }
  }
  throw new Error(`nobody delegates to "${file}"`)
}

test(
  'every file of the reference repositories verifies, and no tampered copy does',
  needs('material'),
  (t) => {
    const files = globSync(join(suite, '**/*.json')).filter((file) => !file.endsWith('map.json'))
    assert.ok(files.length >= 34, `${files.length} files`)
    let tampered = 0
    for (const file of files) {
      const { role, by } = delegationFor(file)
      const bytes = readFileSync(file)
      checkSignatures(readDocument(role, bytes), by, 'its delegation')
      const from = bytes.indexOf('"signed"')
      for (let at = from + 12; at < bytes.length; at += 41) {
        const bad = Buffer.from(bytes)
        bad[at]! ^= 2
        if (meaning(bad) === meaning(bytes)) continue
        tampered += 1
        assert.throws(
          () => checkSignatures(readDocument(role, bad), by, 'its delegation'),
          TrustError,
          `${file} at ${at}`,
        )
      }
    }
    t.diagnostic(`${files.length} files verify, ${tampered} tampered copies do not`)
  },
)

function meaning(bytes: Uint8Array): string {
  try {
    return JSON.stringify(JSON.parse(Buffer.from(bytes).toString()))
  } catch {
    return ''
  }
}

test(
  'the workflow ends well over the reference repository, which is not a consistent snapshot',
  needs('material'),
  async () => {
    const folder = join(suite, 'repository/metadata')
    const kept = new Map<string, Uint8Array>([
      ['root.json', readFileSync(join(folder, '1.root.json'))],
    ])
    const files = {
      read: async (name: string) => kept.get(name),
      write: async (name: string, bytes: Uint8Array) => void kept.set(name, bytes),
    }
    const source = {
      fetch: async (file: string) =>
        existsSync(join(folder, file)) ? readFileSync(join(folder, file)) : undefined,
    }
    const { signal } = new AbortController()
    const now = Date.parse('2026-11-21T00:00:00Z')
    const trusted = await refreshTrust({ files, source, now, signal })
    assert.deepEqual(trusted.paths(), ['file1.txt', 'file2.txt'])
    const file = readFileSync(join(suite, 'repository/targets/file1.txt'))
    assert.equal(trusted.find('file1.txt')?.lengthBytes, file.length)
    const late = Date.parse('2030-01-01T00:00:00Z')
    await assert.rejects(refreshTrust({ files, source, now: late, signal }), /expired/)
  },
)

const expires = '2030-01-01T00:00:00Z'
const targetsBytes = () => makeTargets({ version: 1, expiresAt: Date.parse(expires), targets: {} })

/** Signs under any key ids with anything that signs. */
function signedBy(signers: { keyId: string; sign(bytes: Uint8Array): Uint8Array }[]): Buffer {
  const { signed } = JSON.parse(Buffer.from(targetsBytes()).toString()) as { signed: object }
  const bytes = Buffer.from(canonicalize(signed))
  const signatures = signers.map((one) => ({
    keyid: one.keyId,
    sig: Buffer.from(one.sign(bytes)).toString('hex'),
  }))
  return Buffer.from(JSON.stringify({ signatures, signed }))
}

const keyOf = (keyId: string, { publicKey }: SigningKey): Key =>
  Key.fromJSON(keyId, publicKey as never)

test('S8: one key under two ids counts once, where the library alone counts two', () => {
  const { key } = makeKey()
  const ids = ['a'.repeat(64), 'b'.repeat(64)]
  const keys = Object.fromEntries(ids.map((id) => [id, keyOf(id, key)]))
  const bytes = signedBy(ids.map((keyId) => ({ keyId, sign: key.sign })))
  const document = readDocument('targets', bytes)
  assert.throws(
    () => checkSignatures(document, { keys, keyIds: ids, threshold: 2 }, 'it'),
    /2 different keys, and 1 of them/,
  )
  checkSignatures(document, { keys, keyIds: ids, threshold: 1 }, 'it')
  // The reason that it is counted here.
  const root = Metadata.fromJSON(MetadataKind.Root, {
    signatures: [],
    signed: {
      _type: 'root',
      spec_version: '1.0.31',
      version: 1,
      expires,
      consistent_snapshot: true,
      keys: Object.fromEntries(ids.map((id) => [id, key.publicKey])),
      roles: Object.fromEntries(roleNames.map((role) => [role, { keyids: ids, threshold: 2 }])),
    },
  } as never)
  root.verifyDelegate('targets', document.metadata)
})

test('S8: keys that are not listed, not there, or listed twice do not help a threshold', () => {
  const [one, other] = [makeKey().key, makeKey().key]
  const keys = { [one.keyId]: keyOf(one.keyId, one) }
  const document = readDocument('targets', signedBy([one, other]))
  const check = (keyIds: string[]) => () =>
    checkSignatures(document, { keys, keyIds, threshold: 2 }, 'it')
  assert.throws(check([one.keyId]), /and 1 of them/)
  assert.throws(check([one.keyId, other.keyId]), /and 1 of them/)
  assert.throws(check([one.keyId, one.keyId]), /and 1 of them/)
  assert.throws(check([one.keyId, '__proto__', 'constructor']), /and 1 of them/)
  // The same id twice in what is signed.
  assert.throws(() => readDocument('targets', signedBy([one, one])), /multiple signatures/)
})

test('S22: an RSA key that says it is Ed25519 counts for nothing, where the library alone believes it', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const keyId = 'c'.repeat(64)
  const confused = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: pem } }
  const key = Key.fromJSON(keyId, confused as never)
  const document = readDocument(
    'targets',
    signedBy([{ keyId, sign: (bytes) => sign(null, bytes, privateKey) }]),
  )
  assert.throws(
    () =>
      checkSignatures(document, { keys: { [keyId]: key }, keyIds: [keyId], threshold: 1 }, 'it'),
    /and 0 of them/,
  )
  key.verifySignature(document.metadata)
})

test('S22: keys of another type, curve, scheme or length than they say count for nothing', () => {
  const { key } = makeKey()
  const document = readDocument('targets', signedBy([{ ...key, keyId: 'k' }]))
  const hex = key.publicKey.keyval.public
  const wrong = [
    { keytype: 'ed25519', scheme: 'rsassa-pss-sha256', keyval: { public: hex } },
    { keytype: 'rsa', scheme: 'rsassa-pss-sha256', keyval: { public: hex } },
    { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: `${hex}00` } },
    { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: '' } },
    { keytype: 'ed25519', scheme: 'ed25519', keyval: {} },
    { keytype: 'sphincs', scheme: 'sphincs', keyval: { public: hex } },
    { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: hex } },
  ]
  for (const one of wrong) {
    const keys = { k: Key.fromJSON('k', one as never) }
    assert.throws(
      () => checkSignatures(document, { keys, keyIds: ['k'], threshold: 1 }, 'it'),
      /and 0 of them/,
      JSON.stringify(one),
    )
  }
})

test('documents that the specification does not know are refused with the reason', () => {
  const { key } = makeKey()
  const good = Buffer.from(signDocument(targetsBytes(), [key])).toString()
  const edit = (from: string | RegExp, to: string) => {
    const text = good.replace(from, to)
    assert.notEqual(text, good)
    return text
  }
  const deep = `${'['.repeat(40)}${']'.repeat(40)}`
  const cases: readonly [string, RegExp][] = [
    ['', /JSON/],
    ['null', /null/],
    ['[]', /no signed part/],
    ['{"signed": []}', /no signed part/],
    [good.replace('"targets"', '"root"'), /expected 'targets'/],
    [edit('"version": 1', '"version": 0'), /version 0/],
    [edit('"version": 1', '"version": 1.5'), /1.5 is no exact integer/],
    [edit('"version": 1', '"version": "1"'), /version "1"/],
    [edit('"version": 1', '"version": 1e300'), /exact/],
    [edit('1.0.33', '2.0.0'), /spec_version/],
    [edit('1.0.33', '1..'), /spec_version/],
    [edit(expires, '2030'), /expiry "2030"/],
    [edit(expires, '2030-02-30T00:00:00Z'), /expiry/],
    [edit(expires, '2030-01-01T00:00:00+01:00'), /expiry/],
    [edit('"targets": {}', '"targets": []'), /no targets/],
    [edit('"targets": {}', '"targets": {"a": {"length": 1}}'), /"a" has no length or no hashes/],
    [edit('"targets": {}', `"targets": {}, "x": ${deep}`), /nested deeper/],
    [edit('"signed"', '"signed_"'), /no signed part/],
  ]
  for (const [text, reason] of cases) {
    assert.throws(
      () => readDocument('targets', Buffer.from(text)),
      (error: unknown) => {
        assert.ok(error instanceof TrustError && error.code === 'integrity')
        assert.match(error.message, reason)
        return true
      },
    )
  }
  assert.throws(() => readDocument('targets', Buffer.from([0xff, 0xfe])), TrustError)
  assert.throws(() => readDocument('timestamp', new Uint8Array(20_000)), /16384 are allowed/)
})

test('many targets are read in time that grows with their number', () => {
  const { key } = makeKey()
  const digest = 'a'.repeat(64)
  const many = Array.from({ length: 20_000 }, (_, index) => [
    `manifests/m/${index}/linux-x64.json`,
    { lengthBytes: 1, digest },
  ])
  const targets = Object.fromEntries(many) as Record<
    string,
    { lengthBytes: number; digest: string }
  >
  const bytes = signDocument(makeTargets({ version: 1, expiresAt: Date.parse(expires), targets }), [
    key,
  ])
  const before = process.cpuUsage().user
  const document = readDocument('targets', bytes)
  checkSignatures(
    document,
    { keys: { [key.keyId]: keyOf(key.keyId, key) }, keyIds: [key.keyId], threshold: 1 },
    'it',
  )
  // The library alone, in the square of the number, takes this long for a third of them.
  assert.ok(process.cpuUsage().user - before < 20_000_000)
  const more = { ...targets, one: { lengthBytes: 1, digest } }
  const large = makeTargets({ version: 1, expiresAt: Date.parse(expires), targets: more })
  assert.throws(() => readDocument('targets', large), /20001 targets, and 20000 are allowed/)
})
